"""What is shown of a job's progress."""

import dataclasses
import io
import sys
import typing

import pytest

from tessera import JobState, ModelTime, Outcome, Progress, TaskProgress
from tessera import _bar


def progress_of(state: JobState = JobState.RUNNING, **best: typing.Optional[float]) -> Progress:
    tasks = tuple(
        TaskProgress(name, f"key {name}", 8, 16, seconds, {}, False, "", None, weight)
        for weight, (name, seconds) in enumerate(best.items(), start=1)
    )
    return Progress(3, state, "", tasks, 12.5, 75.0)


DEFAULTS = {"key a": 4e-6, "key b": 9e-3}


def test_the_summary_has_gain_best_speed_and_time_left() -> None:
    summary = _bar.Summary(DEFAULTS.get)
    assert summary.text(progress_of(a=None)) == "12.5/s, 1:15 left"
    assert (
        summary.text(progress_of(a=4e-6, b=None))
        == "gain 1.00x, 1 of 2 by weight 4 us, a 4 us, 12.5/s, 1:15 left"
    )
    # The geometric mean of 4 and 9, and the time that is new.
    assert summary.text(progress_of(a=1e-6, b=1e-3)).startswith("gain 6.00x, all by weight 2 ms, b 1 ms, ")
    assert summary.text(progress_of(JobState.DONE, a=1e-6, b=1e-3)) == "gain 6.00x, all by weight 2 ms, b 1 ms"


def test_the_summary_says_what_a_run_of_the_model_took() -> None:
    progress = dataclasses.replace(progress_of(a=1e-6, b=1e-3), model=ModelTime(3e-3, None, 40))
    assert "all by weight 2 ms, in the model 3 ms, b 1 ms" in _bar.Summary(DEFAULTS.get).text(progress)


def test_a_task_without_a_default_time_is_left_out_of_the_gain() -> None:
    summary = _bar.Summary(DEFAULTS.get)
    assert "gain 2.00x" in summary.text(progress_of(a=2e-6, unknown=1e-6))


def test_a_default_time_that_is_not_there_is_looked_for_ever_more_rarely() -> None:
    asked: list[str] = []

    def default_of(key: str) -> None:
        asked.append(key)

    summary = _bar.Summary(default_of)
    progress = progress_of(a=2e-6)
    for trials in [0, *range(100)]:
        task = dataclasses.replace(progress.tasks[0], trials_done=trials)
        assert "gain" not in summary.text(dataclasses.replace(progress, tasks=(task,)))
    assert len(asked) == 6  # after 1, 3, 7, 15, 31 and 63 trials


def test_failures_and_what_a_job_waits_for_are_said() -> None:
    progress = progress_of(a=None)
    task = dataclasses.replace(
        progress.tasks[0], failures={Outcome.TIMEOUT: 2, Outcome.RUN_ERROR: 1}
    )
    progress = dataclasses.replace(progress, tasks=(task,), message="waits: no builder")
    assert progress.failed == 3
    text = _bar.Summary(DEFAULTS.get).text(progress)
    assert text == "3 failed, 12.5/s, 1:15 left, waits: no builder"


@pytest.mark.parametrize(
    "seconds, text",
    [(None, "-"), (1.234e-7, "0.123 us"), (9.996e-4, "1 ms"), (0.0123, "12.3 ms"), (2.5, "2.5 s")],
)
def test_times_have_units(seconds: typing.Optional[float], text: str) -> None:
    assert _bar.time_text(seconds) == text


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_has_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "100")
    display = _bar.display("job 3", DEFAULTS.get)
    display.show(progress_of(a=2e-6))
    display.close()
    assert "job 3  50%|" in terminal.getvalue()
    assert "| 8/16, gain 2.00x, a 2 us, 12.5/s, 1:15 left" in terminal.getvalue()


def test_a_log_has_few_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    display = _bar.display("job 3", DEFAULTS.get)
    for _ in range(100):
        display.show(progress_of(a=2e-6))
    display.show(progress_of(JobState.DONE, a=2e-6))
    display.close()
    lines = log.getvalue().splitlines()
    assert len(lines) == 2
    assert lines[1] == "job 3 done: 8 of 16 trials, gain 2.00x, a 2 us"
