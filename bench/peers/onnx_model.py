"""A case as an ONNX model: constants are initialisers, so that a runtime may pack them; tensors are
row-major, as ONNX has it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from case import Case, Unsupported
from geometry import Convolution, Product, Values, convolution, product, refuse_requantized

OPSET = 20
UNARY = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "gelu": "Gelu"}
REDUCE = {
    "reduce_sum": "ReduceSum",
    "reduce_mean": "ReduceMean",
    "reduce_max": "ReduceMax",
    "reduce_min": "ReduceMin",
    "reduce_prod": "ReduceProd",
    "norm2": "ReduceL2",
}


class Graph:
    """Inputs and outputs by name with their shapes; `feeds` are the inputs' values."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, np.ndarray] = {}
        self.feeds: dict[str, np.ndarray] = {}
        self.results: dict[str, tuple[tuple[int, ...], np.dtype[Any]]] = {}

    def node(self, kind: str, inputs: list[str], name: str, **attributes: Any) -> str:
        outputs = name.split()
        self.nodes.append(helper.make_node(kind, inputs, outputs, name=outputs[0], **attributes))
        return outputs[0]

    def constant(self, name: str, value: np.ndarray) -> str:
        self.constants[name] = np.ascontiguousarray(value)
        return name

    def feed(self, name: str, value: np.ndarray) -> str:
        self.feeds[name] = np.ascontiguousarray(value)
        return name

    def result(
        self, name: str, shape: tuple[int, ...], kind: np.dtype[Any] = np.dtype(np.float32)
    ) -> None:
        self.results[name] = (shape, kind)

    def model(self) -> ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "case",
            [
                helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape)
                for n, v in self.feeds.items()
            ],
            [
                helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(kind), shape)
                for n, (shape, kind) in self.results.items()
            ],
            [numpy_helper.from_array(v, n) for n, v in self.constants.items()],
        )
        return helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9
        )


def build(case: Case, values: Values) -> Graph:
    refuse_requantized(case)
    graph = Graph()
    conv, matrix = convolution(case), product(case)
    if case.dtype == "i8":
        return _integers(graph, conv, matrix, values)
    if case.dtype != "f32":
        raise Unsupported(f"ONNX runtimes have no {case.dtype} on CPUs but by conversion to f32")
    if conv is not None:
        _convolution(graph, conv, values)
    elif matrix is not None:
        _product(graph, matrix, values)
    elif case.op in ("max_pool2d", "avg_pool2d", "global_avg_pool"):
        _pooling(graph, case, values)
    elif case.op in REDUCE:
        axis = 1 if case.op == "norm2" else case.number("axis", 1)
        x = graph.feed("X", values["X"])
        inputs = [x, graph.constant("axes", np.array([axis], np.int64))]
        y = graph.node(REDUCE[case.op], inputs, "Y", keepdims=0)
        graph.result(y, (values["X"].shape[1 - axis],))
    elif case.op in UNARY:
        x = graph.feed("X", values["X"])
        graph.result(graph.node(UNARY[case.op], [x], "Y"), values["X"].shape)
    elif case.op in ("add", "mul"):
        inputs = [graph.feed(n, values[n]) for n in ("X", "Y")]
        graph.result(graph.node(case.op.capitalize(), inputs, "Z"), values["X"].shape)
    elif case.op == "bias_add":
        inputs = [graph.feed("X", values["X"]), graph.constant("Bias", values["Bias"])]
        graph.result(graph.node("Add", inputs, "Z"), values["X"].shape)
    elif case.op == "softmax":
        x = graph.feed("X", values["X"])
        graph.result(graph.node("Softmax", [x], "Y", axis=1), values["X"].shape)
    elif case.op == "layer_norm":
        inputs = [graph.feed("X", values["X"])]
        inputs += [graph.constant(n, values[n]) for n in ("Scale", "Shift")]
        y = graph.node("LayerNormalization", inputs, "Y", axis=1, epsilon=1e-5)
        graph.result(y, values["X"].shape)
    elif case.op == "attention_scores":
        _attention(graph, values)
    elif case.op == "lstm_cell":
        _lstm(graph, values)
    elif case.op in ("argmax", "argmin"):  # ArgMax would give no values
        inputs = [graph.feed("X", values["X"]), graph.constant("one", np.array([1], np.int64))]
        graph.node("TopK", inputs, "value index", axis=1, largest=int(case.op == "argmax"))
        graph.result("value", (len(values["X"]), 1))
        graph.result("index", (len(values["X"]), 1), np.dtype(np.int64))
    else:
        raise Unsupported(f"no ONNX operator for {case.op}")
    return graph


def identity(graph: Graph) -> Graph:
    """A model with as many inputs and outputs, of one element each, that computes next to nothing;
    every input is used, because runtimes drop the others."""
    trivial = Graph()
    names = []
    for name, value in graph.feeds.items():
        one = trivial.feed(name, value.reshape(-1)[:1])
        if value.dtype != np.float32:
            one = trivial.node("Cast", [one], f"{name}_float", to=TensorProto.FLOAT)
        names.append(one)
    for i, name in enumerate(graph.results):
        used = names if i == 0 else names[:1]
        y = trivial.node("Sum" if len(used) > 1 else "Identity", used, name)
        trivial.result(y, (1,))
    return trivial


def _integers(
    graph: Graph, conv: Convolution | None, matrix: Product | None, values: Values
) -> Graph:
    """i8 to i32, as ConvInteger and MatMulInteger; bias and ReLU as operators of their own."""
    shape: tuple[int, ...]
    if conv is not None and not conv.transposed and not conv.add:
        inputs = [
            graph.feed("X", values["X"].reshape(conv.source)),
            graph.constant("W", conv.weights_of(values)),
        ]
        shape = conv.result
        y = graph.node(
            "ConvInteger",
            inputs,
            "conv",
            **_window(conv),
        )
        bias = values["Bias"].reshape(1, -1, *[1] * len(conv.size)) if conv.bias else None
        relu = conv.relu
    elif matrix is not None and not matrix.add:
        y = graph.node("MatMulInteger", _operands(graph, matrix, values), "matmul")
        shape = (*values["A"].shape[:-1], matrix.n)
        bias, relu = values["Bias"] if matrix.bias else None, matrix.relu
    else:
        raise Unsupported("ONNX has no such integer operator")
    if bias is not None:
        y = graph.node("Add", [y, graph.constant("Bias", bias)], "biased")
    if relu:
        y = graph.node("Max", [y, graph.constant("zero", np.zeros(1, np.int32))], "relu")
    graph.result(y, shape, np.dtype(np.int32))
    return graph


def _window(conv: Convolution) -> dict[str, Any]:
    rank = len(conv.size)
    return {
        "kernel_shape": conv.kernel,
        "strides": [conv.stride] * rank,
        "pads": [conv.pad] * (2 * rank),
        "dilations": [conv.dilation] * rank,
        "group": conv.groups,
    }


def _epilogue(
    graph: Graph, y: str, conv: Convolution | Product, residual: np.ndarray | None
) -> str:
    if residual is not None:
        y = graph.node("Add", [y, graph.feed("Residual", residual)], "added")
    return graph.node("Relu", [y], "relu") if conv.relu else y


def _convolution(graph: Graph, conv: Convolution, values: Values) -> None:
    inputs = [
        graph.feed("X", values["X"].reshape(conv.source)),
        graph.constant("W", conv.weights_of(values)),
    ]
    if conv.bias:
        inputs.append(graph.constant("Bias", values["Bias"].reshape(-1)))
    y = graph.node(
        "ConvTranspose" if conv.transposed else "Conv",
        inputs,
        "conv",
        **_window(conv),
    )
    residual = values["Residual"].reshape(conv.result) if conv.add else None
    graph.result(_epilogue(graph, y, conv, residual), conv.result)


def _operands(graph: Graph, p: Product, values: Values) -> list[str]:
    a = graph.feed("A", values["A"])
    value = values["B"]
    if p.transposed and p.constant:
        value = np.swapaxes(value, -1, -2)
    b = graph.constant("B", value) if p.constant else graph.feed("B", value)
    if p.transposed and not p.constant:
        order = [0, 2, 1] if value.ndim == 3 else [1, 0]
        b = graph.node("Transpose", [b], "B_transposed", perm=order)
    return [a, b]


def _product(graph: Graph, p: Product, values: Values) -> None:
    a, b = _operands(graph, p, values)
    if p.bias and values["A"].ndim == 2:
        y = graph.node("Gemm", [a, b, graph.constant("Bias", values["Bias"])], "gemm")
    else:
        y = graph.node("MatMul", [a, b], "matmul")
        if p.bias:
            y = graph.node("Add", [y, graph.constant("Bias", values["Bias"])], "biased")
    shape = (*values["A"].shape[:-1], p.n)
    graph.result(_epilogue(graph, y, p, values["Residual"] if p.add else None), shape)


def _pooling(graph: Graph, case: Case, values: Values) -> None:
    x, shape = graph.feed("X", values["X"]), case.with_role("output")[0].shape
    if case.op == "global_avg_pool":
        graph.result(graph.node("GlobalAveragePool", [x], "Y"), (*shape, 1, 1))
        return
    kernel = [case.number(f"k{s}", case.attributes.get("k")) for s in "hw"]
    window: dict[str, Any] = {
        "kernel_shape": kernel,
        "strides": [case.number("stride", k) for k in kernel],
        "pads": [case.number("pad", 0)] * 4,
    }
    kind = "MaxPool"
    if case.op == "avg_pool2d":
        kind = "AveragePool"
        window["count_include_pad"] = int(case.flag("count_include_pad", True))
    graph.result(graph.node(kind, [x], "Y", **window), shape)


def _attention(graph: Graph, values: Values) -> None:
    n, seq, heads, depth = values["Q"].shape
    q = graph.node("Transpose", [graph.feed("Q", values["Q"])], "q", perm=[0, 2, 1, 3])
    k = graph.node("Transpose", [graph.feed("K", values["K"])], "k", perm=[0, 2, 3, 1])
    scale = graph.constant("scale", np.array(1 / math.sqrt(depth), np.float32))
    scores = graph.node("Mul", [graph.node("MatMul", [q, k], "product"), scale], "scores")
    graph.result(graph.node("Softmax", [scores], "Y", axis=3), (n, heads, seq, seq))


def _lstm(graph: Graph, values: Values) -> None:
    """Gates of Tessera are i, f, c, o, of ONNX i, o, f, c, with weights transposed."""
    m, hidden = values["H"].shape
    order = [0, 3, 1, 2]

    def gates(weights: np.ndarray) -> np.ndarray:  # [k, 4, u] to [1, 4·u, k]
        chosen = weights[:, order, :].transpose(1, 2, 0)
        return np.ascontiguousarray(chosen).reshape(1, 4 * hidden, -1)

    bias = values["Bias"][order].reshape(1, -1)
    inputs = [
        graph.feed("X", values["X"][np.newaxis]),
        graph.constant("W", gates(values["Wx"])),
        graph.constant("R", gates(values["Wh"])),
        graph.constant("B", np.concatenate([bias, np.zeros_like(bias)], axis=1)),
        "",
        graph.feed("H", values["H"][np.newaxis]),
        graph.feed("C", values["C"][np.newaxis]),
    ]
    graph.node("LSTM", inputs, "all next_hidden next_cell", hidden_size=hidden)
    for name in ("next_hidden", "next_cell"):
        graph.result(name, (1, m, hidden))
