#!/usr/bin/env python3
"""Times a model in a library of Tessera beside other runtimes, in turns within one run.

    python measure.py MODEL.onnx LIBRARY_FOLDER [--threads 1] [--peers onnxruntime,openvino] [--out FILE.json]

Each runtime is a process of its own, pinned to as many cores as there are threads; the others are stopped while
one is timed. A round gives each a turn, in random order; a turn's time is its fastest call, a runtime's the median
over rounds. Start: loading the model until its first result, modules already there. Memory: the process's peak
until then, less what it had before the runtime was loaded. Results are compared with onnxruntime's.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx

from check_import import TOLERANCE, difference
from runtimes import RUNTIMES, Runtime
from tvm_model import facts_of
from values import add_extents, given_inputs, values_of

MODULES = {"onnxruntime": "onnxruntime", "openvino": "openvino", "tvm": "tvm"}


def memory_bytes(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {key}")


def made(args: argparse.Namespace) -> Runtime:
    if args.child == "tvm":
        return RUNTIMES["tvm"](args.model, args.threads, args.tvm_schedules)
    return RUNTIMES[args.child](args.library if args.child == "tessera" else args.model, args.threads)


def child(args: argparse.Namespace) -> None:
    """Answers lines of JSON: {"seconds": s} is a turn, {"outputs": FILE} keeps results."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:args.threads])
    inputs = given_inputs(onnx.load(args.model), args)
    if args.child == "tessera":
        inputs = {name: value for name, value in inputs.items() if name not in values_of(args)}
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = memory_bytes("VmRSS")
    if args.child in MODULES:
        importlib.import_module(MODULES[args.child])
    begin = time.perf_counter()
    runtime = made(args)
    runtime.bind(inputs)
    runtime.call()
    start = time.perf_counter() - begin
    print(json.dumps({"start_seconds": start, "peak_bytes": memory_bytes("VmHWM") - before}), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        if "outputs" in asked:
            np.savez(asked["outputs"], *runtime.outputs())
            print("{}", flush=True)
            continue
        times: list[float] = []
        runtime.call()
        while len(times) < 3 or sum(times) < asked["seconds"]:
            begin = time.perf_counter()
            runtime.call()
            times.append(time.perf_counter() - begin)
        print(json.dumps({"fastest": min(times), "calls": len(times)}), flush=True)


class Process:
    def __init__(self, name: str, args: argparse.Namespace) -> None:
        words = [sys.executable, __file__, str(args.model), str(args.library), "--child", name, "--threads",
                 str(args.threads), "--seed", str(args.seed)]
        words += [w for s in args.shape for w in ("--shape", s)] + [w for d in args.dim for w in ("--dim", d)]
        words += [w for v in args.value for w in ("--value", v)]
        words += ["--tvm-schedules", str(args.tvm_schedules)] if args.tvm_schedules else []
        self.name = name
        self._log = args.out.with_suffix(f".{name}.log")
        with self._log.open("w") as log:
            self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
        self.facts = self._read()
        self.rounds: list[float] = []
        self.stop()

    def ask(self, what: dict) -> dict:
        self._process.send_signal(signal.SIGCONT)
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()
        answer = self._read()
        self.stop()
        return answer

    def stop(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def end(self) -> None:
        self._process.kill()
        self._process.wait()

    def _read(self) -> dict:
        # What runtimes print themselves is no answer.
        for line in self._process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        self._process.wait()
        raise RuntimeError(f"{self.name}: ended; see {self._log}")


def measure(args: argparse.Namespace) -> dict:
    processes, failed = [], {}
    results: dict[str, list[np.ndarray]] = {}
    for name in ["tessera", *args.peers]:
        try:
            process = Process(name, args)
        except RuntimeError as error:
            failed[name] = str(error)
            continue
        processes.append(process)
        kept = args.out.with_suffix(f".{name}.npz")
        process.ask({"outputs": str(kept)})
        with np.load(kept) as arrays:
            results[name] = [arrays[key] for key in arrays.files]
        kept.unlink()
    rng = random.Random(args.seed)
    for _ in range(args.rounds):
        for process in rng.sample(processes, len(processes)):
            process.rounds.append(process.ask({"seconds": args.turn_seconds})["fastest"])
    row = {"model": args.model.stem, "library": args.library.name, "threads": args.threads, "load_average": os.getloadavg()[0], "failed": failed,
           "tvm_schedules": facts_of(args.tvm_schedules) if args.tvm_schedules else None, "runtimes": {}}
    for process in processes:
        process.end()
        off = None
        if "onnxruntime" in results:
            off = max(difference(e, g) for e, g in zip(results["onnxruntime"], results[process.name], strict=True))
        row["runtimes"][process.name] = {"seconds": statistics.median(process.rounds), "rounds": process.rounds,
                                         "off": off, **process.facts}
    return row


def table(rows: list[dict]) -> str:
    """Milliseconds; the ratio is that of the fastest other runtime to Tessera: above 1 Tessera is faster."""
    names = sorted({n for row in rows for n in row["runtimes"]}, key=lambda n: (n != "tessera", n))
    parts = [("", "seconds", 1e3, "{:.2f}"), (" start", "start_seconds", 1e3, "{:.0f}"),
             (" MiB", "peak_bytes", 2**-20, "{:.0f}")]
    lines = ["| library | threads |" + "".join(f" {n}{p[0]} |" for p in parts for n in names) + " ratio | |"]
    lines.append("|" + "---|" * (4 + len(parts) * len(names)))
    for row in rows:
        cells = [row["library"], str(row["threads"])]
        of = row["runtimes"]
        for _, key, factor, form in parts:
            cells += [form.format(of[n][key] * factor) if n in of else "–" for n in names]
        others = [of[n]["seconds"] for n in of if n != "tessera"]
        cells.append(f"{min(others) / of['tessera']['seconds']:.2f}" if others and "tessera" in of else "–")
        off = [f"{n} is {of[n]['off']:.1e} off" for n in of if of[n]["off"] is not None and not of[n]["off"] <= TOLERANCE]
        lines.append("| " + " | ".join(cells) + " | " + ", ".join(off) + " |")
    return "\n".join(lines)


def key(row: dict) -> tuple[str, str, int, bool]:
    return row["model"], row["library"], row["threads"], bool(row.get("tvm_schedules"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("library", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--peers", type=lambda text: text.split(","), default=["onnxruntime", "openvino"])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--turn-seconds", type=float, default=0.3)
    add_extents(parser)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tvm-schedules", type=Path, help="a folder of tune_tvm.py; without it TVM's default schedules")
    parser.add_argument("--out", type=Path, default=Path("build/bench/models/results.json"),
                        help="rows are added to those of other models, libraries and threads (%(default)s)")
    parser.add_argument("--child", choices=RUNTIMES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args)
        return 0
    args.out.parent.mkdir(parents=True, exist_ok=True)
    row = measure(args)
    known = json.loads(args.out.read_text()) if args.out.exists() else []
    rows = [r for r in known if key(r) != key(row)] + [row]
    args.out.write_text(json.dumps(rows, indent=1) + "\n")
    print(table([row]))
    for name, why in row["failed"].items():
        print(f"{name}: {why}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
