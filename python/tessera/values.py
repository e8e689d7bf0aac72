"""What the service stores and shows, as immutable values. Durations are seconds, times are UTC.

Fields are those of proto/records.proto, which says more of each; None is what is not known.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
import hashlib
import typing

from tessera.errors import FailedPrecondition

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


def _time(micros: int) -> datetime.datetime:
    return _EPOCH + datetime.timedelta(microseconds=micros)


def _known(value: float) -> float | None:
    return None if value < 0 else value


class Outcome(str, enum.Enum):
    """What became of a trial; infrastructure and cancelled say nothing about its program."""

    OK = "ok"
    BUILD_ERROR = "build_error"
    RUN_ERROR = "run_error"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out_of_memory"
    WRONG_ANSWER = "wrong_answer"
    INFRASTRUCTURE = "infrastructure"
    CANCELLED = "cancelled"

    def __str__(self) -> str:
        return self.value


class JobState(str, enum.Enum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    def __str__(self) -> str:
        return self.value

    @property
    def has_ended(self) -> bool:
        return self not in (JobState.QUEUED, JobState.RUNNING)


# By number: 0 is unspecified, the others as they are listed.
_OUTCOMES = list(Outcome)
_STATES = list(JobState)


def outcome_number(outcome: Outcome | str) -> int:
    """Its number in messages; ValueError for none of them."""
    return _OUTCOMES.index(Outcome(outcome)) + 1


@dataclasses.dataclass(frozen=True)
class Task:
    """An operator for a target, as it is tuned: workload and target are canonical text."""

    name: str
    workload_hash: str
    workload: str = dataclasses.field(repr=False)
    target: str
    threads: int
    cache_mode: str
    weight: float

    @property
    def key(self) -> str:
        """Identity of the task, whatever its name: 64 hex digits, as in records."""
        if not self.workload:
            raise FailedPrecondition(
                f"task {self.name} is of a list of jobs, which leaves out workloads: it has no "
                "key; take it from client.job(ID).info() or client.tasks()"
            )
        identity = "task 1"
        for field in (self.workload_hash, self.workload, self.target):
            # Lengths are in bytes, as the server counts them (db/record/record.cc).
            identity += f"\n{len(field.encode())}:{field}"
        identity += f"\n{self.threads}\n{self.cache_mode}"
        return hashlib.sha256(identity.encode()).hexdigest()

    @classmethod
    def from_message(cls, message: typing.Any) -> Task:
        return cls(
            message.name,
            message.workload_hash,
            message.workload,
            message.target,
            message.threads,
            "cold" if message.cache_mode == 1 else "warm",
            message.weight,
        )


@dataclasses.dataclass(frozen=True)
class Record:
    """One measurement. `cost_seconds` of a call is the least of its samples, None if it failed."""

    id: int
    task_key: str
    job_id: int
    trial: int
    attempt_key: str = dataclasses.field(repr=False)
    outcome: Outcome
    reason: str
    cost_seconds: float | None
    sample_seconds: tuple[float, ...] = dataclasses.field(repr=False)
    sample_calls: tuple[int, ...] = dataclasses.field(repr=False)
    build_seconds: float
    run_seconds: float
    stale: bool
    device: str
    device_class: str
    pace: float
    explorer: str
    seed: int
    loop_hash: str
    artifact: str = dataclasses.field(repr=False)
    cpu_mhz: float | None
    load_average: float | None
    temperature_celsius: float | None
    reference_gflops: float | None
    peak_memory_bytes: int | None
    runtime_version: str = dataclasses.field(repr=False)
    tessera_version: str
    created: datetime.datetime
    config: str = dataclasses.field(repr=False)
    trace: str = dataclasses.field(repr=False)

    @classmethod
    def from_message(cls, message: typing.Any) -> Record:
        measured = message.measurement
        environment = measured.environment
        outcome = _OUTCOMES[measured.outcome - 1]
        samples = tuple(measured.sample_seconds)
        memory = environment.peak_memory_bytes
        return cls(
            id=message.id,
            task_key=message.task_key,
            job_id=message.job_id,
            trial=message.trial,
            attempt_key=message.attempt_key,
            outcome=outcome,
            reason=measured.reason,
            cost_seconds=min(samples) if outcome is Outcome.OK and samples else None,
            sample_seconds=samples,
            sample_calls=tuple(measured.sample_calls),
            build_seconds=measured.build_seconds,
            run_seconds=measured.run_seconds,
            stale=message.stale,
            device=message.device,
            device_class=message.device_class,
            pace=message.pace or 1.0,
            explorer=message.explorer,
            seed=message.seed,
            loop_hash=message.loop_hash,
            artifact=message.artifact,
            cpu_mhz=_known(environment.cpu_mhz),
            load_average=_known(environment.load_average),
            temperature_celsius=_known(environment.temperature_celsius),
            reference_gflops=_known(environment.reference_gflops),
            peak_memory_bytes=None if memory < 0 else memory,
            runtime_version=environment.runtime_version,
            tessera_version=message.tessera_version,
            created=_time(message.created_micros),
            config=message.config,
            trace=message.trace,
        )


class TaskFilters(typing.TypedDict, total=False):
    """What records of a job may be chosen by; Client.records says what they mean."""

    task: Task | str | None
    workload_hash: str
    device_class: str
    outcomes: typing.Iterable[Outcome | str]
    after: int
    limit: int | None
    newest_first: bool


@dataclasses.dataclass(frozen=True)
class Device:
    """A device that was ever seen. `state` is online, offline, draining or quarantined."""

    id: str
    worker: str
    device_class: str
    description: str
    target: str
    runs: bool
    builds: bool
    cores: int
    tessera_version: str
    state: str
    state_reason: str
    peak_gflops_per_core: float | None
    last_seen: datetime.datetime
    pace: float | None
    exact_times: bool

    @classmethod
    def from_message(cls, message: typing.Any) -> Device:
        return cls(
            id=message.id,
            worker=message.worker,
            device_class=message.device_class.name,
            description=message.device_class.description,
            target=message.target,
            runs=message.runs,
            builds=message.builds,
            cores=message.cores,
            tessera_version=message.tessera_version,
            state=message.state,
            state_reason=message.state_reason,
            peak_gflops_per_core=message.peak_gflops_per_core or None,
            last_seen=_time(message.last_seen_micros),
            pace=message.pace if message.pace_programs else None,
            exact_times=message.exact_times,
        )


@dataclasses.dataclass(frozen=True)
class JobOptions:
    """How a job tunes; `max_seconds` None: without an end of its own. `extra_trials` are of all tasks
    together: as many of the first have one more."""

    trials_per_task: int
    threads: int
    seed: int
    explorer: str
    cost_model: str
    max_seconds: float | None
    key: str
    device_class: str
    scheduler: str
    prior: str
    pins: str
    allow: str
    extra_trials: int = 0

    @classmethod
    def from_message(cls, message: typing.Any) -> JobOptions:
        return cls(
            trials_per_task=message.trials_per_task,
            threads=message.threads,
            seed=message.seed,
            explorer=message.explorer,
            cost_model=message.cost_model,
            max_seconds=message.max_seconds or None,
            key=message.idempotency_key,
            device_class=message.device_class,
            scheduler=message.scheduler or "fair",
            prior=message.prior or "none",
            pins=message.pins,
            allow=message.allow,
            extra_trials=message.extra_trials,
        )


@dataclasses.dataclass(frozen=True)
class JobInfo:
    """A job as the server has it. Of listed jobs, tasks have names only."""

    id: int
    name: str
    state: JobState
    message: str
    options: JobOptions = dataclasses.field(repr=False)
    tasks: tuple[Task, ...] = dataclasses.field(repr=False)
    created: datetime.datetime
    updated: datetime.datetime

    @classmethod
    def from_message(cls, message: typing.Any) -> JobInfo:
        return cls(
            id=message.id,
            name=message.name,
            state=_STATES[message.state - 1],
            message=message.message,
            options=JobOptions.from_message(message.options),
            tasks=tuple(Task.from_message(task) for task in message.tasks),
            created=_time(message.created_micros),
            updated=_time(message.updated_micros),
        )


@dataclasses.dataclass(frozen=True)
class TaskProgress:
    """Where a task of a job is. `end_reason` is empty where its trials are used up; `promoted` is
    the record that a comparison left as the fastest; `weight` says how often it runs in a run of what
    the job is for, None of older servers."""

    name: str
    task_key: str
    trials_done: int
    trials_total: int
    best_seconds: float | None
    failures: typing.Mapping[Outcome, int]
    done: bool
    end_reason: str
    promoted: int | None
    weight: float | None = None

    @classmethod
    def from_message(cls, message: typing.Any) -> TaskProgress:
        return cls(
            name=message.name,
            task_key=message.task_key,
            trials_done=message.trials_done,
            trials_total=message.trials_total,
            best_seconds=message.best_seconds or None,
            failures={_OUTCOMES[f.outcome - 1]: f.count for f in message.failures if f.count},
            done=message.done,
            end_reason=message.end_reason,
            promoted=message.promoted or None,
            weight=message.weight if message.HasField("weight") else None,
        )


@dataclasses.dataclass(frozen=True)
class RunnerTime:
    """What a device's time went to: programs of the job were run; it had plans and ran none; it
    waited for builds, for the job to propose, for results to be on disk, or ran for other jobs
    only."""

    device: str
    run_seconds: float
    worker_seconds: float
    build_seconds: float
    proposal_seconds: float
    store_seconds: float
    others_seconds: float

    @classmethod
    def from_message(cls, message: typing.Any) -> RunnerTime:
        return cls(*(getattr(message, field.name) for field in dataclasses.fields(cls)))


@dataclasses.dataclass(frozen=True)
class ModelTime:
    """What a run of a job's model took on a device (of several extents one of each together), when
    `trials` of the job were done: with the best of each kernel by then, and with default schedules
    (None: could not be measured)."""

    seconds: float
    default_seconds: float | None
    trials: int

    @classmethod
    def from_message(cls, message: typing.Any) -> ModelTime:
        return cls(message.seconds, message.default_seconds or None, message.trials)


@dataclasses.dataclass(frozen=True)
class Progress:
    """Where a job is. `message` says what it waits for, or why it failed; `model` is what a run of
    the job's model took, where it is of one that has been measured."""

    job_id: int
    state: JobState
    message: str
    tasks: tuple[TaskProgress, ...]
    trials_per_second: float
    remaining_seconds: float | None
    runners: tuple[RunnerTime, ...] = ()
    model: ModelTime | None = None

    @property
    def trials_done(self) -> int:
        return sum(task.trials_done for task in self.tasks)

    @property
    def trials_total(self) -> int:
        return sum(task.trials_total for task in self.tasks)

    @property
    def measured(self) -> int:
        """Tasks that have a time."""
        return sum(task.best_seconds is not None for task in self.tasks)

    @property
    def run_seconds(self) -> float | None:
        """What a run of all tasks that have a time takes, by the best of each; None where there is
        none, or an older server doesn't tell weights."""
        weighed = [(task.weight, task.best_seconds or 0.0) for task in self.tasks]
        if not self.measured or any(weight is None for weight, _ in weighed):
            return None
        return sum(weight * seconds for weight, seconds in weighed if weight is not None)

    @property
    def failed(self) -> int:
        """Trials that failed."""
        return sum(sum(task.failures.values()) for task in self.tasks)

    @classmethod
    def from_message(cls, message: typing.Any) -> Progress:
        return cls(
            job_id=message.job_id,
            state=_STATES[message.state - 1],
            message=message.message,
            tasks=tuple(TaskProgress.from_message(task) for task in message.tasks),
            trials_per_second=message.trials_per_second,
            remaining_seconds=_known(message.remaining_seconds),
            runners=tuple(RunnerTime.from_message(runner) for runner in message.runners),
            model=ModelTime.from_message(message.model) if message.HasField("model") else None,
        )
