"""OpenVINO's CPU plugin through Python with bound buffers; a call's overhead is measured and stated."""

from __future__ import annotations

import io
import time
from typing import Any

import numpy as np
import openvino

import onnx_model
from case import Case
from geometry import Values
from onnx_model import Graph

OVERHEAD_CALLS = 2000


class OpenvinoPeer:
    def __init__(self) -> None:
        self.version = openvino.__version__
        self.overhead_seconds = 0.0
        self._core = openvino.Core()

    def prepare(self, case: Case, threads: int, values: Values) -> None:
        graph = onnx_model.build(case, values)
        trivial = self._bind(onnx_model.identity(graph), threads)
        self._time(trivial, OVERHEAD_CALLS // 10)
        rounds = [self._time(trivial, OVERHEAD_CALLS // 10) for _ in range(10)]
        self.overhead_seconds = min(rounds) / (OVERHEAD_CALLS // 10)
        self._shapes = [t.shape for t in case.with_role("output")]
        self._request = self._bind(graph, threads)

    def time_calls(self, calls: int) -> float:
        return self._time(self._request, calls)

    def outputs(self) -> list[np.ndarray]:
        return [
            self._request.get_output_tensor(i).data.copy().reshape(shape)
            for i, shape in enumerate(self._shapes)
        ]

    def _bind(self, graph: Graph, threads: int) -> Any:
        model = self._core.read_model(io.BytesIO(graph.model().SerializeToString()))
        compiled = self._core.compile_model(
            model,
            "CPU",
            {
                "INFERENCE_NUM_THREADS": threads,
                "NUM_STREAMS": 1,
                "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_PRECISION_HINT": "f32",
                "ENABLE_CPU_PINNING": False,
            },
        )
        request = compiled.create_infer_request()
        for i, value in enumerate(graph.feeds.values()):
            request.set_input_tensor(i, openvino.Tensor(value))
        self._feeds = graph.feeds  # their memory is used by the request
        return request

    @staticmethod
    def _time(request: Any, calls: int) -> float:
        start = time.perf_counter()
        for _ in range(calls):
            request.start_async()
            request.wait()
        return time.perf_counter() - start
