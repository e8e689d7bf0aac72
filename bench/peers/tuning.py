"""Tuning one operator at a time within a budget, so that a run that was killed loses little."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from case import Case
from driver import now
from service import Service, die_with_parent

SAVE_EVERY_SECONDS = 1.0
CANCELLED = 130  # how `tessera tune` ends then


@dataclass(frozen=True)
class Budget:
    trials: int
    seconds: float
    threads: int
    seed: int
    cache: str = "warm"  # the state of the caches in which candidates are timed

    def covers(self, other: Budget) -> bool:
        same = (self.threads, self.seed, self.cache) == (other.threads, other.seed, other.cache)
        return same and self.trials >= other.trials and self.seconds >= other.seconds


@dataclass(frozen=True)
class State:
    """Of one operator, in a file: what was asked, what was spent, and what came of it."""

    suite: str
    case: str
    op: str
    attributes: dict[str, Any]
    budget: Budget
    spent_seconds: float = 0.0
    job: int = 0
    attempt: int = 0  # how many jobs of it another run has cancelled
    done: bool = False
    message: str = ""
    load_average: float = 0.0  # of one minute, when tuning began
    date: str = ""  # UTC
    report: dict[str, Any] | None = None  # of `tessera jobs JOB --json`, this operator's

    @staticmethod
    def read(path: Path) -> State | None:
        try:
            data = json.loads(path.read_text())
        except FileNotFoundError:
            return None
        return State(**{**data, "budget": Budget(**data["budget"])})

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_text(json.dumps(asdict(self), indent=1) + "\n")
        part.rename(path)

    @property
    def key(self) -> str:
        """Of the job: the same for the same work, so that a run that goes on finds it. A cancelled
        one doesn't go on, so that the next attempt has a key of its own."""
        what = [self.suite, self.case, self.op, self.attributes, asdict(self.budget)]
        digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]
        return f"suite {self.suite} {self.case} {digest}" + f" {self.attempt}" * (self.attempt > 0)


def tasks_folder(out: Path, threads: int, cache: str) -> Path:
    return out / (f"tasks-t{threads}" + f"-{cache}" * (cache != "warm"))


class Tuner:
    """`folder` has for each operator: its state, job file, records and library."""

    def __init__(self, service: Service, folder: Path, budget: Budget) -> None:
        self._service, self._folder, self._budget = service, folder, budget
        self._others_cancelled = False

    @property
    def cache(self) -> str:
        return self._budget.cache

    def path(self, case: Case, suffix: str) -> Path:
        return self._folder / case.suite / f"{case.name}{suffix}"

    def state(self, case: Case) -> State:
        """A state of other attributes or of a smaller budget doesn't count."""
        state = State.read(self.path(case, ".json"))
        if state and (state.op, state.attributes) == (case.op, case.attributes):
            if state.budget == self._budget or (state.done and state.budget.covers(self._budget)):
                return state
        return State(case.suite, case.name, case.op, case.attributes, self._budget)

    def finished(self) -> list[State]:
        states = [State.read(path) for path in sorted(self._folder.glob("*/*.json"))]
        return [state for state in states if state is not None and state.done]

    def tune(self, case: Case) -> State:
        """Goes on where an earlier run was stopped; returns at once when that had finished."""
        state = self.state(case)
        if state.done:
            return state
        self._service.start()
        self._cancel_others(state)
        if not state.date:
            state = replace_state(state, load_average=os.getloadavg()[0], date=now())
        self._write_job_file(case)
        attempt = state.attempt
        state = self._run(case, state)
        if state.attempt > attempt:
            state = self._run(case, state)
        state.write(self.path(case, ".json"))
        if state.done:
            self.path(case, ".jsonl").write_text(self._service.log(state.job))
        return state

    def build(self, case: Case) -> Path:
        """The library of the best records so far; raises CalledProcessError where none is."""
        library = self.path(case, "")
        self._service.call(
            "build",
            self.path(case, ".yaml"),
            "--threads",
            self._budget.threads,
            "--out",
            library,
        )
        return library

    def _write_job_file(self, case: Case) -> None:
        operator = {"name": case.name, "op": case.op, **case.attributes}
        job = {"name": case.suite, "cache": self._budget.cache, "operators": [operator]}
        text = json.dumps(job)  # JSON is YAML
        path = self.path(case, ".yaml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")

    def _cancel_others(self, state: State) -> None:
        """Jobs that a killed run with other options left would measure beside this one's."""
        if self._others_cancelled:
            return
        self._others_cancelled = True
        for line in self._service.call("jobs").splitlines():
            words = line.split()
            if len(words) > 1 and words[1] in ("running", "queued") and words[0].isdigit():
                if int(words[0]) != state.job:
                    self._cancel(int(words[0]))

    def _cancel(self, job: int) -> bool:
        """Whether it did: a job that has just ended can't be cancelled."""
        try:
            self._service.call("jobs", job, "--cancel")
        except subprocess.CalledProcessError:
            return False
        return True

    def _run(self, case: Case, state: State) -> State:
        """Its attempt is raised where somebody else has cancelled the job before its time."""
        budget, log = state.budget, self.path(case, ".log")
        arguments = {
            "--trials": budget.trials,
            "--threads": budget.threads,
            "--seed": budget.seed,
            "--key": state.key,
        }
        flat = [x for pair in arguments.items() for x in pair]
        with log.open("w") as file:
            process = subprocess.Popen(
                self._service.command("tune", self.path(case, ".yaml"), *flat),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                preexec_fn=die_with_parent,
            )
        before, start = state.spent_seconds, time.monotonic()
        is_running, is_over, is_stopped = True, False, False
        try:
            while is_running:
                try:
                    process.wait(SAVE_EVERY_SECONDS)
                except subprocess.TimeoutExpired:
                    pass
                is_running = process.poll() is None
                found = re.search(r"^job (\d+)", log.read_text(), re.MULTILINE)
                spent = before + time.monotonic() - start
                is_over = spent > budget.seconds
                state = replace_state(
                    state, spent_seconds=round(spent, 1), job=int(found[1]) if found else state.job
                )
                state.write(self.path(case, ".json"))
                # The job's own --max-seconds would count the time between two runs too.
                if is_running and is_over and state.job and not is_stopped:
                    is_stopped = self._cancel(state.job)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait()
        words = log.read_text().strip().splitlines()
        message = words[-1] if words else ""
        is_cancelled = process.returncode == CANCELLED and message.endswith("was cancelled")
        if is_cancelled and not is_over:
            return replace_state(state, attempt=state.attempt + 1, job=0, message=message[:300])
        is_stopped = is_stopped or is_cancelled
        is_done = process.returncode == 0 or is_stopped
        return replace_state(
            state,
            done=is_done,
            message="stopped: its seconds are over" if is_stopped else message[:300],
            report=self._report(state.job) if is_done else None,
        )

    def _report(self, job: int) -> dict[str, Any]:
        document = json.loads(self._service.call("jobs", job, "--json"))
        (operator,) = document["operators"]
        return dict(operator)


def replace_state(state: State, **changes: Any) -> State:
    return State(**{**state.__dict__, **changes})


def tuning_table(cache: str, states: Iterable[State]) -> str:
    lines = [
        f"## Tuning, caches {cache}",
        "",
        "Seconds: of tuning, over all runs. Load: of one minute, when it began.",
        "",
        "| suite | case | trials | failed | seconds | default, µs | tuned, µs | of peak | load |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for state in states:
        report = state.report
        cells = [state.suite, state.case, "", "", f"{state.spent_seconds:.0f}", "", "", ""]
        if report:
            cells[2:4] = [str(report["trials"]), str(sum(report["failures"].values()))]
            times = [report.get(name) for name in ("default_seconds", "tuned_seconds")]
            cells[5:7] = [f"{t * 1e6:.4g}" if t else "" for t in times]
            cells[7] = f"{report['peak_fraction']:.1%}" if report.get("peak_fraction") else ""
        lines.append(f"| {' | '.join(cells)} | {state.load_average:.2f} |")
    return "\n".join(lines) + "\n"
