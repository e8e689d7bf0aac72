"""The light models of the package onnx, AlexNet to VGG-19 as frameworks of 2017 wrote them, with random weights.

The package has them without weights: a ConstantOfShape instead of each.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

FOLDER = Path(onnx.__file__).parent / "backend/test/data/light"
NAMES = sorted(path.stem for path in FOLDER.glob("light_*.onnx"))


def _weights(user: onnx.NodeProto, place: int, shape: tuple[int, ...], gain: float,
             random: np.random.Generator) -> np.ndarray:
    """For input `place` of `user`, such that activations keep their variance, about."""
    noise = random.standard_normal(shape)
    if user.op_type == "Conv" and place == 1:
        return noise * np.sqrt(2 / np.prod(shape[1:]))
    if user.op_type == "Gemm" and place == 1:
        return noise / np.sqrt(max(shape))
    if user.op_type == "BatchNormalization" and place == 4:
        return 1 + 0.1 * np.abs(noise)
    if user.op_type in ("BatchNormalization", "Mul") and place == 1:
        return gain * (1 + 0.1 * noise)
    return 0.1 * noise


def build(name: str) -> onnx.ModelProto:
    model = onnx.load(FOLDER / f"{name}.onnx")
    graph, random = model.graph, np.random.default_rng(1)
    known = {c.name: c for c in graph.initializer}
    users = {source: (node, place) for node in graph.node for place, source in enumerate(node.input)}
    # A block adds to what it is given.
    gain = 0.5 if any(node.op_type in ("Sum", "Add") for node in graph.node) else 1.0
    made = [node for node in graph.node if node.op_type == "ConstantOfShape"]
    for node in made:
        shape = tuple(int(extent) for extent in numpy_helper.to_array(known[node.input[0]]))
        values = _weights(*users[node.output[0]], shape, gain, random).astype(np.float32)
        graph.initializer.append(numpy_helper.from_array(values, node.output[0]))
        graph.node.remove(node)
    return model
