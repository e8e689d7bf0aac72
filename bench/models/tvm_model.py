"""A model as TVM tunes and compiles it: its CPU's target, channels last, fused, and schedules by MetaSchedule.

A folder of schedules, which `tune_tvm.py` fills, is MetaSchedule's database of one model on so many threads, which
its `facts.json` names.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx

# Kernels that differ in what is fused behind the same product share a task, as TVM tunes whole models.
EQUAL = "anchor-block"


def target_of(threads: int) -> Any:
    import tvm

    cpu = tvm.get_global_func("target.llvm_get_system_cpu")()
    return tvm.target.Target({"kind": "llvm", "mcpu": str(cpu), "num-cores": threads})


def identity(model: onnx.ModelProto, inputs: dict[str, np.ndarray], threads: int) -> dict[str, Any]:
    """What schedules are of."""
    return {"model": hashlib.sha256(model.SerializeToString()).hexdigest(), "threads": threads,
            "shapes": {name: list(value.shape) for name, value in inputs.items()}}


def facts_of(schedules: Path) -> dict[str, Any]:
    return json.loads((schedules / "facts.json").read_text())


def fused(model: onnx.ModelProto, inputs: dict[str, np.ndarray], target: Any, weights_move: bool) -> Any:
    """Kernels as TVM fuses them. With `weights_move` convolutions have channels last, and schedules may lay
    weights out otherwise, as TVM's documentation advises for models that are tuned."""
    import tvm
    from tvm import relax
    from tvm.relax.frontend.onnx import from_onnx

    for node in model.graph.node:
        if node.op_type == "Dropout":  # ConvertLayout fails at it
            node.op_type = "Identity"
            del node.input[1:], node.output[1:], node.attribute[:]
    shapes = {name: list(value.shape) for name, value in inputs.items()}
    module = from_onnx(model, shape_dict=shapes, keep_params_in_input=False)
    passes = [relax.transform.DecomposeOpsForInference(), relax.transform.CanonicalizeBindings(),
              relax.get_pipeline("zero")]
    if weights_move:
        # First: what batch normalisation is taken apart into keeps channels where they are.
        passes.insert(0, relax.transform.ConvertLayout({"relax.nn.conv2d": ["NHWC", "HWIO"]}))
        passes.append(relax.transform.AttachAttrLayoutFreeBuffers())
    with target:
        return tvm.transform.Sequential(passes)(module)


def compiled(model: onnx.ModelProto, inputs: dict[str, np.ndarray], threads: int, schedules: Path | None) -> Any:
    """Relax's executable, by the fastest schedules of the folder; without one by TVM's default schedules. ValueError
    for schedules of another model, other shapes or threads."""
    import tvm
    from tvm import relax

    if schedules is not None:
        wanted, known = identity(model, inputs, threads), facts_of(schedules)
        if other := [key for key, value in wanted.items() if known[key] != value]:
            raise ValueError(f"{schedules}: tuned for another {', '.join(other)}; tune_tvm.py makes what is asked for")
    target = target_of(threads)
    module = fused(model, inputs, target, schedules is not None)
    if schedules is not None:
        from tvm.s_tir.meta_schedule.database import JSONDatabase

        with target, JSONDatabase(work_dir=str(schedules), module_equality=EQUAL, allow_missing=False):
            module = tvm.transform.Sequential([
                relax.transform.MetaScheduleApplyDatabase(),
                relax.transform.SplitLayoutRewritePreproc(),
                relax.transform.LiftTransformParams(),
                relax.transform.FoldConstant(),
            ])(module)
    with target:
        return tvm.compile(module, target)
