"""The log: records, frames, tasks, devices; and servers that aren't there."""

import dataclasses
import pathlib
import signal
import subprocess

import pytest

import tessera
from conftest import BIN, OPERATORS, TRIALS
from tessera import client as client_module


def test_records_of_a_job_come_in_order(job: tessera.Job) -> None:
    records = list(job.records())
    ids = [record.id for record in records]
    assert ids == sorted(ids)
    assert len([r for r in records if not r.stale]) == len(OPERATORS) * TRIALS
    assert {record.job_id for record in records} == {job.id}
    ok = [record for record in records if record.outcome is tessera.Outcome.OK]
    assert ok
    for record in ok:
        assert record.cost_seconds == min(record.sample_seconds) > 0
        assert len(record.sample_calls) == len(record.sample_seconds)
        assert record.created.utcoffset() is not None


def test_pages_make_no_difference(job: tessera.Job, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = list(job.records())
    monkeypatch.setattr(client_module, "_PAGE", 3)
    assert list(job.records()) == whole
    assert list(job.records(newest_first=True)) == whole[::-1]
    assert list(job.records(limit=7)) == whole[:7]
    assert list(job.records(limit=7, newest_first=True)) == whole[::-1][:7]
    assert list(job.records(after=whole[4].id)) == whole[5:]
    assert list(job.records(limit=0)) == []


def test_filters_choose_records(client: tessera.Client, job: tessera.Job) -> None:
    task = job.info().tasks[1]
    records = list(client.records(task=task, job=job))
    assert records and {record.task_key for record in records} == {task.key}
    assert list(client.records(task="rows", job=job)) == records
    assert list(client.records(task=task.key[:16], job=job)) == records
    assert list(client.records(workload_hash=task.workload_hash, job=job)) == records
    assert list(client.records(task=task, job=job, outcomes=["ok"])) == [
        record for record in records if record.outcome == "ok"
    ]
    assert list(client.records(task=task, device_class="none/such")) == []
    with pytest.raises(tessera.NotFound, match='tasks is named "nothing".*client.tasks()'):
        client.records(task="nothing")
    with pytest.raises(tessera.InvalidArgument, match="'good'.*there are ok, build_error"):
        client.records(outcomes=["good"])
    with pytest.raises(tessera.InvalidArgument, match="limit is -1"):
        client.records(limit=-1)


def test_a_name_of_several_tasks_is_refused(client: tessera.Client) -> None:
    for n in (64, 128):
        client.tune({"op": "relu", "n": n, "name": "twin"}, trials=1).wait(progress=False)
    with pytest.raises(tessera.InvalidArgument, match='"twin" may be any of 2 tasks: [0-9a-f]{12}'):
        client.best("twin")


def test_a_frame_has_a_row_a_record(client: tessera.Client, job: tessera.Job) -> None:
    frame = client.records_frame(job=job)
    records = list(job.records())
    fields = [field.name for field in dataclasses.fields(tessera.Record)]
    assert list(frame.columns) == ["task", *fields]
    assert list(frame["id"]) == [record.id for record in records]
    assert list(frame["sample_seconds"]) == [record.sample_seconds for record in records]
    assert set(frame["task"]) == {"product", "rows"}
    assert frame["cost_seconds"].dtype == "float64"
    assert str(frame["created"].dt.tz) == "UTC"
    assert frame["created"].iloc[0].to_pydatetime() == records[0].created
    everything = client.records_frame().groupby("task")["cost_seconds"].min()
    assert everything["rows"] == client.best("rows")[0].cost_seconds


def test_a_frame_of_nothing_has_the_same_columns(client: tessera.Client, job: tessera.Job) -> None:
    empty = client.records_frame(job=job, device_class="none/such")
    full = client.records_frame(job=job)
    assert len(empty) == 0
    assert list(empty.columns) == list(full.columns)
    for name in ("id", "cost_seconds", "peak_memory_bytes", "seed", "stale"):
        assert empty[name].dtype == full[name].dtype, name
    assert str(empty["created"].dt.tz) == "UTC"


def test_the_best_come_fastest_first(client: tessera.Client, job: tessera.Job) -> None:
    best = client.best("product", count=3)
    costs = [record.cost_seconds for record in best]
    assert 1 <= len(best) <= 3
    assert costs == sorted(c for c in costs if c is not None)
    assert len({record.trace for record in best}) == len(best)


def test_tasks_have_the_keys_of_their_records(client: tessera.Client, job: tessera.Job) -> None:
    keys = {task.key for task in client.tasks()}
    assert {record.task_key for record in client.records()} <= keys
    assert {task.key for task in job.info().tasks} <= keys


def test_devices_say_what_they_are(client: tessera.Client, job: tessera.Job) -> None:
    (device,) = client.devices()
    assert device.state == "online"
    assert device.runs and device.builds and device.cores >= 1
    assert device.device_class == job.info().options.device_class


def test_a_server_that_is_not_there_is_named() -> None:
    with pytest.raises(tessera.ServerUnavailable, match="no server answers at 127.0.0.1:1; start"):
        tessera.connect("127.0.0.1:1", timeout=0.3)


def test_a_server_that_goes_away_is_named(tmp_path: pathlib.Path) -> None:
    up = subprocess.Popen(
        [str(BIN / "tessera"), "up", "--listen", "127.0.0.1:0", "--data", str(tmp_path)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert up.stdout is not None
    try:
        client = tessera.connect(up.stdout.readline()[len("ready ") :].strip())
        job = client.tune({"op": "matmul", "m": 64, "n": 64, "k": 64}, trials=100_000)
        with pytest.raises(
            tessera.ServerUnavailable, match="went away.*start it again on the same"
        ):
            for _ in job.watch(timeout=60):
                up.send_signal(signal.SIGINT)
        with pytest.raises(tessera.ServerUnavailable, match="went away"):
            client.devices()
    finally:
        up.send_signal(signal.SIGINT)
        up.wait(timeout=30)
        up.stdout.close()


def test_a_closed_client_says_so(address: str) -> None:
    client = tessera.connect(address)
    client.close()
    with pytest.raises(tessera.FailedPrecondition, match="was closed; make another"):
        client.devices()
    with pytest.raises(tessera.FailedPrecondition, match="was closed"):
        list(client.records())


@pytest.mark.parametrize("address", ["localhost", "localhost:", ":7654", "h:0", "h:65536", "h:x"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(tessera.InvalidArgument, match="is not HOST:PORT"):
        tessera.connect(address)


def test_the_address_comes_from_the_environment(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TESSERA_SERVER", address)
    with tessera.connect() as client:
        assert client.address == address
        assert client.devices()
