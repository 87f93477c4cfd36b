#!/usr/bin/env python3
"""Instructions of each scenario of benches/instructions.rs, compared with those that are written down.

    benches/instructions.py              compare; fails if a scenario needs more than the margin allows
    benches/instructions.py --bless      write the counts of this build down
    benches/instructions.py COPY         only scenarios whose names hold that
    benches/instructions.py --profile DIRECTORY COPY    leave callgrind's profiles there

Counts come from valgrind's callgrind, so what else the machine does changes nothing. The processor does: libraries
choose their instructions by what it can do, so only counts of the same features are compared strictly; on others a
slow-down has to be larger to be seen. Needs valgrind and Python's standard library.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
COUNTS = ROOT / "benches/instructions.txt"
# What may be added to a scenario without a word, in percent, on a processor of the same features and on another.
# Changes elsewhere in the program move what the compiler inlines: that alone has made up to 4.
MARGIN, FOREIGN_MARGIN = 6, 25
# A saving of so much is worth writing down, or the next slow-down hides in it.
WORTH_BLESSING = 6
# What the libraries under the session choose their instructions by, of what valgrind's own processor has.
FEATURES = ["aes", "pclmulqdq", "ssse3", "sse4_1", "avx", "avx2", "sha_ni"]
ROUNDS = 3
TIMEOUT = 120


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bless", action="store_true", help="write the counts down")
    parser.add_argument("--profile", metavar="DIRECTORY", help="where callgrind's profiles are left")
    parser.add_argument("names", nargs="*", help="only scenarios whose names hold one of these")
    options = parser.parse_args()
    if not shutil.which("valgrind"):
        sys.exit("valgrind is not installed (Debian, Ubuntu: apt-get install valgrind)")
    program = build()
    listed = subprocess.run([program], check=True, capture_output=True, text=True).stdout.splitlines()
    pieces = {name: int(count) for name, count in (line.split("\t") for line in listed)}
    wanted = [n for n in pieces if not options.names or any(part in n for part in options.names)]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(options.profile or folder)
        folder.mkdir(parents=True, exist_ok=True)
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            counts = dict(zip(wanted, pool.map(lambda name: count(program, name, folder), wanted)))
    features, before = read()
    if options.bless:
        write({name: n for name, n in {**before, **counts}.items() if name in pieces})
    margin = MARGIN if features == own_features() else FOREIGN_MARGIN
    if margin == FOREIGN_MARGIN and before:
        print(f"The counts are of a processor with {features}, this one has {own_features()}.\n")
    slower = table(counts, before, pieces, margin)
    unknown = [name for name in before if name not in pieces]
    if not options.bless and (slower or unknown or any(name not in before for name in wanted)):
        sys.exit(f"\nMore than {margin} % above what is written down, or not written down: "
                 f"{', '.join([*slower, *unknown, *(n for n in wanted if n not in before)])}.\n"
                 "Make it faster, or say in the commit why it has to be so and run benches/instructions.py --bless.")


def build():
    """The program of this build; cargo says where it is."""
    command = ["cargo", "bench", "--bench", "instructions", "--no-run", "--quiet", "--message-format=json"]
    output = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    messages = (json.loads(line) for line in output.splitlines() if line.startswith("{"))
    found = [m["executable"] for m in messages if m.get("target", {}).get("name") == "instructions"]
    return found[-1]


def count(program, name, folder):
    """Instructions of one round."""
    out = folder / f"callgrind.{re.sub('[^A-Za-z0-9]+', '-', name)}"
    # Every second function of the session is inlined into `measured`, so all below it is counted.
    command = ["valgrind", "--tool=callgrind", "--toggle-collect=*measured*", f"--callgrind-out-file={out}",
               program, name, str(ROUNDS)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
    collected = re.search(r"Collected : (\d+)", run.stderr)
    if run.returncode or not collected:
        sys.exit(f"{name}:\n{run.stderr}")
    return int(collected[1]) // ROUNDS


def own_features():
    flags = re.search(r"^flags\s*:(.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    flags = flags[1].split() if flags else []
    return " ".join(f for f in FEATURES if f in flags) or "none of them"


def read():
    """The features and {scenario: instructions} that are written down."""
    if not COUNTS.exists():
        return None, {}
    lines = [line for line in COUNTS.read_text().splitlines() if line and not line.startswith("#")]
    features = lines[0].removeprefix("processor: ")
    counts = (re.fullmatch(r"(.+?)\s+(\d+)", line) for line in lines[1:])
    return features, {m[1]: int(m[2]) for m in counts}


def write(counts):
    width = max(map(len, counts))
    COUNTS.write_text(
        "# Instructions of one round of each scenario (benches/instructions.py --bless).\n"
        f"processor: {own_features()}\n"
        + "".join(f"{name:{width}}  {n:>9}\n" for name, n in counts.items()))


def table(counts, before, pieces, margin):
    """Prints what changed, and gives the scenarios that need more than the margin allows."""
    print("| scenario | instructions | of a piece | written down | difference |")
    print("|---|---|---|---|---|")
    slower, faster = [], []
    for name, n in counts.items():
        old = before.get(name)
        change = 100 * (n - old) / old if old else 0
        word = f"{change:+.1f} %" if old else "new"
        if change > margin:
            slower.append(name)
            word = f"**{word}**"
        elif change < -WORTH_BLESSING:
            faster.append(name)
        print(f"| {name} | {n} | {n // pieces[name]} | {old or ''} | {word} |")
    if faster:
        print(f"\nFaster by more than {WORTH_BLESSING} %; write it down (--bless): {', '.join(faster)}.")
    return slower


if __name__ == "__main__":
    main()
