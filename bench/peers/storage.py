"""Element types: how Tessera stores them, and values that every library can be given alike.

Values of f16 and bf16 are kept in float32 arrays and are exact in their type, so that no library's
conversion can differ.
"""

from __future__ import annotations

import numpy as np

STORED = {
    "f32": np.float32,
    "f16": np.float16,
    "bf16": np.uint16,  # its bits
    "i8": np.int8,
    "i32": np.int32,
    "s32": np.int32,
}


def exact(values: np.ndarray, kind: str) -> np.ndarray:
    """The nearest values of the type, in float32."""
    return from_stored(to_stored(values.astype(np.float32), kind), kind)


def to_stored(values: np.ndarray, kind: str) -> np.ndarray:
    """bf16: to nearest, ties to even; values are finite."""
    if kind != "bf16":
        return np.ascontiguousarray(values, dtype=STORED[kind])
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def from_stored(stored: np.ndarray, kind: str) -> np.ndarray:
    """float32, or int32 for integers."""
    if kind == "bf16":
        return (stored.astype(np.uint32) << 16).view(np.float32)
    return stored.astype(np.int32 if stored.dtype.kind == "i" else np.float32)
