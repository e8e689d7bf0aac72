"""oneDNN's C API, version 2 (Debian's), behind the interface and the numbers of version 3 in dnnl.py.

Version 2 has structures for memory and operation descriptors where version 3 has handles; they are
only ever filled and read by the library, so buffers that are large enough stand for them. Numbers
differ where enumerations were changed: dnnl_types.h of libdnnl-dev 2.6.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dnnl import (
    ANY,
    ACDB,
    BLOCKED_16C,
    F32,
    GELU_ERF,
    LINEAR,
    LOGISTIC,
    RELU,
    ROW_MAJOR,
    TANH,
    Dnnl,
    Handle,
    Memory,
    Primitive,
    Scales,
    Version,
    dims,
)

MEMORY_DESC_BYTES = 1024  # dnnl_memory_desc_t has 696
OPERATION_DESC_BYTES = 32768  # the largest, dnnl_rnn_desc_t, has 15344

# Of version 3 to version 2.
TAGS = {ANY: 1, ROW_MAJOR[1]: 2, ROW_MAJOR[2]: 3, ROW_MAJOR[3]: 4, ROW_MAJOR[4]: 5, ROW_MAJOR[5]: 7}
TAGS |= {ACDB: 20, BLOCKED_16C: 69}
ELTWISE = {RELU: 31, TANH: 47, LINEAR: 127, LOGISTIC: 175, GELU_ERF: 48}
SCALE_AND_SHIFT = 24  # dnnl_use_scale | dnnl_use_shift

Arguments = tuple[object, ...]


def _eltwise(a: Arguments) -> Arguments:  # prop, algorithm, source, (target), alpha, beta
    return (a[0], ELTWISE[a[1]], a[2], *a[4:])  # type: ignore[index]


def _layer_norm(a: Arguments) -> Arguments:  # prop, source, (target), statistics, epsilon, flags
    return (a[0], a[1], a[3], a[4], SCALE_AND_SHIFT)


def _lstm(a: Arguments) -> Arguments:  # without peepholes and projection
    return (*a[:7], *a[9:])


def _same(a: Arguments) -> Arguments:
    return a


# kind of version 3 → function that fills the descriptor, its arguments from those of version 3
# without the attributes.
INITIALISERS = {
    "convolution_forward": ("dilated_convolution_forward_desc_init", _same),
    "deconvolution_forward": ("dilated_deconvolution_forward_desc_init", _same),
    "pooling_forward": ("pooling_v2_forward_desc_init", _same),
    "softmax_forward": ("softmax_v2_forward_desc_init", _same),
    "matmul": ("matmul_desc_init", _same),
    "binary": ("binary_desc_init", _same),
    "reduction": ("reduction_desc_init", _same),
    "eltwise_forward": ("eltwise_forward_desc_init", _eltwise),
    "layer_normalization_forward": ("layer_normalization_forward_desc_init", _layer_norm),
    "lstm_forward": ("lstm_forward_desc_init", _lstm),
}


class Dnnl2(Dnnl):
    post_op = 16384
    operand_may_be_any = False
    scales_bias = True

    def __init__(self, library: ctypes.CDLL) -> None:
        super().__init__(library)
        self._buffers: list[ctypes.Array[ctypes.c_char]] = []  # that handles point to

    def _buffer(self, size: int) -> Handle:
        self._buffers.append(ctypes.create_string_buffer(size))
        return ctypes.cast(self._buffers[-1], Handle)

    def layout(self, shape: Sequence[int], tag: int | None = None, kind: int = F32) -> Handle:
        result = self._buffer(MEMORY_DESC_BYTES)
        tag = TAGS[ROW_MAJOR[len(shape)] if tag is None else tag]
        self.call("memory_desc_init_by_tag", result, len(shape), dims(shape), kind, tag)
        return result

    def strided(self, shape: Sequence[int], strides: Sequence[int], kind: int = F32) -> Handle:
        result = self._buffer(MEMORY_DESC_BYTES)
        self.call(
            "memory_desc_init_by_strides", result, len(shape), dims(shape), kind, dims(strides)
        )
        return result

    def attributes(
        self, post_ops: Sequence[tuple[str, Arguments]], scales: Scales | None = None
    ) -> Handle:
        converted: list[tuple[str, Arguments]] = []
        for what, arguments in post_ops:
            if what == "eltwise":  # version 2 wants a scale first
                kind, *rest = arguments
                arguments = (1.0, ELTWISE[kind], *rest)  # type: ignore[index]
            converted.append((what, arguments))
        return super().attributes(converted, scales)

    def set_scales(self, attributes: Handle, scales: Scales) -> None:
        count = ctypes.c_int64(scales.values.size)
        values = np.ascontiguousarray(scales.values, dtype=np.float32)
        pointer = ctypes.c_void_p(values.ctypes.data)
        self.call("primitive_attr_set_output_scales", attributes, count, scales.of_result, pointer)

    def scale_arguments(self, scales: Scales | None) -> dict[int, Memory]:
        return {}  # they are attributes

    def primitive(self, kind: str, *arguments: object) -> Primitive:
        initialiser, convert = INITIALISERS[kind]
        *given, attributes = arguments
        converted = [
            ctypes.c_float(a) if isinstance(a, float) else a for a in convert(tuple(given))
        ]
        operation = self._buffer(OPERATION_DESC_BYTES)
        self.call(initialiser, operation, *converted)
        description, result = Handle(), Handle()
        self.call(
            "primitive_desc_create",
            ctypes.byref(description),
            operation,
            attributes,
            self.engine,
            None,
        )
        self.call("primitive_create", ctypes.byref(result), description)
        return Primitive(self, description, result)


def open_library(path: Path) -> Dnnl:
    """The library at `path`, of version 2 or 3."""
    library = ctypes.CDLL(str(path))
    library.dnnl_version.restype = ctypes.POINTER(Version)
    major = library.dnnl_version()[0].major
    if major not in (2, 3):
        raise RuntimeError(f"{path} is oneDNN {major}; the harness knows versions 2 and 3")
    return Dnnl2(library) if major == 2 else Dnnl(library)
