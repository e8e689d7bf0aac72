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
from driver import Plan
from service import Service
from tuning import Budget, Tuner, tasks_folder, tuning_table


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


def make_tuner(arguments: argparse.Namespace, service: Service, cache: str) -> Tuner:
    """What is measured with cold caches is tuned with cold caches."""
    folder = tasks_folder(arguments.out, arguments.threads, cache)
    return Tuner(
        service,
        folder,
        Budget(arguments.trials, arguments.seconds, arguments.threads, arguments.seed, cache),
    )


def tune_and_measure(
    case: Case, suite: Path, tuner: Tuner, plan: Plan, comparison: Comparison
) -> str:
    """A line for the screen. RuntimeError or CalledProcessError: it could not be tuned or built."""
    state = tuner.tune(case)
    if not state.done:
        raise RuntimeError(state.message)
    (built,) = [c for c in load_cases([tuner.build(case)], [suite]) if c.name == case.name]
    known = comparison.is_measured(built, plan)
    found = "already measured" if known else line(comparison.run(built, plan))
    return f"tuned in {state.spent_seconds:.0f} s, {found}"


def write_report(out: Path, tuners: list[Tuner], comparison: Comparison) -> Path:
    comparison.write_tables()
    report = out / "suite.md"
    measured = comparison.table.read_text() if comparison.table.exists() else ""
    tables = [tuning_table(tuner.cache, tuner.finished()) for tuner in tuners]
    part = report.with_suffix(".part")
    part.write_text("\n".join([measured, *tables]))
    part.rename(report)
    return report


def run(
    arguments: argparse.Namespace,
    cases: list[tuple[Path, Case]],
    tuners: list[Tuner],
    comparison: Comparison,
) -> int:
    """Case by case, a tuner for each of the comparison's plans; returns how many could not be tuned or
    built."""
    failures = 0
    began = time.monotonic()
    for number, (path, case) in enumerate(cases, 1):
        if 0 < arguments.limit_seconds < time.monotonic() - began:
            print(f"{len(cases) - number + 1} cases are left for the next run", flush=True)
            break
        print(f"{number}/{len(cases)} {case.suite} {case.name}", flush=True)
        for tuner, plan in zip(tuners, comparison.plans):
            try:
                text = tune_and_measure(case, path, tuner, plan, comparison)
            except (RuntimeError, subprocess.CalledProcessError) as error:
                failures += 1
                said = getattr(error, "stderr", None) or str(error)
                text = f"failed: {said.strip()[:300]}"
            print(f"  {plan.cache}: {text}", flush=True)
        write_report(arguments.out, tuners, comparison)
    return failures


def main() -> int:
    arguments = parse_arguments()
    arguments.out.mkdir(parents=True, exist_ok=True)
    cases = [
        (path, case)
        for path in arguments.suite
        for case in load_suite(path)
        if re.search(arguments.cases, case.name)
    ]
    if not cases:
        raise SystemExit("suite: no operator to tune; see --cases")
    with ended_by_signals(), Service(arguments.tessera, arguments.out) as service:
        comparison = Comparison(arguments)
        tuners = [make_tuner(arguments, service, plan.cache) for plan in comparison.plans]
        failures = run(arguments, cases, tuners, comparison)
    print(f"{arguments.out}/suite.md, results.csv, summary.csv")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
