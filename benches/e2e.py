#!/usr/bin/env python3
"""What the proxy costs, end to end: pgbench and COPY directly, through a bare relay, through PgBouncer, and through pgseal, in one run.

The targets take turns in short rounds, so that what else the machine does meets all alike; each figure is the
median over the rounds, and the spread is half of what lies between the quartiles. CPU time is that of the proxy process, user and
system, per transaction. What the proxies cost is in the ratios; absolute figures are this machine's.

    make build && benches/e2e.py [--seconds 1.0] [--rounds 5] [--write]

--write puts the tables into docs/performance.md and README.md, and the plot into docs/performance.svg.
Needs PostgreSQL's programs and PgBouncer (scripts/setup.sh server pgbouncer), and nothing beside Python's standard library.
"""

import argparse
import contextlib
import glob
import os
import pathlib
import platform
import pwd
import re
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"

ROWS = 10_000
# Sessions that do nothing, for the memory that each takes.
IDLE = 300

SCHEMA = f"""
CREATE TABLE plain (id int PRIMARY KEY, email text UNIQUE, name text, note text);
CREATE TABLE sealed (id int PRIMARY KEY, email bytea UNIQUE, name text, note bytea);
INSERT INTO plain SELECT n, (100000000 + n)::text, 'name ' || n, 'note about ' || n
  FROM generate_series(1, {ROWS}) n;
CREATE TABLE plain_six (id int, email text, name text, note text, n int, at timestamptz);
CREATE TABLE sealed_six (id int, email bytea, name text, note bytea, n int, at timestamptz);
"""

POLICY = """
version = 1
[table."public.sealed"]
email = { type = "text", mode = "deterministic" }
note  = { type = "text" }
[table."public.sealed_six"]
email = { type = "text", mode = "deterministic" }
note  = { type = "text" }
"""

BY_ID = "\\set id random(1, 10000)\nSELECT name FROM plain WHERE id = :id;\n"
THOUSAND = "SELECT id, email, note FROM {} ORDER BY id LIMIT 1000;\n"
# pgbench's own variables are numbers, and so are the addresses: text of nine digits.
BY_EMAIL = "\\set p random(100000001, 100010000)\nSELECT email, note FROM {{}} WHERE email = {};\n"
COPY_OUT = "COPY {} TO STDOUT"
COPY_IN = "BEGIN; COPY {} FROM STDIN; ROLLBACK"
# Lines of the file that is copied in.
LINES = 100_000

# Where distributions put services that are no user's commands.
PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"

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
    parser.add_argument("--write", action="store_true", help="write the tables and the plot into the documents")
    options = parser.parse_args()
    # One after the other: built with an example, pgseal would have the features of the tests' dependencies.
    for what in (["--example", "relay"], ["--bin", "pgseal"]):
        subprocess.run(["cargo", "build", "--release", "--quiet", *what], cwd=ROOT, check=True)
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(temporary_folder()))
        server = stack.enter_context(postgres(folder, SCHEMA, [f"max_connections={2 * IDLE}"]))
        relay = stack.enter_context(proxy(folder, [TARGET / "examples/relay", "{listen}", f"127.0.0.1:{server}"]))
        bouncer = stack.enter_context(pgbouncer(folder, server))
        pgseal = stack.enter_context(pgseal_serve(folder, server, POLICY))
        # The others have one thread, and so has the pgseal that is compared with them.
        spread_out = stack.enter_context(serve(folder, server, POLICY, workers=os.cpu_count()))
        targets = {"direct": (server, None), "relay": relay, "PgBouncer": bouncer, "pgseal": pgseal}
        fill_sealed(pgseal[0])
        bench = Bench(folder, options, targets, spread_out)
        print(f"{options.rounds} rounds of {options.seconds} s, {platform.machine()}, {os.cpu_count()} cores; "
              f"{version(programs() / 'postgres')}, {version('pgbouncer')}.\n", flush=True)
        sections = [bench.unprotected(), bench.copies(), bench.protected(), bench.latency(), bench.sessions()]
        if options.write:
            write(sections, bench.bars)


class Bench:
    """The cells, and what was measured for the plot."""

    def __init__(self, folder, options, targets, spread_out):
        self.folder, self.options, self.targets, self.spread_out = folder, options, targets, spread_out
        self.proxies = [name for name in targets if name != "direct"]
        # (what, {proxy: CPU})
        self.bars = []

    def unprotected(self):
        """What the proxy costs where it has nothing to encrypt."""
        table = Table("No protected table in the statement",
                      ["work", *(f"{t}, tps" for t in self.targets), *(f"{p}, CPU µs" for p in self.proxies),
                       "pgseal / relay", "pgseal / PgBouncer", f"pgseal with {os.cpu_count()} workers, CPU µs"])
        for name, script, mode, clients in CELLS:
            work = {t: (a, script) for t, a in self.targets.items()}
            runs = self.rounds(work | {"spread out": (self.spread_out, script)}, mode, clients)
            tps = [f"{statistics.median(r[0] for r in runs[t]):.0f}" for t in self.targets]
            cpu = {p: [r[1] for r in runs[p]] for p in self.proxies}
            self.bars.append((name, {p: statistics.median(cpu[p]) for p in self.proxies}))
            table.row(name, *tps, *(spread(cpu[p]) for p in self.proxies), *ratios(cpu),
                      spread([r[1] for r in runs["spread out"]]))
        return table

    def copies(self):
        """COPY, in CPU per megabyte of what the client sends or gets."""
        table = Table("COPY of six columns, and of six columns two of which are sealed",
                      ["work", *(f"{p}, CPU ms per MB" for p in self.proxies), "pgseal / relay", "pgseal / PgBouncer",
                       "two sealed columns, CPU ms per MB", "sealed / relay"])
        data = self.folder / "copy.txt"
        data.write_text("".join(f"{n}\tuser{n}@example.org\tname {n}\tnote about {n}\t{n % 1000}\t2026-01-01 00:00:00+00\n"
                                for n in range(LINES)))
        megabytes = data.stat().st_size / 1e6
        for name, sql in (("in", COPY_IN), ("out", COPY_OUT)):
            if name == "out":
                for table_name in ("plain_six", "sealed_six"):
                    copy(self.targets["pgseal"][0], f"COPY {table_name} FROM STDIN", data)
            cpu = {p: [] for p in [*self.proxies, "sealed"]}
            for _ in range(self.options.rounds):
                for p in cpu:
                    port, pid = self.targets["pgseal" if p == "sealed" else p]
                    before = cpu_ns(pid)
                    copy(port, sql.format("sealed_six" if p == "sealed" else "plain_six"), data if name == "in" else None)
                    cpu[p].append((cpu_ns(pid) - before) / 1e6 / megabytes)
            self.bars.append((f"COPY {name}, µs per kB", {p: statistics.median(cpu[p]) for p in self.proxies}))
            table.row(f"COPY {name}", *(spread(cpu[p], 2) for p in self.proxies), *ratios(cpu), spread(cpu["sealed"], 2),
                      f"{statistics.median(cpu['sealed']) / statistics.median(cpu['relay']):.2f}")
        return table

    def protected(self):
        """The same statement on a plain table and on a sealed one, both through pgseal."""
        table = Table("Search by a sealed column and give two sealed values back, against the same on a plain table",
                      ["work", "plain, tps", "sealed, tps", "plain, CPU µs", "sealed, CPU µs", "sealed / plain"])
        cells = [
            ("a literal, simple, 8 clients", BY_EMAIL.format("':p'"), "simple"),
            ("a parameter, extended, 8 clients", BY_EMAIL.format(":p"), "extended"),
            ("a parameter, prepared, 8 clients", BY_EMAIL.format(":p"), "prepared"),
            ("1000 rows of two sealed values, 8 clients", THOUSAND, "prepared"),
        ]
        for name, script, mode in cells:
            both = {t: (self.targets["pgseal"], script.format(t)) for t in ("plain", "sealed")}
            runs = self.rounds(both, mode, 8)
            tps = [f"{statistics.median(r[0] for r in runs[t]):.0f}" for t in both]
            cpu = {t: [r[1] for r in runs[t]] for t in both}
            ratio = statistics.median(cpu["sealed"]) / statistics.median(cpu["plain"])
            table.row(name, *tps, *(spread(cpu[t]) for t in both), f"{ratio:.2f}")
        return table

    def latency(self):
        """What one client waits, of each transaction."""
        table = Table("Latency of one client, prepared, µs", ["", *self.targets])
        waits = {t: [] for t in self.targets}
        for _ in range(self.options.rounds):
            for target, (port, _) in self.targets.items():
                waits[target] += latencies(self.folder, port, BY_ID, self.options.seconds)
        for name, part in (("median", 50), ("99th percentile", 99)):
            table.row(name, *(f"{statistics.quantiles(waits[t], n=100)[part - 1]:.0f}" for t in self.targets))
        return table

    def sessions(self):
        """Memory of idle sessions, and the time to start."""
        table = Table("Sessions that do nothing, and start", ["", *self.proxies])
        table.row(f"KB for each of {IDLE} idle sessions", *(f"{idle(*self.targets[p]):.0f}" for p in self.proxies))
        started = []
        for number in range(self.options.rounds):
            inner = self.folder / f"start{number}"
            inner.mkdir()
            keyring(inner)
            start = time.monotonic()
            with serve(inner, self.targets["direct"][0], POLICY):
                started.append((time.monotonic() - start) * 1000)
        table.row("ms from its start until it accepts", *("" for _ in self.proxies[1:]), spread(started, 0))
        return table

    def rounds(self, work, mode, clients):
        return rounds(self.folder, self.options, work, mode, clients)


class Table:
    """A table in Markdown, printed as it grows."""

    def __init__(self, title, columns):
        self.lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
        self.title = title
        print(f"{title}:\n\n" + "\n".join(self.lines), flush=True)

    def row(self, *cells):
        self.lines.append(f"| {' | '.join(cells)} |")
        print(self.lines[-1], flush=True)

    def __str__(self):
        return f"**{self.title}**\n\n" + "\n".join(self.lines)


def spread(values, digits=1):
    """The median, and half of what lies between the quartiles."""
    low, middle, high = statistics.quantiles(values, n=4) if len(values) > 1 else values * 3
    return f"{middle:.{digits}f} ± {(high - low) / 2:.{digits}f}"


def ratios(cpu):
    median = {name: statistics.median(values) for name, values in cpu.items()}
    return [f"{median['pgseal'] / median[other]:.2f}" for other in ("relay", "PgBouncer")]


def write(sections, bars):
    """Puts the tables between the markers of the documents, and draws the plot."""
    where = f"{os.cpu_count()} cores ({platform.machine()}), client, proxies and server together; " \
            f"{version(programs() / 'postgres')}, {version('pgbouncer')}."
    between(ROOT / "docs/performance.md", "measured", "\n\n".join([where, *map(str, sections)]))
    between(ROOT / "README.md", "measured", "\n\n".join(map(str, (sections[0], sections[2]))))
    (ROOT / "docs/performance.svg").write_text(plot(bars))


def between(path, name, text):
    begin, end = f"<!-- {name}: written by benches/e2e.py --write -->", f"<!-- end {name} -->"
    before, _, rest = path.read_text().partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        sys.exit(f"{path} has no place for what was measured")
    path.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}")


def plot(bars):
    """Bars beside each other for each kind of work: CPU time of the proxies."""
    colours = {"relay": "#9aa5b1", "PgBouncer": "#e0a458", "pgseal": "#2f6f9f"}
    left, width, thick, gap = 190, 430, 14, 16
    height = 50 + sum(len(values) * thick + gap for _, values in bars)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 70} {height}" font-family="sans-serif" '
             f'font-size="12" role="img" aria-label="CPU time of the proxies for each kind of work">',
             '<rect width="100%" height="100%" fill="#ffffff"/>']
    for number, (name, colour) in enumerate(colours.items()):
        parts.append(f'<rect x="{left + 110 * number}" y="12" width="12" height="12" fill="{colour}"/>'
                     f'<text x="{left + 18 + 110 * number}" y="22" fill="#222">{name}</text>')
    y = 40
    for what, values in bars:
        # Each kind of work has a scale of its own: the ratios are what carries over.
        most = max(values.values())
        parts.append(f'<text x="{left - 10}" y="{y + len(values) * thick / 2 + 4}" text-anchor="end" fill="#222">{what}</text>')
        for name, value in values.items():
            length = width * value / most
            parts.append(f'<rect x="{left}" y="{y + 1}" width="{length:.0f}" height="{thick - 2}" fill="{colours[name]}"/>'
                         f'<text x="{left + length + 5:.0f}" y="{y + 11}" fill="#222">{value:.3g}</text>')
            y += thick
        y += gap
    return "\n".join([*parts, "</svg>\n"])


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


def latencies(folder, port, script, seconds):
    """Microseconds of each transaction of one client."""
    path, prefix = folder / "script.sql", folder / "latency"
    path.write_text(script)
    command = [programs() / "pgbench", "-n", "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "-M", "prepared", "-c", "1",
               "-f", path, "-T", str(max(1, round(seconds))), "--log", f"--log-prefix={prefix}", "postgres"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment())
    waits = []
    for log in folder.glob("latency.*"):
        waits += [int(line.split()[2]) for line in log.read_text().splitlines()]
        log.unlink()
    return waits


def copy(port, sql, data):
    """A COPY through psql, from the file or to nowhere."""
    command = [programs() / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(port), "-U", "postgres",
               "-d", "postgres", "-c", sql]
    with open(data or os.devnull, "rb") as source:
        subprocess.run(command, stdin=source, stdout=subprocess.DEVNULL, check=True, env=environment())


def idle(port, pid):
    """Kilobytes that a proxy takes for each session that has sent a statement and waits."""
    before, sessions = resident(pid), []
    try:
        for _ in range(IDLE):
            session = socket.create_connection(("127.0.0.1", port), timeout=30)
            sessions.append(session)
            parameters = b"user\0postgres\0database\0postgres\0\0"
            session.sendall(struct.pack("!ii", 8 + len(parameters), 196608) + parameters)
            until_ready(session)
            text = b"SELECT 1\0"
            session.sendall(b"Q" + struct.pack("!i", 4 + len(text)) + text)
            until_ready(session)
        return (resident(pid) - before) / IDLE
    finally:
        for session in sessions:
            session.close()


def until_ready(session):
    received = b""
    while not received.endswith(b"Z\0\0\0\5I"):
        part = session.recv(65536)
        if not part:
            sys.exit(f"a session was closed: {received!r}")
        received += part


def resident(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1])


def version(program):
    text = subprocess.run([shutil.which(program, path=PATH), "--version"], capture_output=True, text=True, check=True).stdout
    return " ".join(re.sub(r"\(.*?\)", "", text.splitlines()[0]).split())


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
    as_user = as_another_user()
    if as_user:
        shutil.chown(folder, as_user["user"])
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


def as_another_user():
    """For root, as whom PostgreSQL and PgBouncer refuse to run."""
    if os.getuid() != 0:
        return {}
    user = next(u for u in ("postgres", "nobody") if u in {p.pw_name for p in pwd.getpwall()})
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


@contextlib.contextmanager
def pgseal_serve(folder, server, policy):
    """pgseal in front of it under a policy text; gives its port and process id."""
    keyring(folder)
    with serve(folder, server, policy) as running_proxy:
        yield running_proxy


def keyring(folder):
    path = folder / "keyring"
    path.mkdir(mode=0o700)
    subprocess.run([TARGET / "pgseal", "init", "--keyring", path / "keyring.toml", "--kek", f"file:{path}/kek"],
                   check=True, stdout=subprocess.DEVNULL)


def serve(folder, server, policy, workers=1):
    """pgseal with the keyring in `folder`, and so many threads."""
    (folder / "policy.toml").write_text(policy)
    return proxy(folder, [TARGET / "pgseal", "serve", "--listen", "{listen}", "--upstream", f"127.0.0.1:{server}",
                          "--policy", folder / "policy.toml", "--keyring", folder / "keyring/keyring.toml",
                          "--workers", str(workers)])


@contextlib.contextmanager
def pgbouncer(folder, server):
    """PgBouncer in front of it, each session with a server's connection of its own; gives its port and process id."""
    if shutil.which("pgbouncer", path=PATH) is None:
        sys.exit("no PgBouncer found: scripts/setup.sh pgbouncer installs it")
    port, path = free_port(), folder / "pgbouncer.ini"
    path.write_text(f"""[databases]
* = host=127.0.0.1 port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = session
max_client_conn = {2 * IDLE}
default_pool_size = {2 * IDLE}
ignore_startup_parameters = extra_float_digits
log_connections = 0
log_disconnections = 0
""")
    # `any` needs to know as whom to log in.
    path.write_text(path.read_text().replace(f"port={server}", f"port={server} user=postgres"))
    command = [shutil.which("pgbouncer", path=PATH), path]
    with running(command, port, folder / "pgbouncer.log", signal.SIGKILL, **as_another_user()) as process:
        yield port, process.pid


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
