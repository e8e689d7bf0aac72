"""How the package is built, from a checkout and from a source distribution."""

import pathlib
import re
import subprocess
import sys
import tarfile

import tessera
from conftest import ROOT, run_python
from tessera import _wire


def build(folder: pathlib.Path, out: str) -> bytes:
    """The descriptors of the package that is built in `folder`; `out` may be relative to it."""
    subprocess.run(
        [sys.executable, "setup.py", "-q", "build", "--build-base", out, "--build-lib", out],
        cwd=folder, check=True, timeout=120, capture_output=True,
    )  # fmt: skip
    return (folder / out / "tessera" / "protocol.desc").read_bytes()


def test_a_source_distribution_builds_the_same(tmp_path: pathlib.Path) -> None:
    subprocess.run(
        [sys.executable, "setup.py", "-q", "egg_info", "--egg-base", str(tmp_path)]
        + ["sdist", "--dist-dir", str(tmp_path)],
        cwd=ROOT / "python", check=True, timeout=120, capture_output=True,
    )  # fmt: skip
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as files:
        files.extractall(tmp_path)
    (folder,) = (one for one in tmp_path.glob("tessera*") if (one / "setup.py").exists())
    assert (folder / "tessera" / "py.typed").exists()
    assert (folder / "README.md").exists()
    assert build(folder, "out") == build(ROOT / "python", str(tmp_path / "from_tree"))


def test_the_version_is_that_of_the_programs() -> None:
    project = (ROOT / "CMakeLists.txt").read_text()
    found = re.search(r"project\(\w+\s+VERSION\s+([0-9.]+)", project)
    assert found is not None
    assert tessera.__version__ == found.group(1)


def test_every_call_that_is_made_exists() -> None:
    sources = (ROOT / "python" / "tessera").glob("*.py")
    called = {
        name
        for source in sources
        for name in re.findall(r'"([A-Za-z]+Service\.[A-Za-z]+)"', source.read_text())
    }
    assert len(called) > 5
    assert called <= set(_wire._METHODS)


def test_the_example_of_the_readme_runs(address: str, tmp_path: pathlib.Path) -> None:
    readme = (ROOT / "python" / "README.md").read_text()
    example = readme.split("```python\n")[1].split("```")[0]
    process = run_python(f"import os; os.chdir({str(tmp_path)!r})\n{example}", address)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert "largest error" in output
