"""Who computes the right result, when none of the libraries is known to be right."""

from __future__ import annotations

import numpy as np

# Share of the largest value of a result by which two libraries may differ: sums in another order,
# and Winograd's transforms, which lose about two decimal digits.
TOLERANCES = {"float32": 1e-4, "float16": 4e-3}


def agrees(a: np.ndarray, b: np.ndarray) -> bool:
    if a.shape != b.shape:
        return False
    if a.dtype.kind in "iu" and b.dtype.kind in "iu":
        return bool(np.array_equal(a, b))
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return False
    tolerance = max(TOLERANCES.get(str(x.dtype), 0.0) for x in (a, b))
    scale = float(np.abs(a).max(initial=0.0))
    return float(np.abs(a - b).max(initial=0.0)) <= tolerance * scale


def judge(outputs: dict[str, list[np.ndarray]]) -> dict[str, str]:
    """A verdict for each library: "ok", "wrong" (more libraries agree on something else),
    "disagree" (no result has a majority) or "unchecked" (nobody to compare with)."""
    names = list(outputs)
    if len(names) == 1:
        finite = all(np.isfinite(o).all() for o in outputs[names[0]])
        return {names[0]: "unchecked" if finite else "wrong"}

    def same(a: str, b: str) -> bool:
        pairs = zip(outputs[a], outputs[b])
        return len(outputs[a]) == len(outputs[b]) and all(agrees(x, y) for x, y in pairs)

    friends = {a: {b for b in names if b == a or same(a, b)} for a in names}
    most = max(len(group) for group in friends.values())
    largest = [group for group in friends.values() if len(group) == most]
    if most == 1 or any(not group & largest[0] for group in largest):
        return {name: "disagree" for name in names}
    right = set.union(*largest)
    return {name: "ok" if name in right else "wrong" for name in names}
