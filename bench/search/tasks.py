"""What is searched: operators of a job file, with what the comparison has to know of each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import peers_modules  # noqa: F401
from case import Case, load_suite


@dataclass(frozen=True)
class Task:
    case: Case
    threads: int
    is_hard: bool  # random search takes long: methods are judged by these


def load_tasks(path: Path) -> list[Task]:
    """Of an operator, `hard` (default: false) and `threads` (default: the file's, or 1) are not its
    attributes."""
    import yaml

    threads = yaml.safe_load(path.read_text()).get("threads", 1)
    tasks = []
    for case in load_suite(path):
        attributes = dict(case.attributes)
        is_hard = attributes.pop("hard", False)
        own_threads = attributes.pop("threads", threads)
        tasks.append(Task(replace(case, attributes=attributes), own_threads, is_hard))
    return tasks
