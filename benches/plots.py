#!/usr/bin/env python3
"""Draws the raw numbers of results as SVG, beside them: benches/plots.py benches/results/DIRECTORY...

The same numbers give the same bytes: nothing of the drawing depends on the time, the machine or a library's version.
Each picture brings its own ground, and follows the reader's light or dark theme.
"""

import csv
import json
import math
import sys
from collections import defaultdict
from pathlib import Path
from statistics import median
from xml.sax.saxutils import escape

WIDTH = 860
LABELS = 260
BARS = WIDTH - LABELS - 110
LINE = 22
MIB = 1 << 20
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600; font-size: 15px } .faint { fill: #59636e; font-size: 12px } .end { text-anchor: end }
.middle { text-anchor: middle }
.ground { fill: #ffffff } .ours { fill: #0969da } .other { fill: #8c959f } .second { fill: #54aeff }
.third { fill: #bf8700 } .fourth { fill: #1a7f37 } .fifth { fill: #a475f9 } .rule { stroke: #d1d9e0; stroke-width: 1 }
.goal { stroke: #cf222e; stroke-width: 2 } .range { stroke: #1f2328; stroke-width: 1.5 } .failed { fill-opacity: 0.35 }
.ours-line { stroke: #0969da } .second-line { stroke: #54aeff } .third-line { stroke: #bf8700 }
.fourth-line { stroke: #1a7f37 } .fifth-line { stroke: #a475f9 } .other-line { stroke: #8c959f } polyline { fill: none; stroke-width: 2 }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc } .faint { fill: #9198a1 } .ground { fill: #0d1117 } .rule { stroke: #3d444d }
  .ours { fill: #4493f8 } .other { fill: #656c76 } .goal { stroke: #f85149 } .range { stroke: #f0f6fc }
  .ours-line { stroke: #4493f8 } .other-line { stroke: #656c76 }
}
""".strip()
COLOURS = ["ours", "third", "fourth", "second", "other", "fifth"]


class Drawing:
    """An SVG that grows downwards; lengths are pixels."""

    def __init__(self, title: str):
        self.title = title
        self.parts: list[str] = []
        self.y = 16.0
        self.text(16, title, "title")
        self.y += LINE

    def text(self, x: float, text: str, style: str = "", y: float | None = None) -> None:
        y = self.y + 12 if y is None else y
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" class="{style}">{escape(text)}</text>')

    def bar(self, x: float, y: float, width: float, height: float, style: str) -> None:
        self.parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 1):.1f}" height="{height:.1f}" rx="2" class="{style}"/>'
        )

    def line(self, x1: float, y1: float, x2: float, y2: float, style: str) -> None:
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{style}"/>')

    def dot(self, x: float, y: float, style: str, radius: float = 4.5) -> None:
        self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" class="{style}"/>')

    def svg(self) -> str:
        height = self.y + 16
        return "\n".join([
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" role="img">',
            f"<title>{escape(self.title)}</title>",
            f"<style>{STYLE}</style>",
            f'<rect width="{WIDTH}" height="{height:.0f}" rx="6" class="ground"/>',
            *self.parts,
            "</svg>\n",
        ])


def number(value: float) -> str:
    """Three digits at least, thousands apart."""
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}"


def bytes_text(size: int) -> str:
    """A size as people write it."""
    for name, unit in (("GiB", 1 << 30), ("MiB", MIB), ("KiB", 1 << 10)):
        if size >= unit and size % unit == 0:
            return f"{size // unit} {name}"
    return f"{size} B"


def throughput_of(row: dict) -> tuple[float, str]:
    """Bytes count for large objects, requests for the rest."""
    if row["size_bytes"] >= MIB and row["megabytes_per_second"]:
        return row["megabytes_per_second"], "MB/s"
    return row["operations_per_second"], "ops/s"


def goal_of(row: dict, rows: list[dict]) -> float | None:
    """The throughput that a row aims at, in its own unit; none for goals that are latencies."""
    words = (row.get("target") or "").split()
    if not words or words[0] != ">=":
        return None
    if words[2:6] == ["%", "of", "bare", "hyper"]:
        bare = next((each for each in rows if each["name"] == f"({row['name']}, bare hyper)"), None)
        return bare and float(words[1]) / 100 * throughput_of(bare)[0]
    return float(words[1])


def draw_throughput(result: dict) -> str:
    """A bar for each row beside those of its references, each group on a scale of its own, with its goal."""
    drawing = Drawing("Throughput, with references (grey) and goals (red)")
    groups: list[list[dict]] = [[]]
    for row in result["rows"]:
        groups[-1].append(row)
        if not row["reference"]:
            groups.append([])
    for group in filter(None, groups):
        drawing.y += 8
        goals = [goal_of(row, group) for row in group]
        scale = max([throughput_of(row)[0] for row in group] + [goal for goal in goals if goal]) or 1
        for row, goal in zip(group, goals):
            value, unit = throughput_of(row)
            drawing.text(LABELS, row["name"].strip("()"), "end faint" if row["reference"] else "end")
            style = "other" if row["reference"] else "ours"
            length = BARS * value / scale
            drawing.bar(LABELS + 10, drawing.y, length, LINE - 6, style + (" failed" if row["errors"] else ""))
            goal_at = BARS * goal / scale if goal else 0.0
            if goal:
                x = LABELS + 10 + goal_at
                drawing.line(x, drawing.y - 2, x, drawing.y + LINE - 4, "goal")
            drawing.text(LABELS + 16 + max(length, goal_at), f"{number(value)} {unit}", "faint")
            drawing.y += LINE
    return drawing.svg()


class LogScale:
    """Milliseconds, or anything else above zero, on a logarithmic axis."""

    def __init__(self, values: list[float], start: float, length: float):
        self.low = math.floor(math.log10(min(values)))
        self.high = max(math.ceil(math.log10(max(values))), self.low + 1)
        self.start, self.length = start, length

    def at(self, value: float) -> float:
        return self.start + self.length * (math.log10(value) - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        return [10.0**power for power in range(self.low, self.high + 1)]


def plain(value: float) -> str:
    """A power of ten in short."""
    for unit, name in ((1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:g} {name}"
    return f"{value:g}"


def draw_latency(result: dict) -> str:
    """Quantiles of each row on one logarithmic axis: p50, p90, p99 and the longest."""
    rows = [row for row in result["rows"] if row["latency"]["count"]]
    drawing = Drawing("Latency in ms: p50, p90, p99, longest")
    names = ["p50_ms", "p90_ms", "p99_ms", "max_ms"]
    # What took no time that can be measured is drawn at the least that can.
    scale = LogScale([max(row["latency"][name], 0.001) for row in rows for name in names], LABELS + 14, BARS + 70)
    drawing.y += 8
    top = drawing.y
    bottom = top + LINE * len(rows)
    for tick in scale.ticks():
        drawing.line(scale.at(tick), top - 4, scale.at(tick), bottom, "rule")
        drawing.text(scale.at(tick), plain(tick), "faint middle", bottom + 14)
    for row in rows:
        quantiles = [scale.at(max(row["latency"][name], 0.001)) for name in names]
        style = "other" if row["reference"] else "ours"
        drawing.text(LABELS, row["name"].strip("()"), "end faint" if row["reference"] else "end")
        middle = drawing.y + 8
        drawing.line(quantiles[0], middle, quantiles[3], middle, "rule")
        drawing.bar(quantiles[0], middle - 3, quantiles[2] - quantiles[0], 6, style)
        for x, radius in zip(quantiles, (5, 3.5, 3.5, 2.5)):
            drawing.dot(x, middle, style, radius)
        drawing.y += LINE
    drawing.y = bottom + 16
    return drawing.svg()


def read_rivals(file: Path) -> list[dict]:
    """The runs of `rivals.csv` as numbers; what was not measured is none."""
    runs = []
    with file.open(newline="") as lines:
        for row in csv.DictReader(lines):
            for name in ("size_bytes", "connections", "errors"):
                row[name] = int(row[name] or 0)
            for name in ("operations_per_second", "megabytes_per_second", "p50_ms", "p99_ms"):
                row[name] = float(row[name]) if row[name] else None
            runs.append(row)
    return runs


def rival_panels(runs: list[dict]) -> dict[str, dict[tuple[str, str], list[dict]]]:
    """By work, size and connections, and then by product and setting; all in the order of the file."""
    panels: dict[str, dict[tuple[str, str], list[dict]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        title = f"{run['work'].upper()} {bytes_text(run['size_bytes'])} x{run['connections']}"
        panels[title][run["product"], run["setting"]].append(run)
    return panels


def spread_bar(drawing: Drawing, name: str, ours: bool, values: list[float], scale: float, unit: str, failed: int) -> None:
    """One bar as long as the median, the least and the most as a line, and in words what failed."""
    drawing.text(LABELS, name, "end")
    if not values:
        drawing.text(LABELS + 16, "not measured" + (f", {failed:,} errors" if failed else ""), "faint")
    else:
        length = BARS * median(values) / scale
        style = ("ours" if ours else "other") + (" failed" if failed else "")
        drawing.bar(LABELS + 10, drawing.y, length, LINE - 6, style)
        least, most = (LABELS + 10 + BARS * each / scale for each in (min(values), max(values)))
        if len(values) > 1:
            drawing.line(least, drawing.y + 8, most, drawing.y + 8, "range")
        words = f"{number(median(values))} {unit}" + (f", {failed:,} errors" if failed else "")
        drawing.text(max(most, LABELS + 10 + length) + 6, words, "faint")
    drawing.y += LINE


def draw_rivals_throughput(runs: list[dict]) -> str:
    """A panel for each work, a bar for each product and setting."""
    drawing = Drawing("Throughput beside others (more is better)")
    for title, bars in rival_panels(runs).items():
        drawing.y += 8
        drawing.text(16, title)
        drawing.y += LINE
        every = [run for of_bar in bars.values() for run in of_bar]
        # One unit for the whole panel.
        bytes_count = every[0]["size_bytes"] >= MIB and any(run["megabytes_per_second"] for run in every)
        field, unit = ("megabytes_per_second", "MB/s") if bytes_count else ("operations_per_second", "ops/s")
        scale = max([run[field] or 0 for run in every]) or 1
        for (product, setting), of_bar in bars.items():
            values = [run[field] for run in of_bar if run[field] is not None]
            failed = sum(run["errors"] for run in of_bar)
            spread_bar(drawing, f"{product}, {setting}", product == "Strata", values, scale, unit, failed)
    return drawing.svg()


def draw_rivals_latency(runs: list[dict]) -> str:
    """A panel for each work: the medians of p50 and p99 of each product and setting, on a logarithmic axis."""
    drawing = Drawing("Latency beside others in ms: p50 to p99 (less is better)")
    for title, bars in rival_panels(runs).items():
        known = [run[name] for of_bar in bars.values() for run in of_bar for name in ("p50_ms", "p99_ms") if run[name]]
        if not known:
            continue
        drawing.y += 8
        drawing.text(16, title)
        drawing.y += LINE
        scale = LogScale(known, LABELS + 14, BARS - 40)
        bottom = drawing.y + LINE * len(bars)
        for tick in scale.ticks():
            drawing.line(scale.at(tick), drawing.y - 4, scale.at(tick), bottom, "rule")
            drawing.text(scale.at(tick), plain(tick), "faint middle", bottom + 10)
        for (product, setting), of_bar in bars.items():
            drawing.text(LABELS, f"{product}, {setting}", "end")
            style = "ours" if product == "Strata" else "other"
            found = [[run[name] for run in of_bar if run[name]] for name in ("p50_ms", "p99_ms")]
            if all(found):
                low, high = (median(values) for values in found)
                drawing.bar(scale.at(low), drawing.y + 5, scale.at(high) - scale.at(low), 6, style)
                drawing.dot(scale.at(low), drawing.y + 8, style)
                drawing.text(scale.at(high) + 8, f"{number(low)} to {number(high)}", "faint")
            drawing.y += LINE
        drawing.y = bottom + 14
    return drawing.svg()


def draw_scaling(lines: list[dict]) -> str:
    """For each series a panel: each work's median latency, as a multiple of what it was at the first point."""
    drawing = Drawing("Cost as the store grows: p50, as a multiple of the first point (goal: 1.3 at most)")
    series: dict[str, dict[str, dict[int, list[float]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for line in lines:
        if line["kind"] == "work":
            series[line["series"]][line["work"]][line["point"]].append(line["p50_ms"])
    for name, works in series.items():
        medians = {work: {at: median(rounds) for at, rounds in values.items()} for work, values in works.items()}
        draw_series(drawing, name, medians)
    return drawing.svg()


def draw_series(drawing: Drawing, name: str, works: dict[str, dict[int, float]]) -> None:
    points = sorted({point for values in works.values() for point in values})
    if len(points) < 2:
        return
    ratios = {work: {at: value / values[min(values)] for at, value in values.items()} for work, values in works.items()}
    most = max([1.5] + [ratio for values in ratios.values() for ratio in values.values()])
    drawing.y += 10
    drawing.text(16, name)
    drawing.y += LINE
    top, height, left, right = drawing.y + 4, 190, 60, WIDTH - 190
    across = LogScale([float(points[0]), float(points[-1])], left, right - left)

    def up(ratio: float) -> float:
        return top + height * (1 - ratio / (most * 1.05))

    for ratio in (0.0, 0.5, 1.0, 1.3, *(float(each) for each in range(2, math.ceil(most) + 1, max(1, int(most / 5))))):
        if ratio <= most * 1.05:
            drawing.line(left, up(ratio), right, up(ratio), "goal" if ratio == 1.3 else "rule")
            drawing.text(left - 8, f"{ratio:g}", "faint end", up(ratio) + 4)
    for point in points:
        drawing.text(across.at(point), plain(point), "faint middle", top + height + 16)
    for number_of, (work, values) in enumerate(ratios.items()):
        style = COLOURS[number_of % len(COLOURS)]
        places = [(across.at(at), up(ratio)) for at, ratio in sorted(values.items())]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        drawing.parts.append(f'<polyline points="{path}" class="{style}-line"/>')
        for x, y in places:
            drawing.dot(x, y, style, 3.5)
        y = top + 14 + number_of * LINE
        drawing.bar(right + 24, y - 9, 12, 9, style)
        last = values[max(values)]
        drawing.text(right + 42, f"{work}: {last:.2f}", "", y)
    drawing.y = top + max(height + 26, len(ratios) * LINE)


def draw_all(directory: Path) -> list[Path]:
    """Draws what the raw files of a directory allow."""
    drawn = {}
    if (file := directory / "result.json").exists():
        result = json.loads(file.read_text())
        drawn |= {"throughput.svg": draw_throughput(result), "latency.svg": draw_latency(result)}
    if (file := directory / "rivals.csv").exists():
        runs = read_rivals(file)
        drawn |= {"rivals-throughput.svg": draw_rivals_throughput(runs), "rivals-latency.svg": draw_rivals_latency(runs)}
    if (file := directory / "scaling.jsonl").exists():
        drawn["scaling.svg"] = draw_scaling([json.loads(line) for line in file.read_text().splitlines()])
    for name, svg in drawn.items():
        (directory / name).write_text(svg)
    return [directory / name for name in drawn]


def main(arguments: list[str]) -> int:
    if not arguments:
        print(__doc__.splitlines()[0], file=sys.stderr)
        return 2
    drawn = [file for argument in arguments for file in draw_all(Path(argument))]
    print("\n".join(map(str, drawn)))
    return 0 if drawn else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
