#!/usr/bin/env python3
"""What the audit log costs: the same statements through two proxies, one with --audit and one without, in one run.

    make build && benches/audit.py [--seconds 1.0] [--rounds 5]

Figures are CPU time of the proxy per transaction, medians over rounds in which the two take turns, as in e2e.py.
"""

import argparse
import contextlib
import pathlib
import statistics
import subprocess

import e2e

CELLS = [
    ("two values by a literal, simple", e2e.BY_EMAIL.format("':p'").format("sealed"), "simple", 8),
    ("two values by a parameter, extended", e2e.BY_EMAIL.format(":p").format("sealed"), "extended", 8),
    ("two values by a parameter, prepared", e2e.BY_EMAIL.format(":p").format("sealed"), "prepared", 8),
    ("the same, 1 client", e2e.BY_EMAIL.format(":p").format("sealed"), "prepared", 1),
    ("1000 rows of two values, prepared", e2e.THOUSAND.format("sealed"), "prepared", 8),
    ("nothing protected, prepared", e2e.BY_ID, "prepared", 8),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=1.0, help="length of one pgbench run (default 1)")
    parser.add_argument("--rounds", type=int, default=5, help="how often the two take turns (default 5)")
    options = parser.parse_args()
    subprocess.run(["cargo", "build", "--release", "--quiet", "--bin", "pgseal"], cwd=e2e.ROOT, check=True)
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(e2e.temporary_folder()))
        server = stack.enter_context(e2e.postgres(folder, e2e.SCHEMA))
        without = stack.enter_context(e2e.pgseal_serve(folder, server, e2e.POLICY))
        log = folder / "audit.jsonl"
        command = [e2e.TARGET / "pgseal", "serve", "--listen", "{listen}", "--upstream", f"127.0.0.1:{server}",
                   "--policy", folder / "policy.toml", "--keyring", folder / "keyring/keyring.toml", "--audit", log,
                   "--workers", "1"]
        audited = stack.enter_context(e2e.proxy(folder, command))
        e2e.fill_sealed(without[0])
        print(f"{options.rounds} rounds of {options.seconds} s; medians.\n")
        print("| work | CPU µs per transaction | with --audit | more |")
        print("|---|---|---|---|")
        for name, script, mode, clients in CELLS:
            work = {"without": (without, script), "audited": (audited, script)}
            runs = e2e.rounds(folder, options, work, mode, clients)
            cpu = {name: statistics.median(run[1] for run in found) for name, found in runs.items()}
            more = cpu["audited"] - cpu["without"]
            print(f"| {name} | {cpu['without']:.1f} | {cpu['audited']:.1f} | {more:.1f} |", flush=True)
        print(f"\n{log.stat().st_size / 1e6:.0f} MB of log")


if __name__ == "__main__":
    main()
