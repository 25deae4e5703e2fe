#!/usr/bin/env python3
"""What requests cost as the store grows: with objects, with buckets, with versions of a key; and what a start costs then.

    benches/scaling.py --record DIRECTORY [--objects 10000,1000000,10000000] [--only buckets] ...

Each series fills a store of the release binary, waits until it has nothing left to do, and measures the same requests at
each of its points, some rounds of them. `scaling.jsonl` keeps every round; `table.md` and the plot show the medians.
A store is removed when its series ends; at 10 M objects see `disk` in the table for what it took.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from statistics import median

from drive import Server, commit, load_command, load_generator, run_load

FLAT = 1.3
# Fewer processor seconds a second than this is a store at rest, which is awaited for so long at most.
REST_LOAD = 0.05
REST_SECONDS_MAX = 120
# Uploads at once, and for how long: their objects are larger than what they can send by then.
UPLOADS = 64
UPLOADED = "1GiB"
UPLOAD_SECONDS = 20


class Run:
    """A store under measurement, and where its numbers go."""

    def __init__(self, options: argparse.Namespace, series: str, write):
        self.options, self.series, self.write = options, series, write
        self.home = Path(tempfile.mkdtemp(prefix=f"scaling-{series}-", dir=options.data))
        self.server = Server(options.strata, self.home / "store")

    def close(self) -> None:
        self.server.kill()
        shutil.rmtree(self.home)

    def load(self, *words: object) -> dict:
        common = ["--size", self.options.size, "--folders", "--prefix", "s/"]
        return run_load(self.options.load, self.server, self.home, *map(str, [*common, *words]))

    def rest(self) -> float:
        """Waits until the server has nothing left to do; how long that took."""
        begun = time.monotonic()
        used = self.server.processor_seconds()
        while time.monotonic() - begun < REST_SECONDS_MAX:
            time.sleep(2)
            before, used = used, self.server.processor_seconds()
            if used - before < 2 * REST_LOAD:
                break
        return time.monotonic() - begun

    def filled(self, point: int, row: dict) -> None:
        """Notes what filling came to, and the size of the store at rest."""
        rested = self.rest()
        disk = subprocess.run(["du", "-sm", self.home / "store"], check=True, capture_output=True, text=True).stdout
        note = {"operations": row["operations"], "operations_per_second": row["operations_per_second"],
                "p50_ms": row["latency"]["p50_ms"], "p99_ms": row["latency"]["p99_ms"], "rest_seconds": rested,
                "disk_mib": int(disk.split()[0]), "memory_most_mib": self.server.memory_mib("VmHWM")}
        self.write({"kind": "fill", "series": self.series, "point": point, **note})

    def measure(self, point: int, works: dict[str, list[object]]) -> None:
        """All works, round by round; each ends at rest, so that none pays for the one before."""
        for number in range(self.options.rounds):
            for work, words in works.items():
                row = self.load(*words)
                self.write({"kind": "work", "series": self.series, "point": point, "work": work, "round": number,
                            "connections": row["connections"], "operations": row["operations"],
                            "operations_per_second": row["operations_per_second"],
                            **{name: row["latency"][name] for name in ("p50_ms", "p99_ms", "max_ms")}})
                if work in ("PUT", "PUT again", "DELETE"):
                    self.rest()

    def uploads(self, point: int) -> None:
        """The memory that large uploads take. They are cut off: nothing needs a disk that holds all of them."""
        words = ["--size", UPLOADED, "--work", "put", "--connections", str(UPLOADS), "--warm-up", "0s"]
        command, environment = load_command(self.options.load, self.server, self.home, *words)
        before, written = self.server.memory_mib("VmRSS"), self.server.written_mib()
        client = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(UPLOAD_SECONDS)
        if client.poll() is not None:
            raise SystemExit(f"the uploads ended by themselves\n{self.server.errors()}")
        note = {"memory_mib": self.server.memory_mib("VmRSS"), "memory_most_mib": self.server.memory_mib("VmHWM")}
        written = self.server.written_mib() - written
        client.kill()
        client.wait()
        self.write({"kind": "uploads", "series": self.series, "point": point, "uploads": UPLOADS, "size": UPLOADED,
                    "seconds": UPLOAD_SECONDS, "written_mib": written, "memory_before_mib": before, **note})

    def restart(self, point: int) -> None:
        """How long a stop and a start take, after a proper end and after kill -9, and the memory of a fresh start."""
        stop_seconds = self.server.stop()
        for after in ("stop", "kill"):
            self.server = Server(self.options.strata, self.home / "store")
            start_seconds = self.server.start_seconds
            self.load("--work", "head", "--no-fill", "--objects", 1, "--total", 1, "--warm-up", "0s", *ALONE)
            self.write({"kind": "start", "series": self.series, "point": point, "after": after,
                        "start_seconds": start_seconds, "stop_seconds": stop_seconds,
                        "memory_mib": self.server.memory_mib("VmRSS")})
            if after == "stop":
                self.server.kill()


ALONE = ["--connections", 1]


def works(options: argparse.Namespace, objects: int, *more: object) -> dict[str, list[object]]:
    """The works that every series has, among so many objects. What PUT adds, DELETE takes away again."""
    timed = ["--no-fill", "--objects", objects, "--duration", options.duration, "--warm-up", "500ms", *more]
    several = ["--connections", options.connections]
    counted = ["--first", objects, "--total", options.requests, "--warm-up", "0s", *several, *more]
    return {
        "PUT": ["--work", "put", *counted],
        "GET": ["--work", "get", *timed, *several],
        "HEAD": ["--work", "head", *timed, *several],
        "LIST": ["--work", "list", *timed, *ALONE],
        "DELETE": ["--work", "delete", "--no-fill", "--objects", options.requests, *counted],
    }


def objects_series(options: argparse.Namespace, write) -> None:
    """One bucket with ever more objects."""
    run = Run(options, "objects", write)
    try:
        before = 0
        for point in options.objects:
            fill = ["--work", "put", "--first", before, "--total", point - before, "--warm-up", "0s"]
            run.filled(point, run.load(*fill, "--connections", options.connections))
            chosen = works(options, point)
            prefixes = ["--no-fill", "--objects", point, "--duration", options.duration, "--warm-up", "500ms"]
            chosen["LIST prefixes"] = ["--work", "list-prefixes", *prefixes, *ALONE]
            run.measure(point, chosen)
            if point == options.objects[-1]:
                run.uploads(point)
            run.restart(point)
            before = point
    finally:
        run.close()


def buckets_series(options: argparse.Namespace, write) -> None:
    """As many objects over ever more buckets, a hundred in each of the most; pages are of as many."""
    objects = 100 * max(options.buckets)
    for point in options.buckets:
        run = Run(options, "buckets", write)
        try:
            spread = ["--buckets", point, "--max-keys", 100]
            fill = ["--work", "put", "--total", objects, "--warm-up", "0s", "--connections", options.connections]
            run.filled(point, run.load(*fill, *spread))
            run.measure(point, works(options, objects, *spread))
        finally:
            run.close()


def versions_series(options: argparse.Namespace, write) -> None:
    """As many versions of ever fewer keys, a thousand keys with the most versions."""
    total = 1000 * max(options.versions)
    for point in options.versions:
        run = Run(options, "versions", write)
        try:
            keys, kept = total // point, ["--versions", point]
            fill = ["--work", "put", "--objects", keys, "--warm-up", "0s", "--connections", options.connections]
            run.filled(point, run.load(*fill, *kept, "--total", total))
            chosen = works(options, keys, *kept)
            # New keys and delete markers would change what the others find.
            del chosen["PUT"], chosen["DELETE"]
            again = ["--total", options.requests, "--warm-up", "0s", "--connections", options.connections]
            chosen["PUT again"] = ["--work", "overwrite", "--no-fill", "--objects", keys, *kept, *again]
            page = ["--no-fill", "--objects", keys, *kept, "--duration", options.duration, "--warm-up", "500ms"]
            chosen["LIST versions"] = ["--work", "list-versions", *page, *ALONE]
            run.measure(point, chosen)
        finally:
            run.close()


SERIES = {"objects": objects_series, "buckets": buckets_series, "versions": versions_series}


def table(lines: list[dict]) -> str:
    """The medians of all rounds: a row for each work, a column for each point, and how the last compares."""
    text = []
    for series in SERIES:
        of_series = [line for line in lines if line["series"] == series]
        found: dict[str, dict[int, list[dict]]] = defaultdict(lambda: defaultdict(list))
        for line in of_series:
            if line["kind"] == "work":
                found[line["work"]][line["point"]].append(line)
        points = sorted({line["point"] for line in of_series})
        if not points:
            continue
        heads = " | ".join(f"{point:,} p50 ms | ops/s" for point in points)
        rule = "|---|" + "---:|" * (2 * len(points) + 1) + "---|"
        text += [f"\n## By {series}\n", f"| work | {heads} | p50, most / first | flat |", rule]
        for work, at in found.items():
            p50 = [median(line["p50_ms"] for line in at[point]) for point in points]
            rate = [median(line["operations_per_second"] for line in at[point]) for point in points]
            cells = " | ".join(f"{ms:.3f} | {per_second:,.0f}" for ms, per_second in zip(p50, rate))
            ratio = max(p50) / p50[0]
            text.append(f"| {work} | {cells} | {ratio:.2f} | {'yes' if ratio <= FLAT else 'NO'} |")
        fills = [line for line in of_series if line["kind"] == "fill"]
        heads = "| filled to | writes | ops/s | p50 ms | p99 ms | to rest, s | disk, MiB | memory at most, MiB |"
        text += ["", heads, "|---:|" + "---:|" * 7]
        text += [
            f"| {line['point']:,} | {line['operations']:,} | {line['operations_per_second']:,.0f} | {line['p50_ms']:.2f} "
            f"| {line['p99_ms']:.2f} | {line['rest_seconds']:.0f} | {line['disk_mib']:,} | {line['memory_most_mib']:.0f} |"
            for line in fills
        ]
        heads = "| objects | uploads at once | written meanwhile, MiB | memory before, MiB | then | at most until then |"
        sent = [line for line in of_series if line["kind"] == "uploads"]
        if sent:
            text += ["", heads, "|---:|---:|---:|---:|---:|---:|"]
        text += [
            f"| {line['point']:,} | {line['uploads']} of {line['size']} | {line['written_mib']:,.0f} "
            f"| {line['memory_before_mib']:.0f} | {line['memory_mib']:.0f} | {line['memory_most_mib']:.0f} |"
            for line in sent
        ]
        starts = [line for line in of_series if line["kind"] == "start"]
        if starts:
            heads = "| objects | start after | start, s | stop before, s | memory after the start, MiB |"
            text += ["", heads, "|---:|---|---:|---:|---:|"]
        text += [
            f"| {line['point']:,} | {line['after']} | {line['start_seconds']:.2f} | {line['stop_seconds']:.2f} "
            f"| {line['memory_mib']:.0f} |"
            for line in starts
        ]
    return "\n".join(text) + "\n"


def header(options: argparse.Namespace, seconds: float) -> str:
    """What a reader needs to repeat the run."""
    def field(file: str, name: str) -> str:
        lines = [line for line in Path(file).read_text().splitlines() if line.startswith(name)]
        return lines[0].partition(":")[2].strip() if lines else "unknown"

    points = {name: ",".join(map(str, getattr(options, name))) for name in options.only or SERIES}
    shown = " ".join(f"--{name} {value}" for name, value in points.items())
    shown += f" --only {' '.join(options.only)}" if options.only else ""
    more = f"--size {options.size} --requests {options.requests} --rounds {options.rounds} --duration {options.duration}"
    memory_gib = int(field("/proc/meminfo", "MemTotal").split()[0]) >> 20
    return "\n".join([
        f"- Command: `benches/scaling.py {shown} {more} --connections {options.connections}`, {seconds / 60:.0f} min",
        f"- Commit: {commit()} (release build)",
        f"- Date: {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}",
        "- Endpoint: `strata serve` of the release binary, default settings, every write synced before it is acknowledged",
        f"- Processor: {field('/proc/cpuinfo', 'model name')}, {os.cpu_count()} cores, shared by client and server",
        f"- Memory: {memory_gib} GiB",
        f"- System: Linux {os.uname().release}",
        "",
    ])


def parse() -> argparse.Namespace:
    def several(text: str) -> list[int]:
        return sorted(int(word) for word in text.split(","))

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record", type=Path, required=True, help="directory for scaling.jsonl, table.md and the plot")
    parser.add_argument("--data", type=Path, help="directory on a real disk for the stores [default: that of the records]")
    parser.add_argument("--strata", default=os.environ.get("STRATA_BIN"), help="the release binary")
    parser.add_argument("--load", help="the load generator [default: built]")
    parser.add_argument("--objects", type=several, default="10000,1000000,10000000", help="objects in one bucket")
    parser.add_argument("--buckets", type=several, default="1,10000", help="buckets")
    parser.add_argument("--versions", type=several, default="1,1000", help="versions of each key")
    parser.add_argument("--only", nargs="*", choices=SERIES, default=[], help="only these series")
    parser.add_argument("--size", default="16", help="bytes per object")
    parser.add_argument("--requests", type=int, default=30_000, help="PUTs and DELETEs of a round")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each work")
    parser.add_argument("--duration", default="2s", help="time of each of the other works in a round")
    parser.add_argument("--connections", type=int, default=64, help="connections of all works but lists, which have one")
    options = parser.parse_args()
    if not options.strata:
        parser.error("--strata or STRATA_BIN must name the release binary")
    return options


def main() -> int:
    options = parse()
    options.load = options.load or load_generator()
    options.record.mkdir(parents=True, exist_ok=True)
    options.data = options.data or options.record
    options.data.mkdir(parents=True, exist_ok=True)
    lines: list[dict] = []
    begun = time.monotonic()
    with (options.record / "scaling.jsonl").open("w") as file:
        def write(line: dict) -> None:
            lines.append(line)
            file.write(json.dumps(line) + "\n")
            file.flush()
            shown = (f"{name}={value:.2f}" if isinstance(value, float) else f"{name}={value}" for name, value in line.items())
            print(f"{time.monotonic() - begun:5.0f} s ", *shown, flush=True)

        for name, series in SERIES.items():
            if not options.only or name in options.only:
                series(options, write)
    (options.record / "table.md").write_text(header(options, time.monotonic() - begun) + table(lines))
    subprocess.run([sys.executable, Path(__file__).with_name("plots.py"), options.record], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
