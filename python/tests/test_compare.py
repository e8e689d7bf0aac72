"""The comparison with ONNX Runtime, here a stand-in for it: CI's machines have Debian's packages
only. README.md says how the real one is tested."""

import pathlib
import sys
import time
import types
import typing

import numpy as np
import pytest

import tessera
from conftest import CLibrary

SOURCE = """
#include <stddef.h>
static int threads;
int used_threads(void) { return threads; }
int tessera_ops_set_threads(int count) { threads = count; return 0; }
int net_create(void** made) { *made = &threads; return 0; }
void net_destroy(void* n) { (void)n; }
size_t net_workspace_bytes(void) { return 0; }
int net_run(const void* n, const float* x, float* y, void* workspace) {
  (void)n, (void)workspace;
  for (int i = 0; i < 8; ++i) y[i] = x[i] > 0 ? x[i] : 0;
  return 0;
}
"""
MODEL = {
    "name": "net",
    "inputs": [{"name": "x", "type": "f32", "shape": [8]}],
    "outputs": [{"name": "y", "type": "f32", "shape": [8]}],
    "workspace_bytes": 0,
}


NUMPY_TYPES = {"tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(bool)": np.bool_}


class Node(typing.NamedTuple):
    name: str
    shape: list[int | str] = ["batch"]
    type: str = "tensor(float)"


class Session:
    """relu(x), but its first element is off by `error`; a call takes two milliseconds at least."""

    error = 0.0
    inputs = [Node("x/0")]
    calls: list[str] = []

    def __init__(self, path: str, options: typing.Any, providers: list[str]) -> None:
        assert path.endswith("net.onnx") and providers == ["CPUExecutionProvider"]
        assert options.intra_op_num_threads == 2

    def get_inputs(self) -> list[Node]:
        return self.inputs

    def get_outputs(self) -> list[Node]:
        return [Node("y", [8])]

    def run(self, names: list[str], feed: typing.Mapping[str, typing.Any]) -> typing.Any:
        assert names == ["y"]
        assert all(feed[node.name].dtype == NUMPY_TYPES[node.type] for node in self.inputs)
        self.calls.append("onnxruntime")
        time.sleep(0.002)
        y = np.maximum(feed["x/0"], 0)
        y[0] += self.error
        return [y]


@pytest.fixture
def library(
    c_library: CLibrary, monkeypatch: pytest.MonkeyPatch
) -> typing.Iterator[tessera.Library]:
    module = types.ModuleType("onnxruntime")
    monkeypatch.setattr(module, "InferenceSession", Session, raising=False)
    monkeypatch.setattr(module, "SessionOptions", types.SimpleNamespace, raising=False)
    monkeypatch.setitem(sys.modules, "onnxruntime", module)
    monkeypatch.setattr(Session, "calls", [])
    yield tessera.load(c_library(SOURCE, {"model": MODEL}))


def test_errors_and_times_of_both_sides(
    library: tessera.Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Session, "error", 0.5)
    x = np.array([1, -2, 3, -4, 5, -6, 7, -8], np.float32)
    found = tessera.compare_with_onnxruntime("net.onnx", library, {"x": x}, runs=4, threads=2)
    (output,) = found.outputs
    assert (output.name, output.max_absolute) == ("y", 0.5)
    assert output.max_relative == pytest.approx(0.5 / 7)
    assert len(found.tessera_seconds) == len(found.onnxruntime_seconds) == 4
    assert len(Session.calls) == 6  # two to warm up
    assert found.onnxruntime_median >= 0.002
    assert found.ratio == found.onnxruntime_median / found.tessera_median > 1
    assert library._dll.used_threads() == 2
    assert "times as fast" in str(found) and "largest error 5.00e-01" in str(found)


def test_inputs_are_drawn_where_none_are_given(library: tessera.Library) -> None:
    found = tessera.compare_with_onnxruntime("net.onnx", library.path, runs=1, threads=2)
    assert found.outputs[0].max_absolute == 0


def test_inputs_that_the_library_knows_are_for_onnxruntime_alone(
    library: tessera.Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = [Node("rate", [], "tensor(int64)"), Node("ends", [1], "tensor(bool)")]
    monkeypatch.setattr(Session, "inputs", [others[0], Node("x/0"), others[1]])
    known = {"rate": 16000, "ends": True}
    found = tessera.compare_with_onnxruntime("net.onnx", library, values=known, runs=1, threads=2)
    assert found.outputs[0].max_absolute == 0
    for values, refused in (
        (None, "name the file"),
        ({**known, "rat": 1}, "no input rat; it has rate, x/0, ends"),
        ({**known, "rate": [1, 2]}, "input rate, tensor.int64. .*: cannot reshape"),
    ):
        with pytest.raises(tessera.InvalidArgument, match=refused):
            tessera.compare_with_onnxruntime("net.onnx", library, values=values, threads=2)


def test_a_bucket_is_compared_by_its_name(library: tessera.Library, c_library: CLibrary) -> None:
    """The smaller one computes relu(x), the larger something else."""
    other = """
size_t net_9_workspace_bytes(void) { return 0; }
int net_9_run(const void* n, const float* x, float* y, void* workspace) {
  (void)n, (void)x, (void)workspace;
  for (int i = 0; i < 8; ++i) y[i] = 100;
  return 0;
}
"""
    source = SOURCE.replace("net_workspace", "net_8_workspace").replace("net_run", "net_8_run")
    buckets = [{**MODEL, "name": "net_8"}, {**MODEL, "name": "net_9"}]
    folder = c_library(source + other, {"model": {"name": "net", "buckets": buckets}})

    def error(name: typing.Optional[str]) -> float:
        found = tessera.compare_with_onnxruntime("net.onnx", folder, name=name, runs=1, threads=2)
        return found.outputs[0].max_absolute

    assert error("net_8") == 0
    assert error("net_9") > 90
    with pytest.raises(tessera.FailedPrecondition, match="name one: net_8, net_9"):
        error(None)


def test_a_nan_of_one_side_shows(library: tessera.Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Session, "error", float("nan"))
    found = tessera.compare_with_onnxruntime("net.onnx", library, runs=1, threads=2)
    assert np.isnan(found.outputs[0].max_absolute)


def test_another_model_is_refused(
    library: tessera.Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Session, "inputs", [Node("image", [9])])
    with pytest.raises(
        tessera.InvalidArgument, match=r"library are x \[8\], of the ONNX file image \[9\]"
    ):
        tessera.compare_with_onnxruntime("net.onnx", library, threads=2)
    with pytest.raises(tessera.InvalidArgument, match="runs is 0"):
        tessera.compare_with_onnxruntime("net.onnx", library, runs=0)


def test_a_missing_onnxruntime_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ImportError, match=r"pip install 'tessera-client\[onnxruntime\]'"):
        tessera.compare_with_onnxruntime("net.onnx", tmp_path)


ONNX_RELU = pathlib.Path("/usr/share/libonnx-testdata/data/node/test_relu/model.onnx")
REAL_MODEL = {
    "name": "net",
    "inputs": [{"name": "x", "type": "f32", "shape": [3, 4, 5]}],
    "outputs": [{"name": "y", "type": "f32", "shape": [3, 4, 5]}],
    "workspace_bytes": 0,
}


@pytest.mark.skipif(not ONNX_RELU.exists(), reason="needs Debian's libonnx-testdata")
def test_the_real_onnxruntime_agrees(c_library: CLibrary) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not in Debian: pip install it")
    folder = c_library(SOURCE.replace("i < 8", "i < 60"), {"model": REAL_MODEL})
    found = tessera.compare_with_onnxruntime(ONNX_RELU, folder, runs=5)
    assert found.outputs == (tessera.OutputError("y", 0.0, 0.0),)
    assert found.onnxruntime_median > 0
