"""What tvm_tune.py leaves in its work folder, for the peer and for the curves. Needs no TVM."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from case import Case

FAILED_SECONDS = 1e9  # MetaSchedule writes 10¹⁰ s for a trial that failed


def task_folder(work: Path, case: Case, threads: int, layout: str) -> Path:
    return work / f"{case.suite}-t{threads}" / case.name / layout


def best_folder(work: Path, case: Case, threads: int) -> Path | None:
    """Of the layouts that were tuned to the end, the fastest's."""
    folders = task_folder(work, case, threads, "*")
    done = [path.parent for path in folders.parent.glob("*/task.json")]
    return min(done, key=lambda f: min(curve_of(f)), default=None)


@dataclass(frozen=True)
class Task:
    """What was asked; task.json has it and what came of it."""

    case: str
    attributes: str
    threads: int
    layout: str
    trials: int

    def is_done(self, folder: Path) -> bool:
        """Of another operator, or of fewer trials, it isn't."""
        try:
            found = read_task(folder)
        except FileNotFoundError:
            return False
        if found["attributes"] != self.attributes:
            raise SystemExit(
                f"{folder} is of {found['attributes']}, not {self.attributes}: remove it"
            )
        return bool(found["trials"] >= self.trials)

    def add_seconds(self, folder: Path, seconds: float) -> None:
        path = folder / "seconds"
        before = float(path.read_text()) if path.exists() else 0.0
        path.write_text(f"{before + seconds:.1f}\n")

    def write(
        self, folder: Path, curve: list[float], shapes: list[list[int]], version: str
    ) -> None:
        result: dict[str, Any] = {
            **asdict(self),
            "trials": len(curve),
            "failed": sum(s >= FAILED_SECONDS for s in curve),
            "best_us": min(curve) * 1e6,
            "seconds": float((folder / "seconds").read_text()),
            "shapes": shapes,
            "version": version,
        }
        part = folder / "task.json.part"
        part.write_text(json.dumps(result, indent=1) + "\n")
        part.rename(folder / "task.json")


def read_task(folder: Path) -> dict[str, Any]:
    """What was asked of a task that is done, and what came of it."""
    return dict(json.loads((folder / "task.json").read_text()))


def curve_of(folder: Path) -> list[float]:
    """Seconds of each trial of MetaSchedule's database, in order of measurement; a record is
    [workload, [trace, run seconds, target, arguments]]."""
    path = folder / "database_tuning_record.json"
    if not path.exists():
        return []
    curve = []
    for line in path.read_text().splitlines():
        if line.strip():
            seconds = json.loads(line)[1][1] or [1e10]
            curve.append(min(float(s) for s in seconds))
    return curve
