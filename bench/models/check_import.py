#!/usr/bin/env python3
"""Imports models, builds each with default schedules and compares what it computes with onnxruntime.

    python check_import.py [--evaluate] [--threads N] [--libraries FOLDER] MODEL.onnx …

--evaluate asks the interpreter too, which is for small models. Prints a table; ends with 1 where a model isn't
imported or differs. Shapes and dimensions are those of all models that have such a name.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from runtimes import Arrays, Onnxruntime, Runtime, Tessera, packed_inputs
from values import add_extents, extents_of, inputs_of, model_inputs, values_of

PROGRAM = Path(__file__).resolve().parents[2] / "build/bin/bench_model"
# Of the largest value of an output; sums are added in other orders. Nobody has to be nearer to onnxruntime than
# some times what that is to itself without its optimisations: rounding to integers and small results of large
# sums magnify.
TOLERANCE, TIMES_ITS_OWN = 1e-4, 3


@dataclass
class Row:
    name: str
    facts: dict
    error: str = ""
    differences: tuple[float, ...] = ()
    evaluated: tuple[float, ...] = ()
    own: float = 0.0  # what onnxruntime differs from itself

    def is_fine(self) -> bool:
        allowed = max(TOLERANCE, TIMES_ITS_OWN * self.own)
        return not self.error and all(d <= allowed for d in (*self.differences, *self.evaluated))

    def line(self) -> str:
        if not self.facts:
            return f"| {self.name} | {self.error} |"
        f = self.facts
        shown = [self.name, f["nodes"], f["kernels"], f["kinds"], f"{f['operations'] / 1e6:.1f}",
                 f"{f['constant_bytes'] / 2**20:.1f}", f"{f['arena_bytes'] / 2**20:.2f}", f"{f['import_seconds']:.2f}",
                 f"{f['seconds']:.1f}", _worst(self.differences), _worst(self.evaluated),
                 f"{self.own:.1e}", self.error]
        return "| " + " | ".join(str(s) for s in shown) + " |"


def _worst(differences: tuple[float, ...]) -> str:
    return f"{max(differences):.1e}" if differences else "–"


def difference(expected: np.ndarray, got: np.ndarray) -> float:
    """The largest, of the largest value; infinite where shapes or what is no number differ."""
    expected, got = np.asarray(expected, dtype=np.float64), np.asarray(got, dtype=np.float64)
    if expected.shape != got.shape or not np.array_equal(np.isfinite(expected), np.isfinite(got)):
        return np.inf
    finite = np.isfinite(expected)
    if not finite.any():
        return 0.0
    return float(np.abs(expected - got)[finite].max() / max(np.abs(expected[finite]).max(), 1e-30))


def command(what: str, model: Path, args: argparse.Namespace, *more: str) -> dict:
    words = [str(args.program), what, str(model), *more]
    inputs = {v.name for v in model_inputs(onnx.load(model))}
    for value in args.shape:
        if value.rsplit("=", 1)[0] in inputs:
            words += ["--shape", value]
    for value in args.value:
        if value.rsplit("=", 1)[0] in inputs:
            words += ["--value", value]
    for value in args.dim:
        words += ["--dim", value]
    done = subprocess.run(words, capture_output=True, text=True, timeout=args.seconds)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip()[:400] or f"ended with {done.returncode}")
    return json.loads(done.stdout)


def known_extents(model: onnx.ModelProto, args: argparse.Namespace) -> tuple[dict, dict]:
    shapes, dims = extents_of(args)
    names = {v.name for v in model_inputs(model)}
    return {n: s for n, s in shapes.items() if n in names}, dims


def results_of(runtime: Runtime, inputs: Arrays) -> list[np.ndarray]:
    runtime.bind(inputs)
    runtime.call()
    return runtime.outputs()


def check(model: Path, args: argparse.Namespace) -> Row:
    row = Row(model.stem, {})
    proto = onnx.load(model)
    shapes, dims = known_extents(proto, args)
    inputs = inputs_of(proto, args.seed, shapes, dims, values_of(args))
    open_inputs = {name: value for name, value in inputs.items() if name not in values_of(args)}
    with tempfile.TemporaryDirectory() as scratch:
        library = (args.libraries or Path(scratch)) / f"{model.stem}-t{args.threads}"
        try:
            row.facts = command("build", model, args, "--out", str(library), "--threads", str(args.threads))
            plain, expected = (results_of(Onnxruntime(model, args.threads, o), inputs) for o in (False, True))
            row.own = max(difference(e, g) for e, g in zip(expected, plain, strict=True))
            ours = results_of(Tessera(library, args.threads), open_inputs)
            row.differences = tuple(difference(e, g) for e, g in zip(expected, ours, strict=True))
            if args.evaluate:
                row.evaluated = evaluate(model, args, library, open_inputs, expected, Path(scratch))
        except Exception as error:  # noqa: BLE001: any of a model's is its row
            row.error = str(error).replace("|", "/").replace("\n", " ")[:300]
    return row


def evaluate(model: Path, args: argparse.Namespace, library: Path, inputs: dict, expected: list[np.ndarray],
             scratch: Path) -> tuple[float, ...]:
    given, results = scratch / "in", scratch / "out"
    given.mkdir()
    for i, value in enumerate(packed_inputs(library, inputs)):
        value.tofile(given / f"{i}.raw")
    command("evaluate", model, args, "--in", str(given), "--out", str(results))
    kinds = [o.dtype if o.dtype != np.bool_ else np.uint8 for o in expected]
    return tuple(difference(e, np.fromfile(results / f"{i}.raw", dtype=kinds[i]).reshape(e.shape))
                 for i, e in enumerate(expected))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path, metavar="MODEL.onnx")
    parser.add_argument("--evaluate", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    add_extents(parser)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=600, help="of one command, at most (%(default)s)")
    parser.add_argument("--libraries", type=Path, help="keeps the libraries there, as MODEL-tTHREADS")
    parser.add_argument("--program", type=Path, default=PROGRAM)
    args = parser.parse_args()
    print("| model | nodes | kernels | kinds | MFLOP | MiB weights | MiB between | s import | s build | off | off, "
          "interpreter | its own | |\n|" + "---|" * 13, flush=True)
    fine = True
    for model in args.models:
        row = check(model, args)
        fine &= row.is_fine()
        print(row.line() + ("" if row.is_fine() else " **differs**" if row.differences else " **fails**"), flush=True)
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
