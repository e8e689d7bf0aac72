"""ONNX models written layer by layer: a thin builder over onnx.helper with seeded weights."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

IR_VERSION = 8  # of opset 17, the newest that is written here


class Net:
    """Names are values; `channels` says how many features an activation has. Weights keep the variance of
    activations (He), so that deep models neither vanish nor overflow."""

    def __init__(self, name: str, opset: int, seed: int = 1) -> None:
        self.name, self.opset = name, opset
        self.channels: dict[str, int] = {}
        self._random = np.random.default_rng(seed)
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._inputs: list[onnx.ValueInfoProto] = []

    def input(self, name: str, shape: Sequence[int], kind: int = TensorProto.FLOAT) -> str:
        self._inputs.append(helper.make_tensor_value_info(name, kind, shape))
        self.channels[name] = shape[1] if len(shape) > 1 else 1
        return name

    def constant(self, value: np.ndarray | Sequence[float], kind: type = np.float32) -> str:
        name = f"c{len(self._constants)}"
        self._constants[name] = numpy_helper.from_array(np.asarray(value, dtype=kind), name)
        return name

    def integers(self, values: Sequence[int]) -> str:
        return self.constant(values, np.int64)

    def normal(self, shape: Sequence[int], deviation: float) -> str:
        return self.constant(deviation * self._random.standard_normal(shape, dtype=np.float32))

    def uniform(self, shape: Sequence[int], low: float, high: float) -> str:
        return self.constant(self._random.uniform(low, high, shape))

    def op(self, kind: str, *inputs: str, channels: int | None = None, outputs: int = 1, **attributes):
        """The value's name, of several outputs a list of names."""
        names = [f"{kind.lower()}_{len(self._nodes)}_{i}" for i in range(outputs)]
        self._nodes.append(helper.make_node(kind, list(inputs), names, name=names[0], **attributes))
        for name in names:
            self.channels[name] = channels if channels is not None else self.channels.get(inputs[0], 1)
        return names[0] if outputs == 1 else names

    def conv(self, x: str, oc: int, kernel: int | tuple[int, int], stride: int = 1,
             pad: int | tuple[int, int] | None = None, groups: int = 1, bias: bool = False) -> str:
        kh, kw = (kernel, kernel) if isinstance(kernel, int) else kernel
        ph, pw = (kh // 2, kw // 2) if pad is None else (pad, pad) if isinstance(pad, int) else pad
        shape = (oc, self.channels[x] // groups, kh, kw)
        operands = [x, self.normal(shape, math.sqrt(2 / math.prod(shape[1:])))]
        if bias:
            operands.append(self.normal((oc,), 0.1))
        return self.op("Conv", *operands, channels=oc, kernel_shape=[kh, kw], strides=[stride] * 2,
                       pads=[ph, pw, ph, pw], group=groups)

    def norm(self, x: str, scale: float = 1.0) -> str:
        """Batch normalisation of activations whose mean square is about 1."""
        of = (self.channels[x],)
        return self.op("BatchNormalization", x, self.uniform(of, 0.7 * scale, 1.3 * scale),
                       self.normal(of, 0.1), self.normal(of, 0.1), self.uniform(of, 0.7, 1.3))

    def conv_norm(self, x: str, oc: int, kernel: int | tuple[int, int], stride: int = 1,
                  pad: int | tuple[int, int] | None = None, groups: int = 1, act: str | None = "Relu",
                  scale: float = 1.0) -> str:
        return self.act(self.norm(self.conv(x, oc, kernel, stride, pad, groups), scale), act)

    def act(self, x: str, kind: str | None) -> str:
        if kind is None:
            return x
        if kind == "Relu6":
            return self.op("Clip", x, self.constant(0.0), self.constant(6.0))
        if kind == "Swish":
            return self.op("Mul", x, self.op("Sigmoid", x))
        return self.op(kind, x)

    def pool(self, x: str, kind: str, kernel: int, stride: int, pad: int = 0, **more: int) -> str:
        return self.op(kind, x, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4, **more)

    def linear(self, x: str, features: int, out: int, gain: float = 1.0) -> str:
        """Of the last dimension, by MatMul and Add as exporters write it."""
        y = self.op("MatMul", x, self.normal((features, out), gain / math.sqrt(features)))
        return self.op("Add", y, self.normal((out,), 0.1))

    def classify(self, x: str, classes: int = 1000) -> str:
        """The usual head: mean over space, a fully connected layer."""
        flat = self.op("Flatten", self.op("GlobalAveragePool", x), axis=1)
        return self.gemm(flat, self.channels[x], classes)

    def gemm(self, x: str, features: int, out: int) -> str:
        return self.op("Gemm", x, self.normal((out, features), 1 / math.sqrt(features)),
                       self.normal((out,), 0.1), channels=out, transB=1)

    def model(self, *outputs: str) -> onnx.ModelProto:
        results = [helper.make_empty_tensor_value_info(name) for name in outputs]
        graph = helper.make_graph(self._nodes, self.name, self._inputs, results, list(self._constants.values()))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)],
                                  ir_version=IR_VERSION, producer_name="bench/models")
        # Types of outputs are what inference says of them.
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
        onnx.checker.check_model(inferred)
        del inferred.graph.value_info[:]
        return inferred
