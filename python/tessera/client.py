"""A server as plain calls."""

from __future__ import annotations

import os
import pathlib
import re
import typing

from tessera import _program, _source
from tessera._wire import Channel, new, resolve_address
from tessera.errors import InvalidArgument, NotFound
from tessera.frame import records_frame
from tessera.job import Job
from tessera.values import Device, JobInfo, Outcome, Record, Task, TaskFilters, outcome_number

if typing.TYPE_CHECKING:
    import types

    import pandas
    from typing_extensions import Unpack

    from tessera.library import Library

TaskName = typing.Union[Task, str]
Texts = typing.Union[str, typing.Sequence[str]]


class RecordFilters(TaskFilters, total=False):
    job: Job | int | None


Extents = typing.Union[int, typing.Sequence[int]]


class ModelOptions(typing.TypedDict, total=False):
    """Of an ONNX model, as `--dim`, `--shape`, `--value`, `--int8`, `--ranges` and `--layouts` of
    `tessera` (docs/graph.md, docs/library.md): `dims` names extents that it leaves open, several of
    one for a library that has them all, `shapes` shapes of inputs, `values` inputs that are known;
    `int8` is a folder of samples, `layouts` a target."""

    dims: typing.Mapping[str, Extents] | None
    shapes: typing.Mapping[str, typing.Sequence[int]] | None
    values: typing.Mapping[str, float | typing.Sequence[float]] | None
    int8: str | os.PathLike[str] | None
    ranges: str | None
    layouts: str | None


class BuildOptions(ModelOptions, total=False):
    """Of Client.build, which says what they mean."""

    name: str | None
    device_class: Texts | None
    target: str | None
    cpu: str | None
    threads: int | None
    allow: str | None
    static: bool
    alone: bool


_PAGE = 1000
_KEY = re.compile("[0-9a-f]{64}")


def _listed(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _named(values: typing.Mapping[str, typing.Any] | None) -> list[str]:
    return [f"{name}={_listed(value)}" for name, value in (values or {}).items()]


def _model_words(options: ModelOptions) -> list[str]:
    for name in options.keys() - ModelOptions.__annotations__.keys():
        raise TypeError(f"there is no option {name}")
    samples = options.get("int8")
    return _source.options(
        dim=_named(options.get("dims")),
        shape=_named(options.get("shapes")),
        value=_named(options.get("values")),
        int8=None if samples is None else os.fspath(samples),
        ranges=options.get("ranges"),
        layouts=options.get("layouts"),
    )


def connect(
    address: str | None = None,
    *,
    timeout: float = 2.0,
    call_timeout: float = 60.0,
) -> Client:
    """The server at "HOST:PORT"; without it at TESSERA_SERVER, else at 127.0.0.1:7654. Waits up to
    `timeout` seconds for it to answer; a call of the client then has `call_timeout` seconds.
    InvalidArgument for what is no address, ServerUnavailable where nothing answers."""
    return Client(Channel(resolve_address(address), timeout, call_timeout))


class Client:
    """A connection to a server; `connect` makes one. Any number of threads may use it. Errors are
    those of tessera.errors: ServerUnavailable may come from every call that asks the server."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    @property
    def address(self) -> str:
        return self._channel.address

    def __repr__(self) -> str:
        return f"<tessera.Client of {self.address}>"

    def close(self) -> None:
        """Ends the connection. Jobs go on."""
        self._channel.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self.close()

    # Jobs.

    def tune(
        self,
        operators: _source.Source,
        *,
        target: str | None = None,
        device_class: str | None = None,
        trials: int | None = None,
        budget: int | None = None,
        threads: int | None = None,
        seed: int | None = None,
        max_seconds: float | None = None,
        explorer: str | None = None,
        cost_model: str | None = None,
        prior: str | None = None,
        scheduler: str | None = None,
        key: str | None = None,
        allow: str | None = None,
        **model: Unpack[ModelOptions],
    ) -> Job:
        """Starts tuning and returns at once.

        `operators` is the path of a job file or an ONNX model, a dict with the keys of a job file,
        a list of operators as dicts, or one: {"op": "matmul", "m": 64, "n": 64, "k": 64}. The
        options are those of `tessera tune` (docs/jobs.md), of a model those of ModelOptions, too.
        An equal `key` finds the same job. The job's `build` makes the model's library.

        Needs the program `tessera`, which makes workloads of operators. InvalidArgument names the
        operator and what is wrong with it; ProgramError: for example no device is online."""
        words = _source.options(
            target=target, device_class=device_class, trials=trials, budget=budget,
            threads=threads, seed=seed, max_seconds=max_seconds, explorer=explorer,
            cost_model=cost_model, prior=prior, scheduler=scheduler, key=key, allow=allow,
        )  # fmt: skip
        words += _model_words(model)
        with _source.arguments(operators) as source:
            printed = _program.run(
                self.address, ["tune", "--detach", *words, *source.words], source.renamed
            )
        tuned = None
        if _source.is_model(operators):
            chosen = {"target": target, "threads": threads, "allow": allow, **model}
            tuned = (operators, typing.cast(BuildOptions, chosen))
        return Job(self, self._channel, int(printed), tuned)

    def job(self, id: int) -> Job:
        """A job by its number; its methods raise NotFound if there is none."""
        return Job(self, self._channel, id)

    def jobs(self, limit: int = 100) -> list[JobInfo]:
        """The newest jobs, the last made first; of their tasks the names only."""
        reply = self._channel.call("JobService.ListJobs", new("ListJobsRequest", limit=limit))
        return [JobInfo.from_message(job) for job in reply.jobs]

    # The log.

    def tasks(self) -> list[Task]:
        """Every task that any job asked for."""
        reply = self._channel.call("LogService.ListTasks", new("ListTasksRequest"))
        return [Task.from_message(task) for task in reply.tasks]

    def records(
        self,
        *,
        task: TaskName | None = None,
        workload_hash: str = "",
        device_class: str = "",
        job: Job | int | None = None,
        outcomes: typing.Iterable[Outcome | str] = (),
        after: int = 0,
        limit: int | None = None,
        newest_first: bool = False,
    ) -> typing.Iterator[Record]:
        """Records that match all that is given, in ascending id or with `newest_first` descending,
        `limit` at most, with ids above `after`. `task` is a Task, its name, or how its key begins.
        They come page by page: any number of them needs little memory."""
        try:
            numbers = [outcome_number(outcome) for outcome in outcomes]
        except ValueError as error:
            known = ", ".join(outcome.value for outcome in Outcome)
            raise InvalidArgument(f"outcomes: {error}; there are {known}") from None
        if limit is not None and limit < 0:
            raise InvalidArgument(f"limit is {limit}; give a number from 0 on, or None for all")
        request = new(
            "RecordFilter",
            task_key=self._key(task) if task is not None else "",
            workload_hash=workload_hash,
            device_class=device_class,
            job_id=job.id if isinstance(job, Job) else job or 0,
            outcomes=numbers,
            after_id=after,
            newest_first=newest_first,
        )
        return self._read(request, limit)

    def records_frame(self, **filters: Unpack[RecordFilters]) -> pandas.DataFrame:
        """What `records` yields for these filters as a pandas DataFrame, a row a record
        (tessera.frame says the columns). Needs pandas."""
        records = self.records(**filters)
        return records_frame(records, {task.key: task.name for task in self.tasks()})

    def best(
        self, task: TaskName, device_class: str = "", count: int = 1, allow: str = ""
    ) -> list[Record]:
        """The fastest verified records of distinct programs, fastest first. `task` is a Task, its
        name, or how its key begins; without a device class times of any are compared. `allow`
        names libraries of others that they may call, "openblas,onednn"."""
        request = new(
            "BestRequest",
            task_key=self._key(task), device_class=device_class, count=count, allow=allow,
        )  # fmt: skip
        reply = self._channel.call("LogService.Best", request)
        return [Record.from_message(record) for record in reply.records]

    # Devices and libraries.

    def devices(self) -> list[Device]:
        """Every device that was ever seen, with its state."""
        reply = self._channel.call("DeviceService.ListDevices", new("ListDevicesRequest"))
        return [Device.from_message(device) for device in reply.devices]

    def build(
        self,
        operators: _source.Source | None = None,
        *,
        job: Job | int | None = None,
        out: str | os.PathLike[str] = "dist",
        name: str | None = None,
        device_class: Texts | None = None,
        target: str | None = None,
        cpu: str | None = None,
        threads: int | None = None,
        allow: str | None = None,
        static: bool = False,
        alone: bool = False,
        **model: Unpack[ModelOptions],
    ) -> Library:
        """Builds libNAME.so, NAME.h and manifest.json into folder `out`, for `operators` (as of
        `tune`) or for those of a job, from the best records of the log. Options are those of
        `tessera build` (docs/library.md), of a model those of ModelOptions, too; a model is
        measured as a whole unless `alone`. What it warns of becomes TesseraWarnings.

        The library is loaded when it is first called, so that one for another machine can be built
        here. Needs the program `tessera`."""
        from tessera.library import Library

        if (operators is None) == (job is None):
            raise InvalidArgument("name either operators or job=: what the library is of")
        words = _source.options(
            out=os.fspath(out), name=name, device_class=device_class, target=target, cpu=cpu,
            threads=threads, allow=allow, job=job.id if isinstance(job, Job) else job,
        )  # fmt: skip
        words += [f"--{flag}" for flag, is_set in (("static", static), ("alone", alone)) if is_set]
        words += _model_words(model)
        if operators is None:
            _program.run(self.address, ["build", *words])
        else:
            with _source.arguments(operators) as source:
                _program.run(self.address, ["build", *words, *source.words], source.renamed)
        return Library(pathlib.Path(out))

    def _key(self, task: TaskName) -> str:
        if isinstance(task, Task):
            return task.key
        if _KEY.fullmatch(task):
            return task
        all_tasks = self.tasks()
        found = [one for one in all_tasks if one.name == task]
        found = found or [one for one in all_tasks if task and one.key.startswith(task)]
        if not found:
            raise NotFound(
                f'none of {len(all_tasks)} tasks is named "{task}" or has a key that begins so; '
                "client.tasks() lists all"
            )
        if len(found) > 1:
            several = ", ".join(f"{one.key[:12]} ({one.target})" for one in found[:10])
            raise InvalidArgument(
                f'"{task}" may be any of {len(found)} tasks: {several}; name one by its key, or '
                "give the Task"
            )
        return found[0].key

    def _read(self, request: typing.Any, limit: int | None) -> typing.Iterator[Record]:
        left = limit
        while left is None or left > 0:
            request.limit = _PAGE if left is None else min(_PAGE, left)
            page = list(self._channel.stream("LogService.QueryRecords", request))
            for message in page:
                yield Record.from_message(message)
            if len(page) < request.limit:
                return
            if left is not None:
                left -= len(page)
            if request.newest_first:
                request.before_id = page[-1].id
            else:
                request.after_id = page[-1].id
