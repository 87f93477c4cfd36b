#!/usr/bin/env python3
"""pgbench directly, through a bare relay, and through pgseal, in one run.

The three take turns in short rounds, so that what else the machine does meets all alike; each figure is the
median over the rounds. CPU time is that of the proxy process, user and system, per transaction. What the
proxies cost is in the ratios; absolute figures are this machine's.

    make build && benches/e2e.py [--seconds 1.0] [--rounds 5]

Needs PostgreSQL's programs (scripts/setup.sh server) and nothing beside Python's standard library.
"""

import argparse
import contextlib
import glob
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"

ROWS = 10_000

SCHEMA = f"""
CREATE TABLE plain (id int PRIMARY KEY, email text UNIQUE, name text, note text);
CREATE TABLE sealed (id int PRIMARY KEY, email bytea UNIQUE, name text, note bytea);
INSERT INTO plain SELECT n, (100000000 + n)::text, 'name ' || n, 'note about ' || n
  FROM generate_series(1, {ROWS}) n;
"""

POLICY = """
version = 1
[table."public.sealed"]
email = { type = "text", mode = "deterministic" }
note  = { type = "text" }
"""

BY_ID = "\\set id random(1, 10000)\nSELECT name FROM plain WHERE id = :id;\n"
THOUSAND = "SELECT id, email, note FROM {} ORDER BY id LIMIT 1000;\n"
# pgbench's own variables are numbers, and so are the addresses: text of nine digits.
BY_EMAIL = "\\set p random(100000001, 100010000)\nSELECT email, note FROM {{}} WHERE email = {};\n"

# name, script, mode of pgbench, clients
CELLS = [
    ("simple, 8 clients", BY_ID, "simple", 8),
    ("extended, 8 clients", BY_ID, "extended", 8),
    ("prepared, 8 clients", BY_ID, "prepared", 8),
    ("prepared, 1 client", BY_ID, "prepared", 1),
    ("1000 rows, 8 clients", THOUSAND.format("plain"), "prepared", 8),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=1.0, help="length of one pgbench run (default 1)")
    parser.add_argument("--rounds", type=int, default=5, help="how often the targets take turns (default 5)")
    options = parser.parse_args()
    # One after the other: built with an example, pgseal would have the features of the tests' dependencies.
    for what in (["--example", "relay"], ["--bin", "pgseal"]):
        subprocess.run(["cargo", "build", "--release", "--quiet", *what], cwd=ROOT, check=True)
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(temporary_folder()))
        server = stack.enter_context(postgres(folder, SCHEMA))
        relay = stack.enter_context(proxy(folder, [TARGET / "examples/relay", "{listen}", f"127.0.0.1:{server}"]))
        pgseal = stack.enter_context(pgseal_serve(folder, server, POLICY))
        targets = {"direct": (server, None), "relay": relay, "pgseal": pgseal}
        fill_sealed(pgseal[0])
        print(f"{options.rounds} rounds of {options.seconds} s; medians.\n")
        unprotected(targets, options, folder)
        protected(targets, options, folder)


def unprotected(targets, options, folder):
    """What the proxy costs where it has nothing to encrypt."""
    print("No protected table in the statement:\n")
    print("| work | direct, tps | relay, tps | pgseal, tps | relay, CPU µs per transaction | pgseal, CPU µs | CPU ratio |")
    print("|---|---|---|---|---|---|---|")
    for name, script, mode, clients in CELLS:
        runs = rounds(folder, options, {t: (a, script) for t, a in targets.items()}, mode, clients)
        tps = {t: statistics.median(r[0] for r in runs[t]) for t in targets}
        cpu = {t: statistics.median(r[1] for r in runs[t]) for t in ("relay", "pgseal")}
        print(f"| {name} | {tps['direct']:.0f} | {tps['relay']:.0f} | {tps['pgseal']:.0f} "
              f"| {cpu['relay']:.1f} | {cpu['pgseal']:.1f} | {cpu['pgseal'] / cpu['relay']:.2f} |", flush=True)


def protected(targets, options, folder):
    """The same statement on a plain table and on a sealed one, both through pgseal."""
    print("\nSearch by a sealed column and give two sealed values back, against the same on a plain table:\n")
    print("| work | plain, tps | sealed, tps | plain, CPU µs per transaction | sealed, CPU µs | CPU ratio |")
    print("|---|---|---|---|---|---|")
    address = targets["pgseal"]
    cells = [
        ("a literal, simple, 8 clients", BY_EMAIL.format("':p'"), "simple"),
        ("a parameter, extended, 8 clients", BY_EMAIL.format(":p"), "extended"),
        ("a parameter, prepared, 8 clients", BY_EMAIL.format(":p"), "prepared"),
        ("1000 rows of two sealed values, 8 clients", THOUSAND, "prepared"),
    ]
    for name, script, mode in cells:
        both = {table: (address, script.format(table)) for table in ("plain", "sealed")}
        runs = rounds(folder, options, both, mode, 8)
        tps = {t: statistics.median(r[0] for r in runs[t]) for t in both}
        cpu = {t: statistics.median(r[1] for r in runs[t]) for t in both}
        print(f"| {name} | {tps['plain']:.0f} | {tps['sealed']:.0f} | {cpu['plain']:.1f} | {cpu['sealed']:.1f} "
              f"| {cpu['sealed'] / cpu['plain']:.2f} |", flush=True)


def rounds(folder, options, work, mode, clients):
    """{name: [(transactions per second, CPU µs per transaction)]}; the names take turns."""
    runs = {name: [] for name in work}
    for number in range(options.rounds):
        # Who goes first changes, so that none always follows the same one.
        order = list(work) if number % 2 == 0 else list(reversed(work))
        for name in order:
            (port, pid), script = work[name]
            path = folder / "script.sql"
            path.write_text(script)
            before = cpu_ns(pid)
            count, tps = pgbench(port, path, mode, clients, options.seconds)
            runs[name].append((tps, (cpu_ns(pid) - before) / 1000 / count))
    return runs


def pgbench(port, script, mode, clients, seconds):
    command = [programs() / "pgbench", "-n", "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "-M", mode,
               "-c", str(clients), "-j", "1", "-f", script, "-T", str(max(1, round(seconds))), "postgres"]
    output = subprocess.run(command, capture_output=True, text=True, env=environment())
    if output.returncode != 0:
        sys.exit(f"pgbench failed:\n{output.stderr}")
    count = int(re.search(r"actually processed: (\d+)", output.stdout)[1])
    return count, float(re.search(r"tps = ([0-9.]+)", output.stdout)[1])


def cpu_ns(pid):
    """User and system time of all threads of a process so far."""
    if pid is None:
        return 0
    total = 0
    for task in glob.glob(f"/proc/{pid}/task/*/schedstat"):
        with contextlib.suppress(FileNotFoundError):
            total += int(pathlib.Path(task).read_text().split()[0])
    return total


def fill_sealed(port):
    """Copies the plain table into the sealed one, through the proxy, in batches."""
    for start in range(1, ROWS, 500):
        rows = ", ".join(f"({n}, '{100000000 + n}', 'name {n}', 'note about {n}')"
                         for n in range(start, start + 500))
        psql(port, f"INSERT INTO sealed VALUES {rows}")


def psql(port, sql):
    command = [programs() / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(port),
               "-U", "postgres", "-d", "postgres"]
    subprocess.run(command, input=sql, text=True, check=True, stdout=subprocess.DEVNULL, env=environment())


@contextlib.contextmanager
def postgres(folder, schema, settings=()):
    """A private server in `folder` with this schema; gives its port."""
    as_user = {}
    if os.getuid() == 0:
        # PostgreSQL refuses to run as root.
        user = next(u for u in ("postgres", "nobody") if u in {p.pw_name for p in pwd.getpwall()})
        as_user = {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}
        shutil.chown(folder, user)
    folder.chmod(0o755)
    data, port = folder / "data", free_port()
    initdb = [programs() / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"]
    subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, cwd="/", **as_user)
    command = [programs() / "postgres", "-D", data, "-p", str(port), "-k", "", "-c", "listen_addresses=127.0.0.1",
               "-c", "fsync=off", "-c", "autovacuum=off", *(word for setting in settings for word in ("-c", setting))]
    with running(command, port, folder / "postgres.log", signal.SIGINT, **as_user):
        while subprocess.run([programs() / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]).returncode:
            time.sleep(0.05)
        psql(port, schema)
        yield port


@contextlib.contextmanager
def pgseal_serve(folder, server, policy):
    """pgseal in front of it under a policy text; gives its port and process id."""
    keyring = folder / "keyring"
    keyring.mkdir(mode=0o700)
    (folder / "policy.toml").write_text(policy)
    subprocess.run([TARGET / "pgseal", "init", "--keyring", keyring / "keyring.toml", "--kek", f"file:{keyring}/kek"],
                   check=True, stdout=subprocess.DEVNULL)
    command = [TARGET / "pgseal", "serve", "--listen", "{listen}", "--upstream", f"127.0.0.1:{server}",
               "--policy", folder / "policy.toml", "--keyring", keyring / "keyring.toml"]
    with proxy(folder, command) as running_proxy:
        yield running_proxy


@contextlib.contextmanager
def proxy(folder, command):
    port = free_port()
    command = [str(word).replace("{listen}", f"127.0.0.1:{port}") for word in command]
    log = folder / f"{pathlib.Path(command[0]).name}.log"
    with running(command, port, log, signal.SIGKILL) as process:
        yield port, process.pid


@contextlib.contextmanager
def running(command, port, log, stop, **options):
    """A process that listens on `port`; stopped at the end."""
    with open(log, "wb") as out:
        process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                   cwd="/", **options)
    try:
        while not accepts(port):
            if process.poll() is not None:
                sys.exit(f"{command[0]} does not start:\n{log.read_text()}")
            time.sleep(0.02)
        yield process
    finally:
        process.send_signal(stop)
        process.wait()


def accepts(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def programs():
    """The folder of the newest PostgreSQL's programs."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: -int(path.split("/")[-2]))
    stated = os.environ.get("PGSEAL_TEST_PG_BIN")
    for folder in ([stated] if stated else []) + found + os.environ["PATH"].split(":"):
        if (pathlib.Path(folder) / "initdb").exists():
            return pathlib.Path(folder)
    sys.exit("no PostgreSQL server found: scripts/setup.sh server installs it")


def environment():
    return {**os.environ, "PGSSLMODE": "disable", "PGGSSENCMODE": "disable"}


def temporary_folder():
    # The server's user must reach it.
    return tempfile.TemporaryDirectory(prefix="pgseal-bench-", dir="/tmp")


if __name__ == "__main__":
    main()
