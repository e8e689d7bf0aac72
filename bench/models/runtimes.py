"""Runtimes of models, each the same to its user: load, then call with inputs that it keeps."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

Arrays = dict[str, np.ndarray]

# Of a manifest; booleans are u8, types of 16 bits without a name in numpy are their bits.
_KINDS = {"f64": np.float64, "f32": np.float32, "f16": np.float16, "bf16": np.uint16, "i64": np.int64, "i32": np.int32,
          "i16": np.int16, "i8": np.int8, "u64": np.uint64, "u32": np.uint32, "u16": np.uint16, "u8": np.uint8}


class Runtime(Protocol):
    def bind(self, inputs: Arrays) -> None:
        """Inputs of the calls that follow."""

    def call(self) -> None: ...

    def outputs(self) -> list[np.ndarray]:
        """Of the last call, in the model's order."""


def aligned(shape: tuple[int, ...], kind: type) -> np.ndarray:
    """Zeros on a multiple of 64 bytes; there is a byte at least."""
    count = int(np.prod(shape, dtype=np.int64)) * np.dtype(kind).itemsize
    raw = np.zeros(count + 65, dtype=np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start:start + count].view(kind).reshape(shape)


def packed_inputs(folder: Path, inputs: Arrays) -> list[np.ndarray]:
    """The model's inputs in the library's order and types. Names that C has no room for are matched by order."""
    described = json.loads((folder / "manifest.json").read_text())["model"]["inputs"]
    by_order = list(inputs.values())
    return [np.ascontiguousarray(inputs.get(d["name"], by_order[i]), dtype=_KINDS[d["type"]])
            for i, d in enumerate(described)]


class Tessera:
    """A folder with lib*.so and manifest.json of a library with a model."""

    def __init__(self, folder: Path, threads: int) -> None:
        manifest = json.loads((folder / "manifest.json").read_text())
        self._folder, self._described = folder, manifest["model"]
        file = next(iter(sorted(folder.glob("lib*.so"))), None)
        if file is None:
            raise FileNotFoundError(f"{folder} has no lib*.so")
        library = ctypes.CDLL(str(file.resolve()))
        name = self._described["name"]
        self._check(getattr(library, f"tessera_{file.stem[3:]}_set_threads")(threads), "set_threads")
        create = getattr(library, f"{name}_create")
        self._model = ctypes.c_void_p()
        self._check(create(ctypes.byref(self._model)), "create")
        self._workspace = aligned((max(1, self._described["workspace_bytes"]),), np.uint8)
        self._outputs = [aligned(tuple(o["shape"]), _KINDS[o["type"]]) for o in self._described["outputs"]]
        self._run = getattr(library, f"{name}_run")

    def bind(self, inputs: Arrays) -> None:
        self._inputs = []
        for given, described in zip(packed_inputs(self._folder, inputs), self._described["inputs"]):
            if list(given.shape) != described["shape"]:
                raise ValueError(f"{described['name']} is {given.shape}; the library takes {described['shape']}")
            self._inputs.append(aligned(given.shape, given.dtype.type))
            self._inputs[-1][...] = given
        places = [self._model, *(ctypes.c_void_p(a.ctypes.data) for a in
                                 (*self._inputs, *self._outputs, self._workspace))]
        self._run.argtypes = [ctypes.c_void_p] * len(places)
        self._places = places

    def call(self) -> None:
        if error := self._run(*self._places):
            self._check(error, "run")

    def outputs(self) -> list[np.ndarray]:
        return [o.copy() for o in self._outputs]

    @staticmethod
    def _check(error: int, what: str) -> None:
        if error != 0:
            raise RuntimeError(f"{what}: error {error} (model.h says what it means)")


class Onnxruntime:
    def __init__(self, model: Path, threads: int, optimise: bool = True) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors; old models make it warn of each weight
        if not optimise:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        self._session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        self._binding = self._session.io_binding()

    def bind(self, inputs: Arrays) -> None:
        known = {i.name for i in self._session.get_inputs()}
        for name, value in inputs.items():
            if name in known:
                self._binding.bind_cpu_input(name, value)
        for output in self._session.get_outputs():
            self._binding.bind_output(output.name)
        self.call()

    def call(self) -> None:
        self._session.run_with_iobinding(self._binding)

    def outputs(self) -> list[np.ndarray]:
        return self._binding.copy_outputs_to_cpu()


class Openvino:
    def __init__(self, model: Path, threads: int) -> None:
        import openvino

        self._model, self._core = openvino.Core().read_model(model), openvino.Core()
        self._config = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY",
                        "INFERENCE_PRECISION_HINT": "f32"}

    def bind(self, inputs: Arrays) -> None:
        import openvino

        names = {i.get_any_name(): i for i in self._model.inputs}
        # Extents that the model leaves open are those of the inputs, as Tessera has them.
        self._model.reshape({names[n]: openvino.PartialShape(list(v.shape)) for n, v in inputs.items() if n in names})
        self._request = self._core.compile_model(self._model, "CPU", self._config).create_infer_request()
        for name, value in inputs.items():
            if name in names:
                self._request.set_tensor(name, openvino.Tensor(np.ascontiguousarray(value)))

    def call(self) -> None:
        self._request.infer()

    def outputs(self) -> list[np.ndarray]:
        return [self._request.get_output_tensor(i).data.copy() for i in range(len(self._model.outputs))]


class Tvm:
    """Relax, with the schedules of a folder of `tune_tvm.py`, or with TVM's default schedules for this CPU."""

    def __init__(self, model: Path, threads: int, schedules: Path | None = None) -> None:
        import os

        os.environ["TVM_NUM_THREADS"] = str(threads)
        import onnx

        self._model, self._threads, self._schedules = onnx.load(model), threads, schedules

    def bind(self, inputs: Arrays) -> None:
        import tvm
        from tvm import relax

        from tvm_model import compiled

        built = compiled(self._model, inputs, self._threads, self._schedules)
        self._machine = relax.VirtualMachine(built, tvm.cpu())
        self._arguments = [tvm.runtime.tensor(v) for v in inputs.values()]
        self._run: Callable = self._machine["main"]
        self.call()

    def call(self) -> None:
        self._result = self._run(*self._arguments)

    def outputs(self) -> list[np.ndarray]:
        results = [self._result] if hasattr(self._result, "numpy") else list(self._result)
        return [r.numpy() for r in results]


RUNTIMES = {"tessera": Tessera, "onnxruntime": Onnxruntime, "openvino": Openvino, "tvm": Tvm}
