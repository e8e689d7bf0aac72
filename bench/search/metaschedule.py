"""How long Tessera takes to find a program as fast as TVM's MetaSchedule finds in 1,000 trials: both
tune the same operators on this machine, one after the other, and their winners are measured side by side.
docs/search.md says how to read it.

    build/peers/bin/python bench/search/metaschedule.py

A run that ended early goes on with the same command; MetaSchedule takes seconds a trial.
"""

from __future__ import annotations

import argparse
import csv
import math
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import peers_modules
from case import Unsupported
from compare import command, compile_calls
from intervals import Interval, mean_ratio, median_interval
from live import add_quiet_options, line_of, timing_plan
from live_report import head, row
from methods import choose, load_methods
from quiet import wait_until_quiet
from runs import Plan, Run, what_failed, write_job_file
from service import Service, die_with_parent
from suite import ended_by_signals
from tasks import Task, load_tasks
from tvm_ops import LAYOUTS, operator
from tvm_work import best_folder, curve_of, read_task
from winners import Table, Winner, built, measure_side_by_side

TVM = "tvm"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--tasks", type=Path, default=peers_modules.HERE / "tasks.yaml")
    parser.add_argument("--cases", default="", help="regular expression of tasks; default: all")
    parser.add_argument("--method-file", type=Path, default=peers_modules.HERE / "methods.yaml")
    parser.add_argument("--method", default="default", help="Tessera's")
    parser.add_argument("--trials", type=int, default=1000, help="of MetaSchedule, a task")
    parser.add_argument("--tessera-trials", type=int, default=512, help="at most, a seed")
    parser.add_argument("--seeds", type=int, default=5, help="of Tessera; MetaSchedule has one")
    parser.add_argument("--rounds", type=int, default=5, help="of measuring the winners")
    parser.add_argument(
        "--layouts", default="nhwc", help=f"of MetaSchedule's free activations, of {LAYOUTS}"
    )
    parser.add_argument("--tessera", type=Path, default=Path("build/bin/tessera"))
    parser.add_argument("--tvm-python", type=Path, default=Path("build/peers-tvm/bin/python"))
    parser.add_argument("--out", type=Path, default=Path("build/bench/search/metaschedule"))
    add_quiet_options(parser)
    arguments = parser.parse_args()
    if min(arguments.trials, arguments.tessera_trials, arguments.seeds, arguments.rounds) < 1:
        parser.error("--trials, --tessera-trials, --seeds and --rounds must be positive")
    unknown = set(arguments.layouts.split(",")) - set(LAYOUTS)
    if unknown:
        parser.error(f"--layouts: {', '.join(sorted(unknown))}: there are {', '.join(LAYOUTS)}")
    for path in (arguments.tasks, arguments.method_file, arguments.tessera, arguments.tvm_python):
        if not path.exists():
            parser.error(f"{path}: no such file")
    return arguments


def is_expressible(task: Task) -> bool:
    try:
        operator(task.case)
    except Unsupported as reason:
        print(f"{task.case.name}: not compared, TVM: {reason}", flush=True)
        return False
    return True


def tune_by_tvm(arguments: argparse.Namespace, task: Task) -> None:
    """Until each layout has its trials; what an earlier run measured is kept."""
    job_file = arguments.out / "runs" / task.case.name / "tvm.yaml"
    job_file.parent.mkdir(parents=True, exist_ok=True)
    write_job_file(task.case, job_file)
    for layout in arguments.layouts.split(","):
        options = {
            "--trials": arguments.trials,
            "--threads": task.threads,
            "--layout": layout,
            "--work": arguments.out / "tvm",
        }
        flat = [str(x) for pair in options.items() for x in pair]
        program = [str(arguments.tvm_python), str(peers_modules.PEERS / "tvm_tune.py")]
        log = arguments.out / "logs" / f"{task.case.name}-{layout}.log"
        log.parent.mkdir(exist_ok=True)
        with log.open("a") as file:  # it says much
            subprocess.run(
                [*program, str(job_file), *flat],
                stdout=file,
                stderr=subprocess.STDOUT,
                check=True,
                preexec_fn=die_with_parent,
            )
        print(f"{task.case.name} MetaSchedule, {layout}: {log}", flush=True)


def tessera_plans(arguments: argparse.Namespace, task: Task) -> list[Plan]:
    (method,) = choose(load_methods(arguments.method_file), arguments.method)
    method = replace(method, trials=arguments.tessera_trials)
    return [Plan(task.case, method, seed, task.threads) for seed in range(arguments.seeds)]


def search(arguments: argparse.Namespace, plans: Sequence[Plan]) -> None:
    for plan in plans:
        if plan.done(arguments.out) is None:
            wait_until_quiet(arguments.quiet, arguments.patience)
            run = plan.make(arguments.tessera, arguments.out)
            print(f"{plan.case.name} {plan.name}: {line_of(run)}", flush=True)


def measure_winners(arguments: argparse.Namespace, task: Task, plans: Sequence[Plan]) -> None:
    table = Table(arguments.out / "winners.csv")
    names = {TVM, *(plan.name for plan in plans)}
    if set(table.load().get(task.case.name, {})) == names:
        return
    cases = {plan.name: built(plan.folder(arguments.out)) for plan in plans}
    tvm = (arguments.tvm_python.absolute(), arguments.out / "tvm")
    wait_until_quiet(arguments.quiet, arguments.patience)
    others = {TVM: command(TVM, task.threads, compile_calls(arguments.out), tvm)}
    winners = measure_side_by_side(cases, timing_plan(arguments, task.threads), others)
    table.replace(task.case.name, winners)


@dataclass(frozen=True)
class Compared:
    """One task. Seconds by the clock, from the start of tuning."""

    task: str
    tvm_trials: int
    tvm_seconds: float
    tvm_best_trial: int  # from 1: within 1 % of its best
    tvm_us: float  # its winner, side by side
    tessera_us: float  # the median of the seeds' winners
    seconds_to_equal: list[float]  # a seed; infinity where it never came there

    @property
    def share(self) -> Interval:
        """Of MetaSchedule's time that Tessera takes."""
        return median_interval([s / self.tvm_seconds for s in self.seconds_to_equal])


def seconds_to(run: Run, scale: float, seconds: float) -> float:
    """When the run had a program that takes at most as long. Times of the run are multiplied by `scale`."""
    return next((t.at for t in run.trials if t.seconds and t.seconds * scale <= seconds), math.inf)


def compared(arguments: argparse.Namespace, task: Task, plans: Sequence[Plan]) -> Compared | None:
    """None where MetaSchedule's winner could not be timed."""
    winners = Table(arguments.out / "winners.csv").load().get(task.case.name, {})
    tvm = winners.get(TVM, Winner("failed", [])).seconds
    folder = best_folder(arguments.out / "tvm", task.case, task.threads)
    if tvm is None or folder is None:
        return None
    curve = curve_of(folder)
    to_equal, finals = [], []
    for plan in plans:
        run, winner = plan.done(arguments.out), winners[plan.name].seconds
        if run is None or winner is None or run.winner_seconds is None or run.resumed:
            continue
        finals.append(winner)
        to_equal.append(seconds_to(run, winner / run.winner_seconds, tvm))
    if not finals:
        return None
    return Compared(
        task=task.case.name,
        tvm_trials=len(curve),
        tvm_seconds=float(read_task(folder)["seconds"]),
        tvm_best_trial=next(i for i, s in enumerate(curve, 1) if s <= min(curve) / 0.99),
        tvm_us=tvm * 1e6,
        tessera_us=median(finals) * 1e6,
        seconds_to_equal=to_equal,
    )


def times_less(one: Compared) -> str:
    """MetaSchedule's time ÷ Tessera's, with an interval over the seeds."""

    def text(share: float) -> str:
        return f"{1 / share:.1f}" if math.isfinite(share) else "never"

    return f"{text(one.share.middle)} ({text(one.share.high)}–{text(one.share.low)})"


def markdown(tasks: Sequence[Compared]) -> str:
    lines = [
        "# Tessera and TVM's MetaSchedule",
        "",
        "Seconds by the clock until Tessera had a program as fast as MetaSchedule's best of all its "
        "trials, winners measured side by side; the median over seeds, with a 95 % interval (bootstrap "
        "over seeds). *Best at*: the trial of MetaSchedule that was the first within 1 % of its own "
        "best.",
        "",
    ]
    columns = ["task", "MetaSchedule, trials", "best at", "s", "µs", "Tessera, µs", "s to equal"]
    lines += head([*columns, "times less"])
    for one in tasks:
        middle = median(one.seconds_to_equal)
        seconds = f"{middle:.1f}" if math.isfinite(middle) else "never"
        cells = [one.task, str(one.tvm_trials), str(one.tvm_best_trial), f"{one.tvm_seconds:.0f}"]
        cells += [f"{one.tvm_us:.4g}", f"{one.tessera_us:.4g}", seconds, times_less(one)]
        lines.append(row(cells))
    reached = [one for one in tasks if math.isfinite(median(one.seconds_to_equal))]
    if reached:
        pairs = [([one.tvm_seconds], one.seconds_to_equal) for one in reached]
        mean = mean_ratio(pairs)
        where = "all" if len(reached) == len(tasks) else f"the {len(reached)} where it got there"
        lines += [
            "",
            f"Geometric mean of {where}: {mean.middle:.1f} times less "
            f"({mean.low:.1f}–{mean.high:.1f}).",
        ]
    return "\n".join(lines) + "\n"


def write_tables(out: Path, tasks: Sequence[Compared]) -> None:
    (out / "metaschedule.md").write_text(markdown(tasks))
    with (out / "metaschedule.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            ["task", "tvm_trials", "tvm_seconds", "tvm_best_trial", "tvm_us", "tessera_us"]
            + ["seconds_to_equal"]
        )
        for one in tasks:
            numbers = [f"{one.tvm_seconds:.1f}", one.tvm_best_trial, f"{one.tvm_us:.4f}"]
            seconds = " ".join(f"{s:.2f}" for s in one.seconds_to_equal)
            writer.writerow([one.task, one.tvm_trials, *numbers, f"{one.tessera_us:.4f}", seconds])


def main() -> int:
    arguments = parse_arguments()
    chosen = [t for t in load_tasks(arguments.tasks) if re.search(arguments.cases, t.case.name)]
    tasks = [task for task in chosen if is_expressible(task)]
    if not tasks:
        raise SystemExit("metaschedule: no task to search; see --cases")
    cores = len(os.sched_getaffinity(0))
    if any(task.threads > cores for task in tasks):
        raise SystemExit(f"metaschedule: this process may use {cores} cores only")
    arguments.out.mkdir(parents=True, exist_ok=True)
    results: list[Compared] = []
    failures = 0
    # Never started: its lock keeps a second comparison out of the folder.
    with ended_by_signals(), Service(arguments.tessera, arguments.out):
        for task in tasks:
            plans = tessera_plans(arguments, task)
            try:
                search(arguments, plans[:1])
                tune_by_tvm(arguments, task)
                search(arguments, plans[1:])
                measure_winners(arguments, task, plans)
            except subprocess.CalledProcessError as error:
                failures += 1
                print(f"{task.case.name}: failed, see logs/: {what_failed(error)}", flush=True)
                continue
            one = compared(arguments, task, plans)
            if one is None:
                failures += 1
                print(f"{task.case.name}: a winner could not be timed, see logs/", flush=True)
                continue
            results.append(one)
            write_tables(arguments.out, results)
    if results:
        print(f"{arguments.out}/metaschedule.md, metaschedule.csv, winners.csv")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
