"""cblas_sgemm and cblas_sgemv of OpenBLAS and BLIS (Debian's packages). Weights are plain: the
interface has no packing ahead."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import numpy as np

from base import address, aligned, calls, checked
from case import Case, Unsupported
from geometry import Values, product


class BlasPeer:
    overhead_seconds = 0.0

    def __init__(self, library: ctypes.CDLL, version: str) -> None:
        self.version = version
        self._library = library
        self._calls = calls()

    def prepare(self, case: Case, threads: int, values: Values) -> None:
        p = product(case)
        if case.dtype != "f32":
            raise Unsupported("the harness calls BLAS in f32 only")
        if p is None:
            raise Unsupported("BLAS has products only")
        if p.bias or p.add or p.relu:
            raise Unsupported("BLAS has no epilogue")
        self._shape = case.with_role("output")[0].shape
        a, b, self._c = aligned(values["A"].shape), aligned(values["B"].shape), aligned(self._shape)
        a[...], b[...] = values["A"], values["B"]
        self._kept = (a, b)
        pointers = address(a), address(b), address(self._c)

        def sgemm(count: int) -> float:
            function = self._library.cblas_sgemm
            sizes = (p.batch, p.m, p.n, p.k, int(p.transposed))
            return float(self._calls.time_sgemm(function, *sizes, *pointers, ctypes.c_long(count)))

        def sgemv(count: int) -> float:
            function = self._library.cblas_sgemv
            sizes = (p.n, p.k, int(p.transposed))
            return float(self._calls.time_sgemv(function, *sizes, *pointers, ctypes.c_long(count)))

        self._run: Callable[[int], float] = sgemm
        if p.m * p.batch == 1:
            candidates = [sgemm, sgemv]
            for candidate in candidates:
                candidate(10)
            self._run = min(candidates, key=lambda run: min(run(10) for _ in range(5)))

    def time_calls(self, calls: int) -> float:
        return checked(self._run(calls))

    def outputs(self) -> list[np.ndarray]:
        return [self._c.copy()]


class OpenblasPeer(BlasPeer):
    def __init__(self) -> None:
        library = ctypes.CDLL("libopenblas.so.0")
        library.openblas_get_config.restype = ctypes.c_char_p
        super().__init__(library, library.openblas_get_config().decode())


class BlisPeer(BlasPeer):
    def __init__(self) -> None:
        library = ctypes.CDLL("libblis.so.4")
        library.bli_info_get_version_str.restype = ctypes.c_char_p
        library.bli_init()
        library.bli_arch_string.restype = ctypes.c_char_p
        kernels = library.bli_arch_string(library.bli_arch_query_id()).decode()
        version = library.bli_info_get_version_str().decode()
        super().__init__(library, f"BLIS {version}, kernels for {kernels}")
