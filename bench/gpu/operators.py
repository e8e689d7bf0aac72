"""The operators that are compared: a job file of `tessera tune` whose entries name a group; what they
compute, in numpy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import peers_modules  # noqa: F401
from case import Case, load_suite

Values = dict[str, np.ndarray]


@dataclass(frozen=True)
class Suite:
    trials: int
    goals: dict[str, float]  # by group, in the file's order
    cases: list[Case]
    groups: dict[str, str]  # by name of the case


# That the references and the others' sides heed; layout and algorithm are Tessera's to choose.
ATTRIBUTES = {
    "matmul": {"m", "n", "k", "b", "dtype", "tf32"},
    "conv2d": {"n", "ic", "oc", "size", "k", "stride", "pad", "layout", "algorithm", "dtype"},
    "softmax": {"m", "n", "dtype"},
    "layer_norm": {"m", "n", "dtype"},
}


def load_operators(path: Path) -> Suite:
    import yaml

    document = yaml.safe_load(path.read_text())
    goals = {name: float(group["goal"]) for name, group in document["groups"].items()}
    cases, groups = [], {}
    for case in load_suite(path):
        attributes = dict(case.attributes)
        groups[case.name] = attributes.pop("group")
        if groups[case.name] not in goals:
            raise SystemExit(f"{path}: {case.name}: there is no group {groups[case.name]}")
        known = ATTRIBUTES.get(case.op, set())
        if not known or not known >= set(attributes):
            raise SystemExit(
                f"{path}: {case.name}: of {case.op} this compares {', '.join(sorted(known)) or 'none'}"
            )
        cases.append(replace(case, attributes=attributes))
    return Suite(int(document["trials"]), goals, cases, groups)


def reference(case: Case, inputs: Values) -> np.ndarray:
    """In double precision, as docs/operators.md says."""
    wide = {name: values.astype(np.float64) for name, values in inputs.items()}
    return REFERENCES[case.op](case, wide)


def _matmul(_: Case, values: Values) -> np.ndarray:
    return values["A"] @ values["B"]


def _conv2d(case: Case, values: Values) -> np.ndarray:
    stride, pad = case.number("stride", 1), case.number("pad", 0)
    padded = np.pad(values["X"], ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    weights = values["W"]
    rows, columns = (
        (padded.shape[2 + i] - weights.shape[2 + i]) // stride + 1 for i in range(2)
    )
    total: np.ndarray | float = 0.0
    for y in range(weights.shape[2]):
        for x in range(weights.shape[3]):
            seen = padded[:, :, y::stride, x::stride][:, :, :rows, :columns]
            total = total + np.tensordot(weights[:, :, y, x], seen, ([1], [1]))
    return np.asarray(total).transpose(1, 0, 2, 3)


def _softmax(_: Case, values: Values) -> np.ndarray:
    powers = np.exp(values["X"] - values["X"].max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


EPSILON = 1e-5  # of layer_norm


def _layer_norm(_: Case, values: Values) -> np.ndarray:
    x = values["X"]
    centred = x - x.mean(axis=1, keepdims=True)
    scaled = centred / np.sqrt(x.var(axis=1, keepdims=True) + EPSILON)
    return scaled * values["Scale"] + values["Shift"]


REFERENCES: dict[str, Callable[[Case, Values], np.ndarray]] = {
    "matmul": _matmul,
    "conv2d": _conv2d,
    "softmax": _softmax,
    "layer_norm": _layer_norm,
}
