"""ONNX models: tuned, built and called."""

import pathlib
import sys

import numpy as np
import pytest

import tessera
from conftest import ROOT

sys.path.append(str(ROOT / "tests" / "integration"))
from onnx_files import open_model  # type: ignore[import-not-found]  # noqa: E402

WEIGHTS = np.arange(16, dtype=np.float32).reshape(4, 4) / 8 - 1


@pytest.fixture
def file(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "net.onnx"
    path.write_bytes(open_model(WEIGHTS.ravel().tolist()))
    return path


def test_a_model_is_tuned_built_and_called(
    client: tessera.Client, file: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    job = client.tune(file, budget=5, dims={"rows": [1, 3]}, prior="none", scheduler="fair")
    info = job.wait(progress=False, timeout=60)
    assert (info.options.trials_per_task, info.options.extra_trials) == (2, 1)
    *_, last = job.watch()
    assert last.trials_done == 5 and last.run_seconds is not None
    assert last.run_seconds == sum((task.weight or 0) * (task.best_seconds or 0) for task in last.tasks)
    library = job.build(tmp_path / "dist", static=True, alone=True)
    assert dict(library.models) == {"net_rows_1": {"rows": 1}, "net_rows_3": {"rows": 3}}
    assert (tmp_path / "dist" / "libnet.a").is_file()
    for rows in (1, 3):
        x = np.random.default_rng(rows).standard_normal((rows, 4), dtype=np.float32)
        with library.model(f"net_rows_{rows}") as model:
            np.testing.assert_allclose(model(x), np.maximum(x @ WEIGHTS, 0), rtol=1e-5, atol=1e-5)


def test_a_model_is_built_without_a_job_and_refused_by_name(
    client: tessera.Client, file: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    library = client.build(file, out=tmp_path / "dist", name="two", shapes={"x": [2, 4]}, alone=True)
    x = np.ones((2, 4), np.float32)
    with library.model() as model:
        np.testing.assert_allclose(model(x), np.maximum(x @ WEIGHTS, 0), rtol=1e-5)
    with pytest.raises(tessera.InvalidArgument, match="give an extent for that name"):
        client.build(file, out=tmp_path / "open")
    with pytest.raises(tessera.InvalidArgument, match="--layouts opencl"):
        client.build(file, out=tmp_path / "gpu", shapes={"x": [2, 4]}, layouts="opencl")
    for call in (client.tune, client.build):
        with pytest.raises(TypeError, match="no option bugdet"):
            call(file, bugdet=5)  # type: ignore[call-arg]
    capitals = file.rename(tmp_path / "NET.ONNX")
    assert dict(client.tune(capitals, budget=4, dims={"rows": 2}).build(tmp_path / "N").models)
    file = capitals
    file.write_bytes(file.read_bytes().replace(b"Relu", b"Rulu"))
    with pytest.raises(tessera.InvalidArgument, match="Rulu"):
        client.tune(file, dims={"rows": 2})
