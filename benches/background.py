#!/usr/bin/env python3
"""What lifecycle rules do a second, and what requests feel of it.

    benches/background.py --record DIRECTORY [--only expiration STANDARD_IA] [--expirations 400000] [--transitions 20000] ...

For each kind of action a store of the release binary is filled under a rule, with `lifecycle.day` so short that all of it becomes
due at about the same time. The workers' own counters are sampled until they have done all of it: once with no other work, which
gives the rate, and once beside GETs of other objects, whose latencies are compared with those of before it became due.
`background.jsonl` keeps every line; `table.md` shows them. A store is removed when its part ends.
"""

import argparse
import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from drive import CREDENTIALS, Server, clean_environment, commit, load_generator, run_load

# What it is called, the rule's action, the days until then, the worker that ends it, and the size of objects.
KINDS = {
    "expiration": ("<Expiration><Days>1</Days></Expiration>", 1, "lifecycle", "1KiB"),
    "STANDARD_IA": ("<Transition><Days>30</Days><StorageClass>STANDARD_IA</StorageClass></Transition>", 30, "settle", "64KiB"),
    "GLACIER_IR": ("<Transition><Days>1</Days><StorageClass>GLACIER_IR</StorageClass></Transition>", 1, "settle", "64KiB"),
    "GLACIER": ("<Transition><Days>1</Days><StorageClass>GLACIER</StorageClass></Transition>", 1, "settle", "64KiB"),
}
# From the end of filling until the first is due, at least; and then until all are done, at most.
AHEAD_SECONDS = 30
DONE_SECONDS_MAX = 900
SAMPLE_SECONDS = 0.2
# Runs of GETs before that.
OFF_MIN, OFF_MAX = 2, 5
BUCKET = "background"
FOREGROUND = ["--bucket", "foreground", "--work", "get", "--size", "1KiB", "--objects", "10000", "--connections", "16"]


def call(server: Server, method: str, target: str, body: str = "") -> None:
    """One signed request."""
    keys = f"{CREDENTIALS['STRATA_ROOT_ACCESS_KEY']}:{CREDENTIALS['STRATA_ROOT_SECRET_KEY']}"
    digest = base64.b64encode(hashlib.md5(body.encode()).digest()).decode()
    command = ["curl", "-sS", "--fail-with-body", "-X", method, "--aws-sigv4", "aws:amz:us-east-1:s3", "--user", keys,
               "-H", f"Content-MD5: {digest}", "-H", f"x-amz-content-sha256: {hashlib.sha256(body.encode()).hexdigest()}",
               "-H", "Content-Type: application/xml", "--data-binary", body, server.url + target]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{method} {target}: {done.stderr}{done.stdout}")


class Run:
    """A store with what is to become due."""

    def __init__(self, options: argparse.Namespace, kind: str):
        self.options, self.kind = options, kind
        self.action, self.days, self.worker, self.size = KINDS[kind]
        self.count = options.expirations if kind == "expiration" else options.transitions
        # The actions of a day are due when the next one begins.
        self.day = round((options.fill_seconds + AHEAD_SECONDS) / self.days, 3)
        self.home = Path(tempfile.mkdtemp(prefix=f"background-{kind.lower()}-", dir=options.data))
        self.server = Server(options.strata, self.home / "store", environment={"STRATA_LIFECYCLE_DAY": f"{self.day * 1000:.0f}ms"})

    def close(self) -> None:
        self.server.kill()
        shutil.rmtree(self.home)

    def load(self, *words: object) -> dict:
        return run_load(self.options.load, self.server, self.home, *map(str, words))

    def foreground(self) -> dict:
        return self.load(*FOREGROUND, "--no-fill", "--warm-up", "500ms", "--duration", self.options.duration)["latency"]

    def fill(self) -> float:
        """Fills it, within one day if days are long enough. When the first of it is due, as time.time() tells it."""
        call(self.server, "PUT", f"/{BUCKET}")
        rule = f"<Rule><ID>due</ID><Filter></Filter><Status>Enabled</Status>{self.action}</Rule>"
        call(self.server, "PUT", f"/{BUCKET}?lifecycle=", f"<LifecycleConfiguration>{rule}</LifecycleConfiguration>")
        self.load(*FOREGROUND, "--duration", "1s")
        if self.days == 1:
            time.sleep(self.day - time.time() % self.day)
        begun = time.time()
        self.load("--bucket", BUCKET, "--work", "put", "--size", self.size, "--connections", 64, "--prefix", "d/",
                  "--warm-up", "0s", "--duration", "3600s", "--total", self.count)
        print(f"       {self.count} objects in {time.time() - begun:.0f} s", flush=True)
        return (begun // self.day + 1 + self.days) * self.day

    def done(self) -> tuple[float, int]:
        """What the worker did so far, and when it said so."""
        command = [self.options.strata, "status", "--json", "--endpoint", self.server.url]
        environment = clean_environment({"AWS_ACCESS_KEY_ID": CREDENTIALS["STRATA_ROOT_ACCESS_KEY"],
                                         "AWS_SECRET_ACCESS_KEY": CREDENTIALS["STRATA_ROOT_SECRET_KEY"]})
        text = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
        worker = next(each for each in json.loads(text)["workers"] if each["name"] == self.worker)
        return time.monotonic(), worker["done"]

    def watch(self, until, samples: list[tuple[float, int]]) -> None:
        """Samples until that is so."""
        begun = time.monotonic()
        while not until(samples):
            if time.monotonic() - begun > DONE_SECONDS_MAX:
                raise SystemExit(f"{self.kind}: {samples[-1][1]} of {self.count} are done\n{self.server.errors()}")
            time.sleep(SAMPLE_SECONDS)
            samples.append(self.done())

    def alone(self) -> dict:
        """The rate between a tenth and nine tenths of it."""
        self.fill()
        samples = [self.done()]
        self.watch(lambda seen: seen[-1][1] >= self.count, samples)
        first = next(sample for sample in samples if sample[1] >= 0.1 * self.count)
        last = [sample for sample in samples if sample[1] <= 0.9 * self.count][-1]
        if last[0] <= first[0]:
            raise SystemExit(f"{self.kind}: too fast for its samples; have more of them")
        return {"done": last[1] - first[1], "seconds": last[0] - first[0],
                "per_second": (last[1] - first[1]) / (last[0] - first[0])}

    def beside(self) -> dict:
        """The latencies of GETs before and while it is done."""
        due = self.fill()
        off, on = [], []
        samples = [self.done()]
        while len(off) < OFF_MIN or (len(off) < OFF_MAX and time.time() + AHEAD_SECONDS / 3 < due):
            off.append(self.foreground())
        self.watch(lambda seen: seen[-1][1] > 0.02 * self.count, samples)
        begun = samples[-1]
        while True:
            latency, after = self.foreground(), self.done()
            if after[1] >= self.count:
                break
            on.append(latency)
        if not on:
            raise SystemExit(f"{self.kind}: over before its GETs were; have more of them")
        ended = after
        return {"off": off, "on": on, "per_second": (ended[1] - begun[1]) / (ended[0] - begun[0])}


def table(lines: list[dict]) -> str:
    """The rates, and the latencies off and on."""
    text = ["", "| action | objects | done a second, alone | beside GETs, at least | GET p50 ms off -> on | p99 ms off -> on | p99 ratio |",
            "|---|---|---:|---:|---:|---:|---:|"]
    for kind in dict.fromkeys(line["kind"] for line in lines):
        alone = next((line for line in lines if line["kind"] == kind and line["part"] == "alone"), None)
        beside = next((line for line in lines if line["kind"] == kind and line["part"] == "beside"), None)
        cells = [kind, f"{alone['objects']:,} of {alone['size']}" if alone else "", f"{alone['per_second']:,.0f}" if alone else ""]
        if beside:
            of = {(side, name): median(each[name] for each in beside[side]) for side in ("off", "on") for name in ("p50_ms", "p99_ms")}
            cells += [f"{beside['per_second']:,.0f}", f"{of['off', 'p50_ms']:.2f} -> {of['on', 'p50_ms']:.2f}",
                      f"{of['off', 'p99_ms']:.2f} -> {of['on', 'p99_ms']:.2f}", f"{of['on', 'p99_ms'] / of['off', 'p99_ms']:.2f}"]
        text.append("| " + " | ".join(cells) + " |")
    return "\n".join(text) + "\n"


def header(options: argparse.Namespace, kinds: list[str]) -> str:
    """What a reader needs to repeat the run."""
    processor = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
    shown = (f"--only {' '.join(kinds)} --expirations {options.expirations} --transitions {options.transitions} "
             f"--duration {options.duration} --fill-seconds {options.fill_seconds:g}")
    return "\n".join([
        f"- Command: `benches/background.py {shown}`",
        f"- Commit: {commit()} (release build)",
        f"- Date: {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}",
        "- Endpoint: `strata serve` of the release binary, default settings but for `lifecycle.day`",
        f"- Foreground: `load {' '.join(FOREGROUND)}`, medians of its runs",
        f"- Processor:{processor.partition(':')[2]}, {os.cpu_count()} cores, shared by client and server",
        f"- System: Linux {os.uname().release}",
        "",
    ])


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record", type=Path, required=True, help="directory for background.jsonl and table.md")
    parser.add_argument("--data", type=Path, help="directory on a real disk for the stores [default: that of the records]")
    parser.add_argument("--strata", default=os.environ.get("STRATA_BIN"), help="the release binary")
    parser.add_argument("--load", help="the load generator [default: built]")
    parser.add_argument("--only", nargs="*", choices=KINDS, default=[], help="only these actions")
    parser.add_argument("--parts", nargs="*", choices=["alone", "beside"], default=["alone", "beside"], help="only these")
    parser.add_argument("--expirations", type=int, default=400_000, help="objects of 1 KiB that expire")
    parser.add_argument("--transitions", type=int, default=20_000, help="objects of 64 KiB that change class")
    parser.add_argument("--duration", default="2s", help="time of each run of GETs")
    parser.add_argument("--fill-seconds", type=float, default=60, help="what filling may take, so that a day is longer")
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
    kinds, lines = options.only or list(KINDS), []
    with (options.record / "background.jsonl").open("w") as file:
        for kind in kinds:
            for part in options.parts:
                run = Run(options, kind)
                try:
                    line = {"kind": kind, "part": part, "objects": run.count, "size": run.size, **getattr(run, part)()}
                finally:
                    run.close()
                lines.append(line)
                file.write(json.dumps(line) + "\n")
                file.flush()
                print(kind, part, f"{line['per_second']:,.0f} a second", flush=True)
    (options.record / "table.md").write_text(header(options, kinds) + table(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
