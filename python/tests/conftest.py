"""A server and a worker for all tests, a job that was tuned there, and a library."""

import os
import pathlib
import signal
import subprocess
import sys
import typing

import pytest

# Tests start compilers, which Python 3.9 forks; gRPC's handlers of forks abort some of them.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

import tessera  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.setdefault("TESSERA_BIN", str(ROOT / "build" / "bin")))

OPERATORS: list[dict[str, typing.Any]] = [
    {"name": "product", "op": "dense", "m": 3, "n": 20, "k": 24, "bias": True},
    {"name": "rows", "op": "softmax", "m": 4, "n": 33},
]
TRIALS = 6


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> typing.Iterator[str]:
    folder = tmp_path_factory.mktemp("server")
    with open(folder / "errors", "w") as errors:
        process = subprocess.Popen(
            [str(BIN / "tessera"), "up", "--listen", "127.0.0.1:0", "--data", str(folder / "data")],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.startswith("ready "), (folder / "errors").read_text()
        yield line[len("ready ") :].strip()
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)
        process.stdout.close()


@pytest.fixture(scope="session")
def client(address: str) -> typing.Iterator[tessera.Client]:
    with tessera.connect(address) as connected:
        yield connected


@pytest.fixture(scope="session")
def job(client: tessera.Client) -> tessera.Job:
    """A job that is done."""
    tuned = client.tune(OPERATORS, trials=TRIALS, seed=1)
    tuned.wait(progress=False, timeout=60)
    return tuned


@pytest.fixture
def endless(client: tessera.Client) -> typing.Iterator[tessera.Job]:
    """A job that goes on until the test ends."""
    source = {"op": "matmul", "m": 64, "n": 64, "k": 64}
    started = client.tune(source, trials=100_000, prior="none")
    yield started
    if not started.info().state.has_ended:
        started.cancel()


class CLibrary(typing.Protocol):
    def __call__(self, source: str, manifest: dict[str, typing.Any]) -> pathlib.Path: ...


@pytest.fixture
def c_library(tmp_path: pathlib.Path) -> CLibrary:
    """Makes a folder with libops.so of C code, and a manifest of what is given."""
    import hashlib
    import json

    def make(source: str, manifest: dict[str, typing.Any]) -> pathlib.Path:
        (tmp_path / "ops.c").write_text(source)
        library = tmp_path / "libops.so"
        library.unlink(missing_ok=True)
        subprocess.run(
            [
                "cc",
                "-std=c11",
                "-O1",
                "-shared",
                "-fPIC",
                "-o",
                str(library),
                str(tmp_path / "ops.c"),
            ],
            check=True,
            timeout=60,
        )
        whole = {
            "manifest_version": 2,
            "tessera_version": "tessera of a test",
            "ops": [],
            "library_sha256": hashlib.sha256(library.read_bytes()).hexdigest(),
            **manifest,
        }
        (tmp_path / "manifest.json").write_text(json.dumps(whole))
        return tmp_path

    return make


def run_python(code: str, address: str) -> "subprocess.Popen[str]":
    """Starts a program that uses the package as this process does."""
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            "TESSERA_SERVER": address,
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        },
    )
