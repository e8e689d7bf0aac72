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
    cache: str  # warm, or cold: emptied before each call
    object_sha256: str
    seed: str
    peer: str
    version: str
    status: str
    reason: str
    round_us: str  # of a call, separated by blanks; warm: each round's minimum, cold: its median
    overhead_us: str
    load_average: str  # of one minute, when the case began
    other_cores: str  # kept busy by other programs during the case
    date: str  # UTC
    machine: str

    @property
    def case_key(self) -> tuple[str, ...]:
        """A case is measured again when its library's code has changed."""
        return (self.suite, self.case, self.threads, self.cache, self.object_sha256, self.seed)

    @property
    def rounds(self) -> list[float]:
        """Microseconds."""
        return [float(x) for x in self.round_us.split()]


def case_key(case: Case, plan: Plan) -> tuple[str, ...]:
    sha = case.object_sha256[:12]
    return (case.suite, case.name, str(plan.threads), plan.cache, sha, str(plan.seed))


@dataclass(frozen=True)
class Circumstances:
    """Of the measurement of one case."""

    load_average: float
    other_cores: float
    date: str
    machine: str


def make_row(case: Case, plan: Plan, outcome: Outcome, seen: Circumstances) -> Row:
    return Row(
        suite=case.suite,
        case=case.name,
        operator_class=operator_class(case),
        op=case.op,
        attributes=json.dumps(case.attributes),
        threads=str(plan.threads),
        cache=plan.cache,
        object_sha256=case.object_sha256[:12],
        seed=str(plan.seed),
        peer=outcome.peer,
        version=outcome.version,
        status=outcome.status,
        reason=outcome.reason,
        round_us=" ".join(f"{s * 1e6:.4f}" for s in outcome.round_seconds),
        overhead_us=f"{outcome.overhead_seconds * 1e6:.2f}",
        load_average=f"{seen.load_average:.2f}",
        other_cores=f"{seen.other_cores:.2f}",
        date=seen.date,
        machine=seen.machine,
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
            reader = csv.DictReader(file)
            if reader.fieldnames is not None and list(reader.fieldnames) != self._names:
                raise SystemExit(
                    f"{self.path} has other columns than this version writes; move it away"
                )
            for record in reader:
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
