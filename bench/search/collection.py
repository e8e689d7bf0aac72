"""What is to be collected: collect.yaml."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from collector import Part, Unit
from sets import DataSet

PILOT_PROGRAMS = 400
REFINED_FASTEST, REFINED_OTHERS = 128, 64
KEYS = {"name", "op", "also", "easy", "pins"}


@dataclass(frozen=True)
class Entry:
    name: str
    op: str
    attributes: dict[str, Any]
    also: frozenset[str]  # of isa, threads: measured on other device classes, too
    is_easy: bool  # random is known to be strong there
    pins: dict[str, Any] | None


def load(path: Path) -> dict[str, list[Entry]]:
    """By section: sampled, enumerated. SystemExit says what is wrong."""
    document = yaml.safe_load(path.read_text())
    defaults = document.get("defaults", {})
    sections: dict[str, list[Entry]] = {}
    for section in ("sampled", "enumerated"):
        sections[section] = []
        for item in document[section]:
            also = frozenset(item.get("also", ()))
            if not also <= {"isa", "threads"}:
                raise SystemExit(f"{path}: {item['name']}: also is {sorted(also)}")
            if (section == "enumerated") != ("pins" in item):
                raise SystemExit(f"{path}: {item['name']}: pins are for what is enumerated")
            attributes = {
                **defaults.get(item["op"], {}),
                **{key: value for key, value in item.items() if key not in KEYS},
            }
            sections[section].append(
                Entry(
                    item["name"],
                    item["op"],
                    attributes,
                    also,
                    bool(item.get("easy", False)),
                    item.get("pins"),
                )
            )
    names = [entry.name for entries in sections.values() for entry in entries]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise SystemExit(f"{path}: {', '.join(sorted(twice))}: names come twice")
    return sections


def choose(entries: list[Entry], names: str, isa: str | None, threads: int) -> list[Entry]:
    """By a regular expression; of other device classes only those that are marked for them."""
    asked = (("isa", isa is not None), ("threads", threads > 1))
    wanted = {name for name, is_asked in asked if is_asked}
    return [e for e in entries if re.search(names, e.name) and wanted <= e.also]


def sampled(entry: Entry, isa: str, threads: int, programs: int, passes: int) -> Unit:
    """The pilot's programs are the first of them; each pass measures all. A job's first trial is the
    default schedule."""
    parts = []
    for number in ("", *range(2, passes + 1)):
        parts.append(Part(f"pilot{number}", "random", 1 + min(PILOT_PROGRAMS, programs), seed=0))
        if programs > PILOT_PROGRAMS:
            parts.append(Part(f"more{number}", "random", 1 + programs - PILOT_PROGRAMS, seed=1))
    return unit_of("sampled", entry, isa, threads, parts)


def pilot(entry: Entry, isa: str, threads: int) -> Unit:
    return unit_of("pilot", entry, isa, threads, sampled(entry, isa, threads, PILOT_PROGRAMS, 1).parts)


def enumerated(entry: Entry, isa: str, threads: int, most: int) -> Unit:
    """The job ends when there are no more programs, which are fewer than `most`."""
    return unit_of("enumerated", entry, isa, threads, [Part("all", "grid", most)])


def refined(entry: Entry, isa: str, threads: int, most: int, table: DataSet, passes: int) -> Unit:
    """An enumeration whose fastest programs, and some others, are measured again: all of them once a
    pass, in another order each time."""
    by_time = sorted((row for row in table.rows if math.isfinite(row[1])), key=lambda row: row[1])
    configs = [config for config, _ in by_time]
    rng = random.Random(0)
    rest = configs[REFINED_FASTEST:]
    again = configs[:REFINED_FASTEST] + rng.sample(rest, min(REFINED_OTHERS, len(rest)))
    parts = list(enumerated(entry, isa, threads, most).parts)
    for number in range(1, passes + 1):
        rng.shuffle(again)
        parts.append(Part(f"again{number}", "grid", 1 + len(again), configs=tuple(again)))
    return unit_of("refined", entry, isa, threads, parts)


def unit_of(kind: str, entry: Entry, isa: str, threads: int, parts: Sequence[Part]) -> Unit:
    return Unit(
        kind, entry.name, entry.op, entry.attributes, threads, isa, tuple(parts), entry.pins
    )
