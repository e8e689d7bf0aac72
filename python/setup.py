"""Adds the service's messages to the package: proto/*.proto, compiled to a set of descriptors.

README.md says why descriptors. They are made from the checkout that this folder is part of, or in a
source distribution from the copies that it carries.
"""

import importlib.util
import pathlib
import shutil
import subprocess
import sys

from setuptools import __version__ as setuptools_version
from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

HERE = pathlib.Path(__file__).resolve().parent
PROTOS = ["proto/records.proto", "proto/services.proto"]
# The folder that imports in .proto files start from.
ROOT = HERE if (HERE / PROTOS[0]).exists() else HERE.parent

# Older ones don't read pyproject.toml, and would build a package without a name and sources.
if int(setuptools_version.split(".")[0]) < 61:
    sys.exit(f"setup.py: setuptools {setuptools_version} is too old: install 61 or later")


def protoc() -> list[str]:
    if importlib.util.find_spec("grpc_tools") is not None:
        return [sys.executable, "-m", "grpc_tools.protoc"]
    program = shutil.which("protoc")
    if program is None:
        sys.exit("setup.py: no protoc: install grpcio-tools, or Debian's protobuf-compiler")
    return [program]


class BuildPy(build_py):
    def descriptors(self) -> str:
        folder = HERE if getattr(self, "editable_mode", False) else pathlib.Path(self.build_lib)
        return str(folder / "tessera" / "protocol.desc")

    def run(self) -> None:
        super().run()
        for proto in PROTOS:
            if not (ROOT / proto).exists():
                sys.exit(f"setup.py: {ROOT / proto} is missing; build in a checkout of Tessera")
        target = pathlib.Path(self.descriptors()).resolve()  # it may be relative to here
        target.parent.mkdir(parents=True, exist_ok=True)
        command = [*protoc(), f"-I{ROOT}", f"--descriptor_set_out={target}", *PROTOS]
        subprocess.run(command, cwd=ROOT, check=True)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        return [*super().get_outputs(include_bytecode), self.descriptors()]


class Sdist(sdist):
    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        super().make_release_tree(base_dir, files)
        for proto in PROTOS:
            copy = pathlib.Path(base_dir) / proto
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / proto, copy)


setup(cmdclass={"build_py": BuildPy, "sdist": Sdist})
