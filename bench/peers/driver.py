"""Runs one case on several peers: each in a process, one of them awake at a time."""

from __future__ import annotations

import ctypes
import json
import os
import random
import select
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, TextIO

import numpy as np

from agree import judge, long_sum
from case import Case

# name, threads → command and environment of a child.
Command = tuple[list[str], dict[str, str]]


class PeerFailed(Exception):
    """The process ended, gave no answer in time, or answered with an error."""


LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


def _settle(cores: set[int]) -> None:
    """In the child: a stopped process would otherwise outlive a driver that was killed."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.sched_setaffinity(0, cores)


class Process:
    """Asleep (SIGSTOP) but while it answers, so that its idle threads disturb nobody."""

    def __init__(
        self, command: Command, log: Path, cores: set[int], timeout_seconds: float
    ) -> None:
        arguments, environment = command
        self._timeout_seconds = timeout_seconds
        self._log: TextIO = log.open("a")
        self._process = subprocess.Popen(
            arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env={**os.environ, **environment},
            preexec_fn=lambda: _settle(cores),
        )
        self._process.send_signal(signal.SIGSTOP)

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin and self._process.stdout
        try:
            self._process.send_signal(signal.SIGCONT)
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            ready, _, _ = select.select([self._process.stdout], [], [], self._timeout_seconds)
            line = self._process.stdout.readline() if ready else None
        except BrokenPipeError:
            line = ""
        if line is None:
            self.close()
            raise PeerFailed(f"no answer within {self._timeout_seconds:.0f} s")
        if not line:
            raise PeerFailed(f"ended with {self._process.wait()}")
        self._process.send_signal(signal.SIGSTOP)
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise PeerFailed(answer["error"])
        return answer

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            if stream:
                try:
                    stream.close()
                except BrokenPipeError:
                    pass


@dataclass
class Outcome:
    peer: str
    status: str  # ok, unchecked, wrong, disagree, unsupported, failed
    reason: str = ""
    version: str = ""
    overhead_seconds: float = 0.0
    round_seconds: list[float] = field(default_factory=list)  # of a call, one a round


@dataclass(frozen=True)
class Plan:
    threads: int
    rounds: int
    seconds: float  # of one turn
    seed: int
    timeout_seconds: float
    out: Path
    flush_bytes: int = 0  # above 0: caches are emptied before each call

    @property
    def cache(self) -> str:
        return "cold" if self.flush_bytes else "warm"

    def of_round(self, samples: list[float]) -> float:
        """Warm: the minimum, noise only adds. Cold: the median, as each sample is one call."""
        return median(samples) if self.flush_bytes else min(samples)


def measure(
    case: Case,
    commands: dict[str, Command],
    plan: Plan,
    own_cases: Mapping[str, Case] | None = None,
) -> list[Outcome]:
    """`own_cases`: of peers whose library isn't the case's; the same operator."""
    outcomes = {name: Outcome(name, "failed") for name in commands}
    processes: dict[str, Process] = {}
    logs = plan.out / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    allowed = sorted(os.sched_getaffinity(0))
    cores = set(allowed[-plan.threads :])

    def fail(name: str, error: PeerFailed) -> None:
        outcomes[name].status, outcomes[name].reason = "failed", str(error)
        processes.pop(name).close()

    try:
        for name, command in commands.items():
            log = logs / f"{name}.log"
            processes[name] = Process(command, log, cores, plan.timeout_seconds)
            try:
                own = (own_cases or {}).get(name, case)
                _prepare(own, processes[name], outcomes[name], plan)
            except PeerFailed as error:
                fail(name, error)
            else:
                if outcomes[name].status == "unsupported":
                    processes.pop(name).close()
        outputs: dict[str, list[np.ndarray]] = {}
        for name in list(processes):
            try:
                outputs[name] = _output(case, name, processes[name], plan)
            except PeerFailed as error:
                fail(name, error)
        long = long_sum(case, plan.seed)
        verdicts = judge(outputs, case.dtype, long, case.requantized) if outputs else {}
        for name, verdict in verdicts.items():
            outcomes[name].status = verdict
            if verdict in ("wrong", "disagree"):
                what = "other libraries compute something else"
                outcomes[name].reason = what if long is None else "double precision says otherwise"
                processes.pop(name).close()
            elif long is not None:
                outcomes[name].reason = long.remark(outputs[name], case.dtype)
        outputs.clear()
        order = random.Random(f"{plan.seed}/{case.name}")
        for _ in range(plan.rounds):
            turn = list(processes)
            order.shuffle(turn)
            for name in turn:
                try:
                    samples = processes[name].ask({"do": "run", "seconds": plan.seconds})["samples"]
                    outcomes[name].round_seconds.append(plan.of_round(samples))
                except PeerFailed as error:
                    fail(name, error)
    finally:
        for process in processes.values():
            process.close()
    return list(outcomes.values())


def _prepare(case: Case, process: Process, outcome: Outcome, plan: Plan) -> None:
    request = {
        "do": "prepare",
        "case": case.to_json(),
        "threads": plan.threads,
        "seed": plan.seed,
        "flush_bytes": plan.flush_bytes,
    }
    answer = process.ask(request)
    outcome.version = answer["version"]
    outcome.overhead_seconds = answer["overhead_seconds"]
    outcome.status = "unsupported" if answer["unsupported"] else "ok"
    outcome.reason = answer["unsupported"] or ""


def _output(case: Case, name: str, process: Process, plan: Plan) -> list[np.ndarray]:
    path = plan.out / f"{case.name}-{name}.npy"
    results = []
    for written in process.ask({"do": "output", "path": str(path)})["paths"]:
        results.append(np.load(written))
        os.unlink(written)
    return results


def load_average() -> float:
    return os.getloadavg()[0]


class OtherLoad:
    """Cores that programs other than this one and its children kept busy since construction; what
    a machine that hosts this one takes away (steal) counts as well."""

    def __init__(self) -> None:
        self._start = self._read()

    @staticmethod
    def _read() -> tuple[float, float, float]:
        ticks = os.sysconf("SC_CLK_TCK")
        for line in Path("/proc/stat").read_text().splitlines():
            if line.startswith("cpu "):
                user, nice, system, _, _, irq, soft, steal = (int(x) for x in line.split()[1:9])
        busy = (user + nice + system + irq + soft + steal) / ticks
        own = os.times()
        spent = own.user + own.system + own.children_user + own.children_system
        return time.monotonic(), busy, spent

    def cores(self) -> float:
        """Children count once they have ended."""
        elapsed, busy, own = (now - then for now, then in zip(self._read(), self._start))
        return max(0.0, (busy - own) / max(elapsed, 1e-9))


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
