"""onnxruntime through Python with bound buffers; a call's overhead is measured and stated."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import onnxruntime

import onnx_model
from base import calls
from case import Case
from geometry import Values
from onnx_model import Graph

OVERHEAD_CALLS = 2000


class OnnxruntimePeer:
    def __init__(self) -> None:
        self.version = onnxruntime.__version__
        self.overhead_seconds = 0.0
        self._calls = calls()

    def prepare(self, case: Case, threads: int, values: Values) -> None:
        graph = onnx_model.build(case, values)
        trivial = self._bind(onnx_model.identity(graph), threads)
        self._time(trivial, OVERHEAD_CALLS // 10)
        rounds = [self._time(trivial, OVERHEAD_CALLS // 10) for _ in range(10)]
        self.overhead_seconds = min(rounds) / (OVERHEAD_CALLS // 10)
        self._shapes = [t.shape for t in case.with_role("output")]
        self._bound = self._bind(graph, threads)

    def time_calls(self, calls: int) -> float:
        return self._time(self._bound, calls)

    def outputs(self) -> list[np.ndarray]:
        values = self._bound[1].copy_outputs_to_cpu()
        return [v.reshape(shape) for v, shape in zip(values, self._shapes)]

    @staticmethod
    def _bind(graph: Graph, threads: int) -> tuple[Any, Any]:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        session = onnxruntime.InferenceSession(
            graph.model().SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        binding = session.io_binding()
        for name, value in graph.feeds.items():
            binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(value))
        for name, (shape, kind) in graph.results.items():
            empty = onnxruntime.OrtValue.ortvalue_from_shape_and_type(list(shape), kind.type)
            binding.bind_ortvalue_output(name, empty)
        return session, binding

    def _time(self, bound: tuple[Any, Any], calls: int) -> float:
        session, binding = bound
        run = session.run_with_iobinding
        if self._calls.is_cold():
            seconds = 0.0
            for _ in range(calls):
                self._calls.flush()
                start = time.perf_counter()
                run(binding)
                seconds += time.perf_counter() - start
            return seconds
        start = time.perf_counter()
        for _ in range(calls):
            run(binding)
        return time.perf_counter() - start
