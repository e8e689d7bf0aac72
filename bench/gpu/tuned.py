"""Tunes operators on a server and a worker of this run's own, and writes the programs as files. Every
operator is a job of its own with a key: a run that goes on finds what was done."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import time
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import peers_modules  # noqa: F401
from case import Case
from service import START_SECONDS, Service, die_with_parent

CLOSE = 0.95  # of the speed of the best


@dataclass(frozen=True)
class Spent:
    """On a search, by its own measurements."""

    job: int
    trials: int
    failed: int
    seconds: float  # from the job's start to its end
    trials_until_close: int  # until it had a program of 95 % of the speed of its best
    seconds_until_close: float


def needed(records: list[dict[str, Any]]) -> tuple[int, float]:
    """Trials and seconds since the first record until a program of CLOSE of the best one's speed."""
    costs = [r["cost_seconds"] or float("inf") for r in records if not r["stale"]]
    times = [datetime.fromisoformat(r["created"]) for r in records if not r["stale"]]
    limit = min(costs) / CLOSE
    first = next(number for number, cost in enumerate(costs) if cost <= limit)
    return first + 1, (times[first] - times[0]).total_seconds()


class Worker:
    """`tessera-worker --runner RUNNER` for a service; `driver`: a folder that holds its libcuda.so.1."""

    def __init__(
        self, service: Service, out: Path, runner: str, device: str, driver: Path | None = None
    ) -> None:
        self._service, self._runner, self._log = service, runner, out / "worker.log"
        path = [str(driver)] if driver else []
        path += [p for p in [os.environ.get("LD_LIBRARY_PATH")] if p]
        environment = {**os.environ, "LD_LIBRARY_PATH": ":".join(path)}
        service.start()
        command = [service.tessera.parent / "tessera-worker", "--server", service.address]
        command += ["--name", "gpu", "--runner", runner, "--cache", out / "cache"]
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [*command, *(["--device", device] if device else [])],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )

    def __enter__(self) -> Worker:
        deadline = time.monotonic() + START_SECONDS
        while not self._is_online():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.__exit__(None, None, None)
                text = self._log.read_text()[-2000:]
                raise SystemExit(f"no worker with runner {self._runner}:\n{text}")
            time.sleep(0.1)
        return self

    def _is_online(self) -> bool:
        devices = json.loads(self._service.call("devices", "--json"))
        return any(d["worker"] == "gpu" and d["state"] == "online" for d in devices)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.wait()


def tune(service: Service, case: Case, trials: int, folder: Path) -> Spent:
    """Leaves CASE.txt, CASE.json and CASE.spent.json in `folder`. CalledProcessError with what a
    command said."""
    folder.mkdir(parents=True, exist_ok=True)
    job_file = folder / f"{case.name}.yaml"
    operator = {"name": case.name, "op": case.op, **case.attributes}
    # JSON is YAML. Cold: compare.py empties the caches before each call.
    text = json.dumps({"name": case.name, "cache": "cold", "operators": [operator]})
    job_file.write_text(text + "\n")
    key = hashlib.sha256(f"{trials} {text}".encode()).hexdigest()[:16]
    options = ["--trials", trials, "--key", f"gpu {case.name} {key}"]
    job = int(service.call("tune", job_file, *options, "--detach"))
    service.call("watch", job)
    report = json.loads(service.call("jobs", job, "--json"))
    (found,) = report["operators"]
    trials_until_close, seconds_until_close = needed(
        [json.loads(line) for line in service.log(job).splitlines()]
    )
    spent = Spent(
        job=job,
        trials=found["trials"],
        failed=sum(found["failures"].values()),
        seconds=report["elapsed_seconds"],
        trials_until_close=trials_until_close,
        seconds_until_close=seconds_until_close,
    )
    command = [service.tessera.parent / "bench_device_code", service.address, str(job), folder]
    subprocess.run(command, capture_output=True, text=True, check=True)
    path = folder / f"{case.name}.spent.json"
    path.write_text(json.dumps(asdict(spent), indent=1) + "\n")
    return spent
