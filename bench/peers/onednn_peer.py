"""oneDNN. Activations that the case leaves free are stored as the library chooses (`any`), reorders
of inputs, weights and outputs are not timed; bias and elementwise epilogues are fused."""

from __future__ import annotations

import ctypes
import math
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

import dnnl
from base import calls, checked
from case import Case, Unsupported
from dnnl import Memory, Scales, Step
from dnnl2 import open_library
from geometry import Convolution, Product, Values, convolution, product

Read = Callable[[], np.ndarray]
Plan = tuple[list[Step], list[Read]]

ELTWISE = {
    "relu": dnnl.RELU,
    "tanh": dnnl.TANH,
    "sigmoid": dnnl.LOGISTIC,
    "gelu": dnnl.GELU_ERF,
}


class OnednnPeer:
    overhead_seconds = 0.0

    def __init__(self) -> None:
        self._dnnl = open_library(Path(os.environ["TESSERA_PEERS_DNNL"]))
        self.version = self._dnnl.version
        self._calls = calls()

    def prepare(self, case: Case, threads: int, values: Values) -> None:
        self._kind = dnnl.TYPES[case.dtype]
        self._sum = dnnl.S32 if case.dtype == "i8" else dnnl.F32  # what is read
        self._result = dnnl.S32 if case.dtype == "i8" else self._kind
        self._bias_kind = self._sum
        if case.requantized:
            self._result = self._kind
            if "Bias" in values and not self._dnnl.scales_bias:
                self._bias_kind = dnnl.F32
                bias = values["Bias"].astype(np.float32) * values["Scale"]
                values = {**values, "Bias": bias}
        steps, self._read = self._plan(case, values)
        self._kept = steps
        self._steps = (Step * len(steps))(*steps)

    def time_calls(self, calls: int) -> float:
        return self._time(self._steps, calls)

    def outputs(self) -> list[np.ndarray]:
        return [read() for read in self._read]

    def _time(self, steps: ctypes.Array[Step], calls: int) -> float:
        library = self._dnnl.library
        return checked(
            self._calls.time_steps(
                library.dnnl_primitive_execute,
                library.dnnl_stream_wait,
                self._dnnl.stream,
                steps,
                len(steps),
                ctypes.c_long(calls),
            )
        )

    def _fastest(self, plans: list[Plan]) -> Plan:
        """Where the library lets the caller choose layouts, the caller tries them."""

        def seconds(plan: Plan) -> float:
            steps = (Step * len(plan[0]))(*plan[0])
            self._time(steps, 1)
            return min(self._time(steps, 3) for _ in range(5))

        return min(plans, key=seconds)

    def _plan(self, case: Case, values: Values) -> Plan:
        conv = convolution(case)
        if conv is not None:
            return self._convolution(case, conv, values)
        matrix = product(case)
        if matrix is not None:
            return self._product(case, matrix, values)
        if case.dtype != "f32":
            raise Unsupported(f"the harness calls oneDNN's {case.op} in f32 only")
        if case.op in ("max_pool2d", "avg_pool2d", "global_avg_pool"):
            return self._pooling(case, values)
        if case.op in dnnl.REDUCE:
            return self._reduction(case, values)
        if case.op in ELTWISE:
            return self._rows(
                values,
                lambda x, y: self._dnnl.primitive(
                    "eltwise_forward",
                    dnnl.FORWARD_INFERENCE,
                    ELTWISE[case.op],
                    x,
                    y,
                    0.0,
                    0.0,
                    None,
                ),
            )
        if case.op == "softmax":
            return self._rows(values, lambda x, y: self._softmax(x, y, axis=1))
        if case.op == "layer_norm":
            return self._layer_norm(values)
        if case.op in ("add", "mul"):
            return self._binary(case, values)
        if case.op == "attention_scores":
            return self._attention(case, values)
        if case.op == "lstm_cell":
            return self._lstm(case, values)
        raise Unsupported(f"oneDNN has no {case.op}")

    def _convolution(self, case: Case, conv: Convolution, values: Values) -> Plan:
        lib = self._dnnl
        free = dnnl.ANY if conv.blocked else None
        weights, plain = conv.weights, None
        if conv.groups > 1:
            weights = (conv.groups, conv.oc, conv.ic, *conv.kernel)
        elif conv.transposed:  # given as [ic, oc, …], wanted as [oc, ic, …]
            weights = (conv.oc, conv.ic, *conv.kernel)
            taps = math.prod(conv.kernel)
            inner = [math.prod(conv.kernel[i + 1 :]) for i in range(len(conv.kernel))]
            plain = lib.strided(weights, (taps, conv.oc * taps, *inner), dnnl.kind_of(values["W"]))
        result = conv.result
        residual = values["Residual"].reshape(result) if conv.add else None
        rank = len(conv.size)
        spatial = [
            dnnl.dims([conv.stride] * rank),
            dnnl.dims([conv.dilation - 1] * rank),
            dnnl.dims([conv.pad] * rank),
            dnnl.dims([conv.pad] * rank),
        ]
        kind = "deconvolution_forward" if conv.transposed else "convolution_forward"
        scales = None
        if case.requantized:
            scales = Scales(values["Scale"].reshape(-1), 3 if conv.groups > 1 else 1, 2)

        def primitive_of(algorithm: int, residual_layout: dnnl.Handle | None) -> dnnl.Primitive:
            post_ops: list[tuple[str, tuple[object, ...]]] = []
            if residual_layout is not None:
                post_ops.append(("binary", (dnnl.BINARY_ADD, residual_layout)))
            if conv.relu:
                post_ops.append(("eltwise", (dnnl.RELU, 0.0, 0.0)))
            return lib.primitive(
                kind,
                dnnl.FORWARD_INFERENCE,
                algorithm,
                lib.layout(conv.source, free, self._kind),
                lib.layout(weights, dnnl.ANY, self._kind),
                lib.layout((result[1],), kind=self._bias_kind) if conv.bias else None,
                lib.layout(result, free, self._result),
                *spatial,
                lib.attributes(post_ops, scales),
            )

        def residual_layouts(algorithm: int) -> list[dnnl.Handle | None]:
            """As the result is stored. Version 2 wants it said beforehand, and falls back to slow
            code where it isn't what the fast one has, so that several are tried."""
            if not conv.add:
                return [None]
            if free is None or lib.operand_may_be_any:
                return [lib.layout(result, free, self._kind)]
            found = primitive_of(algorithm, None).layout(dnnl.DST)
            tags = (dnnl.BLOCKED_16C, dnnl.ACDB) if rank == 2 else ()
            return [found, *(lib.layout(result, tag, self._kind) for tag in tags)]

        def create(algorithm: int, residual_layout: dnnl.Handle | None) -> Plan:
            primitive = primitive_of(algorithm, residual_layout)
            given = conv.weights_of(values)
            constants = given if plain is not None else given.reshape(weights)
            y = lib.memory(primitive.layout(dnnl.DST))
            arguments = {
                dnnl.SRC: lib.filled(primitive.layout(dnnl.SRC), values["X"].reshape(conv.source)),
                dnnl.WEIGHTS: lib.filled(primitive.layout(dnnl.WEIGHTS), constants, plain),
                dnnl.DST: y,
            }
            if conv.bias:
                bias = values["Bias"].reshape(result[1])
                layout = lib.layout(bias.shape, kind=self._bias_kind)
                arguments[dnnl.BIAS] = lib.filled(layout, bias)
            arguments |= lib.scale_arguments(scales)
            if residual is not None:
                argument = lib.post_op | dnnl.SRC_1
                stored = residual_layout
                if lib.operand_may_be_any:
                    stored = primitive.layout(argument)
                assert stored is not None
                arguments[argument] = lib.filled(stored, residual)
            shape = case.with_role("output")[0].shape
            return [primitive.step(arguments)], [lambda: y.read(result, self._sum).reshape(shape)]

        if conv.transposed:
            algorithms = [dnnl.DECONVOLUTION_DIRECT]
        else:
            algorithms = [dnnl.CONVOLUTION_DIRECT, dnnl.CONVOLUTION_AUTO]
        plans = []
        for algorithm in algorithms:
            try:
                plans += [create(algorithm, layout) for layout in residual_layouts(algorithm)]
            except Unsupported:
                if algorithm != dnnl.CONVOLUTION_AUTO:
                    raise
        return self._fastest(plans) if len(plans) > 1 else plans[0]

    def _product(self, case: Case, p: Product, values: Values) -> Plan:
        lib = self._dnnl
        lead = (p.batch,) if values["A"].ndim == 3 else ()
        a, b, c = (*lead, p.m, p.k), (*lead, p.k, p.n), (*lead, p.m, p.n)
        strides = (1, p.k) if p.transposed else (p.n, 1)
        b_strides = (*((p.k * p.n,) if lead else ()), *strides)
        given = lib.strided(b, b_strides, dnnl.kind_of(values["B"]))
        post_ops: list[tuple[str, tuple[object, ...]]] = []
        if p.add:
            post_ops.append(("binary", (dnnl.BINARY_ADD, lib.layout(c, kind=self._kind))))
        if p.relu:
            post_ops.append(("eltwise", (dnnl.RELU, 0.0, 0.0)))
        bias_shape = (*(1 for _ in lead), 1, p.n)
        channel = 1 << (len(c) - 1)
        scales = Scales(values["Scale"].reshape(-1), channel, channel) if case.requantized else None
        primitive = lib.primitive(
            "matmul",
            lib.layout(a, kind=self._kind),
            (
                lib.layout(b, dnnl.ANY, self._kind)
                if p.constant
                else lib.strided(b, b_strides, self._kind)
            ),
            lib.layout(bias_shape, kind=self._bias_kind) if p.bias else None,
            lib.layout(c, kind=self._result),
            lib.attributes(post_ops, scales),
        )
        y = lib.memory(primitive.layout(dnnl.DST))
        arguments = {
            dnnl.SRC: lib.filled(primitive.layout(dnnl.SRC), values["A"]),
            dnnl.WEIGHTS: lib.filled(primitive.layout(dnnl.WEIGHTS), values["B"], given),
            dnnl.DST: y,
        }
        if p.bias:
            arguments[dnnl.BIAS] = lib.filled(
                lib.layout(bias_shape, kind=self._bias_kind), values["Bias"].reshape(bias_shape)
            )
        arguments |= lib.scale_arguments(scales)
        if p.add:
            arguments[lib.post_op | dnnl.SRC_1] = lib.filled(
                lib.layout(c, kind=self._kind), values["Residual"]
            )
        return [primitive.step(arguments)], [lambda: y.read(c, self._sum)]

    def _rows(self, values: Values, create: Callable[[object, object], dnnl.Primitive]) -> Plan:
        lib, x = self._dnnl, values["X"]
        primitive = create(lib.layout(x.shape), lib.layout(x.shape))
        y = lib.memory(lib.layout(x.shape))
        arguments = {dnnl.SRC: lib.filled(lib.layout(x.shape), x), dnnl.DST: y}
        return [primitive.step(arguments)], [lambda: y.read(x.shape)]

    def _softmax(self, x: object, y: object, axis: int) -> dnnl.Primitive:
        return self._dnnl.primitive(
            "softmax_forward",
            dnnl.FORWARD_INFERENCE,
            dnnl.SOFTMAX_ACCURATE,
            x,
            y,
            axis,
            None,
        )

    def _layer_norm(self, values: Values) -> Plan:
        lib, x = self._dnnl, values["X"]
        primitive = lib.primitive(
            "layer_normalization_forward",
            dnnl.FORWARD_INFERENCE,
            lib.layout(x.shape),
            lib.layout(x.shape),
            None,
            1e-5,
            dnnl.USE_SCALE_AND_SHIFT,
            None,
        )
        y = lib.memory(lib.layout(x.shape))
        arguments = {dnnl.SRC: lib.filled(lib.layout(x.shape), x), dnnl.DST: y}
        for argument, name in ((dnnl.SCALE, "Scale"), (dnnl.SHIFT, "Shift")):
            arguments[argument] = lib.filled(lib.layout(values[name].shape), values[name])
        return [primitive.step(arguments)], [lambda: y.read(x.shape)]

    def _binary(self, case: Case, values: Values) -> Plan:
        lib, shape = self._dnnl, values["X"].shape
        algorithm = dnnl.BINARY_ADD if case.op == "add" else dnnl.BINARY_MUL
        layout = lib.layout(shape)
        primitive = lib.primitive("binary", algorithm, layout, layout, layout, None)
        y = lib.memory(layout)
        arguments = {
            dnnl.SRC: lib.filled(layout, values["X"]),
            dnnl.SRC_1: lib.filled(layout, values["Y"]),
            dnnl.DST: y,
        }
        return [primitive.step(arguments)], [lambda: y.read(shape)]

    def _pooling(self, case: Case, values: Values) -> Plan:
        lib, x = self._dnnl, values["X"]
        shape = case.with_role("output")[0].shape
        size = x.shape[2:]
        if case.op == "global_avg_pool":
            kernel, stride, pad, result = size, size, 0, (*shape, 1, 1)
        else:
            kernel = tuple(case.number(f"k{s}", case.attributes.get("k")) for s in "hw")
            stride = (case.number("stride", kernel[0]), case.number("stride", kernel[1]))
            pad, result = case.number("pad", 0), shape
        algorithm = dnnl.POOL_MAX
        if case.op != "max_pool2d":
            every = case.flag("count_include_pad", True)
            algorithm = dnnl.POOL_AVERAGE_ALL if every else dnnl.POOL_AVERAGE_INSIDE

        def create(tag: int | None) -> Plan:
            primitive = lib.primitive(
                "pooling_forward",
                dnnl.FORWARD_INFERENCE,
                algorithm,
                lib.layout(x.shape, tag),
                lib.layout(result, dnnl.ANY if tag is not None else None),
                dnnl.dims(stride),
                dnnl.dims(kernel),
                dnnl.dims((0, 0)),
                dnnl.dims((pad, pad)),
                dnnl.dims((pad, pad)),
                None,
            )
            y = lib.memory(primitive.layout(dnnl.DST))
            arguments = {dnnl.SRC: lib.filled(lib.layout(x.shape, tag), x), dnnl.DST: y}
            return [primitive.step(arguments)], [lambda: y.read(result).reshape(shape)]

        free = case.word("layout", "nchw") != "nchw"
        tags = [None, dnnl.ACDB, dnnl.BLOCKED_16C] if free else [None]
        return self._fastest([create(tag) for tag in tags])

    def _reduction(self, case: Case, values: Values) -> Plan:
        lib, x = self._dnnl, values["X"]
        axis = 1 if case.op == "norm2" else case.number("axis", 1)
        kept = (1, x.shape[1]) if axis == 0 else (x.shape[0], 1)
        primitive = lib.primitive(
            "reduction", dnnl.REDUCE[case.op], lib.layout(x.shape), lib.layout(kept), 2.0, 0.0, None
        )
        y = lib.memory(lib.layout(kept))
        arguments = {dnnl.SRC: lib.filled(lib.layout(x.shape), x), dnnl.DST: y}
        return [primitive.step(arguments)], [lambda: y.read(kept).reshape(-1)]

    def _attention(self, case: Case, values: Values) -> Plan:
        """softmax(Q·Kᵀ/√d): a product whose result is scaled in a post-op, then a softmax."""
        lib = self._dnnl
        n, seq, heads, depth = values["Q"].shape
        q, k, scores = (n, heads, seq, depth), (n, heads, depth, seq), (n, heads, seq, seq)
        step, row = seq * heads * depth, heads * depth
        q_layout = lib.strided(q, (step, depth, row, 1))
        k_layout = lib.strided(k, (step, depth, 1, row))
        scale = lib.attributes([("eltwise", (dnnl.LINEAR, 1 / math.sqrt(depth), 0.0))])
        layout = lib.layout(scores)
        matmul = lib.primitive("matmul", q_layout, k_layout, None, layout, scale)
        softmax = self._softmax(layout, layout, axis=3)
        product_of, y = lib.memory(layout), lib.memory(layout)
        steps = [
            matmul.step(
                {
                    dnnl.SRC: lib.filled(q_layout, values["Q"], q_layout),
                    dnnl.WEIGHTS: lib.filled(k_layout, values["K"], k_layout),
                    dnnl.DST: product_of,
                }
            ),
            softmax.step({dnnl.SRC: product_of, dnnl.DST: y}),
        ]
        return steps, [lambda: y.read(scores)]

    def _lstm(self, case: Case, values: Values) -> Plan:
        lib = self._dnnl
        m, inputs = values["X"].shape
        hidden = values["H"].shape[1]
        x, state = lib.layout((1, m, inputs)), lib.layout((1, 1, m, hidden))
        shapes = ((1, 1, inputs, 4, hidden), (1, 1, hidden, 4, hidden))
        primitive = lib.primitive(
            "lstm_forward",
            dnnl.FORWARD_INFERENCE,
            dnnl.LEFT_TO_RIGHT,
            x,
            state,
            state,
            lib.layout(shapes[0], dnnl.ANY),
            lib.layout(shapes[1], dnnl.ANY),
            None,
            None,
            lib.layout((1, 1, 4, hidden)),
            lib.layout((1, m, hidden)),
            state,
            state,
            0,
            None,
        )
        next_hidden, next_cell = lib.memory(state), lib.memory(state)
        arguments = {
            dnnl.SRC: lib.filled(x, values["X"].reshape(1, m, inputs)),
            dnnl.SRC_1: lib.filled(state, values["H"].reshape(1, 1, m, hidden)),
            dnnl.SRC_2: lib.filled(state, values["C"].reshape(1, 1, m, hidden)),
            dnnl.WEIGHTS: lib.filled(
                primitive.layout(dnnl.WEIGHTS), values["Wx"].reshape(shapes[0])
            ),
            dnnl.WEIGHTS_1: lib.filled(
                primitive.layout(dnnl.WEIGHTS_1), values["Wh"].reshape(shapes[1])
            ),
            dnnl.BIAS: lib.filled(
                lib.layout((1, 1, 4, hidden)), values["Bias"].reshape(1, 1, 4, hidden)
            ),
            dnnl.DST: lib.memory(lib.layout((1, m, hidden))),
            dnnl.DST_1: next_hidden,
            dnnl.DST_2: next_cell,
        }
        read = [
            lambda: next_hidden.read((1, 1, m, hidden)).reshape(m, hidden),
            lambda: next_cell.read((1, 1, m, hidden)).reshape(m, hidden),
        ]
        return [primitive.step(arguments)], read
