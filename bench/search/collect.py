"""Measures the programs that docs/search.md's figures rest on and writes them to data sets
(docs/replay.md); README.md says what there is and how long it takes.

    build/peers/bin/python bench/search/collect.py sample

A run that was killed goes on with the same command.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import peers_modules
from collection import Entry, choose, enumerated, load, pilot, refined, sampled
from collector import NATIVE, Collector, Conditions, Failed, Unit
from service import Service
from sets import DataSet, summary
from suite import ended_by_signals

PROGRAMS = 2100  # of a sample: a few come twice
SAMPLE_PASSES, REFINE_PASSES = 2, 5
MOST_ENUMERATED = 60_000
ACTIONS = ("pilot", "sample", "enumerate", "refine", "sizes", "summary")


def parse_arguments(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="collect", description=__doc__.split(";")[0].replace("\n", " ")
    )
    parser.add_argument("action", choices=ACTIONS)
    parser.add_argument("--tasks", type=Path, default=peers_modules.HERE / "collect.yaml")
    parser.add_argument("--cases", default="", help="regular expression of names; default: all")
    parser.add_argument("--isa", help="ceiling of the worker: sse4.2, avx2, …; default: none")
    parser.add_argument("--threads", type=int, default=1, help="of a kernel")
    parser.add_argument("--programs", type=int, default=PROGRAMS, help="of a sample")
    parser.add_argument(
        "--passes", type=int, help="times that programs are measured; default: sample 2, refine 5"
    )
    parser.add_argument(
        "--quiet", type=float, default=0.15, help="cores that other programs may keep busy"
    )
    parser.add_argument(
        "--patience", type=float, default=600, help="seconds to wait for others to become quiet"
    )
    parser.add_argument("--tessera", type=Path, default=Path("build/bin/tessera"))
    parser.add_argument("--out", type=Path, default=Path("build/bench/search/sets"))
    arguments = parser.parse_args(words)
    if arguments.passes is None:
        arguments.passes = REFINE_PASSES if arguments.action == "refine" else SAMPLE_PASSES
    if min(arguments.threads, arguments.programs, arguments.passes) < 1:
        parser.error("--threads, --programs and --passes must be positive")
    for path in (arguments.tasks, arguments.tessera):
        if not path.exists():
            parser.error(f"{path}: no such file")
    return arguments


def commit_of(folder: Path) -> str:
    """Of the sources; + where they differ from it. Empty outside of a repository."""

    def git(*words: str) -> str:
        command = ["git", "-C", str(folder), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + "+" * bool(git("status", "--porcelain"))
    except (OSError, subprocess.CalledProcessError):
        return ""


def unit_for(arguments: argparse.Namespace, entry: Entry) -> Unit | None:
    """None where there is nothing to refine yet."""
    isa = arguments.isa or NATIVE
    if arguments.action == "pilot":
        return pilot(entry, isa, arguments.threads)
    if arguments.action == "sample":
        return sampled(entry, isa, arguments.threads, arguments.programs, arguments.passes)
    unit = enumerated(entry, isa, arguments.threads, MOST_ENUMERATED)
    if arguments.action != "refine":
        return unit
    table = arguments.out / unit.kind / f"{unit.stem}.data"
    if not table.exists():
        print(f"{unit.stem}: not enumerated yet", flush=True)
        return None
    return refined(
        entry, isa, arguments.threads, MOST_ENUMERATED, DataSet.read(table), arguments.passes
    )


def sizes(service: Service, work: Path, units: list[Unit]) -> str:
    """How many programs the pinned spaces have on this machine."""
    device, *_ = json.loads(service.call("devices", "--json"))
    lines = []
    for unit in units:
        path = work / f"{unit.stem}.yaml"
        path.write_text(json.dumps(unit.job_file(unit.parts[0])) + "\n")
        command = [service.tessera, "space", path, "--target", device["target"], "--samples", "1"]
        result = subprocess.run(
            [str(word) for word in (*command, "--threads", unit.threads)],
            capture_output=True,
            text=True,
        )
        said = (result.stdout or result.stderr).strip().splitlines()
        lines.append(f"{unit.name}: {said[1 if result.returncode == 0 else 0]}")
        path.unlink()
    return "\n".join(lines)


def collect(collector: Collector, units: list[Unit]) -> int:
    """How many failed."""
    failures = 0
    for number, unit in enumerate(units, 1):
        print(f"{number}/{len(units)} {unit.kind} {unit.stem}", flush=True)
        if collector.is_done(unit):
            continue
        began = time.monotonic()
        try:
            path = collector.collect(unit)
        except Failed as error:
            failures += 1
            print(f"  failed: {error}", flush=True)
            continue
        print(f"  {path}, {time.monotonic() - began:.0f} s", flush=True)
    return failures


def write_summary(folder: Path) -> Path:
    path = folder / "summary.md"
    part = folder / "summary.md.part"
    part.write_text(summary(folder))
    part.rename(path)
    return path


def main() -> int:
    arguments = parse_arguments()
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.action == "summary":
        print(write_summary(arguments.out).read_text(), end="")
        return 0
    sections = load(arguments.tasks)
    is_sampled = arguments.action in ("pilot", "sample")
    entries = choose(
        sections["sampled" if is_sampled else "enumerated"],
        arguments.cases,
        arguments.isa,
        arguments.threads,
    )
    if not entries:
        raise SystemExit("collect: no task to measure; see --cases and `also` in the file of tasks")
    units = [unit for entry in entries if (unit := unit_for(arguments, entry)) is not None]
    # A log for each class and number of threads: in one log a name could mean either task.
    work = arguments.out / f"work-{arguments.isa or NATIVE}-t{arguments.threads}"
    work.mkdir(exist_ok=True)
    options = ["--isa", arguments.isa] if arguments.isa else []
    with ended_by_signals(), Service(arguments.tessera, work, options) as service:
        if arguments.action == "sizes":
            print(sizes(service, work, units))
            return 0
        conditions = Conditions(arguments.quiet, arguments.patience, commit_of(peers_modules.HERE))
        failures = collect(Collector(service, work, arguments.out, conditions), units)
    print(write_summary(arguments.out))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
