"""Programs that bench_device_code has written: the text that workers measure (proto/device_code.h) and
the buffers that its launches count."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import peers_modules  # noqa: F401
from case import Case, Tensor
from device import Driver, Launch, Memory
from storage import STORED, from_stored, to_stored

VERSION = "3"


@dataclass(frozen=True)
class KernelLaunch:
    kernel: str
    blocks: tuple[int, ...]
    threads: tuple[int, ...]
    shared_bytes: int
    arguments: tuple[str, ...]  # numbers of buffers, or "workspace"


@dataclass(frozen=True)
class DeviceCode:
    workspace_bytes: int
    preparation: list[KernelLaunch]
    launches: list[KernelLaunch]
    source: str


def parse_device_code(text: str) -> DeviceCode:
    first, workspace, rest = text.split("\n", 2)
    if first != f"// tessera cuda {VERSION}":
        raise ValueError(f"device code begins with {first!r}, not with version {VERSION} of cuda")
    found: dict[str, list[KernelLaunch]] = {"prepare": [], "launch": []}
    while rest.startswith(("// prepare ", "// launch ")):
        line, rest = rest.split("\n", 1)
        words = line.split()[1:]
        found[words[0]].append(
            KernelLaunch(
                kernel=words[1],
                blocks=tuple(map(int, words[3:6])),
                threads=tuple(map(int, words[7:10])),
                shared_bytes=int(words[11]),
                arguments=tuple(words[13:]),
            )
        )
    return DeviceCode(int(workspace.split()[2]), found["prepare"], found["launch"], rest)


class StoredLayout:
    """Where each element of a row-major array lies. `dims`: (axis, divisor, extent), outermost first,
    each (index along the axis // divisor) % extent; none: row-major."""

    def __init__(self, shape: Sequence[int], dims: Sequence[Sequence[int]]) -> None:
        self._shape = tuple(shape)
        self._positions: np.ndarray | None = None
        self.elements = int(np.prod(self._shape))
        if not dims:
            return
        offsets = [np.zeros(extent, np.int64) for extent in self._shape]
        stride = 1
        for axis, divisor, extent in reversed(dims):
            offsets[axis] += np.arange(self._shape[axis]) // divisor % extent * stride
            stride *= extent
        self.elements = stride
        total = np.zeros((), np.int64)
        for axis, along in enumerate(offsets):
            total = total + along.reshape([-1 if i == axis else 1 for i in range(len(offsets))])
        self._positions = total

    def store(self, values: np.ndarray) -> np.ndarray:
        """Padding is zero."""
        if self._positions is None:
            return values.reshape(-1)
        stored = np.zeros(self.elements, values.dtype)
        stored[self._positions] = values
        return stored

    def load(self, stored: np.ndarray) -> np.ndarray:
        return stored.reshape(self._shape) if self._positions is None else stored[self._positions]


def load_case(case: Case, folder: Path) -> Case:
    """The case with its tensors."""
    buffers = _description(case, folder)["buffers"]
    tensors = tuple(Tensor(b["name"], b["role"], tuple(b["shape"]), b["type"], 0) for b in buffers)
    return replace(case, tensors=tensors)


def _description(case: Case, folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / f"{case.name}.json").read_text()))


class Program:
    """An operator's program on the device, with its buffers and values."""

    def __init__(
        self, driver: Driver, case: Case, folder: Path, inputs: dict[str, np.ndarray]
    ) -> None:
        self._driver, self._tensors = driver, case.tensors
        description = _description(case, folder)
        buffers = description["buffers"]
        self._layouts = [StoredLayout(b["shape"], b["layout"]) for b in buffers]
        sizes = [
            layout.elements * np.dtype(STORED[tensor.type]).itemsize
            for layout, tensor in zip(self._layouts, self._tensors)
        ]
        code = parse_device_code((folder / f"{case.name}.txt").read_text())
        self._buffers = [driver.allocate(b) for b in (*sizes, *description["prepared_bytes"])]
        memory = {str(number): buffer for number, buffer in enumerate(self._buffers)}
        if code.workspace_bytes:
            memory["workspace"] = driver.allocate(code.workspace_bytes)
        module = driver.load(code.source)
        self._launches = [self._bind(module, launch, memory) for launch in code.launches]
        for tensor, layout, buffer in zip(self._tensors, self._layouts, self._buffers):
            if tensor.role == "output":
                driver.fill(buffer, 0xFF)
            else:
                driver.write(buffer, layout.store(to_stored(inputs[tensor.name], tensor.type)))
        for launch in code.preparation:
            self._bind(module, launch, memory).start()
        driver.synchronize()

    def _bind(self, module: Any, launch: KernelLaunch, memory: dict[str, Memory]) -> Launch:
        return Launch(
            self._driver,
            self._driver.kernel(module, launch.kernel, launch.shared_bytes),
            launch.blocks,
            launch.threads,
            launch.shared_bytes,
            [memory[argument] for argument in launch.arguments],
        )

    def call(self) -> None:
        """Starts its kernels; they run after what was started before."""
        for launch in self._launches:
            launch.start()

    def result(self) -> np.ndarray:
        """Of the only output of the last call, row-major, as float32."""
        ((tensor, layout, buffer),) = [
            found
            for found in zip(self._tensors, self._layouts, self._buffers)
            if found[0].role == "output"
        ]
        stored = self._driver.read(buffer, STORED[tensor.type])
        return from_stored(layout.load(stored), tensor.type)
