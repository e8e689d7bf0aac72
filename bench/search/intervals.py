"""Medians over seeds, and where they lie: percentiles of the medians of resamples (bootstrap, Efron
1979). Values may be infinite: a search that never got there."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

RESAMPLES = 2000
CONFIDENCE = 0.95
Sample = Sequence[float]


@dataclass(frozen=True)
class Interval:
    middle: float
    low: float
    high: float


def interval_of(statistic: Callable[[list[Sample]], float], samples: Sequence[Sample]) -> Interval:
    """Of a statistic of several samples, each drawn again with replacement. Seeded: the same samples
    give the same interval."""
    if not samples or not all(samples):
        raise ValueError("an interval needs at least one value of each sample")
    rng = random.Random(f"{samples}")
    drawn = sorted(
        statistic([rng.choices(sample, k=len(sample)) for sample in samples])
        for _ in range(RESAMPLES)
    )
    cut = round((1 - CONFIDENCE) / 2 * RESAMPLES)
    return Interval(statistic(list(samples)), drawn[cut], drawn[-1 - cut])


def median_interval(values: Sample) -> Interval:
    return interval_of(lambda samples: median(samples[0]), [values])


def mean_ratio(pairs: Sequence[tuple[Sample, Sample]]) -> Interval:
    """Geometric mean over the pairs of the ratio of their medians, first ÷ second, of which the
    first are finite: 0 where a second is not."""

    def statistic(samples: list[Sample]) -> float:
        ratios = [median(a) / median(b) for a, b in zip(samples[::2], samples[1::2])]
        return 0 if 0 in ratios else math.exp(sum(map(math.log, ratios)) / len(ratios))

    return interval_of(statistic, [sample for pair in pairs for sample in pair])
