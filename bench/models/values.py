"""Inputs for a model, and how far results may be apart."""

from __future__ import annotations

import argparse

import numpy as np
import onnx
from onnx import helper


def shape_of(value: onnx.ValueInfoProto, dimensions: dict[str, int] | None = None) -> tuple[int, ...]:
    """Extents that the model leaves open are what `dimensions` says, else 1."""
    known = dimensions or {}
    return tuple(d.dim_value if d.HasField("dim_value") else known.get(d.dim_param, 1)
                 for d in value.type.tensor_type.shape.dim)


def model_inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    constants = {c.name for c in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in constants]


def inputs_of(model: onnx.ModelProto, seed: int, shapes: dict[str, tuple[int, ...]] | None = None,
              dimensions: dict[str, int] | None = None, values: dict[str, float] | None = None) -> dict[str, np.ndarray]:
    """Normal floats, small integers that are valid as places in most tables; masks have ones, then zeros.
    Inputs of `values` have these."""
    random = np.random.default_rng(seed)
    made = {}
    for value in model_inputs(model):
        shape = (shapes or {}).get(value.name) or shape_of(value, dimensions)
        kind = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        if value.name in (values or {}):
            made[value.name] = np.full(shape, values[value.name], kind)
        elif kind == np.bool_ or "mask" in value.name or "type" in value.name:
            ones = np.arange(shape[-1]) < max(1, shape[-1] * 3 // 4)
            made[value.name] = np.broadcast_to(ones, shape).astype(kind)
        elif np.issubdtype(kind, np.integer):
            made[value.name] = random.integers(0, 90, shape).astype(kind)
        else:
            made[value.name] = random.standard_normal(shape).astype(kind)
    return made


def add_extents(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--shape", action="append", default=[], metavar="INPUT=N,…")
    parser.add_argument("--dim", action="append", default=[], metavar="NAME=N")
    parser.add_argument("--value", action="append", default=[], metavar="INPUT=N",
                        help="known when a library is built, which has no such input then")


def values_of(args: argparse.Namespace) -> dict[str, float]:
    return {n: float(v) for n, v in (t.rsplit("=", 1) for t in args.value)}


def extents_of(args: argparse.Namespace) -> tuple[dict[str, tuple[int, ...]], dict[str, int]]:
    """Shapes and dimensions by what `add_extents` adds."""
    shapes = {n: tuple(int(e) for e in s.split(",")) for n, s in (t.rsplit("=", 1) for t in args.shape)}
    return shapes, {n: int(e) for n, e in (t.rsplit("=", 1) for t in args.dim)}


def given_inputs(model: onnx.ModelProto, args: argparse.Namespace) -> dict[str, np.ndarray]:
    """As `inputs_of`, by what `add_extents` adds and --seed."""
    return inputs_of(model, args.seed, *extents_of(args), values_of(args))
