"""The Markdown table of a file of results."""

from __future__ import annotations

from collections import defaultdict
from statistics import median

from rows import TESSERA, Row
from summary import best, geometric_mean, ratio

GOOD = ("ok", "unchecked")


def _cell(row: Row | None) -> str:
    if row is None:
        return ""
    if row.status not in GOOD or not row.minima:
        return {"unsupported": "–"}.get(row.status, row.status)
    text = f"{median(row.minima):.4g}"
    overhead = float(row.overhead_us)
    return f"{text} ({overhead:.2g})" if overhead > 0 else text


def _ratio_cells(rows: dict[str, Row]) -> tuple[str, str, str, float | None]:
    times = {p: r.minima for p, r in rows.items() if r.status in GOOD and r.minima}
    tessera = times.pop(TESSERA, None)
    times = {p: t for p, t in times.items() if tessera and len(t) == len(tessera)}
    if not tessera or not times:
        return "", "", "", None
    name = best(times)
    result = ratio(times[name], tessera)
    return name, f"{result.value:.3f}", f"{result.low:.3f}–{result.high:.3f}", result.value


def _means(ratios: dict[str, list[float]]) -> list[str]:
    every = [r for values in ratios.values() for r in values]
    if not every:
        return []
    lines = ["", "| class | cases | geometric mean of ratios | lowest |", "|---|---|---|---|"]
    for name, values in [*ratios.items(), ("all", every)]:
        lines.append(
            f"| {name} | {len(values)} | {geometric_mean(values):.3f} | {min(values):.3f} |"
        )
    return lines


def markdown(cases: list[dict[str, Row]]) -> str:
    """`cases`: the rows of each case by peer. One table a number of threads."""
    by_threads: dict[str, list[dict[str, Row]]] = defaultdict(list)
    for rows in cases:
        by_threads[next(iter(rows.values())).threads].append(rows)
    lines: list[str] = ["# Tessera beside other libraries", ""]
    lines += [
        "Microseconds of a call on warm caches: the median over rounds of each round's minimum; in "
        "brackets the measured overhead of a call that computes nothing (not subtracted). Ratio: "
        "time of the fastest other library ÷ time of Tessera, with a 95 % interval by bootstrap "
        "over rounds; above 1 Tessera is faster. – : the library has no such operator.",
    ]
    for threads, group in sorted(by_threads.items(), key=lambda item: int(item[0])):
        peers = list(dict.fromkeys(p for rows in group for p in rows if p != TESSERA))
        lines += ["", f"## Threads: {threads}", ""]
        head = ["case", "class", TESSERA, *peers, "fastest other", "ratio", "interval", "load"]
        lines += [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
        ratios: dict[str, list[float]] = defaultdict(list)
        for rows in group:
            any_row = next(iter(rows.values()))
            name, value, interval, number = _ratio_cells(rows)
            if number is not None:
                ratios[any_row.operator_class].append(number)
            cells = [_cell(rows.get(p)) for p in (TESSERA, *peers)]
            line = [any_row.case, any_row.operator_class, *cells, name, value, interval]
            lines.append(f"| {' | '.join([*line, any_row.load_average])} |")
        lines += _means(ratios)
    every = [row for rows in cases for row in rows.values()]
    lines += ["", "## What was measured", ""]
    for peer in dict.fromkeys(r.peer for r in every):
        versions = sorted({r.version for r in every if r.peer == peer and r.version})
        lines.append(f"- {peer}: {', '.join(versions) or 'never ran'}")
    dates = sorted(r.date for r in every)
    lines.append(f"- from {dates[0]} to {dates[-1]} UTC on {', '.join({r.machine for r in every})}")
    not_run = [r for r in every if r.status not in GOOD]
    if not_run:
        lines += ["", "## What was not", ""]
        reasons: dict[tuple[str, str, str], list[str]] = defaultdict(list)
        for r in not_run:
            reasons[(r.peer, r.status, r.reason)].append(r.case)
        for (peer, status, reason), names in reasons.items():
            lines.append(f"- {peer}, {status}: {reason} ({', '.join(dict.fromkeys(names))})")
    return "\n".join(lines) + "\n"
