"""Curves of searches as SVG, drawn as `tessera replay` draws its own: share of the best by trials, the
median of the runs and their middle half. Both scales are logarithmic, that of shares by what is missing
to 100 %. Standard library only."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, quantiles

WIDTH, HEIGHT = 860, 440
LEFT, RIGHT, TOP, BOTTOM = 62, 210, 62, 48
SHARES = (0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99, 1)
# About the noise of measurements: from 97 to 99 % is as far as from there to 100 %.
NEAREST = 0.01
GREY = "#555555"
# Told apart by readers who see few colours (Okabe and Ito 2008).
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")


@dataclass(frozen=True)
class Series:
    name: str
    shares: Sequence[Sequence[float]]  # a list a run: of the best, after each trial

    def band(self) -> list[tuple[float, float, float]]:
        """Lower quartile, median, upper quartile after each trial; a run that ended keeps its last."""
        longest = max(len(run) for run in self.shares)
        padded = [[*run, *[run[-1]] * (longest - len(run))] for run in self.shares]
        return [_quartiles(values) for values in zip(*padded)]


def _quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, _, high = quantiles(values, n=4, method="inclusive")
    return low, median(values), high


def _octaves(share: float) -> float:
    return -math.log2(1 - share + NEAREST)


def draw(title: str, subtitle: str, series: Sequence[Series]) -> str:
    """The first series is the baseline: grey, on top."""
    bands = [one.band() for one in series]
    trials = max(len(band) for band in bands)
    lowest = min(band[0][0] for band in bands)
    floor = max(share for share in SHARES if share <= min(lowest, 0.95))
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    out: list[str] = []

    def x(trial: float) -> float:
        return LEFT + (right - LEFT) * math.log2(trial) / max(1.0, math.log2(max(trials, 2)))

    def y(share: float) -> float:
        inside = _octaves(min(max(share, floor), 1.0)) - _octaves(floor)
        return bottom - (bottom - TOP) * inside / (_octaves(1) - _octaves(floor))

    def text(
        at_x: float, at_y: float, words: str, size: int, anchor: str = "start", fill: str = GREY
    ) -> None:
        out.append(
            f'<text x="{at_x:.1f}" y="{at_y:.1f}" font-size="{size}" text-anchor="{anchor}" '
            f'fill="{fill}">{html.escape(words)}</text>'
        )

    def line(x1: float, y1: float, x2: float, y2: float, stroke: str, width: float = 1) -> None:
        out.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{stroke}" '
            f'stroke-width="{width:g}"/>'
        )

    def steps(values: Sequence[float]) -> list[tuple[float, float]]:
        """A best stands until the next one; of points that change nothing, none is drawn."""
        points: list[tuple[float, float]] = []
        for i, value in enumerate(values):
            if 0 < i < len(values) - 1 and value == values[i - 1]:
                continue
            if i > 0:
                points.append((x(i + 1), y(values[i - 1])))
            points.append((x(i + 1), y(value)))
        return points

    def joined(points: Sequence[tuple[float, float]]) -> str:
        return " ".join(f"{px:.1f},{py:.1f}" for px, py in points)

    text(LEFT, 24, title, 15, fill="#111111")
    text(LEFT, 43, subtitle, 11)
    for share in SHARES:
        if share >= floor:
            line(LEFT, y(share), right, y(share), "#e4e4e4")
            text(LEFT - 8, y(share) + 4, f"{100 * share:.0f} %", 11, "end")
    trial = 1
    while trial <= trials:
        line(x(trial), bottom, x(trial), bottom + 4, "#999999")
        text(x(trial), bottom + 17, str(trial), 11, "middle")
        trial *= 2
    line(LEFT, bottom, right, bottom, "#999999")
    text((LEFT + right) / 2, HEIGHT - 10, "trials", 12, "middle", "#333333")
    out.append(
        f'<text transform="translate(16 {(TOP + bottom) / 2:.1f}) rotate(-90)" font-size="12" '
        'text-anchor="middle" fill="#333333">share of the best</text>'
    )
    colours = [GREY, *(COLOURS[i % len(COLOURS)] for i in range(len(series) - 1))]
    order = [*range(1, len(series)), 0]
    for i in order:
        low, _, high = zip(*bands[i])
        points = steps(high) + steps(low)[::-1]
        out.append(
            f'<polygon points="{joined(points)}" fill="{colours[i]}" '
            f'fill-opacity="{0.5 / max(4, len(series)):.3f}"/>'
        )
    for i in order:
        _, middle, _ = zip(*bands[i])
        out.append(
            f'<polyline points="{joined(steps(middle))}" fill="none" stroke="{colours[i]}" '
            'stroke-width="1.8"/>'
        )
    for i, one in enumerate(series):
        at = TOP + 6 + 18 * i
        line(right + 16, at, right + 38, at, colours[i], 2.4)
        text(right + 45, at + 4, one.name, 11, fill="#333333")
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
            f'viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">',
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
            *out,
            "</svg>\n",
        ]
    )
