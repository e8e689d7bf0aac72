"""Cases: an operator of a library made by `tessera build`, with its attributes from the suite."""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

Attributes = dict[str, Any]


class Unsupported(Exception):
    """The peer has no such operator; the message is the reason that the table gives."""


@dataclass(frozen=True)
class Tensor:
    name: str
    role: str  # input, constant, output
    shape: tuple[int, ...]
    type: str  # f32, s32, …
    stored_bytes: int


@dataclass(frozen=True)
class Case:
    suite: str
    name: str
    op: str
    attributes: Attributes
    library: str  # folder of libops.so
    object_sha256: str
    packed_bytes: int
    tensors: tuple[Tensor, ...] = field(default_factory=tuple)

    def with_role(self, role: str) -> list[Tensor]:
        return [t for t in self.tensors if t.role == role]

    def number(self, name: str, default: int | None = None) -> int:
        if name in self.attributes:
            return int(self.attributes[name])
        if default is None:
            raise ValueError(f"{self.name} ({self.op}): attribute {name} is missing")
        return default

    def flag(self, name: str, default: bool = False) -> bool:
        return str(self.attributes.get(name, default)).lower() == "true"

    def word(self, name: str, default: str) -> str:
        return str(self.attributes.get(name, default))

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(data: dict[str, Any]) -> Case:
        tensors = tuple(Tensor(**{**t, "shape": tuple(t["shape"])}) for t in data["tensors"])
        return Case(**{**data, "tensors": tensors})


def load_cases(libraries: list[Path], suites: list[Path]) -> list[Case]:
    """Operators that are in a suite and in a library, in the suites' order, matched by name."""
    import yaml  # of requirements.txt; children need not have it

    built: dict[str, tuple[Path, dict[str, Any]]] = {}
    for library in libraries:
        manifest = json.loads((library / "manifest.json").read_text())
        for op in manifest["ops"]:
            built.setdefault(op["name"], (library, op))
    cases: list[Case] = []
    for path in suites:
        suite = yaml.safe_load(path.read_text())
        defaults = suite.get("defaults", {})
        for entry in suite["operators"]:
            if entry["name"] not in built:
                continue
            library, op = built[entry["name"]]
            attributes = {**defaults.get(entry["op"], {}), **entry}
            name, kind = attributes.pop("name"), attributes.pop("op")
            tensors = tuple(
                Tensor(t["name"], t["role"], tuple(t["shape"]), t["type"], t["stored_bytes"])
                for t in op["tensors"]
            )
            cases.append(
                Case(
                    suite=suite.get("name", path.stem),
                    name=name,
                    op=kind,
                    attributes=attributes,
                    library=str(library.resolve()),
                    object_sha256=op["object_sha256"],
                    packed_bytes=op["packed_bytes"],
                    tensors=tensors,
                )
            )
    return cases


def make_inputs(case: Case, seed: int) -> dict[str, np.ndarray]:
    """Row-major values of inputs and constants, the same in every process.

    Uniform in [-1, 1); constants of two and more dimensions in [-1/8, 1/8), so that sums of
    products don't saturate what follows.
    """
    values: dict[str, np.ndarray] = {}
    for tensor in case.tensors:
        if tensor.role == "output":
            continue
        if tensor.type != "f32":
            raise Unsupported(f"{tensor.name} is {tensor.type}; the harness compares f32 only")
        rng = np.random.default_rng([seed, zlib.crc32(f"{case.name}/{tensor.name}".encode())])
        scale = 0.25 if tensor.role == "constant" and len(tensor.shape) > 1 else 2.0
        values[tensor.name] = (rng.random(tensor.shape, dtype=np.float32) - 0.5) * np.float32(scale)
    return values
