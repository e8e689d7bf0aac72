"""Whether other programs keep the machine busy, before and while something is measured."""

from __future__ import annotations

import os
import time
from pathlib import Path

import peers_modules  # noqa: F401
from driver import OtherLoad

PROBE_SECONDS = 2.0


class OutsideLoad(OtherLoad):
    """As OtherLoad, but what this program has started counts as its own while it runs, too, with all
    that it has started."""

    @staticmethod
    def _read() -> tuple[float, float, float]:
        elapsed, busy, _ = OtherLoad._read()
        return elapsed, busy, tree_seconds(os.getpid())


def tree_seconds(root: int) -> float:
    """Of processors, spent by a process, its living descendants, and those of them that have ended."""
    parents: dict[int, int] = {}
    spent: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            text = (entry / "stat").read_text()
        except OSError:
            continue  # it has just ended
        fields = text[text.rindex(")") + 2 :].split()
        parents[int(entry.name)] = int(fields[1])
        spent[int(entry.name)] = sum(map(int, fields[11:15]))
    tree = {root}
    grown = True
    while grown:
        grown = False
        for process, parent in parents.items():
            if parent in tree and process not in tree:
                tree.add(process)
                grown = True
    return sum(spent.get(process, 0) for process in tree) / os.sysconf("SC_CLK_TCK")


def wait_until_quiet(most_cores: float, patience_seconds: float) -> None:
    """SystemExit where others keep more than `most_cores` busy for so long."""
    deadline = time.monotonic() + patience_seconds
    while True:
        load = OutsideLoad()
        time.sleep(PROBE_SECONDS)
        cores = load.cores()
        if cores <= most_cores:
            return
        if time.monotonic() > deadline:
            raise SystemExit(
                f"other programs keep {cores:.2f} cores busy, more than {most_cores:g}; "
                "end them, or raise --quiet"
            )
        print(f"  waiting: other programs keep {cores:.2f} cores busy", flush=True)
