"""The best schedules that TVM's MetaSchedule found (tvm_tune.py), called without its runtime's overhead."""

from __future__ import annotations

import ctypes
import json
import os
from pathlib import Path

import numpy as np
import tvm

from base import address, aligned, calls, checked
from case import Case, Unsupported
from geometry import Values
from tvm_ops import operator
from tvm_work import best_folder

DLTENSOR_POINTER = 7  # kTVMFFIDLTensorPtr of tvm/ffi/c_api.h
CPU, FLOAT = 1, 2  # DLDeviceType, DLDataTypeCode


class DLTensor(ctypes.Structure):
    """As in dlpack.h."""

    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


class Any(ctypes.Structure):
    """TVMFFIAny."""

    _fields_ = [
        ("type_index", ctypes.c_int32),
        ("unused", ctypes.c_uint32),
        ("pointer", ctypes.c_void_p),
    ]


class TvmPeer:
    overhead_seconds = 0.0

    def __init__(self) -> None:
        self.version = tvm.__version__
        self._calls = calls()

    def prepare(self, case: Case, threads: int, values: Values) -> None:
        operator(case)  # what is not in the subset is told first
        folder = best_folder(Path(os.environ["TESSERA_PEERS_TVM"]), case, threads)
        if folder is None:
            raise Unsupported("not tuned by tvm_tune.py")
        task = json.loads((folder / "task.json").read_text())
        if json.loads(task["attributes"]) != case.attributes:
            raise RuntimeError(f"{folder} is of {task['attributes']}; remove it and tune again")
        op = operator(case, task["layout"])
        self.version = f"{task['version']} ({task['trials']} trials, {task['layout']})"
        packed = op.pack(values)
        order = folder / "weights.npy"
        if op.free is not None and order.exists():
            packed[op.free] = packed[op.free].reshape(-1)[np.load(order)]
        arrays = []
        for array, shape in zip(packed, task["shapes"]):
            arrays.append(aligned(tuple(shape)))
            arrays[-1][...] = array.reshape(shape)
        self._y = aligned(tuple(task["shapes"][-1]))
        arrays.append(self._y)
        self._unpack = op.unpack
        self._shape = case.with_role("output")[0].shape
        # Loading by TVM gives the library its runtime's functions; the symbol is then called from C.
        self._module = tvm.runtime.load_module(str(folder / "best.so"))
        self._function = ctypes.CDLL(str(folder / "best.so"))["__tvm_ffi_main"]
        self._tensors = [self._tensor(array) for array in arrays]
        pointers = [ctypes.cast(ctypes.pointer(t), ctypes.c_void_p) for t in self._tensors]
        self._arguments = (Any * len(arrays))(
            *(Any(DLTENSOR_POINTER, 0, pointer) for pointer in pointers)
        )
        self._kept = (arrays, pointers)

    def _tensor(self, array: np.ndarray) -> DLTensor:
        shape = (ctypes.c_int64 * array.ndim)(*array.shape)
        strides = (ctypes.c_int64 * array.ndim)(*(s // array.itemsize for s in array.strides))
        return DLTensor(address(array), CPU, 0, array.ndim, FLOAT, 32, 1, shape, strides, 0)

    def time_calls(self, calls: int) -> float:
        return checked(
            self._calls.time_tvm(
                self._function, self._arguments, len(self._arguments), ctypes.c_long(calls)
            )
        )

    def outputs(self) -> list[np.ndarray]:
        return [self._unpack(self._y).reshape(self._shape)]
