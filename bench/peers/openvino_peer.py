"""OpenVINO's CPU plugin by its C API, with activations in the library's own buffers. A call's overhead
is measured and stated."""

from __future__ import annotations

import ctypes
import importlib.util
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import onnx_model
from base import calls, checked
from case import Case
from geometry import Values
from onnx_model import Graph

OVERHEAD_CALLS = 200
Handle = ctypes.c_void_p


class OpenvinoVersion(ctypes.Structure):
    _fields_ = [("build", ctypes.c_char_p), ("description", ctypes.c_char_p)]


@dataclass(frozen=True)
class Request:
    handle: Handle
    inputs: list[Handle]
    outputs: list[Handle]


class OpenvinoPeer:
    def __init__(self) -> None:
        found = importlib.util.find_spec("openvino")
        if found is None or found.origin is None:
            raise ImportError("no module openvino; see README.md")
        folder = Path(found.origin).parent / "libs"
        self._library = ctypes.CDLL(str(next(folder.glob("libopenvino_c.so*"))))
        self._library.ov_get_last_err_msg.restype = ctypes.c_char_p
        version = OpenvinoVersion()
        self._call("get_openvino_version", ctypes.byref(version))
        self.version = (version.build or b"").decode()
        self.overhead_seconds = 0.0
        self._calls = calls()
        self._core = Handle()
        self._call("core_create", ctypes.byref(self._core))

    def prepare(self, case: Case, threads: int, values: Values) -> None:
        graph = onnx_model.build(case, values)
        trivial = self._request(onnx_model.identity(graph), threads)
        self._time(trivial, OVERHEAD_CALLS)
        rounds = [self._time(trivial, OVERHEAD_CALLS) for _ in range(10)]
        self.overhead_seconds = min(rounds) / OVERHEAD_CALLS
        self._shapes = [t.shape for t in case.with_role("output")]
        self._kinds = [kind for _, kind in graph.results.values()]
        self._main = self._request(graph, threads)

    def time_calls(self, calls: int) -> float:
        return self._time(self._main, calls)

    def outputs(self) -> list[np.ndarray]:
        results = []
        for tensor, shape, kind in zip(self._main.outputs, self._shapes, self._kinds):
            result = np.empty(shape, dtype=kind)
            ctypes.memmove(result.ctypes.data, self._data(tensor, result.nbytes), result.nbytes)
            results.append(result)
        return results

    def _time(self, request: Request, calls: int) -> float:
        infer = self._library.ov_infer_request_infer
        return checked(self._calls.time_infer(infer, request.handle, ctypes.c_long(calls)))

    def _request(self, graph: Graph, threads: int) -> Request:
        model, compiled, request = Handle(), Handle(), Handle()
        with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
            file.write(graph.model().SerializeToString())
            file.flush()
            path = file.name.encode()
            self._call("core_read_model", self._core, path, None, ctypes.byref(model))
        properties = {
            "INFERENCE_NUM_THREADS": str(threads),
            "NUM_STREAMS": "1",
            "INFERENCE_PRECISION_HINT": "f32",
            "ENABLE_CPU_PINNING": "NO",
        }
        texts = [text.encode() for pair in properties.items() for text in pair]
        count = ctypes.c_size_t(len(texts))
        self._call(
            "core_compile_model",
            self._core,
            model,
            b"CPU",
            count,
            ctypes.byref(compiled),
            *(ctypes.c_char_p(text) for text in texts),
        )
        self._call("compiled_model_create_infer_request", compiled, ctypes.byref(request))
        inputs = self._tensors(request, "input", len(graph.feeds))
        for tensor, value in zip(inputs, graph.feeds.values()):
            ctypes.memmove(self._data(tensor, value.nbytes), value.ctypes.data, value.nbytes)
        return Request(request, inputs, self._tensors(request, "output", len(graph.results)))

    def _tensors(self, request: Handle, role: str, count: int) -> list[Handle]:
        tensors = []
        for i in range(count):
            tensor = Handle()
            name = f"infer_request_get_{role}_tensor_by_index"
            self._call(name, request, ctypes.c_size_t(i), ctypes.byref(tensor))
            tensors.append(tensor)
        return tensors

    def _data(self, tensor: Handle, expected_bytes: int) -> int:
        size, data = ctypes.c_size_t(), Handle()
        self._call("tensor_get_byte_size", tensor, ctypes.byref(size))
        if size.value != expected_bytes:
            raise RuntimeError(f"a tensor has {size.value} bytes, expected {expected_bytes}")
        self._call("tensor_data", tensor, ctypes.byref(data))
        return data.value or 0

    def _call(self, name: str, *arguments: object) -> None:
        status = getattr(self._library, f"ov_{name}")(*arguments)
        if status != 0:
            message = (self._library.ov_get_last_err_msg() or b"").decode()
            raise RuntimeError(f"ov_{name}: {status}: {message}")
