"""Who computes an operator, and how long each takes by the device's clock."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

import numpy as np

from agree import TOLERANCES, error
from device import Driver

MIN_CALLS, MAX_CALLS = 5, 100  # of a turn
HOST_SHARE = 0.98


@dataclass(frozen=True)
class Contender:
    name: str
    call: Callable[[], object]  # starts its kernels, after what was started before
    result: Callable[[], np.ndarray]  # of the last call, row-major, in float32


@dataclass
class Outcome:
    name: str
    status: str = "ok"  # ok, wrong, failed
    reason: str = ""
    error: float | None = None  # as a share of the largest value
    round_seconds: list[float] = field(default_factory=list)  # of a call, each round's median
    # The host needed as long to start a turn's calls as the device to run them: times are the host's.
    is_host_bound: bool = False

    @property
    def seconds(self) -> float | None:
        return median(self.round_seconds) if self.round_seconds else None


def check(contender: Contender, expected: np.ndarray, precision: str) -> Outcome:
    """Of one call, which is waited for."""
    outcome = Outcome(contender.name)
    try:
        contender.call()
        found = contender.result()
    except Exception as problem:  # whatever a library raises is its outcome
        outcome.status, outcome.reason = "failed", f"{type(problem).__name__}: {problem}"[:300]
        return outcome
    if found.shape != expected.shape or not np.isfinite(found).all():
        outcome.status, outcome.reason = "wrong", f"{found.shape}, or not finite"
        return outcome
    outcome.error = error(expected, found.astype(np.float64))
    if outcome.error > TOLERANCES[precision]:
        outcome.status = "wrong"
        outcome.reason = f"errs by {outcome.error:.1e}, {TOLERANCES[precision]:g} is allowed"
    return outcome


class Stopwatch:
    """Before each call `flush_bytes` are written, which empties the caches and takes the device longer
    than the host needs to start the next call; events around the call time it alone."""

    def __init__(self, driver: Driver, flush_bytes: int) -> None:
        self._driver = driver
        self._scratch = driver.allocate(flush_bytes)
        self._events = driver.events(2 * MAX_CALLS)

    def turn(self, call: Callable[[], object], calls: int) -> tuple[list[float], bool]:
        """Seconds of each call, and whether the host was the slower one. One call goes ahead."""
        pairs = list(zip(self._events[::2], self._events[1::2]))[:calls]
        call()
        self._driver.synchronize()
        start = time.perf_counter()
        for begin, end in pairs:
            self._driver.fill(self._scratch, 0)
            self._driver.record(begin)
            call()
            self._driver.record(end)
        host_seconds = time.perf_counter() - start
        self._driver.synchronize()
        all_seconds = time.perf_counter() - start
        samples = [self._driver.seconds(begin, end) for begin, end in pairs]
        return samples, host_seconds > HOST_SHARE * all_seconds

    def calls_of_turn(self, call: Callable[[], object], turn_seconds: float) -> int:
        start = time.perf_counter()
        self.turn(call, MIN_CALLS)
        spent = (time.perf_counter() - start) / (MIN_CALLS + 1)
        return max(MIN_CALLS, min(MAX_CALLS, round(turn_seconds / spent)))


def time_interleaved(
    stopwatch: Stopwatch,
    contenders: Sequence[Contender],
    outcomes: Sequence[Outcome],
    rounds: int,
    turn_seconds: float,
    seed: str,
) -> None:
    """Gives each that computes the right result a turn a round, in a new random order."""
    running = [pair for pair in zip(contenders, outcomes) if pair[1].status == "ok"]
    calls = {c.name: stopwatch.calls_of_turn(c.call, turn_seconds) for c, _ in running}
    order = random.Random(seed)
    host_bound = {contender.name: 0 for contender, _ in running}
    for _ in range(rounds):
        order.shuffle(running)
        for contender, outcome in running:
            samples, is_host_bound = stopwatch.turn(contender.call, calls[contender.name])
            outcome.round_seconds.append(median(samples))
            host_bound[contender.name] += is_host_bound
    for contender, outcome in running:
        outcome.is_host_bound = host_bound[contender.name] * 2 > rounds
