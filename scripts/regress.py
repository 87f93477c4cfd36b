#!/usr/bin/env python3
"""PostgreSQL's own regression suite, directly and through pgseal: the output is the same.

    scripts/regress.py SOURCES/src/test/regress [TEST ...] [--policy FILE]

SOURCES is PostgreSQL's source tree in the version of the installed server (`apt-get source postgresql-15`
brings it). The tests run one after another in the order of parallel_schedule, each by psql, on two clusters of
their own; what is compared is what psql prints. Without --policy nothing is protected. What needs the suite's
own C library fails alike on both sides. Exit code 1 if any output differs; the differences are left in
a folder that is named at the end.
"""

import argparse
import contextlib
import difflib
import os
import pathlib
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "benches"))
from e2e import TARGET, environment, pgseal_serve, postgres, programs  # noqa: E402

# What differs between any two runs: process ids, times, paths and ports.
VOLATILE = [
    (re.compile(r"PID \d+"), "PID"),
    (re.compile(r"(Time|time=|Time:|Buffers:)[^\n]*"), r"\1"),
    (re.compile(r'port \d+'), "port"),
    (re.compile(r"/tmp/pgseal-[^/\s']*"), "/tmp/folder"),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sources", type=pathlib.Path)
    parser.add_argument("tests", nargs="*")
    parser.add_argument("--policy", type=pathlib.Path)
    options = parser.parse_args()
    if not (TARGET / "pgseal").exists():
        sys.exit("build first: make build")
    policy = options.policy.read_text() if options.policy else "version = 1\n"
    sources = options.sources.resolve()
    tests = options.tests or schedule(sources / "parallel_schedule")
    out = pathlib.Path(tempfile.mkdtemp(prefix="pgseal-regress-"))
    out.chmod(0o777)
    with contextlib.ExitStack() as stack:
        direct = stack.enter_context(cluster("direct"))
        behind, folder = stack.enter_context(cluster_and_folder("behind"))
        through, _ = stack.enter_context(pgseal_serve(folder, behind, policy))
        differing = [test for test in tests if not same(sources, test, direct, through, out)]
    print(f"{len(tests) - len(differing)} passed, {len(differing)} failed")
    if differing:
        sys.exit(f"the differences are in {out}")


def schedule(path):
    lines = [line.split(":", 1)[1] for line in path.read_text().splitlines() if line.startswith("test:")]
    return [test for line in lines for test in line.split()]


def same(sources, test, direct, through, out):
    wanted, got = (run(sources, test, port, out) for port in (direct, through))
    difference = list(difflib.unified_diff(wanted, got, "direct", "through", lineterm="", n=5))
    print(f"{'differs' if difference else 'same':8}{test}", flush=True)
    (out / f"{test}.diff").write_text("\n".join(difference)) if difference else None
    return not difference


def run(sources, test, port, out):
    command = [programs() / "psql", "-X", "-a", "-q", "-h", "127.0.0.1", "-p", str(port), "-U", "postgres",
               "-d", "regression", "-v", "HIDE_TABLEAM=on", "-v", "HIDE_TOAST_COMPRESSION=on"]
    variables = {**environment(), "PG_ABS_SRCDIR": str(sources), "PG_ABS_BUILDDIR": str(out), "PG_DLSUFFIX": ".so",
                 "PG_LIBDIR": str(programs().parent / "lib"), "PGTZ": "America/Los_Angeles", "LC_MESSAGES": "C",
                 "PGDATESTYLE": "Postgres, MDY", "PGOPTIONS": "-c intervalstyle=postgres_verbose"}
    (out / "results").mkdir(exist_ok=True, mode=0o777)
    with open(sources / "sql" / f"{test}.sql", "rb") as sql:
        try:
            done = subprocess.run(command, stdin=sql, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=variables, timeout=300)
        except subprocess.TimeoutExpired:
            return ["timed out"]
    text = done.stdout.decode("utf-8", "replace")
    for pattern, replacement in VOLATILE:
        text = pattern.sub(replacement, text)
    return text.splitlines()


@contextlib.contextmanager
def cluster(name):
    with cluster_and_folder(name) as (port, _):
        yield port


@contextlib.contextmanager
def cluster_and_folder(name):
    with tempfile.TemporaryDirectory(prefix=f"pgseal-{name}-", dir="/tmp") as folder:
        folder = pathlib.Path(folder)
        with postgres(folder, "CREATE DATABASE regression TEMPLATE template0;") as port:
            yield port, folder


if __name__ == "__main__":
    main()
