"""Who computes the right result, when none of the libraries is known to be right."""

from __future__ import annotations

import numpy as np

from case import Case, make_inputs

# Share of the largest value of a result by which two libraries may differ: sums in another order,
# and Winograd's transforms, which lose about two decimal digits.
# Operands of f16 and bf16 are the same for all; a result is rounded to 2⁻¹¹ or 2⁻⁸ of itself, once or,
# where a library stores what lies between product and epilogue, twice.
TOLERANCES = {"f32": 1e-4, "f16": 2e-3, "bf16": 1.2e-2, "i8": 0.0}
# Of a requantized result, how many elements may be one off: a library adds the bias before or after it
# scales, which moves a value over a tie now and then.
REQUANTIZED_SHARE = 1e-3


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
    scale = float(np.abs(a).max(initial=0.0))
    return float(np.abs(a - b).max(initial=0.0)) <= TOLERANCES[dtype] * scale


def exact_sums(case: Case, seed: int) -> list[np.ndarray] | None:
    """The result of a long sum in double precision; None for other operators. Several libraries add
    one value after the other and agree on what that loses."""
    if case.op not in ("norm2", "reduce_sum"):
        return None
    (x,) = make_inputs(case, seed).values()
    axis = 1 if case.op == "norm2" else case.number("axis", 1)
    if case.op == "norm2":
        return [np.sqrt(np.square(x, dtype=np.float64).sum(axis))]
    return [x.sum(axis, dtype=np.float64)]


def judge(
    outputs: dict[str, list[np.ndarray]],
    dtype: str = "f32",
    exact: list[np.ndarray] | None = None,
    requantized: bool = False,
) -> dict[str, str]:
    """A verdict for each library: "ok", "wrong" (not `exact`, or more libraries agree on something
    else), "disagree" (no result has a majority) or "unchecked" (nobody to compare with)."""
    names = list(outputs)
    if exact is not None:
        outputs = {**outputs, "": exact}
    elif len(names) == 1:
        finite = all(np.isfinite(o).all() for o in outputs[names[0]])
        return {names[0]: "unchecked" if finite else "wrong"}

    def same(a: str, b: str) -> bool:
        pairs = zip(outputs[a], outputs[b])
        return len(outputs[a]) == len(outputs[b]) and all(
            agrees(x, y, dtype, requantized) for x, y in pairs
        )

    if exact is not None:
        return {a: "ok" if same("", a) else "wrong" for a in names}

    friends = {a: {b for b in names if b == a or same(a, b)} for a in names}
    most = max(len(group) for group in friends.values())
    largest = [group for group in friends.values() if len(group) == most]
    if most == 1 or any(not group & largest[0] for group in largest):
        return {name: "disagree" for name in names}
    right = set.union(*largest)
    return {name: "ok" if name in right else "wrong" for name in names}
