"""Tunes, builds and measures whole job files; `bench/suite.sh` starts it, README.md describes it."""

from __future__ import annotations

import argparse
import contextlib
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from case import Case, load_cases, load_suite
from compare import (
    Comparison,
    add_measuring_options,
    check_measuring_options,
    line,
)
from service import Service
from tuning import Budget, Tuner, tuning_table


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench/suite.sh", description=__doc__.split(";")[0])
    parser.add_argument("suite", nargs="+", type=Path, help="job files of `tessera tune`")
    parser.add_argument("--trials", type=int, default=1000, help="an operator, at most")
    parser.add_argument("--seconds", type=float, default=600, help="of tuning an operator, at most")
    parser.add_argument("--cases", default="", help="regular expression of names; default: all")
    parser.add_argument("--tessera", type=Path, default=Path("build/bin/tessera"))
    parser.add_argument("--out", type=Path, default=Path("build/bench/suite"))
    parser.add_argument("--retry-failed", action="store_true", help="cases where a library failed")
    parser.add_argument(
        "--limit-seconds", type=float, default=0, help="begin no case after this long; 0: no limit"
    )
    add_measuring_options(parser)
    arguments = parser.parse_args()
    check_measuring_options(parser, arguments)
    if arguments.trials < 1 or arguments.seconds <= 0:
        parser.error("--trials and --seconds must be positive")
    for path in (*arguments.suite, arguments.tessera):
        if not path.exists():
            parser.error(f"{path}: no such file")
    return arguments


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP unwind as Ctrl-C does, so that services are stopped in order."""

    def end(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    yield


def measure_case(case: Case, library: Path, suite: Path, comparison: Comparison) -> list[str]:
    """Lines for the screen, one a state of the caches."""
    (built,) = [c for c in load_cases([library], [suite]) if c.name == case.name]
    lines = []
    for plan in comparison.plans:
        if comparison.is_measured(built, plan):
            lines.append(f"{plan.cache}: already measured")
        else:
            lines.append(f"{plan.cache}: {line(comparison.run(built, plan))}")
    return lines


def write_report(out: Path, tuner: Tuner, comparison: Comparison) -> Path:
    comparison.write_tables()
    report = out / "suite.md"
    measured = comparison.table.read_text() if comparison.table.exists() else ""
    part = report.with_suffix(".part")
    part.write_text(f"{measured}\n{tuning_table(tuner.finished())}")
    part.rename(report)
    return report


def run(
    arguments: argparse.Namespace,
    cases: list[tuple[Path, Case]],
    tuner: Tuner,
    comparison: Comparison,
) -> int:
    """Case by case; returns how many could not be tuned or built."""
    failures = 0
    began = time.monotonic()
    for number, (path, case) in enumerate(cases, 1):
        if 0 < arguments.limit_seconds < time.monotonic() - began:
            print(f"{len(cases) - number + 1} cases are left for the next run", flush=True)
            break
        print(f"{number}/{len(cases)} {case.suite} {case.name}: ", end="", flush=True)
        try:
            state = tuner.tune(case)
            if not state.done:
                raise RuntimeError(state.message)
            library = tuner.build(case)
        except (RuntimeError, subprocess.CalledProcessError) as error:
            failures += 1
            said = getattr(error, "stderr", None) or str(error)
            print(f"failed: {said.strip()[:300]}", flush=True)
            continue
        print(f"tuned in {state.spent_seconds:.0f} s", flush=True)
        for text in measure_case(case, library, path, comparison):
            print(f"  {text}", flush=True)
        write_report(arguments.out, tuner, comparison)
    return failures


def main() -> int:
    arguments = parse_arguments()
    arguments.out.mkdir(parents=True, exist_ok=True)
    budget = Budget(arguments.trials, arguments.seconds, arguments.threads, arguments.seed)
    cases = [
        (path, case)
        for path in arguments.suite
        for case in load_suite(path)
        if re.search(arguments.cases, case.name)
    ]
    if not cases:
        raise SystemExit("suite: no operator to tune; see --cases")
    with ended_by_signals(), Service(arguments.tessera, arguments.out) as service:
        tuner = Tuner(service, arguments.out / f"tasks-t{budget.threads}", budget)
        comparison = Comparison(arguments)
        failures = run(arguments, cases, tuner, comparison)
    print(f"{arguments.out}/suite.md, results.csv, summary.csv")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
