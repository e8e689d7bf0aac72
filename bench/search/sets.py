"""Data sets (docs/replay.md) as files, and what a summary says of them."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any


@dataclass(frozen=True)
class DataSet:
    header: dict[str, str]
    rows: list[tuple[str, float]]  # config as JSON; seconds, infinity of programs that failed

    @staticmethod
    def read(path: Path) -> DataSet:
        header: dict[str, str] = {}
        rows = []
        with path.open() as file:
            for line in file:
                if line.startswith("# "):
                    key, _, value = line[2:].rstrip("\n").partition(": ")
                    header[key] = header[key] + "\n" + value if key in header else value
                    continue
                _, outcome, seconds, config = line.rstrip("\n").split("\t")
                rows.append((config, float(seconds) if outcome == "ok" else math.inf))
        return DataSet(header, rows)

    @property
    def seconds(self) -> list[float]:
        return [seconds for _, seconds in self.rows]

    @property
    def best(self) -> float:
        return min(self.seconds)

    def within(self, share: float) -> int:
        """Programs whose time is at most best ÷ share."""
        return sum(share * seconds <= self.best for seconds in self.seconds)


def median_trials(rows: int, good: int) -> int:
    """After how many draws of distinct rows one of the good ones is among them, in half of the cases."""
    missed, trials = 1.0, 0
    while missed > 0.5:
        missed *= (rows - good - trials) / (rows - trials)
        trials += 1
    return trials


COLUMNS = (
    "kind",
    "task",
    "class",
    "threads",
    "programs",
    "failed",
    "best, µs",
    "median ÷ best",
    "within 5 %",
    "within 1 %",
    "random to 99 %",
    "others, cores",
    "commit",
)


def summary_row(path: Path, state: dict[str, Any]) -> list[str]:
    data = DataSet.read(path)
    rows, close = len(data.rows), data.within(0.99)
    timed = [seconds for seconds in data.seconds if math.isfinite(seconds)]
    return [
        path.parent.name,
        data.header.get("name", ""),
        data.header.get("class", ""),
        data.header["threads"],
        str(rows),
        str(rows - len(timed)),
        f"{data.best * 1e6:.4g}",
        f"{median(timed) / data.best:.2f}",
        str(data.within(0.95)),
        str(close),
        str(median_trials(rows, close)),
        f"{max(part['other_cores'] for part in state['parts'].values()):.2f}",
        data.header.get("commit", ""),
    ]


def summary(folder: Path) -> str:
    """Markdown, of all sets below a folder."""
    lines = [
        "Random to 99 %: the median number of draws until one within 1 % of the best row is among them. Of",
        "sampled sets, whose best row is not the best of the space, it is more in truth.",
        "",
        f"| {' | '.join(COLUMNS)} |",
        "|" + "---|" * len(COLUMNS),
    ]
    for path in sorted(folder.glob("*/*.data")):
        state = json.loads(path.with_suffix(".json").read_text())
        lines.append(f"| {' | '.join(summary_row(path, state))} |")
    return "\n".join(lines) + "\n"
