"""NumPy arrays as a library takes them: of its types, row-major and aligned."""

from __future__ import annotations

import math
import typing

import numpy as np

from tessera.errors import InvalidArgument, LibraryError

Array = np.ndarray[typing.Any, np.dtype[typing.Any]]

ALIGNMENT = 64  # bytes, of every pointer that a library takes

_DTYPES = {
    "f16": np.float16, "f32": np.float32, "f64": np.float64,
    "i8": np.int8, "i16": np.int16, "i32": np.int32, "i64": np.int64,
    "u8": np.uint8, "u16": np.uint16, "u32": np.uint32, "u64": np.uint64,
    "bf16": np.uint16,  # its bits: NumPy has no such type
}  # fmt: skip


class Tensor(typing.NamedTuple):
    """A tensor of an operator or model. `dtype` and `shape` are what NumPy arrays of it have: of
    bf16 the bits as uint16, of types below 8 bits the packed bytes in one dimension."""

    name: str
    type: str
    shape: tuple[int, ...]
    dtype: np.dtype[typing.Any]
    logical_shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def tensor_of(description: typing.Mapping[str, typing.Any]) -> Tensor:
    """By a manifest's description; LibraryError for a type that has no arrays."""
    name, type_name = description["name"], description["type"]
    logical = tuple(description["shape"])
    if type_name in _DTYPES:
        return Tensor(name, type_name, logical, np.dtype(_DTYPES[type_name]), logical)
    if type_name in ("i1", "i2", "i4", "u1", "u2", "u4"):
        bits = math.prod(logical) * int(type_name[1:])
        return Tensor(name, type_name, ((bits + 7) // 8,), np.dtype(np.uint8), logical)
    raise LibraryError(
        f"tensor {name} is of type {type_name}, which this package has no arrays for; it knows "
        f"{', '.join(_DTYPES)} and i and u of 1, 2 and 4 bits"
    )


def empty(tensor: Tensor) -> Array:
    """An aligned array of the tensor."""
    return aligned_bytes(tensor.nbytes).view(tensor.dtype).reshape(tensor.shape)


def aligned_bytes(count: int) -> Array:
    memory = np.empty(count + ALIGNMENT, np.uint8)
    start = -address(memory) % ALIGNMENT
    return memory[start : start + count]


def address(array: Array) -> int:
    """Where its first element lies; faster than array.ctypes.data."""
    return int(array.__array_interface__["data"][0])


def is_ready(array: Array) -> bool:
    """Whether it can be passed as it is."""
    return array.flags.c_contiguous and address(array) % ALIGNMENT == 0


def check(owner: str, tensor: Tensor, value: typing.Any) -> Array:
    """`value` as an array of the tensor's dtype and shape. Never converts numbers: InvalidArgument
    says how to."""
    array = np.asarray(value)
    if tensor.type == "bf16" and array.dtype.name == "bfloat16":  # of package ml_dtypes
        array = array.view(np.uint16)
    if array.dtype != tensor.dtype:
        how = (
            "tessera.to_bfloat16 makes them of float32"
            if tensor.type == "bf16"
            else f"convert it: array.astype(numpy.{tensor.dtype.name})"
        )
        what = " (the bits of bf16)" if tensor.type == "bf16" else ""
        raise InvalidArgument(
            f"{owner}: {tensor.name} has dtype {array.dtype}, expected {tensor.dtype}{what}; {how}"
        )
    if array.shape != tensor.shape:
        packed = "" if tensor.shape == tensor.logical_shape else f", packed {tensor.type}"
        raise InvalidArgument(
            f"{owner}: {tensor.name} has shape {array.shape}, expected {tensor.shape}{packed}; a "
            "library is for these extents, build another for others"
        )
    return array


def contiguous(array: Array) -> Array:
    """It, or a copy that is row-major."""
    return array if array.flags.c_contiguous else np.ascontiguousarray(array)


def ready(tensor: Tensor, array: Array) -> Array:
    """It, or an aligned, row-major copy."""
    if is_ready(array):
        return array
    copy = empty(tensor)
    np.copyto(copy, array)
    return copy


def to_bfloat16(values: typing.Any) -> Array:
    """The bits of bf16 (uint16) nearest to float32 values, ties to even."""
    bits = np.asarray(values, np.float32).view(np.uint32)
    rounded = (bits + (0x7FFF + ((bits >> 16) & 1)).astype(np.uint32)) >> 16
    is_nan = (bits & 0x7FFFFFFF) > 0x7F800000
    # Not a number stays one, whichever bits it had.
    return np.where(is_nan, (bits >> 16) | 0x40, rounded).astype(np.uint16)


def from_bfloat16(bits: typing.Any) -> Array:
    """float32 values of the bits of bf16 (uint16)."""
    widened: Array = np.asarray(bits, np.uint16).astype(np.uint32) << 16
    return widened.view(np.float32)
