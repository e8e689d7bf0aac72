"""One library in a process of its own: `peer.py NAME`, driven by JSON lines.

    {"do": "prepare", "case": {…}, "threads": 1, "seed": 1, "flush_bytes": 0 (warm caches)}
        {"version": "…", "overhead_seconds": 0.0, "unsupported": null or a reason}
    {"do": "run", "seconds": 0.1}     {"samples": [seconds of a call, …]}
    {"do": "output", "path": "x.npy"} {"paths": […]}  one file a result, row-major

A process measures one case and ends with its input, so that no case finds another's memory or threads.
Any failure is answered by {"error": "…"}. Standard output belongs to the answers; whatever a library
prints goes to standard error.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from typing import Any

import numpy as np

from base import Peer, set_flush
from case import Case, Unsupported, make_inputs

CLASSES = {
    "tessera": ("tessera_peer", "TesseraPeer"),
    "onednn": ("onednn_peer", "OnednnPeer"),
    "onednn-omp": ("onednn_peer", "OnednnPeer"),
    "onednn-debian": ("onednn_peer", "OnednnPeer"),
    "openblas": ("blas_peer", "OpenblasPeer"),
    "blis": ("blas_peer", "BlisPeer"),
    "onnxruntime": ("onnxruntime_peer", "OnnxruntimePeer"),
    "openvino": ("openvino_peer", "OpenvinoPeer"),
    "tvm": ("tvm_peer", "TvmPeer"),
}

# A sample lasts this long at least, so that the clock and a timer's tick don't matter.
SAMPLE_SECONDS = 0.005
MIN_SAMPLES = 3
MIN_COLD_SAMPLES = 5  # of one call each


class Server:
    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._calls = 1
        self._is_cold = False

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        what = request["do"]
        if what == "prepare":
            return self._prepare(request)
        if what == "run":
            return {"samples": self._run(float(request["seconds"]))}
        if what == "output":
            return {"paths": self._write(str(request["path"]))}
        raise ValueError(f"no request {what!r}; there are prepare, run, output")

    def _prepare(self, request: dict[str, Any]) -> dict[str, Any]:
        case = Case.from_json(request["case"])
        reason = None
        try:
            self._peer.prepare(case, request["threads"], make_inputs(case, request["seed"]))
            self._peer.time_calls(1)
            flush_bytes = int(request.get("flush_bytes", 0))
            self._is_cold = flush_bytes > 0
            if self._is_cold:
                set_flush(flush_bytes)
            else:
                self._calls = self._calls_for(SAMPLE_SECONDS)
        except Unsupported as unsupported:
            reason = str(unsupported)
        return {
            "version": self._peer.version,
            "overhead_seconds": self._peer.overhead_seconds,
            "unsupported": reason,
        }

    def _calls_for(self, seconds: float) -> int:
        calls = 1
        while (taken := self._peer.time_calls(calls)) < seconds:
            calls = max(calls + 1, min(calls * 10, int(calls * seconds * 1.2 / max(taken, 1e-9))))
        return calls

    def _run(self, seconds: float) -> list[float]:
        samples: list[float] = []
        least = MIN_COLD_SAMPLES if self._is_cold else MIN_SAMPLES
        self._peer.time_calls(1)  # code and clocks (caches too, if warm) after other peers' turns
        start = time.monotonic()
        while len(samples) < least or time.monotonic() - start < seconds:
            samples.append(self._peer.time_calls(self._calls) / self._calls)
        return samples

    def _write(self, path: str) -> list[str]:
        paths = []
        for i, output in enumerate(self._peer.outputs()):
            paths.append(path.replace(".npy", f"-{i}.npy"))
            np.save(paths[-1], np.ascontiguousarray(output))
        return paths


def make_peer(name: str) -> Peer:
    module, kind = CLASSES[name]
    peer: Peer = getattr(importlib.import_module(module), kind)()
    return peer


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    server: Server | None = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            server = server or Server(make_peer(sys.argv[1]))
            answer = server.answer(request)
        except Exception as error:  # whatever a library throws is this case's outcome
            answer = {"error": f"{type(error).__name__}: {error}"[:300]}
        print(json.dumps(answer), file=answers)


if __name__ == "__main__":
    main()
