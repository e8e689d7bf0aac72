"""Prepares the logs that methods with `starts_from` begin with: for each task a copy of a log without the
task's workload, on any target, with a model trained on what is left.

    build/peers/bin/python bench/search/leave_out.py build/bench/search/sets/work-native-t1/data

The log itself is only read; no server may have it open.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import peers_modules
from runs import write_job_file
from service import Service
from suite import ended_by_signals
from tasks import Task, load_tasks

DATABASE = "tessera.db"
MODEL = "others"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("log", type=Path, help="data folder of a server that has been stopped")
    parser.add_argument("--tasks", type=Path, default=peers_modules.HERE / "tasks.yaml")
    parser.add_argument("--cases", default="", help="regular expression of tasks; default: all")
    parser.add_argument("--tessera", type=Path, default=Path("build/bin/tessera"))
    parser.add_argument("--out", type=Path, default=Path("build/bench/search/logs"))
    arguments = parser.parse_args()
    for path in (arguments.log / DATABASE, arguments.tasks, arguments.tessera):
        if not path.exists():
            parser.error(f"{path}: no such file")
    return arguments


def workload_hashes(tessera: Path, folder: Path, tasks: Sequence[Task]) -> dict[str, str]:
    """By task, as `tessera build` tells; of a log without records it builds the default schedule."""
    folder.mkdir(parents=True, exist_ok=True)
    hashes = {}
    with Service(tessera, folder) as service:
        for task in tasks:
            job_file, library = folder / "job.yaml", folder / "library"
            write_job_file(task.case, job_file)
            service.call("build", job_file, "--threads", task.threads, "--out", library)
            (op,) = json.loads((library / "manifest.json").read_text())["ops"]
            hashes[task.case.name] = op["workload_hash"]
    shutil.rmtree(folder)
    return hashes


def copy_without(log: Path, copy: Path, workload_hash: str) -> int:
    """A data folder with all of a log but what is known of a workload, and but trained models. Returns
    how many records were left out."""
    copy.mkdir(parents=True)
    shutil.copy(log / "epoch", copy)
    target = sqlite3.connect(copy / DATABASE)
    source = sqlite3.connect(f"file:{log / DATABASE}?mode=ro", uri=True)
    source.backup(target)
    source.close()
    tables = {name for (name,) in target.execute("SELECT name FROM sqlite_master")}
    left_out = "SELECT key FROM tasks WHERE workload_hash = ?"
    jobs = "SELECT job_id FROM job_tasks JOIN tasks ON tasks.id = task_id WHERE workload_hash = ?"
    statements = [
        f"DELETE FROM comparisons WHERE task_key IN ({left_out})",
        "DELETE FROM comparison_programs WHERE comparison_id NOT IN (SELECT id FROM comparisons)",
        f"DELETE FROM events WHERE job_id IN ({jobs})",
        f"DELETE FROM jobs WHERE id IN ({jobs})",
        f"DELETE FROM job_tasks WHERE job_id IN ({jobs})",
        "DELETE FROM model_classes",
        "DELETE FROM models",
    ]
    removed = target.execute(f"DELETE FROM records WHERE task_key IN ({left_out})", [workload_hash])
    for statement in statements:
        if statement.split()[2] in tables:
            target.execute(statement, [workload_hash] * statement.count("?"))
    target.execute("DELETE FROM tasks WHERE workload_hash = ?", [workload_hash])
    target.commit()
    count = removed.rowcount
    target.close()
    return count


def prepare(tessera: Path, log: Path, out: Path, name: str, workload_hash: str) -> int:
    """`out`/`name` is written as a whole. Returns how many records were left out."""
    part = out / f"{name}.part"
    shutil.rmtree(part, ignore_errors=True)
    count = copy_without(log, part / "data", workload_hash)
    with Service(tessera, part) as service:
        service.start()
        program = [str(service.tessera), "model", "train", MODEL, "--server", service.address]
        subprocess.run([*program, "--note", f"without {name}"], check=True)
    (part / "data").rename(out / name)
    shutil.rmtree(part)
    return count


def main() -> int:
    arguments = parse_arguments()
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    tasks = [t for t in load_tasks(arguments.tasks) if re.search(arguments.cases, t.case.name)]
    tasks = [task for task in tasks if not (out / task.case.name).exists()]
    with ended_by_signals():
        hashes = workload_hashes(arguments.tessera, out / "hashes.part", tasks)
        for name, workload_hash in hashes.items():
            count = prepare(arguments.tessera, arguments.log, out, name, workload_hash)
            print(f"{out / name}: {count} records left out", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
