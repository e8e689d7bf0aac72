"""Libraries of a model: one made by hand, with the functions that generated ones have."""

import concurrent.futures
import pathlib
import threading
import typing

import numpy as np
import pytest

import tessera
from conftest import CLibrary

# y = x + step and z = 2 x, by way of the workspace, which two calls at once would spoil for each
# other. It counts instances, and refuses addresses that are not aligned.
SOURCE = """
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>
typedef struct net { float two; } net;
static int instances, fails;
int living(void) { return instances; }
void fail(int code) { fails = code; }
const char* tessera_ops_isa(void) { return "test"; }
int tessera_ops_set_threads(int threads) { return threads > 4 ? 4 : 0; }
int net_create(net** made) {
  *made = malloc(sizeof(net));
  (*made)->two = 2;
  ++instances;
  return 0;
}
void net_destroy(net* n) { if (n) --instances; free(n); }
size_t net_workspace_bytes(void) { return 24; }
int net_run(const net* n, const float* x, const int64_t* step, float* y, float* z, void* workspace) {
  if (fails) return fails;
  if (!n || !x || !step || !y || !z || !workspace) return 1;
  if (((uintptr_t)x | (uintptr_t)step | (uintptr_t)y | (uintptr_t)z | (uintptr_t)workspace) % 64) return 2;
  float* kept = workspace;
  for (int i = 0; i < 6; ++i) kept[i] = x[i];
  usleep(2000);
  for (int i = 0; i < 6; ++i) y[i] = kept[i] + (float)*step;
  for (int i = 0; i < 6; ++i) z[i] = kept[i] * n->two;
  return 0;
}
"""
MODEL: dict[str, typing.Any] = {
    "name": "net",
    "inputs": [
        {"name": "input.1", "type": "f32", "shape": [2, 3], "bytes": 24},
        {"name": "step", "type": "i64", "shape": [1], "bytes": 8},
    ],
    "outputs": [
        {"name": "y", "type": "f32", "shape": [2, 3], "bytes": 24},
        {"name": "z", "type": "f32", "shape": [2, 3], "bytes": 24},
    ],
    "workspace_bytes": 24,
}
X = np.arange(6, dtype=np.float32).reshape(2, 3)
STEP = np.array([10], np.int64)


@pytest.fixture
def library(c_library: CLibrary) -> tessera.Library:
    return tessera.load(c_library(SOURCE, {"model": MODEL}))


def test_a_model_runs_by_position_and_by_name(library: tessera.Library) -> None:
    with library.model() as model:
        assert [tensor.name for tensor in model.inputs] == ["input.1", "step"]
        y, z = model(X, STEP)
        np.testing.assert_array_equal(y, X + 10)
        np.testing.assert_array_equal(z, X * 2)
        found = model.run({"input.1": np.asfortranarray(X)}, step=STEP)
        assert list(found) == ["y", "z"]
        np.testing.assert_array_equal(found["y"], X + 10)


def test_a_model_for_several_extents_is_taken_by_the_name_of_a_bucket(
    c_library: CLibrary,
) -> None:
    buckets = []
    source = SOURCE.replace("net_run", "net_rows_2_run")
    source = source.replace("net_workspace_bytes", "net_rows_2_workspace_bytes")
    source += """
size_t net_rows_4_workspace_bytes(void) { return 0; }
int net_rows_4_run(const net* n, const float* x, const int64_t* step, float* y, float* z, void* w) {
  for (int i = 0; i < 12; ++i) y[i] = z[i] = x[i] * n->two + (float)*step;
  return 0;
}
"""
    for rows in (2, 4):
        parts = {key: [dict(one) for one in MODEL[key]] for key in ("inputs", "outputs")}
        for tensor in [parts["inputs"][0], *parts["outputs"]]:
            tensor.update(shape=[rows, 3], bytes=12 * rows)
        buckets.append({"name": f"net_rows_{rows}", "extents": {"rows": rows}, **parts})
    library = tessera.load(c_library(source, {"model": {"name": "net", "buckets": buckets}}))
    assert dict(library.models) == {"net_rows_2": {"rows": 2}, "net_rows_4": {"rows": 4}}
    with library.model("net_rows_2") as small, library.model("net_rows_4") as large:
        np.testing.assert_array_equal(small(X, STEP)[0], X + 10)
        both = np.concatenate([X, X])
        np.testing.assert_array_equal(large(both, STEP)[1], both * 2 + 10)
        with pytest.raises(tessera.InvalidArgument):
            large(X, STEP)
    assert library._dll.living() == 0
    with pytest.raises(tessera.FailedPrecondition, match="name one: net_rows_2, net_rows_4"):
        library.model()
    with pytest.raises(tessera.NotFound, match="has no model net; there is net_rows_2"):
        library.model("net")


def test_a_model_ends_with_its_context(library: tessera.Library) -> None:
    living = library._dll.living
    with library.model() as model:
        assert living() == 1
    assert living() == 0
    model.close()
    with pytest.raises(tessera.FailedPrecondition, match="net is closed; make it anew"):
        model(X, STEP)
    forgotten = library.model()
    assert living() == 1
    del forgotten
    assert living() == 0


def test_calls_at_once_have_workspaces_of_their_own(library: tessera.Library) -> None:
    with library.model() as model, concurrent.futures.ThreadPoolExecutor(8) as pool:
        inputs = [X + i for i in range(40)]
        for x, (y, z) in zip(inputs, pool.map(lambda x: model(x, STEP), inputs)):
            np.testing.assert_array_equal(y, x + 10)
            np.testing.assert_array_equal(z, x * 2)
        assert 2 <= len(model._workspaces) <= 8


def test_closing_waits_for_calls(library: tessera.Library) -> None:
    model = library.model()
    results: list[typing.Any] = []
    begun = threading.Event()

    def call_until_closed() -> None:
        try:
            while True:
                results.append(model(X, STEP))
                begun.set()
        except tessera.FailedPrecondition:
            pass

    thread = threading.Thread(target=call_until_closed)
    thread.start()
    begun.wait(timeout=10)
    model.close()
    assert library._dll.living() == 0
    thread.join(timeout=10)
    assert not thread.is_alive()
    for y, _ in results:
        np.testing.assert_array_equal(y, X + 10)


def test_errors_of_a_model(library: tessera.Library) -> None:
    with library.model() as model:
        with pytest.raises(tessera.InvalidArgument, match="net: 1 inputs, expected input.1, step"):
            model(X)
        with pytest.raises(
            tessera.InvalidArgument, match="inputs are step, expected input.1, step"
        ):
            model.run(step=STEP)
        with pytest.raises(tessera.InvalidArgument, match="step has dtype int32, expected int64"):
            model(X, STEP.astype(np.int32))
        library._dll.fail(3)
        with pytest.raises(tessera.LibraryError, match=r"net_run returned 3 \(OUT_OF_MEMORY\)"):
            model(X, STEP)
        library._dll.fail(0)
        np.testing.assert_array_equal(model(X, STEP)[0], X + 10)
    with pytest.raises(tessera.LibraryError, match=r"set_threads\(5\) returned 4 \(BAD_THREADS\)"):
        library.set_threads(5)
    with pytest.raises(tessera.NotFound, match="is of a model, which library.model"):
        library["net"]


def test_a_manifest_of_other_tensors_is_refused(c_library: CLibrary) -> None:
    for wrong, message in (
        ({"bytes": 20}, "input.1 has 20 bytes by the manifest, 24 by its type and shape"),
        ({"layout": "1 0"}, "input.1 of the model is stored 1 0; this package passes row-major"),
        ({"type": "f8"}, "input.1 is of type f8, which this package has no arrays for"),
    ):
        inputs = [{**MODEL["inputs"][0], **wrong}, MODEL["inputs"][1]]
        folder: pathlib.Path = c_library(SOURCE, {"model": {**MODEL, "inputs": inputs}})
        with pytest.raises(tessera.LibraryError, match=message):
            tessera.load(folder).model()


def test_functions_that_are_missing_are_named(c_library: CLibrary) -> None:
    folder = c_library("int other(void) { return 0; }", {"model": MODEL})
    with pytest.raises(tessera.LibraryError, match="exports no function net_create"):
        tessera.load(folder).model()
