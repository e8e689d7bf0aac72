"""A library made by `tessera build`."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np

from base import address, aligned, calls, checked
from case import Case, Tensor
from geometry import Values
from storage import STORED, from_stored, to_stored


class TesseraPeer:
    overhead_seconds = 0.0

    def __init__(self) -> None:
        self.version = ""
        self._calls = calls()

    def prepare(self, case: Case, threads: int, values: Values) -> None:
        self._library = ctypes.CDLL(str(Path(case.library) / "libops.so"))
        self._library.tessera_ops_version.restype = ctypes.c_char_p
        self.version = self._library.tessera_ops_version().decode()
        self._call("tessera_ops_set_threads", ctypes.c_int(threads))
        self._case = case
        inputs, constants = case.with_role("input"), case.with_role("constant")
        self._stored = {
            t.name: aligned((t.stored_bytes + 3) // 4) for t in case.tensors if t.role != "constant"
        }
        for tensor in inputs:
            function = self._copy_name("pack_input", tensor, inputs)
            given = to_stored(values[tensor.name], tensor.type)
            self._call(function, address(given), address(self._stored[tensor.name]))
        arguments = [self._stored[t.name] for t in inputs]
        if constants:
            weights = aligned((case.packed_bytes + 3) // 4)
            given_constants = [to_stored(values[t.name], t.type) for t in constants]
            rows = [address(given) for given in given_constants]
            self._call(f"{case.name}_pack_weights", *rows, address(weights))
            arguments.append(weights)
        arguments += [self._stored[t.name] for t in case.with_role("output")]
        self._kept = arguments
        self._arguments = (ctypes.c_void_p * len(arguments))(*(a.ctypes.data for a in arguments))
        self._op = ctypes.cast(getattr(self._library, case.name), ctypes.c_void_p)

    def time_calls(self, calls: int) -> float:
        return checked(
            self._calls.time_pointers(
                self._op, len(self._kept), self._arguments, ctypes.c_long(calls)
            )
        )

    def outputs(self) -> list[np.ndarray]:
        results = []
        outputs = self._case.with_role("output")
        for tensor in outputs:
            row_major = np.empty(tensor.shape, dtype=STORED[tensor.type])
            function = self._copy_name("unpack_output", tensor, outputs)
            self._call(function, address(self._stored[tensor.name]), address(row_major))
            results.append(from_stored(row_major, tensor.type))
        return results

    def _copy_name(self, verb: str, tensor: Tensor, tensors: list[Tensor]) -> str:
        suffix = f"_{tensor.name}" if len(tensors) > 1 else ""
        return f"{self._case.name}_{verb}{suffix}"

    def _call(self, name: str, *arguments: object) -> None:
        status = getattr(self._library, name)(*arguments)
        if status != 0:
            raise RuntimeError(f"{name} returned {status}; see ops.h")
