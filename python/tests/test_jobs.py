"""Jobs: tuning, watching, waiting, reports."""

import pathlib
import signal

import pytest

import tessera
from conftest import OPERATORS, TRIALS, run_python


def test_a_job_ends_with_all_its_trials(client: tessera.Client) -> None:
    job = client.tune({"name": "few", "trials": 3, "operators": OPERATORS}, prior="none")
    updates = list(job.watch(timeout=60))
    last = updates[-1]
    assert last.state is tessera.JobState.DONE
    assert (last.trials_done, last.trials_total) == (6, 6)
    assert [task.name for task in last.tasks] == ["product", "rows"]
    assert all(task.done and task.best_seconds for task in last.tasks)
    (runner,) = last.runners
    assert runner.device == client.devices()[0].id and runner.run_seconds > 0
    info = job.info()
    assert (info.name, info.options.trials_per_task) == ("few", 3)
    assert [task.name for task in info.tasks] == ["product", "rows"]


def test_options_of_tune_arrive(client: tessera.Client) -> None:
    job = client.tune(
        {"op": "relu", "n": 64, "name": "cut"}, trials=2, threads=1, seed=7, explorer="random",
        cost_model="random", prior="none", scheduler="fixed", max_seconds=60, key="options",
        allow="openblas",
    )  # fmt: skip
    options = job.info().options
    assert (options.trials_per_task, options.threads, options.seed) == (2, 1, 7)
    assert (options.explorer, options.cost_model, options.prior) == ("random", "random", "none")
    assert (options.scheduler, options.max_seconds, options.key) == ("fixed", 60.0, "options")
    assert options.allow == "openblas"
    again = client.tune(
        {"op": "relu", "n": 64, "name": "cut"}, trials=2, threads=1, seed=7, explorer="random",
        cost_model="random", prior="none", scheduler="fixed", max_seconds=60, key="options",
        allow="openblas",
    )  # fmt: skip
    assert again.id == job.id


def test_a_job_file_is_tuned_by_its_path(client: tessera.Client, tmp_path: pathlib.Path) -> None:
    file = tmp_path / "ops.yaml"
    file.write_text("trials: 1\noperators:\n  - {name: a, op: relu, n: 64}\n")
    assert client.tune(file).wait(progress=False).options.trials_per_task == 1


def test_waiting_without_a_terminal_prints_lines(
    client: tessera.Client, job: tessera.Job, capsys: pytest.CaptureFixture[str]
) -> None:
    info = job.wait()
    assert info.state is tessera.JobState.DONE
    said = capsys.readouterr().err
    trials = len(OPERATORS) * TRIALS
    assert f"job {job.id} done: {trials} of {trials} trials, gain " in said


def test_an_interrupted_wait_leaves_the_job_running(
    address: str, client: tessera.Client, endless: tessera.Job
) -> None:
    code = f"import tessera; tessera.connect().job({endless.id}).wait()"
    waiting = run_python(code, address)
    assert waiting.stderr is not None
    first = waiting.stderr.readline()
    assert first.startswith(f"job {endless.id} running"), first
    waiting.send_signal(signal.SIGINT)
    _, errors = waiting.communicate(timeout=30)
    assert waiting.returncode != 0
    last = errors.splitlines()[-1]
    assert last.startswith(
        f"KeyboardInterrupt: stopped waiting for job {endless.id}, which goes on"
    )
    assert endless.info().state is tessera.JobState.RUNNING


def test_waiting_ends_after_its_time(endless: tessera.Job) -> None:
    with pytest.raises(TimeoutError, match=f"job {endless.id} has not ended.*it goes on"):
        endless.wait(progress=False, timeout=0.3)
    assert endless.info().state is tessera.JobState.RUNNING


def test_a_cancelled_job_raises(endless: tessera.Job) -> None:
    endless.cancel()
    with pytest.raises(tessera.JobFailed, match=f"job {endless.id} was cancelled") as raised:
        endless.wait(progress=False, timeout=30)
    assert raised.value.job.state is tessera.JobState.CANCELLED
    with pytest.raises(tessera.FailedPrecondition):
        endless.cancel()


def test_a_report_has_times_and_gains(job: tessera.Job) -> None:
    report = job.report()
    assert (report.job_id, report.state) == (job.id, "done")
    assert [row.op for row in report.operators] == ["product", "rows"]
    for row in report.operators:
        assert row.default_seconds and row.tuned_seconds and row.gain
        assert row.gain == pytest.approx(row.default_seconds / row.tuned_seconds)
        assert row.tuned_gflops is not None and row.tuned_gflops > 0
        assert row.trials == TRIALS
    frame = report.frame()
    assert list(frame["op"]) == ["product", "rows"]
    assert frame["gain"].gt(0).all()
    assert "product" in str(report) and f"{report.operators[0].gain:.2f}x" in str(report)


def test_jobs_are_listed_newest_first(client: tessera.Client, job: tessera.Job) -> None:
    jobs = client.jobs()
    assert [one.id for one in jobs] == sorted((one.id for one in jobs), reverse=True)
    listed = next(one for one in jobs if one.id == job.id)
    assert listed.state is tessera.JobState.DONE
    with pytest.raises(tessera.FailedPrecondition, match="product is of a list of jobs"):
        listed.tasks[0].key
    assert len(client.jobs(limit=1)) == 1
    with pytest.raises(tessera.InvalidArgument, match="limit: -1 is outside 0 to"):
        client.jobs(limit=-1)


def test_what_is_wrong_with_an_operator_is_said(client: tessera.Client) -> None:
    wrong = [{"name": "a", "op": "relu", "n": 4}, {"name": "b", "op": "relu", "width": 4}]
    with pytest.raises(tessera.InvalidArgument, match=r'^operators:\d+: "b" \(relu\).*"width"'):
        client.tune(wrong)
    with pytest.raises(tessera.InvalidArgument, match='no operator "reluu"; there are matmul'):
        client.tune({"op": "reluu", "n": 4})
    with pytest.raises(tessera.InvalidArgument, match="operators: .*object at.*use numbers"):
        client.tune([{"name": "a", "op": "relu", "n": object()}])
    with pytest.raises(tessera.InvalidArgument, match="operators are a int; give a file's path"):
        client.tune(7)  # type: ignore[arg-type]
    with pytest.raises(tessera.InvalidArgument, match="missing.yaml"):
        client.tune("missing.yaml")


def test_a_job_that_is_not_there_is_named(client: tessera.Client) -> None:
    job = client.job(999)
    for call in (job.info, job.wait, job.cancel, job.report):
        with pytest.raises(tessera.NotFound, match="999"):
            call()


def test_a_missing_program_is_named(
    client: tessera.Client, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    monkeypatch.setenv("TESSERA_BIN", str(tmp_path))
    with pytest.raises(tessera.ProgramNotFound, match="TESSERA_BIN is .*where no program"):
        client.tune(OPERATORS)
    monkeypatch.delenv("TESSERA_BIN")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(tessera.ProgramNotFound, match="not in PATH.*set TESSERA_BIN"):
        client.tune(OPERATORS)
