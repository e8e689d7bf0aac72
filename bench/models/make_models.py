#!/usr/bin/env python3
"""Writes models with random weights: architectures as published, weights from a seed, no download.

    python make_models.py FOLDER [--small] [NAME …]

--small makes the same layers on small inputs, for the interpreter. Models named light_… are those of the package
onnx, which are of one size; without names all others are made.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx

import light
import sequences
import vision
from net import Net
from values import inputs_of


@dataclass(frozen=True)
class Recipe:
    layers: Callable
    opset: int
    full: dict = field(default_factory=lambda: {"size": 224})
    small: dict = field(default_factory=lambda: {"size": 64})


BERT_SMALL = {"layers": 2, "length": 16, "width": 64, "heads": 4, "words": 100}
RECURRENT = {"length": 50, "width": 128, "hidden": 256}
RECURRENT_SMALL = {"length": 6, "width": 16, "hidden": 24}


def _resnet(blocks: tuple[int, ...], bottleneck: bool) -> Recipe:
    of = {"blocks": blocks, "bottleneck": bottleneck}
    return Recipe(vision.resnet, 13, {"size": 224, **of}, {"size": 64, **of})


RECIPES = {
    "resnet18": _resnet((2, 2, 2, 2), False),
    "resnet50": _resnet((3, 4, 6, 3), True),
    "vgg11": Recipe(vision.vgg11, 13, small={"size": 32}),
    "mobilenet_v1": Recipe(vision.mobilenet_v1, 13),
    "mobilenet_v2": Recipe(vision.mobilenet_v2, 14),
    "mobilenet_v3": Recipe(vision.mobilenet_v3, 14),
    "efficientnet_b0": Recipe(vision.efficientnet_b0, 15),
    "squeezenet": Recipe(vision.squeezenet, 13),
    "densenet121": Recipe(vision.densenet121, 13),
    "shufflenet_v2": Recipe(vision.shufflenet_v2, 16),
    "inception_v3": Recipe(vision.inception_v3, 13, {"size": 299}, {"size": 107}),
    "bert_base": Recipe(sequences.bert, 13, {"layers": 12, "length": 128}, BERT_SMALL),
    "bert_2": Recipe(sequences.bert, 17, {"layers": 2, "length": 128}, BERT_SMALL),
    "lstm": Recipe(sequences.recurrent, 14, {"kind": "LSTM", **RECURRENT}, {"kind": "LSTM", **RECURRENT_SMALL}),
    "gru": Recipe(sequences.recurrent, 14, {"kind": "GRU", **RECURRENT}, {"kind": "GRU", **RECURRENT_SMALL}),
}
# By onnxruntime's tool, of another model.
QUANTISED = {"resnet18_qdq": ("resnet18", "QDQ"), "resnet18_qlinear": ("resnet18", "QOperator"),
             "resnet50_qdq": ("resnet50", "QDQ"), "mobilenet_v2_qdq": ("mobilenet_v2", "QDQ"),
             "squeezenet_qdq": ("squeezenet", "QDQ")}
NAMES = [*RECIPES, *QUANTISED, *light.NAMES]


def build(name: str, small: bool) -> onnx.ModelProto:
    recipe = RECIPES[name]
    net = Net(name, recipe.opset)
    outputs = recipe.layers(net, **(recipe.small if small else recipe.full))
    return net.model(*([outputs] if isinstance(outputs, str) else outputs))


def quantise(model: onnx.ModelProto, form: str, path: Path) -> None:
    """Of the model with its norms in the convolutions before, as the tool's guide asks for."""
    import onnxruntime
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Samples(CalibrationDataReader):
        def __init__(self) -> None:
            self._left = [inputs_of(model, seed) for seed in range(2)]

        def get_next(self) -> dict[str, np.ndarray] | None:
            return self._left.pop() if self._left else None

    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "float.onnx"
        onnx.save(model, whole)
        folded = str(Path(folder) / "folded.onnx")
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = folded
        onnxruntime.InferenceSession(whole, options, providers=["CPUExecutionProvider"])
        quantize_static(folded, path, Samples(), quant_format=QuantFormat[form], per_channel=True,
                        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", metavar="NAME", help=" ".join(NAMES))
    parser.add_argument("--small", action="store_true")
    args = parser.parse_args()
    unknown = set(args.names) - set(NAMES)
    if unknown:
        parser.error(f"no model {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    args.folder.mkdir(parents=True, exist_ok=True)
    for name in args.names or [*RECIPES, *QUANTISED]:
        path = args.folder / f"{name}.onnx"
        if name in QUANTISED:
            of, form = QUANTISED[name]
            quantise(build(of, args.small), form, path)
        else:
            onnx.save(light.build(name) if name in light.NAMES else build(name, args.small), path)
        print(f"{path}: {path.stat().st_size / 2**20:.1f} MiB", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
