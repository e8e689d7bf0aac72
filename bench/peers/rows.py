"""The file of results: one row a case and peer, appended when the case is done."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, fields
from pathlib import Path

from case import Case
from driver import Outcome, Plan
from geometry import operator_class

TESSERA = "tessera"


@dataclass(frozen=True)
class Row:
    suite: str
    case: str
    operator_class: str
    op: str
    attributes: str
    threads: str
    object_sha256: str
    seed: str
    peer: str
    version: str
    status: str
    reason: str
    round_minima_us: str  # separated by blanks
    overhead_us: str
    load_average: str  # of one minute, when the case began
    date: str  # UTC
    machine: str

    @property
    def case_key(self) -> tuple[str, ...]:
        """A case is measured again when its library's code has changed."""
        return (self.suite, self.case, self.threads, self.object_sha256, self.seed)

    @property
    def minima(self) -> list[float]:
        return [float(x) for x in self.round_minima_us.split()]


def case_key(case: Case, plan: Plan) -> tuple[str, ...]:
    return (case.suite, case.name, str(plan.threads), case.object_sha256[:12], str(plan.seed))


def make_row(case: Case, plan: Plan, outcome: Outcome, load: float, date: str, machine: str) -> Row:
    return Row(
        suite=case.suite,
        case=case.name,
        operator_class=operator_class(case),
        op=case.op,
        attributes=json.dumps(case.attributes),
        threads=str(plan.threads),
        object_sha256=case.object_sha256[:12],
        seed=str(plan.seed),
        peer=outcome.peer,
        version=outcome.version,
        status=outcome.status,
        reason=outcome.reason,
        round_minima_us=" ".join(f"{s * 1e6:.4f}" for s in outcome.round_minima),
        overhead_us=f"{outcome.overhead_seconds * 1e6:.2f}",
        load_average=f"{load:.2f}",
        date=date,
        machine=machine,
    )


class Results:
    """Appends whole cases; of rows with the same case and peer the last counts."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._names = [f.name for f in fields(Row)]

    def load(self) -> dict[tuple[str, ...], dict[str, Row]]:
        cases: dict[tuple[str, ...], dict[str, Row]] = {}
        if not self.path.exists():
            return cases
        with self.path.open(newline="") as file:
            for record in csv.DictReader(file):
                if None in record.values() or set(record) != set(self._names):
                    continue  # cut off when a run was killed
                row = Row(**record)
                cases.setdefault(row.case_key, {})[row.peer] = row
        return cases

    def append(self, rows: list[Row]) -> None:
        is_new = not self.path.exists()
        is_cut = not is_new and not self.path.read_bytes().endswith(b"\n")
        with self.path.open("a", newline="") as file:
            if is_cut:  # by a run that was killed while it wrote
                file.write("\r\n")
            writer = csv.DictWriter(file, self._names)
            if is_new:
                writer.writeheader()
            writer.writerows({name: getattr(row, name) for name in self._names} for row in rows)
