#!/usr/bin/env python3
"""Rows per second of `pgseal encrypt` and `pgseal rotate`, and of a plain UPDATE of the same column, in one run.

The plain UPDATE changes as many rows in each transaction as the job does (500), by ranges of the primary key, to texts
that are as long as the sealed ones; it begins with a copy of the same table. The two take turns, and the figures are medians
over the rounds. Ratios carry over to other machines, rows per second do not.

    make bench-jobs    or    benches/jobs.py [--rows 100000] [--rounds 3] [--batch 500] [--workers 1] [--write]

`--write` puts the table into README.md. Needs PostgreSQL's programs (scripts/setup.sh server), a release build, and
nothing beside Python's standard library.
"""

import argparse
import contextlib
import os
import pathlib
import re
import statistics
import subprocess
import sys
import time

import e2e

MARKERS = ("<!-- jobs: written by benches/jobs.py --write -->", "<!-- /jobs -->")

SCHEMA = """
CREATE TABLE randomized (id int PRIMARY KEY, plain int, note text);
CREATE TABLE deterministic (id int PRIMARY KEY, plain int, note text UNIQUE);
CREATE TABLE few (id int PRIMARY KEY, note text UNIQUE);
"""

# Jobs on deterministic columns wait for proxies to read the catalog again. That is no work, and does not grow with the
# table: as long as it takes with a table of one row is taken off.
ENVIRONMENT = {"PGSEAL_CATALOG_LEASE": "1", "PGSEAL_LOG": "warn"}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000, help="rows of a table (default 100000)")
    parser.add_argument("--rounds", type=int, default=3, help="how often all is done (default 3)")
    parser.add_argument("--batch", type=int, default=500, help="rows of a transaction (default 500)")
    parser.add_argument("--workers", type=int, default=1, help="the jobs' connections (default 1)")
    parser.add_argument("--write", action="store_true", help="write the table into README.md")
    options = parser.parse_args()
    subprocess.run(["cargo", "build", "--release", "--quiet", "--bin", "pgseal"], cwd=e2e.ROOT, check=True)
    seconds = {}
    for number in range(options.rounds):
        for work, pair in one_round(options).items():
            seconds.setdefault(work, []).append(pair)
        print(f"round {number + 1} of {options.rounds} is done", file=sys.stderr, flush=True)
    text = table(options, seconds)
    print(text)
    if options.write:
        write(text)


def one_round(options):
    """{work: (seconds of the job, seconds of the plain UPDATE)}, in a server of its own."""
    results = {}
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(e2e.temporary_folder()))
        port = stack.enter_context(e2e.postgres(folder, SCHEMA, ["max_wal_size=4GB", "checkpoint_timeout=1h"]))
        site = Site(folder, port, options)
        for mode in ("randomized", "deterministic"):
            site.psql(f"INSERT INTO {mode} SELECT n, n, 'a note of usual length ' || n "
                      f"FROM generate_series(1, {options.rows}) n")
        site.psql("INSERT INTO few VALUES (1, 'one')")
        site.policy("migrating")
        for mode in ("randomized", "deterministic"):
            results["encrypt", mode] = both(site, "encrypt", mode)
        # The few are in a context of their own, and are done with the others by now.
        site.policy("sealed")
        site.pgseal("keys", "add", "default")
        site.pgseal("keys", "promote", "default", "--no-proxies")
        for mode in ("randomized", "deterministic"):
            results["rotate", mode] = both(site, "rotate", mode)
    return results


def both(site, work, mode):
    """Seconds of a job and of the UPDATE of a copy of its table."""
    site.psql(f"CREATE TABLE copy (LIKE {mode} INCLUDING ALL EXCLUDING CONSTRAINTS); INSERT INTO copy SELECT * FROM {mode} ORDER BY id")
    waits = site.timed(work, "few.note") if mode == "deterministic" else 0
    site.settle(mode)
    job = site.timed(work, f"{mode}.note") - waits
    sealed = site.value(f"SELECT count(*) FROM {mode} WHERE note LIKE 'pgs1.%'")
    if int(sealed) != site.options.rows:
        sys.exit(f"{work} {mode}: only {sealed} rows are sealed")
    length = site.value(f"SELECT round(avg(length(note))) FROM {mode}")
    site.settle("copy")
    batch = site.options.batch
    updates = "\n".join(
        f"UPDATE copy SET note = left(repeat(md5(id::text || '{work}'), 9), {length}) WHERE id > {n} AND id <= {n + batch};"
        for n in range(0, site.options.rows, batch))
    began = time.monotonic()
    site.psql(updates)
    plain = time.monotonic() - began
    site.psql("DROP TABLE copy")
    return job, plain


class Site:
    """A server, a keyring, and a policy that changes."""

    def __init__(self, folder, port, options):
        self.folder, self.port, self.options = folder, port, options
        keys = folder / "keyring"
        keys.mkdir(mode=0o700)
        self.environment = {**e2e.environment(), **ENVIRONMENT, "PGSEAL_KEYRING": str(keys / "keyring.toml"),
                            "PGSEAL_POLICY": str(folder / "policy.toml"),
                            "PGSEAL_DATABASE": f"postgres://postgres@127.0.0.1:{port}/postgres?sslmode=disable"}
        self.pgseal("init", "--kek", f"file:{keys}/kek")

    def policy(self, state):
        columns = [("randomized", "randomized"), ("deterministic", "deterministic"), ("few", "deterministic")]
        tables = [f'[table."public.{table}"]\nnote = {{ type = "text", mode = "{mode}", state = "{state}" }}\n'
                  for table, mode in columns]
        (self.folder / "policy.toml").write_text("version = 1\n" + "".join(tables))

    def pgseal(self, *arguments):
        command = [str(e2e.TARGET / "pgseal"), *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")

    def timed(self, work, what):
        began = time.monotonic()
        self.pgseal(work, what, "--batch", str(self.options.batch), "--workers", str(self.options.workers))
        return time.monotonic() - began

    def psql(self, sql):
        e2e.psql(self.port, sql)

    def value(self, sql):
        command = [e2e.programs() / "psql", "-X", "-A", "-t", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres",
                   "-c", sql, "postgres"]
        return subprocess.run(command, capture_output=True, text=True, check=True, env=e2e.environment()).stdout.strip()

    def settle(self, table):
        """Dead rows and dirty pages of what was done before are not this one's."""
        self.psql(f"VACUUM ANALYZE {table};\nCHECKPOINT")


def table(options, seconds):
    words = {"randomized": "randomized", "deterministic": "deterministic, UNIQUE"}
    workers = "one connection" if options.workers == 1 else f"{options.workers} connections"
    lines = [f"{options.rows:,} rows of 30 bytes, {options.batch} in each transaction, {workers}, medians of "
             f"{options.rounds} rounds on {os.cpu_count()} cores, client and PostgreSQL {version()} together, without fsync:",
             "",
             "| work | column | rows per second | plain `UPDATE` | ratio |",
             "|---|---|---|---|---|"]
    for (work, mode), pairs in seconds.items():
        job, plain = (options.rows / statistics.median(pair[i] for pair in pairs) for i in (0, 1))
        lines.append(f"| `{work}` | {words[mode]} | {job:,.0f} | {plain:,.0f} | {job / plain:.2f} |")
    return "\n".join(lines)


def version():
    output = subprocess.run([e2e.programs() / "postgres", "--version"], capture_output=True, text=True, check=True)
    return re.search(r"\d+", output.stdout)[0]


def write(text):
    path = e2e.ROOT / "README.md"
    start, end = MARKERS
    before, found, rest = path.read_text().partition(start)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        sys.exit(f"README.md lacks the markers {start} and {end}")
    path.write_text(f"{before}{start}\n{text}\n{end}{after}")


if __name__ == "__main__":
    main()
