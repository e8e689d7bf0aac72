"""Libraries that the service built, called with arrays; and what is wrong with folders and
arrays."""

import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import typing

import numpy as np
import pytest

import tessera
from conftest import CLibrary
from tessera._arrays import Array

OPERATORS: list[dict[str, typing.Any]] = [
    {"name": "plain", "op": "dense", "m": 3, "n": 20, "k": 24, "bias": True},
    {"name": "blocked", "op": "conv2d", "ic": 8, "oc": 16, "size": 6, "k": 1, "layout": "nchwc8"},
    {"name": "pooled", "op": "max_pool2d", "c": 16, "size": 6, "k": 2, "layout": "nchwc8"},
    {"name": "half", "op": "relu", "n": 40, "dtype": "f16"},
    {"name": "brain", "op": "relu", "n": 40, "dtype": "bf16"},
    {"name": "whole", "op": "dense", "m": 2, "n": 8, "k": 16, "dtype": "i8"},
    {"name": "cell", "op": "lstm_cell", "m": 2, "input": 3, "hidden": 4},
]
RANDOM = np.random.default_rng(1)


def numbers(*shape: int) -> Array:
    return RANDOM.standard_normal(shape).astype(np.float32)


@pytest.fixture(scope="module")
def library(client: tessera.Client, tmp_path_factory: pytest.TempPathFactory) -> tessera.Library:
    """Of default schedules."""
    return client.build(OPERATORS, out=tmp_path_factory.mktemp("dist"))


def test_a_tuned_job_becomes_a_library(job: tessera.Job, tmp_path: pathlib.Path) -> None:
    library = job.build(tmp_path / "dist", name="tuned")
    assert (library.name, list(library.operators)) == ("tuned", ["product", "rows"])
    versions = library["rows"].description["versions"]
    assert [version["is_default"] for version in versions] == [False]
    x = numbers(4, 33)
    exponents = np.exp(x - x.max(axis=1, keepdims=True))
    expected = exponents / exponents.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(library["rows"](x), expected, rtol=1e-5)
    assert library.isa and library.device is None and library.fallback is None


def test_a_product_with_packed_weights(library: tessera.Library) -> None:
    op = library["plain"]
    assert [(t.name, t.type, t.shape) for t in op.inputs] == [("A", "f32", (3, 24))]
    assert [t.shape for t in op.constants] == [(20, 24), (20,)]
    a, b, bias = numbers(3, 24), numbers(20, 24), numbers(20)
    weights = op.pack(b, bias)
    expected = a @ b.T + bias
    np.testing.assert_allclose(op(a, weights), expected, rtol=1e-5, atol=1e-5)
    # Constants and inputs of any strides, and on any address.
    strided = op.pack(np.asfortranarray(b), np.stack([bias, bias], axis=1)[:, 0])
    shifted = np.empty(a.size + 1, np.float32)[1:].reshape(a.shape)
    shifted[...] = a
    for value in (np.asfortranarray(a), shifted):
        np.testing.assert_array_equal(op(value, strided), op(a, weights))


def test_stored_layouts_are_converted(library: tessera.Library) -> None:
    convolution, pool = library["blocked"], library["pooled"]
    assert convolution.description["tensors"][0]["layout"] != "row-major"
    x, w = numbers(1, 8, 6, 6), numbers(16, 8, 1, 1)
    expected = np.einsum("oi,nihw->nohw", w[:, :, 0, 0], x)
    weights = convolution.pack(w)
    y = convolution(x, weights)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(convolution(x[:, :, ::-1], weights), y[:, :, ::-1])
    # From operator to operator as it is stored.
    between = convolution(convolution.store(x), weights, stored=True)
    assert isinstance(between, tessera.Stored)
    np.testing.assert_array_equal(between.numpy(), y)
    windows = y.reshape(1, 16, 3, 2, 3, 2).max(axis=(3, 5))
    np.testing.assert_array_equal(pool(between), windows)
    np.testing.assert_array_equal(pool(y), windows)
    with pytest.raises(tessera.InvalidArgument, match="plain: A is f32.*pass its numpy"):
        library["plain"](between, library["plain"].pack(numbers(20, 24), numbers(20)))
    with pytest.raises(tessera.FailedPrecondition, match="is an input"):
        convolution.store(x).numpy()


def test_half_precision(library: tessera.Library) -> None:
    x = numbers(1, 40)
    np.testing.assert_array_equal(
        library["half"](x.astype(np.float16)), np.maximum(x, 0).astype(np.float16)
    )
    bits = tessera.to_bfloat16(x)
    expected = np.maximum(tessera.from_bfloat16(bits), 0)
    np.testing.assert_array_equal(tessera.from_bfloat16(library["brain"](bits)), expected)


def test_rounding_to_bfloat16() -> None:
    # A tie goes to the even neighbour, a NaN stays one whichever bits it has.
    values = np.array([1.0, 1 + 2**-8, 1 + 3 * 2**-8, -2.5, np.inf], np.float32)
    assert tessera.from_bfloat16(tessera.to_bfloat16(values)).tolist() == [
        1.0, 1.0, 1 + 2**-6, -2.5, np.inf
    ]  # fmt: skip
    nan = np.array([0x7F800001, 0xFFFFFFFF], np.uint32).view(np.float32)
    assert np.isnan(tessera.from_bfloat16(tessera.to_bfloat16(nan))).all()


def test_integers(library: tessera.Library) -> None:
    a = RANDOM.integers(-128, 128, (2, 16)).astype(np.int8)
    b = RANDOM.integers(-128, 128, (8, 16)).astype(np.int8)
    op = library["whole"]
    y = op(a, op.pack(b))
    assert y.dtype == np.int32
    np.testing.assert_array_equal(y, a.astype(np.int32) @ b.astype(np.int32).T)


def test_several_inputs_and_outputs(library: tessera.Library) -> None:
    op = library["cell"]
    x, h, c = numbers(2, 3), numbers(2, 4), numbers(2, 4)
    wx, wh, bias = numbers(3, 4, 4), numbers(4, 4, 4), numbers(4, 4)
    sums = np.einsum("mi,igh->mgh", x, wx) + np.einsum("mk,kgh->mgh", h, wh) + bias
    gates = 1 / (1 + np.exp(-sums))
    next_c = gates[:, 1] * c + gates[:, 0] * np.tanh(sums[:, 2])
    next_h = gates[:, 3] * np.tanh(next_c)
    weights = op.pack(wx, wh, bias)
    assert [t.name for t in op.outputs] == ["next_hidden", "next_cell"]
    given = [np.empty((2, 4), np.float32), np.empty((2, 4), np.float32)]
    # Where outputs overlap, the last one stays.
    both = op(x, h, c, weights)[0]
    last = op(x, h, c, weights, out=[both, both])[1]
    np.testing.assert_allclose(last, next_c, rtol=1e-4, atol=1e-5)
    for found in (op(x, h, c, weights), op(x, h, c, weights, out=given), given):
        np.testing.assert_allclose(found[0], next_h, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found[1], next_c, rtol=1e-4, atol=1e-5)


def test_outputs_go_where_they_are_wanted(library: tessera.Library) -> None:
    x, w = numbers(1, 8, 6, 6), numbers(16, 8, 1, 1)
    op = library["blocked"]
    weights = op.pack(w)
    wide = np.zeros((1, 16, 6, 12), np.float32)
    for out in (np.zeros((1, 16, 6, 6), np.float32), wide[..., ::2]):
        assert op(x, weights, out=out) is out
        np.testing.assert_array_equal(out, op(x, weights))
    assert (wide[..., 1::2] == 0).all()
    # Onto its own input.
    half = library["half"]
    block = numbers(1, 40).astype(np.float16)
    expected = half(block.copy())
    half(block, out=block)
    np.testing.assert_array_equal(block, expected)
    brain = library["brain"]
    bits = tessera.to_bfloat16(numbers(1, 40))
    out = np.empty_like(bits)
    assert brain(bits, out=out) is out
    np.testing.assert_array_equal(out, brain(bits))


def test_threads_may_call_at_once(library: tessera.Library) -> None:
    op = library["plain"]
    weights = op.pack(numbers(20, 24), numbers(20))
    inputs = [numbers(3, 24) for _ in range(64)]
    expected = [op(x, weights) for x in inputs]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for found, right in zip(pool.map(lambda x: op(x, weights), inputs), expected):
            np.testing.assert_array_equal(found, right)


def test_what_does_not_fit_is_refused(library: tessera.Library) -> None:
    op = library["plain"]
    a, b, bias = numbers(3, 24), numbers(20, 24), numbers(20)
    weights = op.pack(b, bias)
    refusals: list[tuple[typing.Callable[[], typing.Any], str]] = [
        (lambda: op(a), r"plain: 1 arguments, expected A, plain.pack\(B, Bias\)"),
        (
            lambda: op(a.astype(np.float64), weights),
            r"A has dtype float64.*astype\(numpy.float32\)",
        ),
        (lambda: op(a.T, weights), r"A has shape \(24, 3\), expected \(3, 24\)"),
        (lambda: op(a, b), "the last argument is a ndarray, expected what plain.pack"),
        (lambda: op.store(a, 1), "input is 1, there are 1, counted from 0"),
        (lambda: op.pack(b), "pack got 1 arrays, the operator's constants are B, Bias"),
        (lambda: op.pack(b.T, bias), r"B has shape \(24, 20\)"),
        (lambda: library["whole"](np.zeros((2, 16), np.int8), weights), "packed by plain"),
        (lambda: op(a, weights, out=a), r"has shape \(3, 24\), expected \(3, 20\)"),
        (lambda: op(a, weights, out=np.empty((3, 20))), "dtype float64, expected float32"),
        (lambda: op(a, weights, out=[]), "out has 0 arrays, expected 1"),
        (lambda: library["pooled"].pack(), "pooled has no constants"),
        (lambda: library["brain"](numbers(1, 40)), "expected uint16.*tessera.to_bfloat16"),
        (lambda: library.set_threads(0), "threads is 0; expected 1 to 1024"),
    ]
    for call, message in refusals:
        with pytest.raises(tessera.InvalidArgument, match=message):
            call()
    with pytest.raises(tessera.NotFound, match="has no operator nothing; there are plain, blocked"):
        library["nothing"]
    frozen = np.empty((3, 20), np.float32)
    frozen.flags.writeable = False
    with pytest.raises(tessera.InvalidArgument, match="no writeable array"):
        op(a, weights, out=frozen)
    with pytest.raises(tessera.FailedPrecondition, match="library of operators"):
        library.model()
    library.set_threads(1)
    np.testing.assert_allclose(op(a, weights), a @ b.T + bias, rtol=1e-5, atol=1e-5)


def test_an_instruction_set_that_is_forbidden_is_said(library: tessera.Library) -> None:
    code = (
        "import sys, tessera, numpy\n"
        "library = tessera.load(sys.argv[1])\n"
        "print(library.isa)\n"
        "try: library['half'](numpy.zeros((1, 40), numpy.float16))\n"
        "except tessera.LibraryError as error: print(error.code, error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(library.path)],
        capture_output=True, text=True, timeout=60,
        env={**os.environ, "TESSERA_ISA": "nothing", "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.stdout.startswith("None\n5 half returned 5 (UNSUPPORTED_CPU)"), done.stderr
    assert "unset TESSERA_ISA" in done.stdout


def test_a_library_that_was_built_anew_is_loaded_anew(
    client: tessera.Client, tmp_path: pathlib.Path
) -> None:
    old = client.build({"op": "relu", "n": 8, "name": "f"}, out=tmp_path)
    x = numbers(1, 8)
    np.testing.assert_array_equal(old["f"](x), np.maximum(x, 0))
    new = client.build({"op": "tanh", "n": 8, "name": "f"}, out=tmp_path)
    np.testing.assert_allclose(new["f"](x), np.tanh(x), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(old["f"](x), np.maximum(x, 0))
    # One that was not loaded before the next came is not mistaken for it.
    late = client.build({"op": "relu", "n": 4, "name": "f"}, out=tmp_path)
    client.build({"op": "relu", "n": 16, "name": "f"}, out=tmp_path)
    with pytest.raises(tessera.LibraryError, match="built anew since its manifest was read; load"):
        late["f"](numbers(1, 4))


def test_what_the_program_warns_of_is_a_warning(
    client: tessera.Client, tmp_path: pathlib.Path
) -> None:
    with pytest.warns(tessera.TesseraWarning, match="^no CPU has records"):
        client.build(
            {"op": "relu", "n": 64}, out=tmp_path, device_class="opencl/any",
            target="opencl block=64 wave=32 shared=16384",
        )  # fmt: skip


def test_a_library_needs_operators_or_a_job(client: tessera.Client, tmp_path: pathlib.Path) -> None:
    with pytest.raises(tessera.InvalidArgument, match="either operators or job="):
        client.build(out=tmp_path)
    with pytest.raises(tessera.InvalidArgument, match="either operators or job="):
        client.build(OPERATORS, job=1, out=tmp_path)


def test_folders_without_a_library_are_refused(c_library: CLibrary, tmp_path: pathlib.Path) -> None:
    with pytest.raises(tessera.LibraryError, match="holds no manifest.json; name the folder"):
        tessera.load(tmp_path / "nowhere")
    folder = c_library("int unused(void) { return 0; }", {})
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "manifest_version": 3}))
    with pytest.raises(tessera.LibraryError, match="manifest_version 3, this package reads 2"):
        tessera.load(folder)
    (folder / "manifest.json").write_text(json.dumps({**manifest, "library_sha256": "12"}))
    with pytest.raises(tessera.LibraryError, match=r"SHA-256 12, which none.*found: libops.so"):
        tessera.load(folder)
    (folder / "manifest.json").write_text("{")
    with pytest.raises(tessera.LibraryError, match="is no JSON"):
        tessera.load(folder)


def test_a_file_that_is_no_library_is_refused(tmp_path: pathlib.Path) -> None:
    import hashlib

    (tmp_path / "libops.so").write_bytes(b"not ELF")
    digest = hashlib.sha256(b"not ELF").hexdigest()
    manifest = {"manifest_version": 2, "tessera_version": "", "ops": [], "library_sha256": digest}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(tessera.LibraryError, match="can't be loaded here.*this machine's kind"):
        tessera.load(tmp_path)
