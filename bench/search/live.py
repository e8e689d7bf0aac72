"""Compares searches live: every method tunes every task with several seeds, in turn, on a server of its
own; then the winners of each task are measured side by side. docs/search.md says how to read it.

    build/peers/bin/python bench/search/live.py --seeds 5

A run that ended early goes on with the same command.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import peers_modules
from driver import Plan as TimingPlan
from live_report import write_report
from methods import Method, choose, load_methods
from quiet import wait_until_quiet
from runs import Plan, Run, found, what_failed
from service import Service
from suite import ended_by_signals
from tasks import Task, load_tasks
from winners import Table, built, measure_side_by_side


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--tasks", type=Path, default=peers_modules.HERE / "tasks.yaml")
    parser.add_argument("--cases", default="", help="regular expression of tasks; default: all")
    parser.add_argument("--method-file", type=Path, default=peers_modules.HERE / "methods.yaml")
    parser.add_argument("--methods", default="", help="names separated by commas; default: all")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5, help="of measuring the winners")
    parser.add_argument("--tessera", type=Path, default=Path("build/bin/tessera"))
    parser.add_argument("--out", type=Path, default=Path("build/bench/search/live"))
    parser.add_argument(
        "--limit-seconds", type=float, default=0, help="begin no run after this long; 0: no limit"
    )
    add_quiet_options(parser)
    arguments = parser.parse_args()
    if arguments.seeds < 1 or arguments.rounds < 1:
        parser.error("--seeds and --rounds must be positive")
    for path in (arguments.tasks, arguments.method_file, arguments.tessera):
        if not path.exists():
            parser.error(f"{path}: no such file")
    return arguments


def add_quiet_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--quiet", type=float, default=0.15, help="cores that other programs may keep busy"
    )
    parser.add_argument(
        "--patience", type=float, default=600, help="seconds to wait for others to become quiet"
    )


def in_turn(tasks: list[Task], methods: list[Method], seeds: int) -> Iterator[Plan]:
    """Seed by seed and task by task, so that slow changes of the machine meet all methods alike; who
    begins changes."""
    for seed in range(seeds):
        for number, task in enumerate(tasks):
            first = (seed + number) % len(methods)
            for method in methods[first:] + methods[:first]:
                yield Plan(task.case, method, seed, task.threads)


def make_runs(arguments: argparse.Namespace, plans: list[Plan]) -> tuple[int, int]:
    """How many are left, and how many failed."""
    began = time.monotonic()
    failures = 0
    for number, plan in enumerate(plans, 1):
        if plan.done(arguments.out) is not None:
            continue
        if 0 < arguments.limit_seconds < time.monotonic() - began:
            return len(plans) - number + 1, failures
        wait_until_quiet(arguments.quiet, arguments.patience)
        try:
            text = line_of(plan.make(arguments.tessera, arguments.out))
        except subprocess.CalledProcessError as error:
            failures += 1
            text = f"failed: {what_failed(error)}"
        print(f"{number}/{len(plans)} {plan.case.name} {plan.name}: {text}", flush=True)
    return 0, failures


def line_of(run: Run) -> str:
    return f"{len(run.trials)} trials in {run.seconds:.1f} s, best {run.best * 1e6:.4g} us"


def measure_winners(arguments: argparse.Namespace) -> None:
    """Of each task that has runs which were not measured yet."""
    table = Table(arguments.out / "winners.csv")
    for task, runs in found(arguments.out).items():
        if set(table.load().get(task, {})) == {run.name for run, _ in runs}:
            continue
        cases = {run.name: built(folder) for run, folder in runs}
        wait_until_quiet(arguments.quiet, arguments.patience)
        winners = measure_side_by_side(cases, timing_plan(arguments, runs[0][0].threads))
        table.replace(task, winners)
        best = min((w.seconds for w in winners.values() if w.seconds), default=0)
        print(f"{task}: {len(winners)} winners side by side, best {best * 1e6:.4g} us", flush=True)


def timing_plan(arguments: argparse.Namespace, threads: int) -> TimingPlan:
    return TimingPlan(
        threads=threads,
        rounds=arguments.rounds,
        seconds=0.1,
        seed=1,
        timeout_seconds=300,
        out=arguments.out,
    )


def main() -> int:
    arguments = parse_arguments()
    methods = choose(load_methods(arguments.method_file), arguments.methods)
    tasks = [t for t in load_tasks(arguments.tasks) if re.search(arguments.cases, t.case.name)]
    if not tasks:
        raise SystemExit("live: no task to search; see --cases")
    cores = len(os.sched_getaffinity(0))
    too_wide = [task.case.name for task in tasks if task.threads > cores]
    if too_wide:
        raise SystemExit(f"live: {', '.join(too_wide)}: this process may use {cores} cores only")
    arguments.out.mkdir(parents=True, exist_ok=True)
    plans = list(in_turn(tasks, methods, arguments.seeds))
    # Never started: its lock keeps a second comparison out of the folder.
    with ended_by_signals(), Service(arguments.tessera, arguments.out):
        left, failures = make_runs(arguments, plans)
        if left > 0:
            print(f"{left} runs are left for the next time", flush=True)
        else:
            measure_winners(arguments)
        for path in write_report(arguments.out, {t.case.name: t.is_hard for t in tasks}):
            print(path)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
