"""What a job reached, as `tessera jobs JOB --json` computes it."""

from __future__ import annotations

import dataclasses
import json
import typing

from tessera._bar import time_text

if typing.TYPE_CHECKING:
    import pandas

Number = typing.Optional[float]


@dataclasses.dataclass(frozen=True)
class OperatorReport:
    """One operator: its default schedule and the fastest program. GFLOPS count executed arithmetic;
    `peak_fraction` is of the device's peak. `known_record` is the record of the tuned time where
    another job measured it, `promoted` the one that a comparison left as the fastest. `seconds`
    went into building and running its trials. None is what is not known."""

    op: str
    default_seconds: Number
    tuned_seconds: Number
    default_gflops: Number
    tuned_gflops: Number
    peak_fraction: Number
    known_record: int | None
    promoted: int | None
    trials: int
    seconds: float
    failures: typing.Mapping[str, int]

    @property
    def gain(self) -> Number:
        """Time of the default schedule ÷ that of the fastest program."""
        if not self.default_seconds or not self.tuned_seconds:
            return None
        return self.default_seconds / self.tuned_seconds


@dataclasses.dataclass(frozen=True)
class Report:
    job_id: int
    state: str
    message: str
    elapsed_seconds: float
    device_class: str
    machine: str
    threads: int
    peak_gflops: Number
    operators: tuple[OperatorReport, ...]

    @classmethod
    def from_json(cls, text: str) -> Report:
        document = json.loads(text)
        machine = document["machine"]
        rows = []
        for row in document["operators"]:
            comparison = row["comparison"]
            rows.append(
                OperatorReport(
                    op=row["op"],
                    default_seconds=row["default_seconds"],
                    tuned_seconds=row["tuned_seconds"],
                    default_gflops=row["default_gflops"],
                    tuned_gflops=row["tuned_gflops"],
                    peak_fraction=row["peak_fraction"],
                    known_record=row["known_record"],
                    promoted=comparison["promoted"] or None if comparison else None,
                    trials=row["trials"],
                    seconds=row["seconds"],
                    failures=row["failures"],
                )
            )
        return cls(
            job_id=document["job"],
            state=document["state"],
            message=document["message"],
            elapsed_seconds=document["elapsed_seconds"],
            device_class=machine["device_class"],
            machine=machine["description"],
            threads=machine["threads"],
            peak_gflops=machine["peak_gflops"] or None,
            operators=tuple(rows),
        )

    def frame(self) -> pandas.DataFrame:
        """A row an operator, with the fields of OperatorReport and `gain`."""
        from tessera.frame import import_pandas

        fields = [field.name for field in dataclasses.fields(OperatorReport)]
        rows = [
            {**{name: getattr(row, name) for name in fields}, "gain": row.gain}
            for row in self.operators
        ]
        frame = import_pandas().DataFrame(rows, columns=[*fields, "gain"])
        return typing.cast("pandas.DataFrame", frame)

    def __str__(self) -> str:
        def cell(value: Number, text: str) -> str:
            return text.format(value) if value is not None else "-"

        width = max([len("operator"), *(len(row.op) for row in self.operators)])
        lines = [
            f"job {self.job_id} {self.state}, {self.device_class}, {self.machine}",
            f"{'operator':{width}} {'default':>9} {'tuned':>9} {'GFLOPS':>8} {'peak':>6} "
            f"{'gain':>7} {'trials':>7} {'failed':>7}",
        ]
        for row in self.operators:
            lines.append(
                f"{row.op:{width}} {time_text(row.default_seconds):>9} "
                f"{time_text(row.tuned_seconds):>9} {cell(row.tuned_gflops, '{:.1f}'):>8} "
                f"{cell(row.peak_fraction, '{:.0%}'):>6} {cell(row.gain, '{:.2f}x'):>7} "
                f"{row.trials:>7} {sum(row.failures.values()):>7}"
            )
        return "\n".join(lines)
