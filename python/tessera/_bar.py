"""Shows a job's progress: a bar in terminals and notebooks, a line now and then elsewhere."""

from __future__ import annotations

import math
import sys
import time
import typing

from tessera.values import Progress, TaskProgress

LINE_INTERVAL_SECONDS = 5.0

# Seconds of a task's default schedule, by its key; None as long as it is not known.
DefaultOf = typing.Callable[[str], typing.Optional[float]]


def duration_text(seconds: float) -> str:
    total = int(seconds + 0.5)
    if total >= 3600:
        return f"{total // 3600}:{total // 60 % 60:02}:{total % 60:02}"
    return f"{total // 60}:{total % 60:02}"


def time_text(seconds: float | None) -> str:
    """Of a kernel's call: "12.3 us"."""
    if not seconds:
        return "-"
    for unit, scale in (("us", 1e6), ("ms", 1e3)):
        if seconds * scale < 999.5:
            return f"{seconds * scale:.3g} {unit}"
    return f"{seconds:.3g} s"


class Summary:
    """What is said beside the bar: gain over the default schedules, best time, speed, time left."""

    def __init__(self, default_of: DefaultOf) -> None:
        self._default_of = default_of
        self._defaults: dict[str, float] = {}
        self._looked: dict[str, int] = {}  # after how many trials, without finding one
        self._best: dict[str, float] = {}
        self._latest = ""

    def _gain(self, progress: Progress) -> float | None:
        """Geometric mean over the tasks that have both times."""
        logarithms = []
        for task in progress.tasks:
            if task.best_seconds is None:
                continue
            if not self._find_default(task):
                continue
            logarithms.append(math.log(self._defaults[task.task_key] / task.best_seconds))
        return math.exp(sum(logarithms) / len(logarithms)) if logarithms else None

    def _find_default(self, task: TaskProgress) -> bool:
        """Whether the time is known. It is asked for ever more rarely: a default schedule may have
        failed, or a known program be faster than any that was measured yet."""
        if task.task_key in self._defaults:
            return True
        if task.trials_done <= 2 * self._looked.get(task.task_key, 0):
            return False
        seconds = self._default_of(task.task_key)
        if seconds is None:
            self._looked[task.task_key] = task.trials_done
            return False
        self._defaults[task.task_key] = seconds
        return True

    def text(self, progress: Progress) -> str:
        for task in progress.tasks:
            if task.best_seconds is not None and task.best_seconds != self._best.get(task.task_key):
                self._best[task.task_key] = task.best_seconds
                self._latest = f"{task.name} {time_text(task.best_seconds)}"
        parts = []
        gain = self._gain(progress)
        if gain is not None:
            parts.append(f"gain {gain:.2f}x")
        tasks, measured = len(progress.tasks), progress.measured
        if tasks > 1 and progress.run_seconds is not None:
            whose = "all" if measured == tasks else f"{measured} of {tasks}"
            parts.append(f"{whose} by weight {time_text(progress.run_seconds)}")
        if progress.model is not None:
            parts.append(f"in the model {time_text(progress.model.seconds)}")
        if self._latest:
            parts.append(self._latest)
        if progress.failed:
            parts.append(f"{progress.failed} failed")
        if not progress.state.has_ended:
            if progress.trials_per_second > 0:
                parts.append(f"{progress.trials_per_second:.1f}/s")
            if progress.remaining_seconds is not None:
                parts.append(f"{duration_text(progress.remaining_seconds)} left")
        if progress.message:
            parts.append(progress.message)
        return ", ".join(parts)


class Display(typing.Protocol):
    def show(self, progress: Progress) -> None: ...
    def close(self) -> None: ...


class Bar:
    def __init__(self, title: str, summary: Summary) -> None:
        from tqdm.auto import tqdm

        self._summary = summary
        self._bar = tqdm(
            desc=title,
            total=1,
            dynamic_ncols=True,
            mininterval=0,
            bar_format="{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}{postfix}",
        )

    def show(self, progress: Progress) -> None:
        total = max(progress.trials_total, 1)
        if total != self._bar.total:
            self._bar.reset(total)  # tells the widget, too
        self._bar.n = progress.trials_done
        self._bar.set_postfix_str(self._summary.text(progress), refresh=False)
        self._bar.refresh()

    def close(self) -> None:
        self._bar.close()


class Lines:
    """For logs: on each change of state, and every few seconds."""

    def __init__(self, title: str, summary: Summary) -> None:
        self._title = title
        self._summary = summary
        self._state: str | None = None
        self._shown = 0.0

    def show(self, progress: Progress) -> None:
        now = time.monotonic()
        if progress.state == self._state and now - self._shown < LINE_INTERVAL_SECONDS:
            return
        self._state, self._shown = progress.state, now
        text = self._summary.text(progress)
        print(
            f"{self._title} {progress.state}: {progress.trials_done} of {progress.trials_total} "
            f"trials{', ' if text else ''}{text}",
            file=sys.stderr,
            flush=True,
        )

    def close(self) -> None:
        pass


def in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and "IPKernelApp" in shell.config


def display(title: str, default_of: DefaultOf) -> Display:
    summary = Summary(default_of)
    if in_notebook() or sys.stderr.isatty():
        return Bar(title, summary)
    return Lines(title, summary)
