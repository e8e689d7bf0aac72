"""The Markdown table and the summary of a file of results."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from dataclasses import dataclass
from statistics import median

from rows import TESSERA, Row
from summary import Ratio, best, geometric_mean, ratio

GOOD = ("ok", "unchecked")
# A case is lost when its whole interval lies below this, won when it lies above 1.
LOST_BELOW = 0.97

HEAD = (
    "Microseconds of a call: the median over rounds of each round's minimum (cold caches: median); "
    "in brackets the measured overhead of a call that computes nothing (not subtracted). Ratio: "
    "time of the fastest other library ÷ time of Tessera, with a 95 % interval by bootstrap over "
    "rounds; above 1 Tessera is faster. – : the library has no such operator. Load: cores that "
    "other programs kept busy during the case."
)


@dataclass(frozen=True)
class Compared:
    """One case beside the fastest other library; `fastest` is "" where there is none."""

    rows: dict[str, Row]
    fastest: str
    ratio: Ratio | None

    @property
    def any_row(self) -> Row:
        return next(iter(self.rows.values()))

    @property
    def is_lost(self) -> bool:
        return self.ratio is not None and self.ratio.high < LOST_BELOW


def compared(rows: dict[str, Row]) -> Compared:
    times = {p: r.rounds for p, r in rows.items() if r.status in GOOD and r.rounds}
    tessera = times.pop(TESSERA, None)
    times = {p: t for p, t in times.items() if tessera and len(t) == len(tessera)}
    if not tessera or not times:
        return Compared(rows, "", None)
    name = best(times)
    return Compared(rows, name, ratio(times[name], tessera))


def _cell(row: Row | None) -> str:
    if row is None:
        return ""
    if row.status not in GOOD or not row.rounds:
        return {"unsupported": "–"}.get(row.status, row.status)
    text = f"{median(row.rounds):.4g}"
    overhead = float(row.overhead_us)
    return f"{text} ({overhead:.2g})" if overhead > 0 else text


def _means(cases: list[Compared]) -> list[str]:
    groups: dict[str, list[Compared]] = defaultdict(list)
    for case in cases:
        if case.ratio is not None:
            groups[case.any_row.operator_class].append(case)
    every = [case for group in groups.values() for case in group]
    if not every:
        return []
    head = f"| class | cases | geometric mean of ratios | lowest | wholly below {LOST_BELOW} |"
    lines = ["", head, "|---|---|---|---|---|"]
    for name, group in [*groups.items(), ("all", every)]:
        values = [case.ratio.value for case in group if case.ratio]
        lost = sum(case.is_lost for case in group)
        mean = f"{geometric_mean(values):.3f} | {min(values):.3f}"
        lines.append(f"| {name} | {len(values)} | {mean} | {lost} |")
    lost_names = [case.any_row.case for case in every if case.is_lost]
    lines += ["", f"Wholly below {LOST_BELOW}: {', '.join(lost_names) or 'none'}."]
    return lines


def _group_name(row: Row) -> tuple[int, str]:
    return int(row.threads), row.cache


def _table(cases: list[Compared]) -> list[str]:
    peers = list(dict.fromkeys(p for case in cases for p in case.rows if p != TESSERA))
    head = ["case", "class", TESSERA, *peers, "fastest other", "ratio", "interval", "load"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for case in cases:
        row, r = case.any_row, case.ratio
        cells = [_cell(case.rows.get(p)) for p in (TESSERA, *peers)]
        value = [f"{r.value:.3f}", f"{r.low:.3f}–{r.high:.3f}"] if r else ["", ""]
        line = [row.case, row.operator_class, *cells, case.fastest, *value, row.other_cores]
        lines.append(f"| {' | '.join(line)} |")
    return lines


def markdown(cases: list[dict[str, Row]]) -> str:
    """`cases`: the rows of each case by peer. One table a number of threads and state of caches."""
    groups: dict[tuple[int, str], list[Compared]] = defaultdict(list)
    for rows in cases:
        case = compared(rows)
        groups[_group_name(case.any_row)].append(case)
    lines = ["# Tessera beside other libraries", "", HEAD]
    for (threads, cache), group in sorted(
        groups.items(), key=lambda g: (g[0][0], g[0][1] != "warm")
    ):
        lines += ["", f"## Threads: {threads}, caches {cache}", "", *_table(group), *_means(group)]
    every = [row for rows in cases for row in rows.values()]
    lines += ["", "## What was measured", ""]
    for peer in dict.fromkeys(r.peer for r in every):
        versions = sorted({r.version for r in every if r.peer == peer and r.version})
        lines.append(f"- {peer}: {', '.join(versions) or 'never ran'}")
    dates = sorted(r.date for r in every)
    lines.append(f"- from {dates[0]} to {dates[-1]} UTC on {', '.join({r.machine for r in every})}")
    less_exact = [r for r in every if r.status in GOOD and r.reason]
    not_run = [r for r in every if r.status not in GOOD]
    for title, rows_of_it in (("Long sums", less_exact), ("What was not", not_run)):
        if not rows_of_it:
            continue
        lines += ["", f"## {title}", ""]
        reasons: dict[tuple[str, str, str], list[str]] = defaultdict(list)
        for r in rows_of_it:
            reasons[(r.peer, r.status, r.reason)].append(r.case)
        for (peer, status, reason), names in reasons.items():
            lines.append(f"- {peer}, {status}: {reason} ({', '.join(dict.fromkeys(names))})")
    return "\n".join(lines) + "\n"


SUMMARY_COLUMNS = (
    "suite",
    "case",
    "class",
    "threads",
    "cache",
    "tessera_us",
    "fastest",
    "fastest_us",
    "ratio",
    "ratio_low",
    "ratio_high",
    "lost",
    "load_average",
    "other_cores",
    "date",
)


def summary_csv(cases: list[dict[str, Row]]) -> str:
    """A row a case; `lost`: 1 where the interval lies wholly below 0.97."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(SUMMARY_COLUMNS)
    for rows in cases:
        case = compared(rows)
        row, r = case.any_row, case.ratio
        tessera = rows.get(TESSERA)
        times = [f"{median(tessera.rounds):.4f}" if tessera and tessera.rounds else "", "", ""]
        ratios = ["", "", "", ""]
        if r is not None:
            times[1:] = [case.fastest, f"{median(rows[case.fastest].rounds):.4f}"]
            ratios = [f"{r.value:.4f}", f"{r.low:.4f}", f"{r.high:.4f}", str(int(case.is_lost))]
        state = [row.load_average, row.other_cores, row.date]
        names = [row.suite, row.case, row.operator_class, row.threads, row.cache]
        writer.writerow([*names, *times, *ratios, *state])
    return out.getvalue()
