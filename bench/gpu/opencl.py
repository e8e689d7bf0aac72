"""Tunes operators on an OpenCL device, in one job, and prints their times against those of default
schedules, the trials that the search needed and those that failed.

    python3 bench/gpu/opencl.py [--device NAME]

A run that ended early goes on with the same command.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import peers_modules
from service import Service
from tuned import CLOSE, Worker, needed

ROOT = peers_modules.HERE.parent.parent


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=" ".join(__doc__.split("\n\n")[0].split()))
    parser.add_argument("--operators", type=Path, default=peers_modules.HERE / "opencl.yaml")
    parser.add_argument("--trials", type=int, default=20, help="an operator; default: %(default)s")
    parser.add_argument("--device", default="", help="part of the device's name; default: the first")
    parser.add_argument("--tessera", type=Path, default=ROOT / "build/bin/tessera")
    parser.add_argument("--out", type=Path, default=ROOT / "build/bench/opencl")
    return parser.parse_args()


Records = list[dict[str, Any]]


def run(arguments: argparse.Namespace) -> tuple[dict[str, Any], dict[str, Records]]:
    """The job's report and its records by operator."""
    out = arguments.out
    text = f"{arguments.trials} {arguments.device} {arguments.operators.read_text()}"
    key = hashlib.sha256(text.encode()).hexdigest()[:16]
    with Service(arguments.tessera, out, ["--no-worker"]) as service:
        with Worker(service, out, "opencl", arguments.device):
            options = ["--trials", arguments.trials, "--key", f"opencl {key}", "--detach"]
            job = int(service.call("tune", arguments.operators, *options))
            watch = service.command("watch", job)
            # It fails where an operator had no good trial: the table says which.
            subprocess.run(watch, stdout=sys.stderr, check=False)
            report = json.loads(service.call("jobs", job, "--json"))
            records = {}
            for name in [op["op"] for op in report["operators"]]:
                log = service.log(job, "--task", name)
                records[name] = [json.loads(line) for line in log.splitlines()]
    return report, records


def time_text(seconds: float) -> str:
    return f"{seconds * 1e6:.3g} µs" if seconds < 1e-3 else f"{seconds * 1e3:.3g} ms"


def markdown(report: dict[str, Any], records: dict[str, Records]) -> str:
    lines = [
        f"| operator | default | tuned | gain | tuned, GFLOPS | trials until {CLOSE:.0%} | failed |",
        "|---|---|---|---|---|---|---|",
    ]
    failures: Counter[str] = Counter()
    for op in report["operators"]:
        failures.update(op["failures"])
        default, tuned = op["default_seconds"], op["tuned_seconds"]
        if not default or not tuned:
            lines.append(f"| {op['op']} | – | – | – | – | – | {sum(op['failures'].values())} |")
            continue
        lines.append(
            f"| {op['op']} | {time_text(default)} | {time_text(tuned)} | {default / tuned:.1f} "
            f"| {op['tuned_gflops']:.1f} | {needed(records[op['op']])[0]} "
            f"| {sum(op['failures'].values())} |"
        )
    trials = sum(op["trials"] for op in report["operators"])
    said = ", ".join(f"{count} {outcome}" for outcome, count in sorted(failures.items()))
    lines += [
        "",
        f"{report['machine']['description']}: {trials} trials in {report['elapsed_seconds']:.0f} s; "
        f"{sum(failures.values())} failed{': ' + said if said else ''}.",
    ]
    return "\n".join(lines)


def main() -> None:
    arguments = parse_arguments()
    arguments.out.mkdir(parents=True, exist_ok=True)
    print(markdown(*run(arguments)))


if __name__ == "__main__":
    main()
