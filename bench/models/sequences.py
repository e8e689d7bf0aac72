"""Transformers and recurrent networks, in batches of one."""

from __future__ import annotations

import math

from onnx import TensorProto

from net import Net


def _layer_norm(net: Net, x: str, width: int) -> str:
    scale, shift = net.uniform((width,), 0.7, 1.3), net.normal((width,), 0.1)
    if net.opset >= 17:
        return net.op("LayerNormalization", x, scale, shift, axis=-1, epsilon=1e-12)
    away = net.op("Sub", x, net.op("ReduceMean", x, axes=[-1]))
    square = net.op("ReduceMean", net.op("Pow", away, net.constant(2.0)), axes=[-1])
    deviation = net.op("Sqrt", net.op("Add", square, net.constant(1e-12)))
    return net.op("Add", net.op("Mul", net.op("Div", away, deviation), scale), shift)


def _gelu(net: Net, x: str) -> str:
    y = net.op("Erf", net.op("Div", x, net.constant(math.sqrt(2))))
    y = net.op("Mul", x, net.op("Add", y, net.constant(1.0)))
    return net.op("Mul", y, net.constant(0.5))


def bert(net: Net, layers: int, length: int, width: int = 768, heads: int = 12, words: int = 30522):
    ids, mask, kinds = (net.input(name, (1, length), TensorProto.INT64)
                        for name in ("input_ids", "attention_mask", "token_type_ids"))
    x = net.op("Gather", net.normal((words, width), 1.0), ids)
    x = net.op("Add", x, net.op("Gather", net.normal((2, width), 0.3), kinds))
    positions = net.op("Slice", net.normal((512, width), 0.3), net.integers([0]), net.integers([length]))
    x = _layer_norm(net, net.op("Add", x, positions), width)
    # 0 where there is a word, a large negative number elsewhere.
    bias = net.op("Unsqueeze", mask, net.integers([1, 2]))
    bias = net.op("Sub", net.constant(1.0), net.op("Cast", bias, to=TensorProto.FLOAT))
    bias = net.op("Mul", bias, net.constant(-10000.0))
    of_head = width // heads
    for _ in range(layers):
        parts = []
        for perm in ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]):  # queries, keys, values
            part = net.op("Reshape", net.linear(x, width, width), net.integers([0, length, heads, of_head]))
            parts.append(net.op("Transpose", part, perm=perm))
        scores = net.op("Div", net.op("MatMul", parts[0], parts[1]), net.constant(math.sqrt(of_head)))
        weights = net.op("Softmax", net.op("Add", scores, bias), axis=-1)
        y = net.op("Transpose", net.op("MatMul", weights, parts[2]), perm=[0, 2, 1, 3])
        y = net.linear(net.op("Reshape", y, net.integers([0, length, width])), width, width)
        x = _layer_norm(net, net.op("Add", y, x), width)
        y = net.linear(_gelu(net, net.linear(x, width, 4 * width)), 4 * width, width)
        x = _layer_norm(net, net.op("Add", y, x), width)
    first = net.op("Gather", x, net.constant(0, "int64"), axis=1)
    return x, net.op("Tanh", net.linear(first, width, width))


def recurrent(net: Net, kind: str, length: int, width: int, hidden: int):
    """Two layers, the first in both directions, and a linear head at each step."""
    gates = {"LSTM": 4, "GRU": 3}[kind]
    x = net.input("frames", (length, 1, width))
    more = {"linear_before_reset": 1} if kind == "GRU" else {}
    for directions in (2, 1):
        shape = (directions, gates * hidden)
        y = net.op(kind, x, net.normal((*shape, width), 1 / math.sqrt(width)),
                   net.normal((*shape, hidden), 1 / math.sqrt(hidden)), net.normal((directions, 2 * shape[1]), 0.1),
                   hidden_size=hidden, direction="bidirectional" if directions == 2 else "forward", **more)
        width = directions * hidden
        x = net.op("Reshape", net.op("Transpose", y, perm=[0, 2, 1, 3]), net.integers([length, 1, width]))
    return net.op("LogSoftmax", net.linear(x, width, 64), axis=-1)
