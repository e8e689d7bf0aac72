"""How many trials Tessera and MetaSchedule needed: a Markdown table from the records of both.

build/peers/bin/python bench/peers/tvm_curves.py bench/peers/tvm_subset.yaml
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

from case import Case, load_suite
from summary import geometric_mean
from tuning import tasks_folder
from tvm_work import FAILED_SECONDS, best_folder, curve_of

SHARES = (0.9, 0.95, 0.99)


def tessera_curve(path: Path) -> list[float]:
    """Seconds of each trial in the order of trials, from `tessera log --format jsonl`."""
    if not path.exists():
        return []
    records = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    records.sort(key=lambda record: record["trial"])
    return [r["cost_seconds"] if r["outcome"] == "ok" else FAILED_SECONDS for r in records]


def trials_to(curve: list[float], seconds: float) -> int | None:
    """The first trial, from 1, that was at most as long; None where none was."""
    return next((i for i, cost in enumerate(curve, 1) if cost <= seconds), None)


@dataclass(frozen=True)
class Curves:
    case: str
    tessera: list[float]
    tvm: list[float]

    @property
    def is_complete(self) -> bool:
        return min([*self.tessera, FAILED_SECONDS]) < FAILED_SECONDS and bool(self.tvm)

    def row(self) -> str:
        best = min(*self.tessera, *self.tvm)
        cells = [self.case, f"{min(self.tessera) * 1e6:.4g}", f"{min(self.tvm) * 1e6:.4g}"]
        for curve in (self.tessera, self.tvm):
            counts = [trials_to(curve, best / share) for share in SHARES]
            cells += ["never" if count is None else str(count) for count in counts]
        for curve in (self.tessera, self.tvm):
            failed = sum(cost >= FAILED_SECONDS for cost in curve)
            cells.append(f"{len(curve)} ({failed})")
        return f"| {' | '.join(cells)} |"


def table(all_curves: list[Curves]) -> str:
    shares = [f"{share:.0%}" for share in SHARES]
    head = ["case", "Tessera, µs", "TVM, µs"]
    head += [f"Tessera to {s}" for s in shares] + [f"TVM to {s}" for s in shares]
    head += ["Tessera's trials (failed)", "TVM's trials (failed)"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    complete = [curves for curves in all_curves if curves.is_complete]
    lines += [curves.row() for curves in complete]
    if complete:
        ratios = [min(c.tvm) / min(c.tessera) for c in complete]
        mean = geometric_mean(ratios)
        lines += [
            "",
            f"TVM's best ÷ Tessera's best: {mean:.3f}, geometric mean of {len(complete)}.",
        ]
    missing = [curves.case for curves in all_curves if not curves.is_complete]
    if missing:
        lines += ["", f"Not tuned by both: {', '.join(missing)}."]
    return "\n".join(lines) + "\n"


def read(case: Case, suite_out: Path, work: Path, threads: int) -> Curves:
    records = tasks_folder(suite_out, threads, "warm") / case.suite / f"{case.name}.jsonl"
    folder = best_folder(work, case, threads)
    return Curves(case.name, tessera_curve(records), curve_of(folder) if folder else [])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("suite", nargs="+", type=Path, help="job files")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--work", type=Path, default=Path("build/bench/tvm"), help="of tvm_tune.py")
    parser.add_argument("--out", type=Path, default=Path("build/bench/suite"), help="of suite.sh")
    arguments = parser.parse_args()
    cases = [case for path in arguments.suite for case in load_suite(path)]
    print(table([read(c, arguments.out, arguments.work, arguments.threads) for c in cases]), end="")


if __name__ == "__main__":
    main()
