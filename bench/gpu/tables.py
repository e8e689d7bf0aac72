"""results.json as Markdown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import peers_modules  # noqa: F401
from summary import geometric_mean

OURS, TRITON = "Tessera", "Triton"

Row = dict[str, Any]  # an operator of results.json


def seconds_of(row: Row, names: Iterable[str]) -> tuple[str, float] | None:
    """The fastest of the named that was timed."""
    times = [(o["name"], o["seconds"]) for o in row["outcomes"] if o["name"] in names]
    return min((t for t in times if t[1]), key=lambda t: t[1], default=None)


def library_names(row: Row) -> list[str]:
    """PyTorch's contenders."""
    return [o["name"] for o in row["outcomes"] if o["name"] not in (OURS, TRITON)]


def ratio(row: Row, names: Iterable[str]) -> float | None:
    """Above 1 Tessera is faster."""
    ours, other = seconds_of(row, [OURS]), seconds_of(row, names)
    return other[1] / ours[1] if ours and other else None


def markdown(document: dict[str, Any]) -> str:
    lines = ["# Tessera on a GPU", ""]
    if document["is_dry_run"]:
        lines += ["**Dry run on small shapes: times say nothing.**", ""]
    lines += [f"- {name}: {value}" for name, value in document["environment"].items()]
    lines += [f"- not compared: {reason}" for reason in document["missing"]]
    lines += [
        "",
        "µs: median over rounds of each round's median call, the L2 cache flushed before each call. Ratios: "
        "time of the other ÷ time of Tessera. Trials and seconds: of the search, and until it had a "
        "program of 95 % of its best one's speed, by its own clock.",
        "",
        "| group | operators | PyTorch, mean | lowest | goal | Triton, mean | trials | seconds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    groups: dict[str, list[Row]] = {name: [] for name in document["goals"]}
    for row in document["operators"]:
        groups[row["group"]].append(row)
    for name, rows in groups.items():
        if rows:
            lines.append(_group_line(name, document["goals"][name], rows))
    for name, rows in groups.items():
        if rows:
            lines += ["", f"## {name}", "", *_operator_lines(rows)]
    is_dry_run = document["is_dry_run"]
    remarks = [text for row in document["operators"] for text in _remarks(row, is_dry_run)]
    return "\n".join([*lines, *(["", *remarks] if remarks else [])]) + "\n"


def _number(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _mean(values: Iterable[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return geometric_mean(known) if known else None


def _group_line(name: str, goal: float, rows: list[Row]) -> str:
    library = [ratio(row, library_names(row)) for row in rows]
    mean = _mean(library)
    verdict = "" if mean is None else ", met" if mean >= goal else ", missed"
    spent = [row["spent"] for row in rows if row["spent"]]
    cells = [
        name,
        f"{sum(r is not None for r in library)} of {len(rows)}",
        _number(mean),
        _number(min((r for r in library if r is not None), default=None)),
        f"{goal:g}{verdict}",
        _number(_mean(ratio(row, [TRITON]) for row in rows)),
        str(sum(s["trials"] for s in spent)),
        f"{sum(s['seconds'] for s in spent):.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def _operator_lines(rows: list[Row]) -> list[str]:
    lines = [
        "| operator | Tessera, µs | PyTorch | µs | ratio | Triton, µs | ratio | trials | seconds | "
        "trials to 95 % | seconds to 95 % |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        ours, triton = seconds_of(row, [OURS]), seconds_of(row, [TRITON])
        library = seconds_of(row, library_names(row))
        spent = row["spent"] or {}
        cells = [row["name"], _number(ours and ours[1] * 1e6)]
        cells += [library[0] if library else "–", _number(library and library[1] * 1e6)]
        cells += [_number(ratio(row, library_names(row)))]
        cells += [_number(triton and triton[1] * 1e6), _number(ratio(row, [TRITON]))]
        cells += [str(spent.get("trials", "–")), _number(spent.get("seconds"), 1)]
        cells += [str(spent.get("trials_until_close", "–"))]
        cells += [_number(spent.get("seconds_until_close"), 1)]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _remarks(row: Row, is_dry_run: bool) -> list[str]:
    remarks = [f"- {row['name']}: {row['reason']}"] if row["reason"] else []
    for outcome in row["outcomes"]:
        if outcome["status"] != "ok":
            text = f"{outcome['status']}: {outcome['reason']}"
            remarks.append(f"- {row['name']}, {outcome['name']}: {text}")
        elif outcome["is_host_bound"] and not is_dry_run:  # there all of it is the host's
            remarks.append(f"- {row['name']}, {outcome['name']}: the host started calls too slowly")
    return remarks
