#!/usr/bin/env bash
# Puts PostgreSQL's regression SQL into a folder: regress.sh FOLDER
#
# It comes from the source package of the distribution's own PostgreSQL, through apt, with lists and caches of
# its own, so that the system's sources stay as they are and no root is needed.
set -euo pipefail

folder=$1
[ -f "$folder/complete" ] && exit 0
command -v apt-get >/dev/null || { echo "there is no apt-get here: set PGSEAL_REGRESS to a folder with src/test/regress/sql of PostgreSQL" >&2; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/apt/lists/partial" "$work/apt/cache/archives/partial" "$work/apt/sources"

# The distribution's sources, as sources of source packages.
for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
    [ -f "$file" ] && grep -Eqi 'debian\.org|ubuntu\.com' "$file" || continue
    sed -E 's/^Types:.*/Types: deb-src/; s/^deb(-src)? /deb-src /' "$file" >"$work/apt/sources/$(basename "$file")"
done

options=(
    -qq
    -o Dir::Etc::sourcelist=/dev/null
    -o Dir::Etc::sourceparts="$work/apt/sources"
    -o Dir::State::lists="$work/apt/lists"
    -o Dir::Cache="$work/apt/cache"
)
[ "$(id -u)" = 0 ] && options+=(-o APT::Sandbox::User=root)

cd "$work"
apt-get "${options[@]}" update
package=postgresql-$(ls /usr/lib/postgresql | sort -n | tail -n 1)
# The newest version that the mirrors hold: an index may be ahead of its archive.
for version in $(apt-cache "${options[@]}" showsrc "$package" | sed -n 's/^Version: //p' | sort -rVu); do
    apt-get "${options[@]}" source --download-only "$package=$version" && break
done
mkdir -p "$folder"
tar -xf "$work"/*.orig.tar.* -C "$folder" --strip-components=1 --wildcards '*/src/test/regress/sql' '*/contrib/*/sql' '*/src/pl/plpgsql/src/sql' '*/src/test/isolation/specs'
touch "$folder/complete"
