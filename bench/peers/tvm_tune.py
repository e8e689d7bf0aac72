"""Tunes operators of job files by TVM's MetaSchedule and exports the best schedules for `compare.py
--peers tvm`; see README.md. Runs in TVM's own virtual environment (requirements-tvm.txt).

    build/peers-tvm/bin/python bench/peers/tvm_tune.py bench/peers/tvm_subset.yaml --trials 200

An interrupted run goes on with the same command: MetaSchedule's database keeps every measurement, the
cost model is fitted on them again.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from case import Case, Unsupported, load_suite
from tvm_ops import LAYOUTS, Operator, operator, permutation, prim_func
from tvm_work import Task, curve_of, task_folder

STOPPED = 75  # exit code: the slice's time is over, the same command goes on
ITERATION = 64  # trials between two fits of the cost model, MetaSchedule's default


class SliceOver(Exception):
    pass


def build(module: Any, target: Any, _parameters: Any) -> Any:
    """MetaSchedule's own default, without its import of all tensor instructions: that takes 11 s in
    each of its processes, of which it starts new ones an iteration."""
    from tvm.driver import build as tvm_build
    from tvm.s_tir.transform import RemoveWeightLayoutRewriteBlock

    return tvm_build(
        RemoveWeightLayoutRewriteBlock(skip_tensor_rewrite=True)(module), target=target
    )


def make_target(threads: int) -> Any:
    import tvm
    from tvm.target import codegen

    cpu = codegen.llvm_get_system_cpu()
    return tvm.target.Target({"kind": "llvm", "mcpu": str(cpu), "num-cores": threads})


def fitted_model(records: list[Any], function: Any, target: Any) -> Any:
    """The XGBoost model, on what earlier runs measured."""
    import tvm
    from tvm.s_tir import meta_schedule as ms

    model = ms.cost_model.CostModel.create(
        "xgb", num_tuning_cores=os.cpu_count(), tree_method="auto"
    )
    good = [r for r in records if r.run_secs and float(r.run_secs[0]) < 1e9]
    if good:
        context = ms.TuneContext(tvm.IRModule({"main": function}), target=target)
        results = [ms.runner.RunnerResult([float(s) for s in r.run_secs], None) for r in good]
        model.update(context, [r.as_measure_candidate() for r in good], results)
    return model


def tune(op: Operator, folder: Path, target: Any, trials: int, seed: int, deadline: float) -> None:
    """Until the database has `trials` measurements, failed ones among them."""
    from tvm.ir.utils import derived_object
    from tvm.s_tir import meta_schedule as ms

    @derived_object
    class Watch(ms.measure_callback.PyMeasureCallback):
        def apply(self, *_: Any) -> None:
            if time.monotonic() > deadline:
                raise SliceOver

    function = prim_func(op)
    database = ms.database.JSONDatabase(work_dir=str(folder))
    records = database.get_all_tuning_records()
    left = trials - len(records)
    if left <= 0:
        return
    callbacks = [*ms.measure_callback.MeasureCallback.create("default"), Watch()]
    ms.tune_tir(
        function,
        target,
        work_dir=str(folder),
        max_trials_global=left,
        num_trials_per_iter=min(ITERATION, left),
        builder=ms.builder.LocalBuilder(max_workers=os.cpu_count(), f_build=build, timeout_sec=60),
        runner=ms.runner.LocalRunner(
            timeout_sec=60,
            evaluator_config=ms.runner.EvaluatorConfig(number=1, repeat=3, min_repeat_ms=10),
        ),
        database=database,
        cost_model=fitted_model(list(records), function, target),
        measure_callbacks=callbacks,
        num_tuning_cores=os.cpu_count(),
        seed=seed + len(records),
    )


def export(case: Case, op: Operator, folder: Path, target: Any, task: Task) -> None:
    """best.so, the weights' permutation and task.json, which is written last."""
    import tvm
    from tvm.s_tir import meta_schedule as ms
    from tvm.s_tir.schedule import Schedule

    database = ms.database.JSONDatabase(work_dir=str(folder))
    records = database.get_all_tuning_records()
    best = min(
        records, key=lambda r: np.mean([float(s) for s in r.run_secs]) if r.run_secs else 1e10
    )
    schedule = Schedule(best.workload.mod)
    best.trace.apply_to_schedule(schedule, remove_postproc=False)
    from tvm.s_tir.transform import RemoveWeightLayoutRewriteBlock

    module = RemoveWeightLayoutRewriteBlock(skip_tensor_rewrite=True)(schedule.mod)
    build(schedule.mod, target, None).export_library(str(folder / "best.so"))
    shapes = [
        [int(s) for s in info.shape] for info in ms.arg_info.ArgInfo.from_prim_func(module["main"])
    ]
    order = folder / "weights.npy"
    order.unlink(missing_ok=True)
    if op.free is not None and tuple(shapes[op.free]) != op.arguments[op.free][1]:
        names, indices = index_map_of(best.trace)
        shape = op.arguments[op.free][1]
        np.save(order, permutation(shape, tuple(shapes[op.free]), names, indices))
    task.write(folder, curve_of(folder), shapes, tvm.__version__)


def index_map_of(trace: Any) -> tuple[list[str], list[str]]:
    """The change of the weights' layout, which a trace has after its decisions."""
    found = None
    after = False
    for instruction in trace.insts:
        name = str(instruction.kind.name)
        after = after or name == "EnterPostproc"
        if after and name == "TransformLayout":
            found = next(x for x in instruction.inputs if hasattr(x, "initial_indices"))
    if found is None:
        raise ValueError("the trace changes no layout, but a shape has changed")
    return [str(i) for i in found.initial_indices], [str(i) for i in found.final_indices]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("suite", nargs="+", type=Path, help="job files")
    parser.add_argument("--cases", default="", help="regular expression of names; default: all")
    parser.add_argument("--trials", type=int, default=200, help="an operator")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--layout", choices=LAYOUTS, default="nhwc", help="of free activations")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work", type=Path, default=Path("build/bench/tvm"))
    parser.add_argument(
        "--seconds", type=float, default=0, help="stop after this long; 0: when done"
    )
    return parser.parse_args()


def main() -> int:
    arguments = parse_arguments()
    os.environ["TVM_NUM_THREADS"] = str(arguments.threads)
    deadline = time.monotonic() + (arguments.seconds or 1e9)
    target = make_target(arguments.threads)
    cases = [c for path in arguments.suite for c in load_suite(path)]
    for case in cases:
        if not re.search(arguments.cases, case.name):
            continue
        try:
            op = operator(case, arguments.layout)
        except Unsupported as reason:
            print(f"{case.name}: {reason}", flush=True)
            continue
        folder = task_folder(arguments.work, case, arguments.threads, op.layout)
        task = Task(
            case.name,
            json.dumps(case.attributes),
            arguments.threads,
            op.layout,
            arguments.trials,
        )
        if task.is_done(folder):
            print(f"{case.name}: already tuned", flush=True)
            continue
        folder.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        try:
            tune(op, folder, target, arguments.trials, arguments.seed, deadline)
        except Exception as error:
            if time.monotonic() <= deadline:
                raise
            print(
                f"{case.name}: {len(curve_of(folder))} trials, stopped: {error!r}"[:200], flush=True
            )
            return STOPPED
        finally:
            task.add_seconds(folder, time.monotonic() - began)
        export(case, op, folder, target, task)
        best = min(curve_of(folder))
        print(f"{case.name}: {len(curve_of(folder))} trials, best {best * 1e6:.4g} us", flush=True)
        if time.monotonic() > deadline:
            return STOPPED
    return 0


if __name__ == "__main__":
    sys.exit(main())
