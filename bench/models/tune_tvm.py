#!/usr/bin/env python3
"""Tunes a model by TVM's MetaSchedule, for `measure.py --peers tvm --tvm-schedules FOLDER`.

    python tune_tvm.py MODEL.onnx FOLDER --trials 500 [--threads 1] [--shape INPUT=N,…] [--dim NAME=N]

Trials are of the whole model, given to its kernels by MetaSchedule's own gradient scheduler. The folder keeps
every measurement; it must be empty. Its facts.json says at last what was tuned: kernels, trials and seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import onnx

from tvm_model import EQUAL, fused, identity, target_of
from values import add_extents, given_inputs

BATCH = 64  # trials between two fits of the cost model, MetaSchedule's default


def build(module: Any, target: Any, _parameters: Any) -> Any:
    """MetaSchedule's own default, without its import of all tensor instructions: that takes 11 s in each of its
    processes, of which it starts new ones an iteration."""
    from tvm.driver import build as tvm_build
    from tvm.s_tir.transform import RemoveWeightLayoutRewriteBlock

    return tvm_build(RemoveWeightLayoutRewriteBlock(skip_tensor_rewrite=True)(module), target=target)


def tune(args: argparse.Namespace) -> dict[str, Any]:
    from tvm.s_tir import meta_schedule as ms

    began = time.monotonic()
    model = onnx.load(args.model)
    inputs = given_inputs(model, args)
    facts = identity(model, inputs, args.threads)
    target = target_of(args.threads)
    module = fused(model, inputs, target, weights_move=True)
    kernels = len(ms.relax_integration.extract_tasks(module, target, module_equality=EQUAL))
    if args.trials < kernels:
        raise SystemExit(f"--trials {args.trials}: there are {kernels} kernels, each of which takes one at least")
    # The scheduler begins with a batch of each kernel: of the usual size few kernels would be tuned at all.
    batch = min(BATCH, args.trials // kernels)
    print(f"{args.model.stem}: {kernels} kernels, batches of {batch}", flush=True)
    database = ms.relax_integration.tune_relax(
        module, {}, target, str(args.folder), args.trials, num_trials_per_iter=batch, seed=args.seed,
        module_equality=EQUAL,
        builder=ms.builder.LocalBuilder(max_workers=os.cpu_count(), f_build=build, timeout_sec=60),
        runner=ms.runner.LocalRunner(timeout_sec=60, evaluator_config=ms.runner.EvaluatorConfig(
            number=1, repeat=3, min_repeat_ms=10)))
    records = database.get_all_tuning_records()
    failed = sum(1 for r in records if not r.run_secs or float(r.run_secs[0]) > 1e9)
    return {**facts, "kernels": kernels, "trials": len(records), "failed": failed, "seed": args.seed,
            "seconds": time.monotonic() - began}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    add_extents(parser)
    args = parser.parse_args()
    if args.folder.exists() and any(args.folder.iterdir()):
        parser.error(f"{args.folder} is not empty")
    args.folder.mkdir(parents=True, exist_ok=True)
    os.environ["TVM_NUM_THREADS"] = str(args.threads)
    facts = tune(args)
    (args.folder / "facts.json").write_text(json.dumps(facts, indent=1) + "\n")
    print(json.dumps(facts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
