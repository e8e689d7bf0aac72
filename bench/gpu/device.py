"""NVIDIA's driver through ctypes: memory, events, kernels given as PTX. Beside PyTorch it works in
PyTorch's context and stream, so that one clock times both."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from ctypes import POINTER, byref, c_char_p, c_float, c_int, c_size_t, c_uint, c_uint64, c_void_p
from dataclasses import dataclass
from typing import Any

import numpy as np

FUNCTIONS: dict[str, list[Any]] = {
    "cuInit": [c_uint],
    "cuGetErrorName": [c_int, POINTER(c_char_p)],
    "cuDriverGetVersion": [POINTER(c_int)],
    "cuDeviceGet": [POINTER(c_int), c_int],
    "cuDeviceGetName": [c_char_p, c_int, c_int],
    "cuDeviceGetAttribute": [POINTER(c_int), c_int, c_int],
    "cuCtxCreate_v2": [POINTER(c_void_p), c_uint, c_int],
    "cuCtxSynchronize": [],
    "cuModuleLoadDataEx": [POINTER(c_void_p), c_char_p, c_uint, POINTER(c_int), POINTER(c_void_p)],
    "cuModuleGetFunction": [POINTER(c_void_p), c_void_p, c_char_p],
    "cuFuncSetAttribute": [c_void_p, c_int, c_int],
    "cuMemAlloc_v2": [POINTER(c_uint64), c_size_t],
    "cuMemcpyHtoD_v2": [c_uint64, c_void_p, c_size_t],
    "cuMemcpyDtoH_v2": [c_void_p, c_uint64, c_size_t],
    "cuMemsetD8_v2": [c_uint64, ctypes.c_ubyte, c_size_t],
    "cuLaunchKernel": [c_void_p, *[c_uint] * 7, c_void_p, POINTER(c_void_p), c_void_p],
    "cuEventCreate": [POINTER(c_void_p), c_uint],
    "cuEventRecord": [c_void_p, c_void_p],
    "cuEventSynchronize": [c_void_p],
    "cuEventElapsedTime": [POINTER(c_float), c_void_p, c_void_p],
}
L2_CACHE_SIZE = 38  # of cuDeviceGetAttribute
MAX_DYNAMIC_SHARED_SIZE_BYTES = 8  # of cuFuncSetAttribute
JIT_ERROR_LOG_BUFFER, JIT_ERROR_LOG_BUFFER_SIZE_BYTES = 5, 6  # of cuModuleLoadDataEx
FREE_SHARED_BYTES = 48 << 10  # more of it a kernel has to ask for
LOG_BYTES = 2000


class DriverError(Exception):
    """Names the call and the driver's error."""


@dataclass(frozen=True)
class Memory:
    address: int
    bytes: int
    owner: object = None  # keeps it


Allocate = Callable[[int], Memory]


class Driver:
    """All work goes to the default stream. Without `allocate` (PyTorch's, which has made a context)
    it makes a context and allocates by itself, until the process ends."""

    def __init__(self, library: str, allocate: Allocate | None = None) -> None:
        try:
            self._library = ctypes.CDLL(library)
        except OSError as error:
            raise DriverError(
                f"{library}: {error}; install the driver of an NVIDIA GPU, or try --dry-run"
            ) from None
        for name, types in FUNCTIONS.items():
            getattr(self._library, name).argtypes = types
        self.call("cuInit", 0)
        self._device = c_int()
        self.call("cuDeviceGet", byref(self._device), 0)
        if allocate is None:
            self._context = c_void_p()
            self.call("cuCtxCreate_v2", byref(self._context), 0, self._device)
        self.allocate = allocate or self._allocate

    def call(self, name: str, *arguments: Any) -> None:
        code = getattr(self._library, name)(*arguments)
        if code == 0:
            return
        text = c_char_p()
        known = self._library.cuGetErrorName(code, byref(text)) == 0 and text.value
        raise DriverError(f"{name}: {text.value.decode() if known else 'error'} ({code})")

    def _allocate(self, size: int) -> Memory:
        address = c_uint64()
        self.call("cuMemAlloc_v2", byref(address), max(size, 1))
        return Memory(address.value, size)

    @property
    def name(self) -> str:
        text = ctypes.create_string_buffer(256)
        self.call("cuDeviceGetName", text, len(text) - 1, self._device)
        return text.value.decode()

    @property
    def cuda_version(self) -> str:
        number = c_int()
        self.call("cuDriverGetVersion", byref(number))
        return f"{number.value // 1000}.{number.value % 1000 // 10}"

    @property
    def cache_bytes(self) -> int:
        size = c_int()
        self.call("cuDeviceGetAttribute", byref(size), L2_CACHE_SIZE, self._device)
        return size.value

    def write(self, to: Memory, values: np.ndarray) -> None:
        values = np.ascontiguousarray(values)
        assert values.nbytes <= to.bytes
        self.call("cuMemcpyHtoD_v2", to.address, values.ctypes.data, values.nbytes)

    def read(self, source: Memory, dtype: Any) -> np.ndarray:
        values = np.empty(source.bytes // np.dtype(dtype).itemsize, dtype)
        self.call("cuMemcpyDtoH_v2", values.ctypes.data, source.address, values.nbytes)
        return values

    def fill(self, memory: Memory, value: int) -> None:
        self.call("cuMemsetD8_v2", memory.address, value, memory.bytes)

    def synchronize(self) -> None:
        self.call("cuCtxSynchronize")

    def events(self, count: int) -> list[c_void_p]:
        made = [c_void_p() for _ in range(count)]
        for event in made:
            self.call("cuEventCreate", byref(event), 0)
        return made

    def record(self, event: c_void_p) -> None:
        self.call("cuEventRecord", event, None)

    def seconds(self, begin: c_void_p, end: c_void_p) -> float:
        """Of two events that were recorded; waits for the second."""
        milliseconds = c_float()
        self.call("cuEventSynchronize", end)
        self.call("cuEventElapsedTime", byref(milliseconds), begin, end)
        return milliseconds.value * 1e-3

    def load(self, ptx: str) -> c_void_p:
        module, log = c_void_p(), ctypes.create_string_buffer(LOG_BYTES)
        options = (c_int * 2)(JIT_ERROR_LOG_BUFFER, JIT_ERROR_LOG_BUFFER_SIZE_BYTES)
        values = (c_void_p * 2)(ctypes.addressof(log), LOG_BYTES - 1)
        try:
            self.call("cuModuleLoadDataEx", byref(module), ptx.encode(), 2, options, values)
        except DriverError as error:
            raise DriverError(f"{error}: {log.value.decode(errors='replace')}") from None
        return module

    def kernel(self, module: c_void_p, name: str, shared_bytes: int) -> c_void_p:
        function = c_void_p()
        self.call("cuModuleGetFunction", byref(function), module, name.encode())
        if shared_bytes > FREE_SHARED_BYTES:
            what = MAX_DYNAMIC_SHARED_SIZE_BYTES
            self.call("cuFuncSetAttribute", function, what, shared_bytes)
        return function


class Launch:
    """A kernel with its grid and its arguments, which stay the same."""

    def __init__(
        self,
        driver: Driver,
        function: c_void_p,
        blocks: Sequence[int],
        threads: Sequence[int],
        shared_bytes: int,
        arguments: Sequence[Memory],
    ) -> None:
        self._driver = driver
        self._memory = tuple(arguments)
        self._addresses = (c_uint64 * len(arguments))(*(memory.address for memory in arguments))
        first = ctypes.addressof(self._addresses)
        step = ctypes.sizeof(c_uint64)
        params = (c_void_p * len(arguments))(*(first + i * step for i in range(len(arguments))))
        self._call = (function, *blocks, *threads, shared_bytes, None, params, None)

    def start(self) -> None:
        self._driver.call("cuLaunchKernel", *self._call)
