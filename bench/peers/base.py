"""What a peer is: a library that prepares one case and calls it many times."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Protocol

import numpy as np

from case import Case
from geometry import Values


class Peer(Protocol):
    """Lives in a process of its own, one case at a time. `overhead_seconds` is the measured cost of
    a call that computes nothing, 0 where loops of calls are in C."""

    version: str
    overhead_seconds: float

    def prepare(self, case: Case, threads: int, values: Values) -> None:
        """Raises Unsupported where the library has no such operator."""

    def time_calls(self, calls: int) -> float:
        """Seconds of all calls together; after set_flush() each finds cold caches."""

    def outputs(self) -> list[np.ndarray]:
        """Of the last call, row-major, in the case's order and shapes."""


def aligned(shape: tuple[int, ...] | int, alignment: int = 64) -> np.ndarray:
    """Floats on a cache line; pages are touched."""
    count = int(np.prod(shape))
    raw = np.zeros(count * 4 + alignment, dtype=np.uint8)
    start = -raw.ctypes.data % alignment
    return raw[start : start + count * 4].view(np.float32).reshape(shape)


def address(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def calls() -> ctypes.CDLL:
    """calls.c, which the driver compiled."""
    library = ctypes.CDLL(str(Path(os.environ["TESSERA_PEERS_CALLS"])))
    for name in TIMED:
        getattr(library, name).restype = ctypes.c_double
    return library


TIMED = ("time_pointers", "time_sgemm", "time_sgemv", "time_steps", "time_infer", "time_tvm")


def set_flush(byte_count: int) -> None:
    """Cold caches before each call from now on, in this process; 0: warm ones."""
    if calls().set_flush(ctypes.c_size_t(byte_count)) != 0:
        raise MemoryError(f"no {byte_count} bytes to empty caches with")


def checked(seconds: float) -> float:
    if seconds < 0:
        raise RuntimeError(f"a call failed with error {-1 - seconds:.0f}")
    return seconds
