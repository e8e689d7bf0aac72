"""Tables and pictures of the runs that live.py made: live_report.py FOLDER [--tasks FILE].

`search.md` has the tables, `trials.csv` and `curves.csv` what they are made from, TASK.svg the curves.
"""

from __future__ import annotations

import argparse
import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median

import peers_modules
from intervals import Interval, Sample, interval_of, mean_ratio, median_interval
from plot import Series, draw
from runs import Run, found
from tasks import load_tasks
from winners import Table, Winner

SHARES = (0.95, 0.97, 0.99)
AFTER = (8, 16, 32, 64, 128, 256)  # trials
BASELINE = "random"
WAITS = ("build", "proposal", "store", "worker", "others")  # of `tessera tune --report`, runners


@dataclass(frozen=True)
class Searched:
    """The runs of one task."""

    task: str
    is_hard: bool
    runs: list[Run]
    winners: Mapping[str, Winner]  # measured side by side, by METHOD-SEED

    def scale(self, run: Run) -> float:
        """What the run's times are multiplied by: its winner's side by side ÷ as it was recorded. Takes
        the luck of the fastest and changes of the machine between runs away, as far as they are
        common to the run's programs."""
        winner = self.winners.get(run.name)
        if winner is None or winner.seconds is None or run.winner_seconds is None:
            return 1.0
        return winner.seconds / run.winner_seconds

    def final(self, run: Run) -> float:
        """Of the program that the run ended with."""
        recorded = run.best if run.winner_seconds is None else run.winner_seconds
        return recorded * self.scale(run)

    @property
    def best(self) -> float:
        """Of all runs' winners."""
        return min(map(self.final, self.runs))

    def shares(self, run: Run) -> list[float]:
        """Of the common best, after each trial. Below the final winner's time nothing counts: it was
        luck."""
        final, scale, best = self.final(run), self.scale(run), self.best
        return [best / max(seconds * scale, final) for seconds in run.best_so_far()]

    def trials_to(self, run: Run, share: float) -> float:
        """Infinity where it never came there."""
        reached = (i for i, s in enumerate(self.shares(run), 1) if s >= share)
        return next(reached, math.inf)

    def of(self, method: str) -> list[Run]:
        return [run for run in self.runs if run.method.name == method]

    @property
    def methods(self) -> list[str]:
        """The baseline first."""
        names = dict.fromkeys(run.method.name for run in self.runs)
        return sorted(names, key=lambda name: name != BASELINE)


def load(out: Path, hard: Mapping[str, bool]) -> list[Searched]:
    """In the order of `hard`, then the others."""
    winners = Table(out / "winners.csv").load()
    tasks = {task: [run for run, _ in runs] for task, runs in found(out).items()}
    names = [name for name in hard if name in tasks] + [name for name in tasks if name not in hard]
    return [
        Searched(name, hard.get(name, False), tasks[name], winners.get(name, {})) for name in names
    ]


def methods_of(searched: Sequence[Searched]) -> list[str]:
    names = dict.fromkeys(name for one in searched for name in one.methods)
    return sorted(names, key=lambda name: name != BASELINE)


def count(value: float, budget: int) -> str:
    return f"{value:g}" if math.isfinite(value) else f">{budget}"


def cell(one: Searched, method: str, share: float) -> str:
    runs = one.of(method)
    if not runs:
        return ""
    budget = max(len(run.trials) for run in runs)
    found = median_interval([one.trials_to(run, share) for run in runs])
    middle, low, high = (count(v, budget) for v in (found.middle, found.low, found.high))
    return f"{middle} ({low}–{high})"


def percent(share: float, digits: int = 1) -> str:
    return f"{100 * share:.{digits}f} %"


def row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def head(cells: Sequence[str]) -> list[str]:
    return [row(cells), "|---" * len(cells) + "|"]


def trials_table(searched: Sequence[Searched], share: float) -> list[str]:
    methods = methods_of(searched)
    lines = [f"## Trials to {percent(share, 0)} of the best", ""]
    lines += head(["task", "best, µs", *methods])
    for one in searched:
        name = f"**{one.task}**" if one.is_hard else one.task
        lines.append(row([name, f"{one.best * 1e6:.4g}", *(cell(one, m, share) for m in methods)]))
    return [*lines, ""]


def bounded_trials(one: Searched, method: str, share: float) -> list[float]:
    """A run that never came there counts as if it had at its last trial: a lower bound."""
    return [min(one.trials_to(run, share), len(run.trials)) for run in one.of(method)]


def is_reached(one: Searched, method: str, share: float) -> bool:
    """By most of the runs."""
    return math.isfinite(median(one.trials_to(run, share) for run in one.of(method)))


def ratio_of(
    searched: Sequence[Searched], method: str, rival: str, share: float
) -> tuple[Interval, bool] | None:
    """How many times as many trials the rival takes, and whether that is a lower bound. None where the
    method itself does not come there on some task."""
    both = [one for one in searched if one.of(method) and one.of(rival)]
    if not both or not all(is_reached(one, method, share) for one in both):
        return None
    pairs = [
        (bounded_trials(one, rival, share), bounded_trials(one, method, share)) for one in both
    ]
    return mean_ratio(pairs), not all(is_reached(one, rival, share) for one in both)


def ratios_table(searched: Sequence[Searched], share: float) -> list[str]:
    methods = methods_of(searched)
    hard = [one for one in searched if one.is_hard] or list(searched)
    what = "hard tasks" if any(one.is_hard for one in searched) else "tasks"
    title = (
        f"## Times as many trials to {percent(share, 0)} as the row's method, {what}: {len(hard)}"
    )
    lines = [title, "", *head(["", *methods])]
    for method in methods:
        cells = []
        for rival in methods:
            found = None if rival == method else ratio_of(hard, method, rival, share)
            if found is None:
                cells.append("")
                continue
            ratio, is_bound = found
            text = f"{ratio.middle:.2f} ({ratio.low:.2f}–{ratio.high:.2f})"
            cells.append(f"≥ {text}" if is_bound else text)
        lines.append(row([method, *cells]))
    return [*lines, ""]


def after_table(searched: Sequence[Searched]) -> list[str]:
    lines = ["## Share of the best after so many trials, median of the runs", ""]
    lines += head(["task", "method", *map(str, AFTER)])
    for one in searched:
        for method in one.methods:
            curves = [one.shares(run) for run in one.of(method)]
            cells = []
            for trials in AFTER:
                if min(map(len, curves)) < trials:
                    cells.append("")
                else:
                    cells.append(percent(median(curve[trials - 1] for curve in curves)))
            lines.append(row([one.task, method, *cells]))
    return [*lines, ""]


def distance(searched: Sequence[Searched], method: str, trials: int) -> Interval | None:
    """The fastest program after so many trials ÷ the fastest of all runs' first AFTER[-1], by the
    records of the runs: geometric mean over tasks and seeds. None where a run is shorter, or had no
    success."""
    samples: list[Sample] = []
    for one in searched:
        fastest = min(s for run in one.runs for s in [math.inf, *run.best_so_far()[: AFTER[-1]]])
        curves = [run.best_so_far() for run in one.of(method)]
        if not curves or min(map(len, curves)) < trials:
            return None
        samples.append([math.log(curve[trials - 1] / fastest) for curve in curves])
    if not all(math.isfinite(value) for sample in samples for value in sample):
        return None
    return interval_of(lambda drawn: math.exp(fmean(map(fmean, drawn))), samples)


def distance_table(searched: Sequence[Searched]) -> list[str]:
    hard = [one for one in searched if one.is_hard] or list(searched)
    lines = [
        f"## How far from the best after so many trials, by records: mean of {len(hard)} tasks",
        "",
        *head(["method", *map(str, AFTER)]),
    ]
    for method in methods_of(hard):
        found_of = [distance(hard, method, trials) for trials in AFTER]
        cells = [
            ""
            if one is None
            else f"{percent(one.middle - 1)} ({percent(one.low - 1)}–{percent(one.high - 1)})"
            for one in found_of
        ]
        lines.append(row([method, *cells]))
    return [*lines, ""]


def runners_table(searched: Sequence[Searched]) -> list[str]:
    """What devices did from a job's first plan to its latest."""
    names = {"build": "builds", "proposal": "proposals", "store": "the log"}
    names |= {"worker": "artifacts, cores", "others": "other jobs"}
    rows = []
    for one in searched:
        for method in one.methods:
            times = [r for run in one.of(method) for r in run.runners]
            phases = {p: sum(t[f"{p}_seconds"] for t in times) for p in ("run", *WAITS)}
            total = sum(phases.values())
            if total <= 0:
                continue
            shares = [percent(phases[p] / total) for p in ("run", *WAITS)]
            rows.append(row([one.task, method, *shares]))
    if not rows:
        return []
    return [
        "## What the runner did, and what it waited for",
        "",
        *head(["task", "method", "busy", *(names[p] for p in WAITS)]),
        *rows,
        "",
    ]


def markdown(searched: Sequence[Searched]) -> str:
    every = [run for one in searched for run in one.runs]
    dates = sorted(run.date for run in every)
    trials = sum(len(run.trials) for run in every)
    failed = sum(run.failed for run in every)
    counts = sorted({len(one.of(method)) for one in searched for method in one.methods})
    seeds = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    side_by_side = all(one.winners for one in searched)
    lines = [
        "# Searches compared",
        "",
        f"{len(every)} runs, {seeds} seeds a task and method, {trials} trials, "
        f"of which {failed} failed; from {dates[0]} to {dates[-1]} UTC on {every[0].machine}. Other "
        f"programs kept at most {max(run.other_cores for run in every):.2f} cores busy.",
        "",
        "Medians over seeds with 95 % intervals (bootstrap over seeds). The best is the fastest winner "
        "of all runs of a task, "
        + ("measured side by side." if side_by_side else "by the records of the runs.")
        + " >N: most runs did not come there in N trials. Tasks in bold are those that methods are "
        "judged by.",
        "",
    ]
    for share in reversed(SHARES):
        lines += trials_table(searched, share)
    lines += ratios_table(searched, SHARES[-1])
    lines += after_table(searched)
    lines += distance_table(searched)
    lines += runners_table(searched)
    return "\n".join(lines)


def write_trials(searched: Sequence[Searched], path: Path) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            ["task", "hard", "method", "seed", "trials", "failed", "seconds", "best_us"]
            + [f"trials_to_{share:.0%}" for share in SHARES]
        )
        for one in searched:
            for run in one.runs:
                reached = [one.trials_to(run, share) for share in SHARES]
                seconds = "" if run.resumed else f"{run.seconds:.2f}"  # without a clock
                writer.writerow(
                    [one.task, int(one.is_hard), run.method.name, run.seed, len(run.trials)]
                    + [run.failed, seconds, f"{one.final(run) * 1e6:.4f}"]
                    + ["" if math.isinf(n) else int(n) for n in reached]
                )


def write_curves(searched: Sequence[Searched], path: Path) -> None:
    """A row for each new best and for the last trial."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["task", "method", "seed", "trial", "seconds", "share_of_best"])
        for one in searched:
            for run in one.runs:
                shares = one.shares(run)
                for i, share in enumerate(shares):
                    if i + 1 < len(shares) and i > 0 and share == shares[i - 1]:
                        continue
                    at = "" if run.resumed else f"{run.trials[i].at:.3f}"
                    writer.writerow(
                        [one.task, run.method.name, run.seed, i + 1, at, f"{share:.6f}"]
                    )


def write_report(out: Path, hard: Mapping[str, bool]) -> list[Path]:
    """What was written; nothing where no run is there."""
    searched = load(out, hard)
    if not searched:
        return []
    report, trials, curves = out / "search.md", out / "trials.csv", out / "curves.csv"
    report.write_text(markdown(searched))
    write_trials(searched, trials)
    write_curves(searched, curves)
    pictures = []
    for one in searched:
        series = [Series(m, [one.shares(run) for run in one.of(m)]) for m in one.methods]
        run = one.runs[0]
        threads = "1 thread" if run.threads == 1 else f"{run.threads} threads"
        subtitle = f"{run.machine}; {threads}; best {one.best * 1e6:.4g} µs; {run.date[:10]}"
        pictures.append(out / f"{one.task}.svg")
        pictures[-1].write_text(draw(f"{one.task}: best so far", subtitle, series))
    return [report, trials, curves, *pictures]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="of live.py")
    parser.add_argument("--tasks", type=Path, default=peers_modules.HERE / "tasks.yaml")
    arguments = parser.parse_args()
    written = write_report(
        arguments.out, {t.case.name: t.is_hard for t in load_tasks(arguments.tasks)}
    )
    if not written:
        raise SystemExit(f"live_report: no runs in {arguments.out}")
    for path in written:
        print(path)


if __name__ == "__main__":
    main()
