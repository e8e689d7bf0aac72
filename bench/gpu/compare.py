"""Tunes operators on an NVIDIA GPU, then measures the tuned kernels beside PyTorch (cuBLAS, cuDNN) and Triton,
in one process by one clock, in interleaved order. README.md says how to read it.

    build/gpu/bin/python bench/gpu/compare.py

A run that ended early goes on with the same command; what was tuned is only measured again.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import json
import platform
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

import peers_modules
from case import Case, Unsupported, make_inputs
from contenders import Contender, Outcome, Stopwatch, check, time_interleaved
from device import Driver, DriverError
from driver import now
from operators import Suite, load_operators, reference
from programs import Program, load_case
from service import Service
from tables import OURS, markdown
from tuned import Worker, tune

ROOT = peers_modules.HERE.parent.parent
SEED = 1
FLUSH_BYTES = 256 << 20  # at least, and four times the L2 cache
SIDES = {"torch": "torch_side", "triton": "triton_side"}  # what they need: the module here
GPU_QUERY = "name,driver_version,clocks.sm,clocks.mem,temperature.gpu,power.draw"


def parse_arguments(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--operators", type=Path, help="default: operators.yaml beside this file")
    parser.add_argument("--cases", default="", help="regular expression of operators; default: all")
    parser.add_argument("--trials", type=int, help="an operator; default: the file's")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--device", default="", help="part of the GPU's name, for the worker")
    parser.add_argument("--tessera", type=Path, default=ROOT / "build/bin/tessera")
    parser.add_argument("--out", type=Path)
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="small operators, without PyTorch, where there is no GPU on an interpreter of PTX",
    )
    arguments = parser.parse_args(words)
    if arguments.rounds < 1 or (arguments.trials is not None and arguments.trials < 1):
        parser.error("--rounds and --trials must be positive")
    file = "dry_run.yaml" if arguments.dry_run else "operators.yaml"
    arguments.operators = arguments.operators or peers_modules.HERE / file
    folder = "gpu_dry_run" if arguments.dry_run else "gpu"
    arguments.out = arguments.out or ROOT / "build/bench" / folder
    for program in ("tessera", "tessera-worker", "bench_device_code"):
        path = arguments.tessera.parent / program
        if not path.exists():
            parser.error(f"{path}: no such file; build it by deploy/build.sh")
    return arguments


def stand_in(arguments: argparse.Namespace) -> Path | None:
    """The folder of the tests' driver, which is built where there is none of NVIDIA's."""
    folder = arguments.tessera.resolve().parent.parent / "tests/cuda"
    return folder if arguments.dry_run and (folder / "libcuda.so.1").exists() else None


def missing_sides(is_dry_run: bool) -> dict[str, str]:
    """By package: why it is not compared."""
    if is_dry_run:
        return {name: f"{name}, in dry runs" for name in SIDES}
    return {
        name: f"{name} is not installed: pip install -r bench/gpu/requirements.txt"
        for name in SIDES
        if importlib.util.find_spec(name) is None
        # Its kernels take PyTorch's tensors.
        or (name == "triton" and importlib.util.find_spec("torch") is None)
    }


def tune_all(arguments: argparse.Namespace, suite: Suite) -> dict[str, dict[str, Any]]:
    """What was spent on each, or why it failed, by name."""
    found: dict[str, dict[str, Any]] = {}
    out, trials = arguments.out, arguments.trials or suite.trials
    with Service(arguments.tessera, out, ["--no-worker"]) as service:
        with Worker(service, out, "cuda", arguments.device, stand_in(arguments)):
            for number, case in enumerate(suite.cases, 1):
                try:
                    spent = asdict(tune(service, case, trials, out / "programs"))
                    found[case.name] = {"spent": spent, "reason": ""}
                    text = f"{spent['trials']} trials, {spent['seconds']:.1f} s"
                except subprocess.CalledProcessError as error:
                    text = "tuning failed: " + " ".join((error.stderr or "").split())[-300:]
                    found[case.name] = {"spent": None, "reason": text}
                print(f"tune {number}/{len(suite.cases)} {case.name}: {text}", flush=True)
    return found


class Comparison:
    """PyTorch's context where it is there, else one of its own."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        missing = missing_sides(arguments.dry_run)
        self.missing = list(missing.values())
        self._sides: list[ModuleType] = [
            importlib.import_module(module) for name, module in SIDES.items() if name not in missing
        ]
        allocate = None
        if self._sides:
            torch_side = self._sides[0]
            torch_side.start()
            allocate = torch_side.allocate
        folder = stand_in(arguments)
        library = "libcuda.so.1" if folder is None else str(folder / "libcuda.so.1")
        self._driver = Driver(library, allocate)
        least = 0 if arguments.dry_run else FLUSH_BYTES
        flush_bytes = max(4 * self._driver.cache_bytes, least)
        self._stopwatch = Stopwatch(self._driver, flush_bytes)
        self.environment = {
            "date": now(),
            "GPU": self._driver.name,
            "CUDA of the driver": self._driver.cuda_version,
            "nvidia-smi before": gpu_state(),
            "flushed before each call": f"{flush_bytes >> 20} MiB",
            "rounds": str(arguments.rounds),
            "Python": platform.python_version(),
        }
        for side in self._sides:
            self.environment.update(side.versions())

    def measure(self, case: Case) -> list[Outcome]:
        """Raises what reading Tessera's program does; what others do is their outcome."""
        case = load_case(case, self._arguments.out / "programs")
        inputs = make_inputs(case, SEED)
        program = Program(self._driver, case, self._arguments.out / "programs", inputs)
        contenders = [Contender(OURS, program.call, program.result)]
        for side in self._sides:
            contenders += side.contenders(case, inputs)
        expected = reference(case, inputs)
        precision = "tf32" if case.flag("tf32") else case.dtype
        outcomes = [check(contender, expected, precision) for contender in contenders]
        turn_seconds = 0.01 if self._arguments.dry_run else 0.05
        time_interleaved(
            self._stopwatch, contenders, outcomes, self._arguments.rounds, turn_seconds, case.name
        )
        return outcomes


def gpu_state() -> str:
    """As NVIDIA's tool says it: clocks move with load and temperature."""
    command = ["nvidia-smi", f"--query-gpu={GPU_QUERY}", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return "not known"
    return "; ".join(done.stdout.splitlines())


def compare_all(
    arguments: argparse.Namespace, suite: Suite, tuned: dict[str, dict[str, Any]]
) -> list[dict[str, Any]]:
    comparison = Comparison(arguments)
    rows: list[dict[str, Any]] = []
    for number, case in enumerate(suite.cases, 1):
        row = {"name": case.name, "group": suite.groups[case.name], "op": case.op}
        row |= {"attributes": case.attributes, "outcomes": [], **tuned[case.name]}
        if row["spent"]:
            try:
                for outcome in comparison.measure(case):
                    row["outcomes"].append({**asdict(outcome), "seconds": outcome.seconds})
            except (DriverError, Unsupported) as error:
                row["reason"] = str(error)
            row["nvidia-smi"] = gpu_state()
        rows.append(row)
        write(arguments, suite, comparison, rows)
        texts = [
            f"{o['name']} {o['seconds'] * 1e6:.4g} us" if o["seconds"] else f"{o['name']} {o['status']}"
            for o in row["outcomes"]
        ]
        text = ", ".join(texts) or row["reason"]
        print(f"compare {number}/{len(suite.cases)} {case.name}: {text}", flush=True)
    return rows


def write(
    arguments: argparse.Namespace,
    suite: Suite,
    comparison: Comparison,
    rows: list[dict[str, Any]],
) -> None:
    document = {
        "is_dry_run": arguments.dry_run,
        "environment": comparison.environment,
        "missing": comparison.missing,
        "goals": suite.goals,
        "operators": rows,
    }
    texts = {"results.json": json.dumps(document, indent=1) + "\n", "results.md": markdown(document)}
    for name, text in texts.items():
        part = arguments.out / f"{name}.part"
        part.write_text(text)
        part.rename(arguments.out / name)


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """SIGTERM unwinds as Ctrl-C does, so that server and worker are stopped in order."""

    def end(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, end)
    yield


def main(words: list[str] | None = None) -> int:
    arguments = parse_arguments(words)
    suite = load_operators(arguments.operators)
    cases = [case for case in suite.cases if re.search(arguments.cases, case.name)]
    if not cases:
        raise SystemExit("compare: no operator is left; see --cases")
    suite = Suite(suite.trials, suite.goals, cases, suite.groups)
    for reason in missing_sides(arguments.dry_run).values():
        print(f"not compared: {reason}", flush=True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    with ended_by_signals():
        tuned = tune_all(arguments, suite)
        try:
            rows = compare_all(arguments, suite, tuned)
        except DriverError as error:
            raise SystemExit(f"compare: {error}") from None
    print(f"{arguments.out}/results.md, results.json")
    # What is not right of others is in the report; without Tessera's time there is nothing to compare.
    return 0 if all(row["outcomes"] and row["outcomes"][0]["status"] == "ok" for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
