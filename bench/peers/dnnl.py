"""oneDNN's C API, version 3, as far as compare.py needs it; dnnl2.py is version 2, and opens a
library of either. The wheels ship no headers: the numbers are those of dnnl_types.h and
dnnl_common_types.h, which stay the same within version 3."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from case import Unsupported

Handle = ctypes.c_void_p
Dims = ctypes.c_int64 * 12

CPU, FORWARD_INFERENCE, UNDEFINED, ANY = 1, 96, 0, 1
F16, BF16, F32, S32, S8 = 1, 2, 3, 4, 5
TYPES = {"f16": F16, "bf16": BF16, "f32": F32, "i32": S32, "s32": S32, "i8": S8}
KINDS = {"float32": F32, "int32": S32, "int8": S8}  # of arrays
ROW_MAJOR = {1: 2, 2: 3, 3: 4, 4: 5, 5: 6}  # dnnl_a … dnnl_abcde
ACDB, BLOCKED_16C = 22, 78
CONVOLUTION_AUTO, CONVOLUTION_DIRECT, DECONVOLUTION_DIRECT = 3, 1, 10
RELU, TANH, LINEAR, LOGISTIC, GELU_ERF = 32, 33, 38, 41, 49
POOL_MAX, POOL_AVERAGE_ALL, POOL_AVERAGE_INSIDE = 511, 767, 1023
REDUCE = {
    "reduce_max": 196594,
    "reduce_min": 196595,
    "reduce_sum": 196596,
    "reduce_prod": 196597,
    "reduce_mean": 196598,
    "norm2": 196600,  # norm_lp_sum
}
SOFTMAX_ACCURATE, BINARY_ADD, BINARY_MUL, USE_SCALE_AND_SHIFT = 196608, 131056, 131057, 6
LEFT_TO_RIGHT = 1
QUERY_IMPLEMENTATION, QUERY_EXECUTION_ARGUMENT = 8, 255
SRC, SRC_1, SRC_2, DST, DST_1, DST_2 = 1, 2, 3, 17, 18, 19
WEIGHTS, WEIGHTS_1, BIAS, SCALE, SHIFT, SCALES, POST_OP = 33, 34, 41, 51, 52, 4096, 32768
ALLOCATE = ctypes.c_void_p(-1)
STATUS = {1: "out of memory", 2: "invalid arguments", 3: "unimplemented", 5: "runtime error"}


class Version(ctypes.Structure):
    _fields_ = [
        ("major", ctypes.c_int),
        ("minor", ctypes.c_int),
        ("patch", ctypes.c_int),
        ("hash", ctypes.c_char_p),
        ("cpu_runtime", ctypes.c_uint),
        ("gpu_runtime", ctypes.c_uint),
    ]


class ExecArgument(ctypes.Structure):
    _fields_ = [("arg", ctypes.c_int), ("memory", Handle)]


class Step(ctypes.Structure):
    """As in calls.c."""

    _fields_ = [("primitive", Handle), ("arguments", Handle), ("count", ctypes.c_int)]


def kind_of(values: np.ndarray) -> int:
    return KINDS[str(values.dtype)]


def dims(values: Sequence[int]) -> ctypes.Array[ctypes.c_int64]:
    return Dims(*values)


RUNTIMES = {1: "sequential", 2: "OpenMP", 4: "TBB", 8: "thread pool", 512: "SYCL"}


@dataclass(frozen=True)
class Scales:
    """By which integer sums are multiplied, one a channel: the dimensions of the weights and of the
    result that the channel is, as masks."""

    values: np.ndarray
    of_weights: int
    of_result: int


class Dnnl:
    post_op = POST_OP  # DNNL_ARG_ATTR_MULTIPLE_POST_OP(0)
    operand_may_be_any = True  # of a binary post-op
    scales_bias = False  # a bias is added to scaled sums

    def __init__(self, library: ctypes.CDLL) -> None:
        self.library = library
        self.library.dnnl_primitive_desc_query_md.restype = Handle
        self.library.dnnl_memory_desc_get_size.restype = ctypes.c_size_t
        version = self.library.dnnl_version()[0]
        runtime = RUNTIMES.get(version.cpu_runtime, str(version.cpu_runtime))
        self.version = f"{version.major}.{version.minor}.{version.patch} ({runtime})"
        self.engine, self.stream = Handle(), Handle()
        self.call("engine_create", ctypes.byref(self.engine), CPU, ctypes.c_size_t(0))
        self.call("stream_create", ctypes.byref(self.stream), self.engine, 1)

    def call(self, name: str, *arguments: object) -> None:
        status = getattr(self.library, f"dnnl_{name}")(*arguments)
        if status == 3:
            raise Unsupported(f"oneDNN: {name}: unimplemented")
        if status != 0:
            raise RuntimeError(f"dnnl_{name}: {STATUS.get(status, status)}")

    def layout(self, shape: Sequence[int], tag: int | None = None, kind: int = F32) -> Handle:
        """Row-major without a tag."""
        result = Handle()
        tag = ROW_MAJOR[len(shape)] if tag is None else tag
        self.call(
            "memory_desc_create_with_tag", ctypes.byref(result), len(shape), dims(shape), kind, tag
        )
        return result

    def strided(self, shape: Sequence[int], strides: Sequence[int], kind: int = F32) -> Handle:
        result = Handle()
        self.call(
            "memory_desc_create_with_strides",
            ctypes.byref(result),
            len(shape),
            dims(shape),
            kind,
            dims(strides),
        )
        return result

    def attributes(
        self, post_ops: Sequence[tuple[str, tuple[object, ...]]], scales: Scales | None = None
    ) -> Handle:
        """Post-ops as (what, arguments): ("eltwise", (RELU, 0.0, 0.0)), ("binary", (add, layout))."""
        chain, result = Handle(), Handle()
        self.call("post_ops_create", ctypes.byref(chain))
        for what, arguments in post_ops:
            converted = [ctypes.c_float(a) if isinstance(a, float) else a for a in arguments]
            self.call(f"post_ops_append_{what}", chain, *converted)
        self.call("primitive_attr_create", ctypes.byref(result))
        self.call("primitive_attr_set_post_ops", result, chain)
        if scales is not None:
            self.set_scales(result, scales)
        return result

    def set_scales(self, attributes: Handle, scales: Scales) -> None:
        self.call("primitive_attr_set_scales_mask", attributes, WEIGHTS, scales.of_weights)

    def scale_arguments(self, scales: Scales | None) -> dict[int, "Memory"]:
        if scales is None:
            return {}
        return {SCALES | WEIGHTS: self.filled(self.layout(scales.values.shape), scales.values)}

    def primitive(self, kind: str, *arguments: object) -> "Primitive":
        description, result = Handle(), Handle()
        converted = [ctypes.c_float(a) if isinstance(a, float) else a for a in arguments]
        create = f"{kind}_primitive_desc_create"
        self.call(create, ctypes.byref(description), self.engine, *converted)
        self.call("primitive_create", ctypes.byref(result), description)
        return Primitive(self, description, result)

    def memory(self, layout: Handle) -> "Memory":
        return Memory(self, layout)

    def reorder(self, source: "Memory", target: "Memory") -> None:
        description, primitive = Handle(), Handle()
        self.call(
            "reorder_primitive_desc_create",
            ctypes.byref(description),
            source.layout,
            self.engine,
            target.layout,
            self.engine,
            None,
        )
        self.call("primitive_create", ctypes.byref(primitive), description)
        Primitive(self, description, primitive).run({SRC: source, DST: target})
        self.call("primitive_destroy", primitive)
        self.call("primitive_desc_destroy", description)

    def filled(self, layout: Handle, values: np.ndarray, plain: Handle | None = None) -> "Memory":
        """Memory in `layout` with row-major values (of layout `plain` where that is not row-major
        of the values' shape). Floats are converted to the layout's type."""
        source = self.memory(plain or self.layout(values.shape, kind=kind_of(values)))
        source.write(values)
        target = self.memory(layout)
        self.reorder(source, target)
        return target


class Memory:
    """The library allocates, so that it is right for every runtime."""

    def __init__(self, dnnl: Dnnl, layout: Handle) -> None:
        self.dnnl, self.layout, self.handle = dnnl, layout, Handle()
        self.bytes = dnnl.library.dnnl_memory_desc_get_size(layout)
        dnnl.call("memory_create", ctypes.byref(self.handle), layout, dnnl.engine, ALLOCATE)

    def _pointer(self) -> int:
        pointer = Handle()
        self.dnnl.call("memory_get_data_handle", self.handle, ctypes.byref(pointer))
        return pointer.value or 0

    def write(self, values: np.ndarray) -> None:
        row_major = np.ascontiguousarray(values)
        assert row_major.nbytes == self.bytes
        ctypes.memmove(self._pointer(), row_major.ctypes.data, row_major.nbytes)

    def read(self, shape: Sequence[int], kind: int = F32) -> np.ndarray:
        """Row-major, as float32 or, of S32, int32."""
        plain = self.dnnl.memory(self.dnnl.layout(shape, kind=kind))
        self.dnnl.reorder(self, plain)
        result = np.empty(shape, dtype=np.int32 if kind == S32 else np.float32)
        ctypes.memmove(result.ctypes.data, plain._pointer(), result.nbytes)
        return result


class Primitive:
    def __init__(self, dnnl: Dnnl, description: Handle, handle: Handle) -> None:
        self.dnnl, self.description, self.handle = dnnl, description, handle

    def layout(self, argument: int) -> Handle:
        """What the primitive takes for `argument`."""
        query = self.dnnl.library.dnnl_primitive_desc_query_md
        found = query(self.description, QUERY_EXECUTION_ARGUMENT, argument)
        return Handle(found)

    @property
    def implementation(self) -> str:
        name = ctypes.c_char_p()
        self.dnnl.call(
            "primitive_desc_query", self.description, QUERY_IMPLEMENTATION, 0, ctypes.byref(name)
        )
        return (name.value or b"").decode()

    def step(self, arguments: dict[int, Memory]) -> Step:
        array = (ExecArgument * len(arguments))(
            *(ExecArgument(arg, memory.handle) for arg, memory in arguments.items())
        )
        step = Step(self.handle, ctypes.cast(array, Handle), len(arguments))
        step.kept = (array, arguments, self)  # what the pointers point to
        return step

    def run(self, arguments: dict[int, Memory]) -> None:
        step = self.step(arguments)
        self.dnnl.call(
            "primitive_execute",
            Handle(step.primitive),
            self.dnnl.stream,
            step.count,
            Handle(step.arguments),
        )
        self.dnnl.call("stream_wait", self.dnnl.stream)
