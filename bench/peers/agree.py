"""Who computes the right result, when none of the libraries is known to be right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from case import Case, make_inputs

# Share of the largest value of a result by which two libraries may differ: sums in another order,
# and Winograd's transforms, which lose about two decimal digits.
# Operands that are rounded to TF32 err by up to 2⁻¹¹ each, mostly in different directions.
# Operands of f16 and bf16 are the same for all; a result is rounded to 2⁻¹¹ or 2⁻⁸ of itself, once or,
# where a library stores what lies between product and epilogue, twice.
TOLERANCES = {"f32": 1e-4, "tf32": 2e-3, "f16": 2e-3, "bf16": 1.2e-2, "i8": 0.0}
# Of a requantized result, how many elements may be one off: a library adds the bias before or after it
# scales, which moves a value over a tie now and then.
REQUANTIZED_SHARE = 1e-3
# A long sum may lose so many times what adding one value after the other in f32 loses; that depends on
# whether products are rounded, too.
LOSS_FACTOR = 2.0


def error(a: np.ndarray, b: np.ndarray) -> float:
    """The largest difference of two results of one shape, as a share of the largest value of the first."""
    scale = float(np.abs(a).max(initial=0.0))
    apart = float(np.abs(a - b).max(initial=0.0))
    return apart / scale if scale else (np.inf if apart else 0.0)


def agrees(a: np.ndarray, b: np.ndarray, dtype: str = "f32", requantized: bool = False) -> bool:
    if a.shape != b.shape:
        return False
    if a.dtype.kind in "iu" and b.dtype.kind in "iu":
        if not requantized:
            return bool(np.array_equal(a, b))
        apart = np.abs(a.astype(np.int64) - b)
        return bool(apart.max(initial=0) <= 1 and apart.sum() <= max(1, REQUANTIZED_SHARE * a.size))
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return False
    return error(a, b) <= TOLERANCES[dtype]


@dataclass(frozen=True)
class LongSum:
    """The result of an operator that adds very many values."""

    exact: np.ndarray  # by double precision
    loss: float  # error of adding one value after the other in f32

    def error(self, results: list[np.ndarray]) -> float:
        if len(results) != 1 or results[0].shape != self.exact.shape:
            return np.inf
        return error(self.exact, results[0]) if np.isfinite(results[0]).all() else np.inf

    def allows(self, results: list[np.ndarray], dtype: str) -> bool:
        return self.error(results) <= max(TOLERANCES[dtype], LOSS_FACTOR * self.loss)

    def remark(self, results: list[np.ndarray], dtype: str) -> str:
        """On a result that is allowed for that loss alone."""
        if self.error(results) <= TOLERANCES[dtype]:
            return ""
        return f"errs by {self.error(results):.1e}, adding one by one in f32 by {self.loss:.1e}"


def long_sum(case: Case, seed: int) -> LongSum | None:
    """None for other operators."""
    if case.op not in ("norm2", "reduce_sum"):
        return None
    (x,) = make_inputs(case, seed).values()
    axis = 1 if case.op == "norm2" else case.number("axis", 1)
    lines = x if axis == 1 else x.T
    if case.op == "norm2":
        exact = np.sqrt([np.square(line, dtype=np.float64).sum() for line in lines])
        by_one = np.sqrt([np.add.accumulate(line * line)[-1] for line in lines])
    else:
        exact = lines.sum(1, dtype=np.float64)
        by_one = np.array([np.add.accumulate(line)[-1] for line in lines])
    return LongSum(exact, error(exact, by_one))


def judge(
    outputs: dict[str, list[np.ndarray]],
    dtype: str = "f32",
    long: LongSum | None = None,
    requantized: bool = False,
) -> dict[str, str]:
    """A verdict for each library: "ok", "wrong" (`long` does not allow it, or more libraries agree on
    something else), "disagree" (no result has a majority) or "unchecked" (nobody to compare with)."""
    names = list(outputs)
    if long is not None:
        return {name: "ok" if long.allows(outputs[name], dtype) else "wrong" for name in names}
    if len(names) == 1:
        finite = all(np.isfinite(o).all() for o in outputs[names[0]])
        return {names[0]: "unchecked" if finite else "wrong"}

    def same(a: str, b: str) -> bool:
        pairs = zip(outputs[a], outputs[b])
        return len(outputs[a]) == len(outputs[b]) and all(
            agrees(x, y, dtype, requantized) for x, y in pairs
        )

    friends = {a: {b for b in names if b == a or same(a, b)} for a in names}
    most = max(len(group) for group in friends.values())
    largest = [group for group in friends.values() if len(group) == most]
    if most == 1 or any(not group & largest[0] for group in largest):
        return {name: "disagree" for name in names}
    right = set.union(*largest)
    return {name: "ok" if name in right else "wrong" for name in names}
