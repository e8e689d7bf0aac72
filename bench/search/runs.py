"""One search of one task, on a server of its own, in a folder of its own.

A run starts from an empty log (or a copy of a prepared one), so that no method knows what another has
measured. A run that was killed goes on with its job; what it took by the clock then counts for nothing.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import peers_modules  # noqa: F401
from case import Case
from driver import load_average, now
from methods import Method
from quiet import OutsideLoad
from service import Service

# Outcomes that say nothing about a program.
NOT_MEASURED = ("infrastructure", "cancelled")


@dataclass(frozen=True)
class Trial:
    """`seconds`: of a call; None where the program failed. `at`: seconds from the start of
    `tessera tune` to the result."""

    seconds: float | None
    at: float
    explorer: str


@dataclass(frozen=True)
class Run:
    """What came of a search; JSON in a file."""

    task: str
    method: Method
    seed: int
    threads: int
    attributes: dict[str, Any]  # the operator's, its kind among them
    trials: list[Trial]  # in the order of results
    seconds: float  # of the whole job
    winner_seconds: float | None  # as recorded, of the program that `tessera build` takes
    resumed: bool  # `at` and `seconds` then include what lay between two starts
    runners: list[dict[str, Any]] = field(default_factory=list)  # of `tessera tune --report`
    machine: str = ""
    load_average: float = 0.0  # of one minute, when it began
    other_cores: float = 0.0  # kept busy by other programs while it was tuned
    date: str = ""  # UTC

    @staticmethod
    def read(path: Path) -> Run:
        data = json.loads(path.read_text())
        trials = [Trial(*trial) for trial in data["trials"]]
        return Run(**{**data, "method": Method(**data["method"]), "trials": trials})

    def write(self, path: Path) -> None:
        data = asdict(self)
        data["trials"] = [[t.seconds, t.at, t.explorer] for t in self.trials]
        part = path.with_suffix(".part")
        part.write_text(json.dumps(data) + "\n")
        part.rename(path)

    @property
    def name(self) -> str:
        """Within the task."""
        return f"{self.method.name}-{self.seed}"

    def best_so_far(self) -> list[float]:
        """Seconds of the best after each trial; infinity before the first success."""
        best, curve = float("inf"), []
        for trial in self.trials:
            best = min(best, float("inf") if trial.seconds is None else trial.seconds)
            curve.append(best)
        return curve

    @property
    def best(self) -> float:
        return min(self.best_so_far(), default=float("inf"))

    @property
    def failed(self) -> int:
        return sum(trial.seconds is None for trial in self.trials)


@dataclass(frozen=True)
class Plan:
    """A run to make."""

    case: Case
    method: Method
    seed: int
    threads: int

    @property
    def name(self) -> str:
        return f"{self.method.name}-{self.seed}"

    def folder(self, out: Path) -> Path:
        return out / "runs" / self.case.name / self.method.name / str(self.seed)

    def result(self, out: Path) -> Path:
        return self.folder(out).with_suffix(".json")

    def done(self, out: Path) -> Run | None:
        """The run, unless it is to be made. One of other options is not overwritten."""
        path = self.result(out)
        if not path.exists():
            return None
        run = Run.read(path)
        asked = (self.method, self.threads, self._attributes())
        if (run.method, run.threads, run.attributes) != asked:
            raise SystemExit(
                f"{path} is of another method, operator or number of threads: move it away, or "
                "choose another --out"
            )
        return run

    def _attributes(self) -> dict[str, Any]:
        return {"op": self.case.op, **self.case.attributes}

    def make(self, tessera: Path, out: Path) -> Run:
        """Raises CalledProcessError with what the program said."""
        folder = self.folder(out)
        data = folder / "data"
        resumed = data.exists()
        folder.mkdir(parents=True, exist_ok=True)
        if not resumed and self.method.starts_from:
            prepared = Path(self.method.starts_from) / self.case.name
            if not prepared.is_dir():
                raise SystemExit(f"{prepared}: no such folder; leave_out.py makes it")
            shutil.rmtree(folder / "data.part", ignore_errors=True)  # of a run that was killed
            shutil.copytree(prepared, folder / "data.part")
            (folder / "data.part").rename(data)
        write_job_file(self.case, folder / "job.yaml")
        load, date = load_average(), now()
        with Service(tessera, folder) as service:
            service.start()
            began, outside = time.time(), OutsideLoad()
            report = self._tune(service, folder)
            other_cores = round(outside.cores(), 3)
            trials = trials_of(service, report["job"], began)
            winner_seconds = self._build(service, folder)
        run = Run(
            task=self.case.name,
            method=self.method,
            seed=self.seed,
            threads=self.threads,
            attributes=self._attributes(),
            trials=trials,
            seconds=report["elapsed_seconds"],
            winner_seconds=winner_seconds,
            resumed=resumed,
            runners=report.get("runners", []),
            machine=report["machine"]["description"],
            load_average=load,
            other_cores=other_cores,
            date=date,
        )
        run.write(self.result(out))
        shutil.rmtree(data)
        return run

    def _tune(self, service: Service, folder: Path) -> dict[str, Any]:
        report = folder / "report.json"
        report.unlink(missing_ok=True)
        service.call(
            "tune",
            folder / "job.yaml",
            *self.method.arguments(),
            *("--threads", self.threads, "--seed", self.seed, "--report", report),
            *("--key", f"live {self.method.name} {self.seed}"),
        )
        return dict(json.loads(report.read_text()))

    def _build(self, service: Service, folder: Path) -> float | None:
        """What was recorded of the program that the library has."""
        library = folder / "library"
        service.call("build", folder / "job.yaml", "--threads", self.threads, "--out", library)
        (op,) = json.loads((library / "manifest.json").read_text())["ops"]
        (version,) = op["versions"]
        seconds = version["measured_seconds"]
        return None if seconds is None else float(seconds)


def found(out: Path) -> dict[str, list[tuple[Run, Path]]]:
    """By task, all runs that are done, each with the folder of its job file and library."""
    tasks: dict[str, list[tuple[Run, Path]]] = {}
    for path in sorted(out.glob("runs/*/*/*.json")):
        run = Run.read(path)
        tasks.setdefault(run.task, []).append((run, path.with_suffix("")))
    return tasks


def write_job_file(case: Case, path: Path) -> None:
    """Of one operator. JSON is YAML."""
    operator = {"name": case.name, "op": case.op, **case.attributes}
    path.write_text(json.dumps({"name": case.suite, "operators": [operator]}) + "\n")


def trials_of(service: Service, job: int, began: float) -> list[Trial]:
    records = [json.loads(line) for line in service.log(job).splitlines()]
    records = [r for r in records if not r["stale"] and r["outcome"] not in NOT_MEASURED]
    records.sort(key=lambda record: record["id"])
    return [
        Trial(
            r["cost_seconds"] if r["outcome"] == "ok" else None,
            round(datetime.fromisoformat(r["created"]).timestamp() - began, 3),
            r["explorer"],
        )
        for r in records
    ]


def what_failed(error: subprocess.CalledProcessError) -> str:
    said = str(error.stderr or error).strip().splitlines()
    return said[-1][:300] if said else "no message"
