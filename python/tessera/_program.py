"""Runs the program `tessera`, which has what only C++ can do: make workloads, count operations."""

from __future__ import annotations

import logging
import os
import pathlib
import shutil
import subprocess
import typing
import warnings

from tessera.errors import InvalidArgument, ProgramError, ProgramNotFound, TesseraWarning

_BAD_INPUT = 2
_log = logging.getLogger("tessera")


def find() -> pathlib.Path:
    """The program: TESSERA_BIN, which is it or a folder that has it, else the one in PATH."""
    named = os.environ.get("TESSERA_BIN")
    if named:
        path = pathlib.Path(named)
        program = path / "tessera" if path.is_dir() else path
        if os.access(program, os.X_OK) and program.is_file():
            return program.absolute()
        raise ProgramNotFound(
            f"TESSERA_BIN is {named}, where no program `tessera` is; name it or its folder, as "
            "build/bin of a checkout"
        )
    found = shutil.which("tessera")
    if found is None:
        raise ProgramNotFound(
            "the program `tessera` is not in PATH, and tuning, reports and builds need it; build "
            "it with deploy/build.sh and set TESSERA_BIN to the checkout's build/bin"
        )
    return pathlib.Path(found).absolute()


def run(
    address: str,
    arguments: typing.Sequence[str],
    renamed: tuple[str, str] | None = None,
) -> str:
    """What `tessera` prints for these arguments and the server at `address`. Its warnings become
    TesseraWarnings, other remarks go to the logger "tessera". InvalidArgument or ProgramError with
    what it says: there the first of `renamed` stands for the second."""
    program = find()
    done: subprocess.CompletedProcess[str] = subprocess.run(
        [str(program), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        # Python 3.9 then spawns it, as later ones do anyway. gRPC's handlers of forks complain, and
        # now and then abort the child.
        close_fds=False,
        env={**os.environ, "TESSERA_SERVER": address},
    )
    said = done.stderr.replace(*renamed) if renamed else done.stderr
    lines = said.splitlines()
    for line in lines:
        if line.startswith("warning: "):
            warnings.warn(line[len("warning: ") :], TesseraWarning, stacklevel=3)
    others = [line for line in lines if not line.startswith("warning: ")]
    if done.returncode == 0:
        for line in others:
            _log.info("%s", line)
        return done.stdout
    message = "\n".join(others).strip()
    message = message.removeprefix("tessera: ")
    if done.returncode == _BAD_INPUT:
        raise InvalidArgument(message)
    raise ProgramError(
        message or f"{program} ended with {done.returncode} and said nothing", done.returncode
    )
