#!/usr/bin/env python3
"""Draws one operator's tuning run as SVG: every trial, the best so far, the peak of the core.

Reads the log on standard input and writes the picture to standard output. The operations of the
operator, the peak and the machine come from the report of the same run:

    build/bin/tessera tune --op conv2d name=c9 ic=256 oc=256 size=14 k=3 pad=1 bias=true relu=true \\
        layout=any algorithm=direct --trials 200 --report report.json
    build/bin/tessera log --task c9 --format jsonl |
        docs/images/tuning_curve.py --report report.json --op c9 > docs/images/tuning-c9.svg

Python 3, standard library only.
"""

import argparse
import html
import json
import math
import sys

WIDTH, HEIGHT = 760, 400
LEFT, RIGHT, TOP, BOTTOM = 60, 20, 62, 50


def read_trials(lines):
    """(seconds or None, explorer) of each trial, in the order in which they were measured."""
    trials, day = [], ""
    for line in lines:
        record = json.loads(line)
        if record["stale"] or record["outcome"] in ("infrastructure", "cancelled"):
            continue
        seconds = record["cost_seconds"] if record["outcome"] == "ok" else None
        trials.append((seconds, record["explorer"]))
        day = max(day, record["created"][:10])
    return trials, day


def nice_step(top):
    """A step of 1, 2 or 5 × 10ⁿ that cuts `top` into at most seven."""
    power = 10.0 ** math.floor(math.log10(top / 7))
    return next(power * m for m in (1, 2, 5, 10) if top / (power * m) <= 7)


def draw(trials, day, entry, machine):
    operations = entry["tuned_gflops"] * entry["tuned_seconds"]  # in 10⁹
    speeds = [operations / s if s else 0.0 for s, _ in trials]
    peak = machine["peak_gflops"]
    top = max(speeds + [peak]) * 1.06
    x = lambda n: LEFT + (WIDTH - LEFT - RIGHT) * n / len(trials)
    y = lambda g: HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * g / top
    out = []

    def text(at_x, at_y, words, size=12, anchor="start", fill="#333333", weight="normal"):
        out.append(
            f'<text x="{at_x:.1f}" y="{at_y:.1f}" font-size="{size}" text-anchor="{anchor}" '
            f'fill="{fill}" font-weight="{weight}">{html.escape(words)}</text>')

    def line(x1, y1, x2, y2, stroke, extra=""):
        out.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
                   f'stroke="{stroke}" {extra}/>')

    step = nice_step(top)
    value = 0.0
    while value <= top:
        line(LEFT, y(value), WIDTH - RIGHT, y(value), "#e6e6e6")
        text(LEFT - 8, y(value) + 4, f"{value:g}", anchor="end", fill="#666666")
        value += step
    step = nice_step(len(trials))
    value = 0.0
    while value <= len(trials):
        text(x(value), HEIGHT - BOTTOM + 18, f"{value:g}", anchor="middle", fill="#666666")
        value += step

    for number, (speed, (_, explorer)) in enumerate(zip(speeds, trials), 1):
        fill = "#d06010" if explorer == "default" else "#9db8d2"
        radius = 5 if explorer == "default" else 2.5
        out.append(f'<circle cx="{x(number):.1f}" cy="{y(speed):.1f}" r="{radius}" fill="{fill}"/>')
    best, path = 0.0, []
    for number, speed in enumerate(speeds, 1):
        if speed > best:
            path.append(f"{'L' if path else 'M'}{x(number):.1f},{y(best if path else speed):.1f}")
            best = speed
            path.append(f"L{x(number):.1f},{y(best):.1f}")
    path.append(f"L{x(len(speeds)):.1f},{y(best):.1f}")
    out.append(f'<path d="{" ".join(path)}" fill="none" stroke="#1a5c9a" stroke-width="2.5"/>')

    line(LEFT, y(peak), WIDTH - RIGHT, y(peak), "#b02030", 'stroke-dasharray="7 4"')
    text(LEFT + 6, y(peak) - 6, f"measured FMA peak of the core: {peak:.0f}", fill="#b02030")
    text(WIDTH - RIGHT, y(best) - 6,
         f"best: {best:.0f} GFLOPS, {100 * best / peak:.0f} % of the peak", 12, "end", "#1a5c9a",
         "bold")
    if trials[0][1] == "default":
        text(x(1) + 10, y(speeds[0]) + 4, f"default schedule: {speeds[0]:.0f}", fill="#d06010")
    text(LEFT, 22, f"{entry['op']}: best of the trials so far (line), every trial (points)", 15,
         weight="bold")
    threads = machine["threads"]
    text(LEFT, 42, f"{machine['device_class']}, {machine['description']}; {threads} "
         f"thread{'s' if threads != 1 else ''}; {day}", 11, fill="#666666")
    text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, "trials", anchor="middle")
    out.append(f'<text transform="translate(16,{(TOP + HEIGHT - BOTTOM) / 2:.0f}) rotate(-90)" '
               'font-size="12" text-anchor="middle" fill="#333333">GFLOPS, executed arithmetic</text>')
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" font-family="Helvetica, Arial, sans-serif">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>', *out, "</svg>"])


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--report", required=True, help="of `tessera tune --report`")
    parser.add_argument("--op", required=True, help="the operator's name in the report")
    options = parser.parse_args()
    with open(options.report, encoding="utf-8") as file:
        report = json.load(file)
    entries = [e for e in report["operators"] if e["op"] == options.op]
    trials, day = read_trials(sys.stdin)
    if not entries or not trials:
        sys.exit(f"tuning_curve: the report or the log has nothing about {options.op}")
    print(draw(trials, day, entries[0], report["machine"]))


if __name__ == "__main__":
    main()
