"""Statistics of a comparison."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

RESAMPLES = 2000


@dataclass(frozen=True)
class Ratio:
    """Time of the peer ÷ time of Tessera: above 1 Tessera is faster."""

    value: float
    low: float
    high: float


def ratio(peer: Sequence[float], tessera: Sequence[float], seed: int = 1) -> Ratio:
    """Of the medians over rounds, with a 95 % interval by bootstrap over rounds. What was measured
    in one round stays together, so that load common to both cancels."""
    if not peer or len(peer) != len(tessera):
        raise ValueError(f"{len(peer)} rounds of the peer, {len(tessera)} of Tessera")
    drawn = np.random.default_rng(seed).integers(len(peer), size=(RESAMPLES, len(peer)))
    above, below = np.asarray(peer)[drawn], np.asarray(tessera)[drawn]
    ratios = np.sort(np.median(above, axis=1) / np.median(below, axis=1))
    cut = round(0.025 * RESAMPLES)
    value = median(peer) / median(tessera)
    return Ratio(value, float(ratios[cut]), float(ratios[-1 - cut]))


def best(times: Mapping[str, Sequence[float]]) -> str:
    """The name with the smallest median."""
    return min(times, key=lambda name: median(times[name]))


def geometric_mean(values: Iterable[float]) -> float:
    logs = [math.log(v) for v in values]
    if not logs:
        raise ValueError("no values")
    return math.exp(sum(logs) / len(logs))
