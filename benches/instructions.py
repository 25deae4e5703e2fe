#!/usr/bin/env python3
"""Counts the instructions that the server executes for a request of each kind, and compares them with those on record.

    benches/instructions.py [--record] [--most PERCENT] [--repeat N] [WORK...]

Instructions hardly depend on what else the machine does, so commits can be compared that were never measured side by
side. The release binary runs under valgrind, the load generator outside it with one connection. Each work is done N and
2 N times by a fresh server, and the difference divided by N is what one request takes, without start and end.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

from drive import Server, commit, load_generator, run_load

BASELINE = Path(__file__).with_name("instructions.txt")
VALGRIND = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--branch-sim=no"]
# How often a work that seems to have become worse is counted again.
RECOUNTS = 2
# Idle threads that look for work are noise: the runtime gets one.
ENVIRONMENT = {"TOKIO_WORKER_THREADS": "1"}
# Objects filled in, requests, and the load generator's work and size.
WORKS = {
    "put 1 KiB": (0, 1000, "put", "1KiB"),
    "put 128 KiB": (0, 100, "put", "128KiB"),
    "put 8 MiB": (0, 6, "put", "8MiB"),
    "get 1 KiB": (200, 2000, "get", "1KiB"),
    "get 8 MiB": (2, 12, "get", "8MiB"),
    "head": (200, 2000, "head", "1KiB"),
    "list 1,000": (1000, 60, "list", "1KiB"),
    "multipart 2 x 8 MiB": (0, 4, "multipart", "16MiB"),
    "delete": (2000, 1000, "delete", "1KiB"),
}


def executed(options: argparse.Namespace, work: str, times: int) -> int:
    """Instructions of a server from its start to its end, with so many times the work's requests between."""
    objects, requests, name, size = WORKS[work]
    home = Path(tempfile.mkdtemp(prefix="instructions-", dir=options.data))
    try:
        counts = home / "counts"
        server = Server(options.strata, home / "store", [*VALGRIND, f"--cachegrind-out-file={counts}"], ENVIRONMENT)
        try:
            common = ["--size", size, "--prefix", "counted/", "--connections", "1", "--warm-up", "0s"]
            filled = []
            if objects:
                # With several connections, as filling usually has, the number of batches would be left to chance.
                run_load(options.load, server, home, *common, "--work", "put", "--total", str(objects))
                filled = ["--no-fill", "--objects", str(objects)]
            run_load(options.load, server, home, *common, *filled, "--work", name, "--total", str(times * requests))
            server.stop()
        except BaseException:
            server.kill()
            raise
        return int(re.search(r"^summary: (\d+)$", counts.read_text(), re.MULTILINE).group(1))
    finally:
        shutil.rmtree(home)


def count(options: argparse.Namespace, work: str, repeat: int) -> list[float]:
    """Instructions of one request, as often as asked for."""
    requests = WORKS[work][1]
    with ThreadPoolExecutor(options.jobs) as pool:
        runs = list(pool.map(lambda times: executed(options, work, times), [1, 2] * repeat))
    return [(twice - once) / requests for once, twice in zip(runs[::2], runs[1::2])]


def too_many(options: argparse.Namespace, found: float, old: int) -> bool:
    """Whether it is so many more than on record that it counts as a failure."""
    return found > old * (1 + options.most / 100)


def read_baseline() -> dict[str, int]:
    """Work and instructions of the record."""
    if not BASELINE.exists():
        return {}
    lines = [line.rpartition("  ") for line in BASELINE.read_text().splitlines() if line and not line.startswith("#")]
    return {work.strip(): int(number) for work, _, number in lines}


def record(found: dict[str, int]) -> None:
    """Writes the record: the new counts, and the old ones of works that were not counted now."""
    def version(program: str) -> str:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    kept = {**read_baseline(), **found}
    lines = [
        "# Instructions of the server for one request: `make instructions` compares, `make instructions-record` writes.",
        f"# Commit {commit()}, {version('rustc')}, {version('valgrind')}",
        *(f"{work:<24}  {kept[work]:>12}" for work in WORKS if work in kept),
    ]
    BASELINE.write_text("\n".join(lines) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("works", nargs="*", metavar="WORK", help=f"only these of: {', '.join(WORKS)}")
    parser.add_argument("--record", action="store_true", help="write the counts down instead of comparing them")
    parser.add_argument("--most", type=float, default=5.0, help="how many percent more than on record are a failure")
    parser.add_argument("--repeat", type=int, default=1, help="count so many times, and take the median")
    parser.add_argument("--jobs", type=int, default=2, help="servers at a time")
    parser.add_argument("--strata", default=os.environ.get("STRATA_BIN"), help="the release binary")
    parser.add_argument("--load", help="the load generator [default: built]")
    parser.add_argument("--data", type=Path, help="directory on a real disk for the stores [default: beside the binary]")
    options = parser.parse_args()
    if not options.strata or set(options.works) - set(WORKS):
        parser.error("--strata or STRATA_BIN must name the release binary, and works must be known")
    options.load = options.load or load_generator()
    options.data = options.data or Path(options.strata).parent
    baseline = {} if options.record else read_baseline()
    found, worse = {}, []
    print(f"{'work':<20} {'on record':>13} {'now':>13} {'change':>8} {'spread':>8}")
    for work in options.works or WORKS:
        counts = count(options, work, options.repeat)
        old = baseline.get(work)
        if old and too_many(options, median(counts), old):
            # Chance, such as background work that one run has more of, does not last: what is really worse is so each time.
            counts += count(options, work, RECOUNTS)
            counts = counts if too_many(options, min(counts), old) else [min(counts)]
        found[work] = round(median(counts))
        change = 100 * (found[work] / old - 1) if old else None
        if old and too_many(options, found[work], old):
            worse.append(work)
        spread = 100 * (max(counts) - min(counts)) / found[work]
        shown = ("", "") if old is None else (f"{old:,}", f"{change:+.1f} %")
        print(f"{work:<20} {shown[0]:>13} {found[work]:>13,} {shown[1]:>8} {spread:>6.2f} %", flush=True)
    if options.record:
        record(found)
    if worse:
        print(f"more than {options.most:g} % above the record: {', '.join(worse)}", file=sys.stderr)
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
