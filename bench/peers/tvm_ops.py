"""Operators as TVM computes: what MetaSchedule tunes and what the peer then feeds.

Layout of activations where the case's `layout` is `any`: channels last, or channel blocks (NCHWc, the
largest divisor of the channels of a group up to 16); else row-major, as the case has it. Weights are free (`layout_free_buffers`):
MetaSchedule packs them as its best schedule likes, outside the timed function. Bias, residual and
ReLU are part of the function, so that it can fuse them. Only f32.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from case import Case, Unsupported
from geometry import Convolution, Product, Values, convolution, product

LARGEST_BLOCK = 16
LAYOUTS = ("nhwc", "nchwc")
ROW_MAJOR = "row-major"


@dataclass(frozen=True)
class Layout:
    """Of activations [n, c, spatial…], stored as [n, c / block, spatial…, block]; 0: row-major."""

    block: int

    @property
    def name(self) -> str:
        return "nchwc" if self.block else ROW_MAJOR

    def pack(self, x: np.ndarray) -> np.ndarray:
        if not self.block:
            return np.ascontiguousarray(x)
        n, c, *spatial = x.shape
        blocks = x.reshape(n, c // self.block, self.block, *spatial)
        return np.ascontiguousarray(np.moveaxis(blocks, 2, -1))

    def unpack(self, x: np.ndarray) -> np.ndarray:
        if not self.block:
            return x
        blocks = np.moveaxis(x, -1, 2)
        return np.ascontiguousarray(blocks).reshape(blocks.shape[0], -1, *blocks.shape[3:])

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if not self.block:
            return shape
        return (shape[0], shape[1] // self.block, *shape[2:], self.block)


def largest_block(channels: int) -> int:
    return max(b for b in range(1, LARGEST_BLOCK + 1) if channels % b == 0)


@dataclass(frozen=True)
class Operator:
    """`layout`: of LAYOUTS or ROW_MAJOR. `arguments`: name and shape of each parameter, outputs last; `free`: the place of weights
    whose layout the schedule chooses, or None. `compute` makes the TVM function."""

    layout: str
    arguments: tuple[tuple[str, tuple[int, ...]], ...]
    free: int | None
    pack: Callable[[Values], list[np.ndarray]]  # all but the output
    unpack: Callable[[np.ndarray], np.ndarray]
    compute: Callable[[Any, list[Any]], Any]


def operator(case: Case, layout: str = "nhwc") -> Operator:
    """`layout`: one of LAYOUTS, of convolutions that are free to choose. Raises Unsupported for what
    the subset doesn't have."""
    if case.dtype != "f32":
        raise Unsupported("TVM is compared in f32 only")
    conv, matrix = convolution(case), product(case)
    if conv is not None:
        if conv.transposed:
            raise Unsupported("transposed convolutions are not in TVM's subset")
        if conv.blocked and layout == "nhwc":
            return _channels_last(conv)
        return _convolution(conv)
    if matrix is not None:
        return _product(matrix, case.op == "batch_matmul")
    if case.op == "softmax":
        return _softmax((case.number("m", 1), case.number("n")))
    raise Unsupported(f"{case.op} is not in TVM's subset")


def prim_func(op: Operator) -> Any:
    """The function that MetaSchedule tunes."""
    from tvm import te

    tensors = [te.placeholder(shape, name=name) for name, shape in op.arguments[:-1]]
    function = te.create_prim_func([*tensors, op.compute(te, tensors)])
    free = {} if op.free is None else {"layout_free_buffers": [op.free]}
    return function.with_attr({"global_symbol": "main", **free})


def _relu(te: Any, x: Any) -> Any:
    from tvm import tirx

    return te.compute(x.shape, lambda *i: tirx.max(x(*i), tirx.const(0, "float32")), name="relu")


def _epilogue(
    te: Any,
    y: Any,
    given: dict[str, Any],
    op: Convolution | Product,
    channel: Callable[..., tuple[Any, ...]] = lambda *i: i[-1:],
) -> Any:
    """`channel`: where the bias of an element lies."""
    if op.bias:
        bias, raw = given["Bias"], y
        y = te.compute(raw.shape, lambda *i: raw(*i) + bias(*channel(*i)), name="bias")
    if op.add:
        residual, before = given["Residual"], y
        y = te.compute(before.shape, lambda *i: before(*i) + residual(*i), name="add")
    return _relu(te, y) if op.relu else y


def _padded(te: Any, x: Any, pad: int, sizes: tuple[int, ...], first: int) -> Any:
    """x with `pad` zeros around its dimensions from `first` on, whose extents are `sizes`."""
    from tvm import tirx

    last = first + len(sizes)
    shape = [*x.shape[:first], *(2 * pad + s for s in sizes), *x.shape[last:]]

    def value(*i: Any) -> Any:
        space = i[first:last]
        inside = [tirx.all(v >= pad, v < pad + s) for v, s in zip(space, sizes)]
        moved = [v - pad for v in space]
        source = x(*i[:first], *moved, *i[last:])
        return tirx.if_then_else(tirx.all(*inside), source, tirx.const(0, "float32"))

    return te.compute(shape, value, name="pad")


def _channels_last(conv: Convolution) -> Operator:
    rank, groups, channels = len(conv.size), conv.groups, conv.groups * conv.oc
    depthwise = groups > 1 and conv.ic == 1 and conv.oc == 1
    x_shape = (conv.n, *conv.size, groups * conv.ic)
    y_shape = (conv.n, *conv.out_size, channels)
    w_shape = (*conv.kernel, *(() if depthwise else (conv.ic,)), channels)
    arguments = [("X", x_shape), ("W", w_shape)]
    if conv.bias:
        arguments.append(("Bias", (channels,)))
    if conv.add:
        arguments.append(("Residual", y_shape))

    def pack(values: Values) -> list[np.ndarray]:
        w = conv.weights_of(values)  # [channels, ic, kernel…]
        w = w[:, 0] if depthwise else w
        order = (*range(w.ndim - rank, w.ndim), *((0,) if depthwise else (1, 0)))
        packed = [np.moveaxis(values["X"].reshape(conv.source), 1, -1), w.transpose(order)]
        if conv.bias:
            packed.append(values["Bias"].reshape(-1))
        if conv.add:
            packed.append(np.moveaxis(values["Residual"].reshape(conv.result), 1, -1))
        return [np.ascontiguousarray(array) for array in packed]

    def compute(te: Any, tensors: list[Any]) -> Any:
        given = dict(zip([name for name, _ in arguments], tensors))
        x = _padded(te, given["X"], conv.pad, conv.size, 1) if conv.pad else given["X"]
        taps = [te.reduce_axis((0, k), name=f"k{d}") for d, k in enumerate(conv.kernel)]
        channel = te.reduce_axis((0, conv.ic), "ic")

        def term(n: Any, *rest: Any) -> Any:
            *space, o = rest
            at = [v * conv.stride + t * conv.dilation for v, t in zip(space, taps)]
            if depthwise:
                return te.sum(x(n, *at, o) * given["W"](*taps, o), axis=taps)
            first = o // conv.oc * conv.ic if groups > 1 else 0
            value = x(n, *at, first + channel) * given["W"](*taps, channel, o)
            return te.sum(value, axis=[*taps, channel])

        y = te.compute(y_shape, term, name="conv")
        return _epilogue(te, y, given, conv)

    every = (*arguments, ("Y", y_shape))
    unpack = lambda y: np.ascontiguousarray(np.moveaxis(y, -1, 1))  # noqa: E731
    return Operator("nhwc", every, 1, pack, unpack, compute)


def _convolution(conv: Convolution) -> Operator:
    rank, groups = len(conv.size), conv.groups
    depthwise = groups > 1 and conv.ic == 1 and conv.oc == 1
    if depthwise:
        in_block = out_block = largest_block(groups)
    else:
        in_block, out_block = largest_block(conv.ic), largest_block(conv.oc)
    if not conv.blocked:
        in_block = out_block = 0
    source, target = Layout(in_block), Layout(out_block)
    x_shape, y_shape = source.shape(conv.source), target.shape(conv.result)
    ib, ob = max(in_block, 1), max(out_block, 1)
    chunks = (conv.ic // ib, ib)  # of input channels, of a group
    if depthwise:
        w_shape: tuple[int, ...] = (groups // ob, *conv.kernel, ob)
    else:
        w_shape = (groups * conv.oc // ob, chunks[0], *conv.kernel, ib, ob)
    arguments = [("X", x_shape), ("W", w_shape)]
    if conv.bias:
        arguments.append(("Bias", (groups * conv.oc // ob, ob)))
    if conv.add:
        arguments.append(("Residual", y_shape))

    def pack_weights(w: np.ndarray) -> np.ndarray:  # [groups·oc, ic, kernel…]
        if depthwise:
            return np.ascontiguousarray(np.moveaxis(w.reshape(-1, ob, *conv.kernel), 1, -1))
        split = w.reshape(-1, ob, *chunks, *conv.kernel)  # o, ob, i, ib, k…
        order = (0, 2, *range(4, 4 + rank), 3, 1)
        return np.ascontiguousarray(split.transpose(order))

    def pack(values: Values) -> list[np.ndarray]:
        packed = [source.pack(values["X"].reshape(conv.source))]
        packed.append(pack_weights(conv.weights_of(values)))
        if conv.bias:
            packed.append(np.ascontiguousarray(values["Bias"].reshape(-1, ob)))
        if conv.add:
            packed.append(target.pack(values["Residual"].reshape(conv.result)))
        return packed

    def read(x: Any, n: Any, chunk: Any, space: list[Any], inner: Any) -> Any:
        return x(n, chunk, *space, inner) if in_block else x(n, chunk, *space)

    def compute(te: Any, tensors: list[Any]) -> Any:
        given = dict(zip([name for name, _ in arguments], tensors))
        x = _padded(te, given["X"], conv.pad, conv.size, 2) if conv.pad else given["X"]
        taps = [te.reduce_axis((0, k), name=f"k{d}") for d, k in enumerate(conv.kernel)]
        chunk, inner = te.reduce_axis((0, chunks[0]), "io"), te.reduce_axis((0, ib), "ii")

        def term(*i: Any) -> Any:
            n, o, space, lane = i[0], i[1], i[2 : 2 + rank], i[-1] if out_block else 0
            at = [v * conv.stride + t * conv.dilation for v, t in zip(space, taps)]
            if depthwise:
                value = x(n, o, *at, lane) if in_block else x(n, o, *at)
                return te.sum(value * given["W"](o, *taps, lane), axis=taps)
            group = o // (conv.oc // ob) if groups > 1 else 0
            value = read(x, n, group * chunks[0] + chunk, at, inner)
            if not in_block:  # ib is 1: the chunk is the channel
                return te.sum(value * given["W"](o, chunk, *taps, 0, lane), axis=[chunk, *taps])
            weight = given["W"](o, chunk, *taps, inner, lane)
            return te.sum(value * weight, axis=[chunk, *taps, inner])

        y = te.compute(y_shape, term, name="conv")
        return _epilogue(te, y, given, conv, lambda *i: (i[1], i[-1] if out_block else 0))

    arguments.append(("Y", y_shape))
    return Operator(target.name, tuple(arguments), 1, pack, target.unpack, compute)


def _product(p: Product, batched: bool) -> Operator:
    lead = (p.batch,) if batched else ()
    b_shape = (*lead, p.n, p.k) if p.transposed else (*lead, p.k, p.n)
    y_shape = (*lead, p.m, p.n)
    arguments = [("A", (*lead, p.m, p.k)), ("B", b_shape)]
    if p.bias:
        arguments.append(("Bias", (p.n,)))
    if p.add:
        arguments.append(("Residual", y_shape))

    def compute(te: Any, tensors: list[Any]) -> Any:
        given = dict(zip([name for name, _ in arguments], tensors))
        a, b, k = given["A"], given["B"], te.reduce_axis((0, p.k), "k")

        def term(*i: Any) -> Any:
            right = b(*i[:-2], i[-1], k) if p.transposed else b(*i[:-2], k, i[-1])
            return te.sum(a(*i[:-1], k) * right, axis=k)

        y = te.compute(y_shape, term, name="matmul")
        return _epilogue(te, y, given, p)

    def pack(values: Values) -> list[np.ndarray]:
        return [
            np.ascontiguousarray(values[name]).reshape(shape) for name, shape in arguments[:inputs]
        ]

    inputs = len(arguments)
    every = (*arguments, ("Y", y_shape))
    return Operator(
        ROW_MAJOR, every, 1 if p.constant else None, pack, lambda y: y.reshape(y_shape), compute
    )


def _softmax(shape: tuple[int, ...]) -> Operator:
    def compute(te: Any, tensors: list[Any]) -> Any:
        from tvm import topi

        return topi.nn.softmax(tensors[0], axis=1)

    def pack(values: Values) -> list[np.ndarray]:
        return [np.ascontiguousarray(values["X"])]

    return Operator(ROW_MAJOR, (("X", shape), ("Y", shape)), None, pack, lambda y: y, compute)


def permutation(
    shape: tuple[int, ...], new_shape: tuple[int, ...], names: list[str], indices: list[str]
) -> np.ndarray:
    """Source index of each stored element, for weights of `shape` that lie at `indices`, expressions
    over `names` (one a dimension) as TVM prints them, in a buffer of `new_shape`."""
    grid = dict(zip(names, np.indices(shape, dtype=np.int64)))
    place = np.zeros(shape, dtype=np.int64)
    for size, expression in zip(new_shape, indices):
        place = place * size + eval(expression, {"__builtins__": {}}, grid)
    result = np.full(math.prod(new_shape), -1, dtype=np.int64)
    result[place.reshape(-1)] = np.arange(math.prod(shape))
    if (result < 0).any():
        raise ValueError(f"{indices} of {shape} leave holes in {new_shape}")
    return result.astype(np.int32)
