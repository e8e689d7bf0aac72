"""A job at its server."""

from __future__ import annotations

import os
import typing

from tessera import _bar, _program
from tessera._wire import Channel, new
from tessera.errors import JobFailed
from tessera.report import Report
from tessera.values import JobInfo, JobState, Progress, Record, TaskFilters

if typing.TYPE_CHECKING:
    import pandas
    from typing_extensions import Unpack

    from tessera._source import Source
    from tessera.client import BuildOptions, Client
    from tessera.library import Library

# Among a task's first records is that of its default schedule, its first trial.
_FIRST_RECORDS = 16


class Job:
    """A job by its number. It runs at the server: this only watches. Any number of threads may use
    it."""

    def __init__(
        self, client: Client, channel: Channel, id: int,
        model: tuple[Source, BuildOptions] | None = None,
    ) -> None:  # fmt: skip
        self.id = id
        self._client = client
        self._channel = channel
        self._model = model  # that was tuned, where this program began it

    def __repr__(self) -> str:
        return f"<tessera.Job {self.id} at {self._channel.address}>"

    def info(self) -> JobInfo:
        """What the server has of it: state, options, tasks. NotFound if there is no such job."""
        return JobInfo.from_message(
            self._channel.call("JobService.GetJob", new("GetJobRequest", job_id=self.id))
        )

    def watch(self, timeout: float | None = None) -> typing.Iterator[Progress]:
        """Progress at once, then on changes, at most ten a second, until the job has ended; the
        last one has its final state. TimeoutError after `timeout` seconds. Stopping early costs
        nothing: the job goes on."""
        request = new("WatchJobRequest", job_id=self.id)
        for message in self._channel.stream("JobService.WatchJob", request, timeout):
            yield Progress.from_message(message)

    def wait(self, progress: bool = True, timeout: float | None = None) -> JobInfo:
        """Waits for the job's end, and shows its progress: as a bar in terminals and notebooks,
        else as lines on standard error. Raises JobFailed if it failed or was cancelled,
        TimeoutError after `timeout` seconds. Ctrl-C stops waiting, not the job, as the
        KeyboardInterrupt says."""
        shown = _bar.display(f"job {self.id}", self._default_seconds) if progress else None
        try:
            for update in self.watch(timeout):
                if shown is not None:
                    shown.show(update)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"stopped waiting for job {self.id}, which goes on at its server: "
                f"client.job({self.id}).wait() shows it again, client.job({self.id}).cancel() "
                "ends it"
            ) from None
        except TimeoutError as error:
            raise TimeoutError(
                f"job {self.id} has not ended: {error}; it goes on, wait for it again"
            ) from None
        finally:
            if shown is not None:
                shown.close()
        info = self.info()
        if info.state is JobState.FAILED:
            raise JobFailed(f"job {self.id} failed: {info.message}", info)
        if info.state is JobState.CANCELLED:
            raise JobFailed(f"job {self.id} was cancelled; what it measured stays", info)
        return info

    def cancel(self) -> None:
        """Ends it; what was measured stays. FailedPrecondition if it has ended already."""
        self._channel.call("JobService.CancelJob", new("CancelJobRequest", job_id=self.id))

    def report(self) -> Report:
        """What it reached so far. Needs the program `tessera`."""
        self.info()  # which tells whether there is such a job
        return Report.from_json(
            _program.run(self._channel.address, ["jobs", str(self.id), "--json"])
        )

    def records(self, **filters: Unpack[TaskFilters]) -> typing.Iterator[Record]:
        """Its records: client.records with job=."""
        return self._client.records(job=self.id, **filters)

    def records_frame(self, **filters: Unpack[TaskFilters]) -> pandas.DataFrame:
        return self._client.records_frame(job=self.id, **filters)

    def build(
        self, out: str | os.PathLike[str] = "dist", **options: Unpack[BuildOptions]
    ) -> Library:
        """Builds a library of its operators: client.build with job=. Of a job that `tune` has
        begun with an ONNX model the library is the model's, with the options of `tune`."""
        if self._model is None:
            return self._client.build(job=self.id, out=out, **options)
        model, chosen = self._model
        merged = chosen.copy()
        merged["device_class"] = self.info().options.device_class or None
        merged.update(options)
        return self._client.build(model, out=out, **merged)

    def _default_seconds(self, task_key: str) -> float | None:
        for record in self.records(task=task_key, limit=_FIRST_RECORDS):
            if record.explorer == "default":
                return record.cost_seconds
        return None
