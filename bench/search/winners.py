"""Measures the winners of all runs of a task side by side, turn by turn: what a search recorded of its
best program was measured in its own minute, and is the luckiest of many."""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import peers_modules
from case import Case, load_cases
from compare import THREAD_VARIABLES, compile_calls
from driver import Command, Plan, measure

COLUMNS = ("task", "run", "status", "round_us")


@dataclass(frozen=True)
class Winner:
    status: str  # ok, or what driver.measure says
    rounds: list[float]  # microseconds of a call

    @property
    def seconds(self) -> float | None:
        """The median over rounds of each round's minimum; None where it was not timed."""
        return median(self.rounds) * 1e-6 if self.rounds else None


def tessera_command(threads: int, calls: Path) -> Command:
    environment = {variable: str(threads) for variable in THREAD_VARIABLES}
    environment["TESSERA_PEERS_CALLS"] = str(calls)
    environment["GLIBC_TUNABLES"] = "glibc.malloc.hugetlb=1"
    return [sys.executable, str(peers_modules.PEERS / "peer.py"), "tessera"], environment


def built(folder: Path) -> Case:
    """The operator of a run's library."""
    (case,) = load_cases([folder / "library"], [folder / "job.yaml"])
    return case


def measure_side_by_side(
    cases: Mapping[str, Case], plan: Plan, others: Mapping[str, Command] | None = None
) -> dict[str, Winner]:
    """`cases`: of one operator, each of a library of its own. `others`: peers of other kinds; they are
    given the first case."""
    calls = compile_calls(plan.out)
    commands = {name: tessera_command(plan.threads, calls) for name in cases}
    first = next(iter(cases.values()))
    outcomes = measure(first, {**commands, **(others or {})}, plan, cases)
    return {
        o.peer: Winner(o.status, [seconds * 1e6 for seconds in o.round_seconds]) for o in outcomes
    }


class Table:
    """winners.csv: a row a run; a task's rows are written together and replace older ones."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> dict[str, dict[str, Winner]]:
        """By task and run."""
        tasks: dict[str, dict[str, Winner]] = {}
        if not self._path.exists():
            return tasks
        with self._path.open(newline="") as file:
            for row in csv.DictReader(file):
                rounds = [float(x) for x in row["round_us"].split()]
                tasks.setdefault(row["task"], {})[row["run"]] = Winner(row["status"], rounds)
        return tasks

    def replace(self, task: str, winners: Mapping[str, Winner]) -> None:
        tasks = {**self.load(), task: dict(winners)}
        part = self._path.with_suffix(".part")
        with part.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            for name, runs in tasks.items():
                for run, winner in runs.items():
                    rounds = " ".join(f"{x:.4f}" for x in winner.rounds)
                    writer.writerow([name, run, winner.status, rounds])
        part.rename(self._path)
