"""Measures programs of one task and writes them to a data set, so that a run that was killed loses
nothing that was measured."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import peers_modules  # noqa: F401
from driver import load_average, now
from quiet import OutsideLoad, wait_until_quiet
from service import Service, die_with_parent

CANCELLED = 130  # how `tessera tune` ends then
MOST_ATTEMPTS = 3
WATCH_PAUSE_SECONDS = 0.5
NATIVE = "native"


class Failed(Exception):
    """This task's; the next one may do."""


@dataclass(frozen=True)
class Part:
    """One job."""

    name: str
    explorer: str
    trials: int
    seed: int = 0
    configs: tuple[str, ...] = ()  # as JSON; none: all of the unit's space


@dataclass(frozen=True)
class Unit:
    """One data set."""

    kind: str  # pilot, sampled, enumerated, refined: the folder
    name: str  # of the task
    op: str
    attributes: dict[str, Any]
    threads: int
    isa: str  # ceiling of the worker; NATIVE: none
    parts: tuple[Part, ...]
    pins: dict[str, Any] | None = None

    @property
    def dataset_kind(self) -> str:
        return "enumerated" if self.kind in ("enumerated", "refined") else "sampled"

    @property
    def stem(self) -> str:
        return f"{self.name}-{self.isa}-t{self.threads}"

    def job_file(self, part: Part) -> dict[str, Any]:
        operator = {"name": self.name, "op": self.op, **self.attributes}
        pins = self.pins
        if part.configs:
            pins = {"configs": [json.loads(config) for config in part.configs]}
        pinned = {"pins": pins} if pins else {}
        return {"name": "collect", "threads": self.threads, **pinned, "operators": [operator]}

    def digest(self, part: Part) -> str:
        what = json.dumps([self.job_file(part), asdict(part), self.isa], sort_keys=True)
        return hashlib.sha256(what.encode()).hexdigest()[:16]

    @property
    def whole_digest(self) -> str:
        digests = " ".join([self.kind, *map(self.digest, self.parts)])
        return hashlib.sha256(digests.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Conditions:
    """Under which it is measured."""

    quiet_cores: float  # that others may keep busy
    patience_seconds: float
    commit: str


@dataclass(frozen=True)
class Measured:
    """A part whose job has ended; JSON in a file."""

    digest: str
    job: int
    began: str  # UTC
    load_average: float  # of one minute, before
    other_cores: float  # kept busy by others meanwhile


class Collector:
    """`folder` receives KIND/TASK.data with its state beside it; `work` is the service's folder."""

    def __init__(self, service: Service, work: Path, folder: Path, conditions: Conditions) -> None:
        self._service, self._work, self._folder = service, work, folder
        self._conditions = conditions
        self._others_ended = False

    def path(self, unit: Unit) -> Path:
        return self._folder / unit.kind / f"{unit.stem}.data"

    def is_done(self, unit: Unit) -> bool:
        path = self.path(unit)
        state = path.with_suffix(".json")
        if not path.exists() or not state.exists():
            return False
        return bool(json.loads(state.read_text())["digest"] == unit.whole_digest)

    def collect(self, unit: Unit) -> Path:
        """Goes on where an earlier run was stopped. Raises Failed."""
        path = self.path(unit)
        if self.is_done(unit):
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._end_others()
        parts = {part.name: self._measure(unit, part) for part in unit.parts}
        self._export(unit, parts)
        state = {name: asdict(measured) for name, measured in parts.items()}
        write_json(path.with_suffix(".json"), {"digest": unit.whole_digest, "parts": state})
        return path

    def _end_others(self) -> None:
        """Jobs that a killed run left go on by themselves when the server starts."""
        if self._others_ended:
            return
        self._others_ended = True
        for job in self._unended():
            print(f"  job {job} goes on first", flush=True)
            watch = self._service.command("watch", job)
            while job in self._unended():  # however a watch ends
                subprocess.run(watch, capture_output=True, preexec_fn=die_with_parent)
                time.sleep(WATCH_PAUSE_SECONDS)

    def _unended(self) -> list[str]:
        rows = [line.split() for line in self._call("jobs").splitlines()]
        return [
            words[0]
            for words in rows
            if len(words) > 1 and words[0].isdigit() and words[1] in ("running", "queued")
        ]

    def _call(self, verb: str, *arguments: object) -> str:
        try:
            return self._service.call(verb, *arguments)
        except subprocess.CalledProcessError as error:
            raise Failed(what_failed(str(error.stderr))) from None

    def _measure(self, unit: Unit, part: Part) -> Measured:
        base = self._work / "jobs" / f"{unit.stem}-{part.name}"
        done = base.with_suffix(".json")
        if done.exists():
            measured = Measured(**json.loads(done.read_text()))
            if measured.digest == unit.digest(part):
                return measured
        base.parent.mkdir(parents=True, exist_ok=True)
        base.with_suffix(".yaml").write_text(json.dumps(unit.job_file(part)) + "\n")  # JSON is YAML
        for attempt in range(MOST_ATTEMPTS):
            wait_until_quiet(self._conditions.quiet_cores, self._conditions.patience_seconds)
            load, began, outside = load_average(), now(), OutsideLoad()
            job = self._tune(unit, part, base, attempt)
            if job is not None:
                break
        else:
            raise Failed(f"its job was cancelled {MOST_ATTEMPTS} times")
        measured = Measured(unit.digest(part), job, began, load, round(outside.cores(), 3))
        write_json(done, asdict(measured))
        return measured

    def _tune(self, unit: Unit, part: Part, base: Path, attempt: int) -> int | None:
        """None where somebody cancelled the job, whose key then is used up."""
        key = f"collect {unit.stem} {part.name} {unit.digest(part)}" + f" {attempt}" * (attempt > 0)
        command = self._service.command(
            *("tune", base.with_suffix(".yaml"), "--explorer", part.explorer, "--prior", "none"),
            *("--trials", part.trials, "--seed", part.seed, "--key", key),
        )
        with base.with_suffix(".log").open("w") as log:
            code = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=die_with_parent,
            ).returncode
        if code == CANCELLED:
            return None
        said = base.with_suffix(".log").read_text()
        found = re.search(r"^job (\d+)", said, re.MULTILINE)
        if code != 0 or found is None:
            raise Failed(what_failed(said))
        return int(found[1])

    def _export(self, unit: Unit, parts: dict[str, Measured]) -> None:
        loads = ", ".join(
            f"{name} {part.other_cores:.2f} (load average before {part.load_average:.2f})"
            for name, part in parts.items()
        )
        first, *_ = parts.values()
        self._call(
            *("dataset", "--task", unit.name, "--kind", unit.dataset_kind),
            *[word for part in parts.values() for word in ("--job", part.job)],
            *("--device-class", self._device_class(first.job)),
            *("--commit", self._conditions.commit),
            *("--remark", f"bench/search/collect.py; cores that others kept busy: {loads}"),
            *("--out", self.path(unit)),
        )

    def _device_class(self, job: int) -> str:
        report = json.loads(self._call("jobs", job, "--json"))
        return str(report["machine"]["device_class"])


def write_json(path: Path, document: dict[str, Any]) -> None:
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(document, indent=1) + "\n")
    part.rename(path)


def what_failed(said: str) -> str:
    lines = said.strip().splitlines()
    return lines[-1][:300] if lines else "no message"
