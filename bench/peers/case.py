"""Cases: an operator of a library made by `tessera build`, with its attributes from the suite."""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from storage import STORED, exact

Attributes = dict[str, Any]


class Unsupported(Exception):
    """The peer has no such operator; the message is the reason that the table gives."""


@dataclass(frozen=True)
class Tensor:
    name: str
    role: str  # input, constant, output
    shape: tuple[int, ...]
    type: str  # f32, i32, …
    stored_bytes: int  # 0 of constants: the library packs them


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

    @property
    def dtype(self) -> str:
        return self.word("dtype", "f32")

    @property
    def requantized(self) -> bool:
        return self.flag("requantize")

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(data: dict[str, Any]) -> Case:
        tensors = tuple(Tensor(**{**t, "shape": tuple(t["shape"])}) for t in data["tensors"])
        return Case(**{**data, "tensors": tensors})


def load_suite(path: Path) -> list[Case]:
    """The operators of a job file, of no library: without tensors."""
    import yaml  # of requirements.txt; children need not have it

    suite = yaml.safe_load(path.read_text())
    defaults = suite.get("defaults", {})
    cases = []
    for entry in suite["operators"]:
        attributes = {**defaults.get(entry["op"], {}), **entry}
        name, kind = attributes.pop("name"), attributes.pop("op")
        cases.append(Case(suite.get("name", path.stem), name, kind, attributes, "", "", 0))
    return cases


def load_cases(libraries: list[Path], suites: list[Path]) -> list[Case]:
    """Operators that are in a suite and in a library, in the suites' order, matched by name."""
    built: dict[str, tuple[Path, dict[str, Any]]] = {}
    for library in libraries:
        manifest = json.loads((library / "manifest.json").read_text())
        for op in manifest["ops"]:
            built.setdefault(op["name"], (library, op))
    cases: list[Case] = []
    for path in suites:
        for case in load_suite(path):
            if case.name not in built:
                continue
            library, op = built[case.name]
            tensors = tuple(
                Tensor(t["name"], t["role"], tuple(t["shape"]), t["type"], t.get("stored_bytes", 0))
                for t in op["tensors"]
            )
            cases.append(
                replace(
                    case,
                    library=str(library.resolve()),
                    object_sha256=" ".join(v["object_sha256"] for v in op["versions"]),
                    packed_bytes=op["packed_bytes"],
                    tensors=tensors,
                )
            )
    return cases


def make_inputs(case: Case, seed: int) -> dict[str, np.ndarray]:
    """Row-major values of inputs and constants, the same in every process: float32 that are exact in
    the tensor's type, int8 or int32.

    Floats: uniform in [-1, 1); constants of two and more dimensions in [-1/8, 1/8), so that sums
    of products don't saturate what follows. i8: all of its values; i32: within ±1000. Scales of
    requantized results: in [2⁻¹³, 2⁻¹²), so that results of 64 to 8192 terms use the range of i8.
    """
    values: dict[str, np.ndarray] = {}
    for tensor in case.tensors:
        if tensor.role == "output":
            continue
        if tensor.type not in STORED:
            raise Unsupported(f"{tensor.name} is {tensor.type}, which the harness doesn't know")
        rng = np.random.default_rng([seed, zlib.crc32(f"{case.name}/{tensor.name}".encode())])
        if tensor.type in INTEGERS:
            low, high = INTEGERS[tensor.type]
            whole = rng.integers(low, high, tensor.shape, endpoint=True)
            values[tensor.name] = whole.astype(STORED[tensor.type])
            continue
        if case.requantized and tensor.name == "Scale":
            values[tensor.name] = (1 + rng.random(tensor.shape, dtype=np.float32)) / np.float32(8192)
            continue
        scale = 0.25 if tensor.role == "constant" and len(tensor.shape) > 1 else 2.0
        drawn = (rng.random(tensor.shape, dtype=np.float32) - 0.5) * np.float32(scale)
        values[tensor.name] = exact(drawn, tensor.type)
    return values


INTEGERS = {"i8": (-128, 127), "i32": (-1000, 1000), "s32": (-1000, 1000)}
