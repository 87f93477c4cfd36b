#!/usr/bin/env bash
# Shows pgseal at work: a private PostgreSQL, the proxy in front of it, and a short story through it.
# Then it keeps serving until Ctrl-C; with --once it ends by itself. It leaves nothing behind.
set -euo pipefail
cd "$(dirname "$0")/.."

main() {
    trap clean_up EXIT
    trap 'exit 130' INT TERM HUP
    build
    start_postgres
    start_pgseal
    story
    [ "${1:-}" = --once ] || serve
}

build() {
    say 'Building pgseal (the first time takes a few minutes)'
    cargo build --release --quiet
    pgseal=${CARGO_TARGET_DIR:-target}/release/pgseal
}

# PostgreSQL refuses to run as root; then it runs as somebody else, in a folder that he can reach.
start_postgres() {
    as_server=()
    folder=$PWD/.demo
    if [ "$(id -u)" = 0 ]; then
        local user
        user=$(id -un postgres 2>/dev/null || echo nobody)
        as_server=(setpriv "--reuid=$user" "--regid=$(id -g "$user")" --clear-groups)
        folder=$(mktemp -d /tmp/pgseal-demo.XXXXXX)
    else
        rm -rf "$folder"
        mkdir "$folder"
    fi
    mkdir -m 755 "$folder/server"
    mkdir -m 700 "$folder/keyring"
    chmod 755 "$folder"
    [ "$(id -u)" != 0 ] || chown "$user" "$folder/server"

    local server=$folder/server
    bin=$(server_programs)
    db_port=$(free_port 54320)
    say "Starting a private PostgreSQL ($("$bin/postgres" --version | sed 's/.* \([0-9.]*\).*/\1/')) in $server"
    "${as_server[@]}" "$bin/initdb" -D "$server/data" -U app -A trust -E UTF8 --no-locale --no-sync >"$folder/initdb.log"
    "${as_server[@]}" "$bin/postgres" -D "$server/data" -p "$db_port" -k "" \
        -c listen_addresses=127.0.0.1 -c fsync=off >"$folder/postgres.log" 2>&1 </dev/null &
    postgres_pid=$!
    wait_for "$db_port" "$postgres_pid" "$folder/postgres.log"
    until "$bin/pg_isready" -q -h 127.0.0.1 -p "$db_port"; do sleep 0.1; done

    database() { psql -X -q -v ON_ERROR_STOP=1 "postgresql://app@127.0.0.1:$db_port/postgres?sslmode=disable" "$@"; }
    dump() { "$bin/pg_dump" "postgresql://app@127.0.0.1:$db_port/postgres?sslmode=disable" "$@"; }
    # Protected columns are stored as bytea.
    database <<'SQL'
CREATE TABLE customers (
    id     int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name   text NOT NULL,
    email  bytea UNIQUE,
    ssn    bytea,
    born   bytea,
    notes  bytea
);
CREATE TABLE orders (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer int REFERENCES customers, total numeric(10,2));
SQL
}

start_pgseal() {
    local keyring=$folder/keyring/keyring.toml
    proxy_port=$(free_port 6432)
    url=postgresql://app@127.0.0.1:$proxy_port/postgres?sslmode=disable
    say 'Making a keyring, and starting the proxy with policies/quickstart.toml:'
    grep -v '^ *#' policies/quickstart.toml | sed '/^$/d; s/^/    /'
    "$pgseal" init --keyring "$keyring" --kek "file:$folder/keyring/kek" >"$folder/init.log"
    "$pgseal" serve --listen "127.0.0.1:$proxy_port" --upstream "127.0.0.1:$db_port" \
        --policy policies/quickstart.toml --keyring "$keyring" >"$folder/pgseal.log" 2>&1 </dev/null &
    pgseal_pid=$!
    wait_for "$proxy_port" "$pgseal_pid" "$folder/pgseal.log"
    application() { psql -X -q -v ON_ERROR_STOP=1 "$url" "$@"; }
}

story() {
    say 'The application writes as it always did'
    tell "INSERT INTO customers (name, email, ssn, born, notes) VALUES
  ('Ada',   'ada@example.com',   '123-45-6789', '1985-12-10', 'prefers tea'),
  ('Grace', 'grace@example.com', '987-65-4321', '1986-12-09', 'calls on Fridays'),
  ('Edgar', 'edgar@example.com', NULL,          '1973-08-19', '');"
    tell "INSERT INTO orders (customer, total) VALUES (1, 12.50), (1, 99), (2, 5);"

    both 'and reads what it wrote; the database holds something else' \
        'SELECT id, name, email, ssn, born, notes FROM customers ORDER BY id' \
        "SELECT id, $(cut name), $(cut email), $(cut ssn), $(cut born), $(cut notes) FROM customers ORDER BY id"

    say 'It searches, changes, joins and groups'
    tell "SELECT id, name, ssn, born FROM customers WHERE email = 'grace@example.com';"
    tell "UPDATE customers SET ssn = '555-00-1111' WHERE email IN ('ada@example.com', 'nobody@example.com') RETURNING id, ssn;"
    tell "SELECT c.email, count(*), sum(o.total) FROM customers c JOIN orders o ON o.customer = c.id
  GROUP BY c.email ORDER BY 2 DESC;"

    say 'What cannot be answered rightly is refused, before the server sees it'
    tell "SELECT name FROM customers WHERE notes LIKE '%tea%';"

    say 'A dump of the database, searched for what was written'
    local word
    for word in ada@example.com 123-45-6789 1985-12-10 'prefers tea'; do
        printf '    %-18s found %s times\n' "$word" "$(dump | grep -c -F -e "$word" -e "$(printf %s "$word" | od -An -tx1 | tr -d ' \n')" || true)"
    done
}

serve() {
    say 'Serving. Try it from another terminal:'
    echo "    export DATABASE_URL='$url'"
    # shellcheck disable=SC2016
    echo '    psql "$DATABASE_URL" -c "SELECT * FROM customers"'
    echo "    psql 'postgresql://app@127.0.0.1:$db_port/postgres?sslmode=disable' -c 'SELECT * FROM customers'    # past the proxy"
    echo 'Ctrl-C stops everything and removes it.'
    wait "$pgseal_pid" || fail "pgseal stopped:
$(tail -n 20 "$folder/pgseal.log")"
}

# Runs a statement as the application does, and shows it with its answer.
tell() {
    printf '%s\n' "$1" | sed 's/^/    /'
    { application -c "$1" -P footer=off 2>&1 || true; } | sed '/^$/d; s/^/        /'
}

# both TITLE QUERY QUERY: the first through the proxy and the second past it, beside each other.
both() {
    say "$1"
    paste -d '\t' <(echo 'the application sees'; application -P footer=off -c "$2" | sed '/^$/d') \
        <(echo 'the database holds (its end, here)'; database -P footer=off -c "$3" | sed '/^$/d') |
        awk -F '\t' '{ left[NR] = $1; right[NR] = $2; if (length($1) > width) width = length($1) }
            END { for (n = 1; n <= NR; n++) printf "    %-" width "s   %s\n", left[n], right[n] }'
}

# The end of a stored value: what an envelope begins with is the same for one key and mode.
cut() {
    echo "'…' || right($1::text, 12) AS $1"
}

server_programs() {
    local folder
    for folder in "${PGSEAL_TEST_PG_BIN:-}" $(compgen -G '/usr/lib/postgresql/*/bin' | sort -t/ -k5 -rn) ${PATH//:/ }; do
        [ ! -x "$folder/initdb" ] || [ ! -x "$folder/postgres" ] || { echo "$folder"; return; }
    done
    fail 'no PostgreSQL server found: run make demo, which installs it'
}

# The first port from $1 that nobody listens on.
free_port() {
    local port=$1
    while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
    echo "$port"
}

# wait_for PORT PID LOG
wait_for() {
    until (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; do
        kill -0 "$2" 2>/dev/null || fail "it does not start:
$(tail -n 20 "$3")"
        sleep 0.05
    done
}

say() {
    printf '\n\033[1m%s\033[0m\n' "$1"
}

fail() {
    echo "$1" >&2
    exit 1
}

clean_up() {
    trap - EXIT
    [ -z "${pgseal_pid:-}" ] || { kill "$pgseal_pid" && wait "$pgseal_pid"; } 2>/dev/null || true
    [ -z "${postgres_pid:-}" ] || { kill -INT "$postgres_pid" && wait "$postgres_pid"; } 2>/dev/null || true
    [ -z "${folder:-}" ] || rm -rf "$folder"
}

main "$@"
