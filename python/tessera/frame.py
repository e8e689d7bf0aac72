"""Records as a pandas DataFrame."""

from __future__ import annotations

import dataclasses
import typing

from tessera.values import Record

if typing.TYPE_CHECKING:
    import pandas

# Where None in a record is NaN, in a frame without rows, too.
_NUMBERS = [
    "cost_seconds", "build_seconds", "run_seconds", "pace", "cpu_mhz", "load_average",
    "temperature_celsius", "reference_gflops", "peak_memory_bytes",
]  # fmt: skip
_COUNTS = ["id", "job_id", "trial"]


def import_pandas() -> typing.Any:
    try:
        import pandas
    except ImportError:
        raise ImportError(
            "frames need pandas, which is not installed: pip install 'tessera-client[pandas]', or "
            "Debian's python3-pandas"
        ) from None
    return pandas


def records_frame(
    records: typing.Iterable[Record], names: typing.Mapping[str, str]
) -> pandas.DataFrame:
    """A row a record. The columns are `task`, its name by key in `names`, and the fields of Record;
    units are in their names, `sample_seconds` and `sample_calls` hold tuples, `created` is in UTC,
    and what is not known is NaN."""
    pd = import_pandas()
    fields = [field.name for field in dataclasses.fields(Record)]
    columns: dict[str, list[typing.Any]] = {"task": []}
    columns.update({name: [] for name in fields})
    for record in records:
        columns["task"].append(names.get(record.task_key, ""))
        for name in fields:
            columns[name].append(getattr(record, name))
    columns["outcome"] = [outcome.value for outcome in columns["outcome"]]
    frame = pd.DataFrame(columns)
    for name in _NUMBERS:
        frame[name] = pd.to_numeric(frame[name]).astype("float64")
    for name in _COUNTS:
        frame[name] = frame[name].astype("int64")
    frame["seed"] = frame["seed"].astype("uint64")
    frame["stale"] = frame["stale"].astype("bool")
    frame["created"] = pd.to_datetime(frame["created"], utc=True)
    return typing.cast("pandas.DataFrame", frame)
