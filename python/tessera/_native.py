"""The shared object of a library, by ctypes."""

from __future__ import annotations

import ctypes
import hashlib
import pathlib
import shutil
import tempfile
import threading
import typing

from tessera.errors import LibraryError

_RESULTS = {
    1: ("NULL_POINTER", "an argument is NULL: a bug of this package"),
    2: ("MISALIGNED", "an argument is not aligned to 64 bytes: a bug of this package"),
    3: ("OUT_OF_MEMORY", "no memory for workspace or threads; free some, or use fewer threads"),
    4: ("BAD_THREADS", "the number of threads is outside 1 to 1024"),
    5: (
        "UNSUPPORTED_CPU",
        "this CPU, or the environment variable TESSERA_ISA, allows none of its instruction sets; "
        "build it for this machine, or unset TESSERA_ISA",
    ),
    6: ("NO_DEVICE", "no driver, or no such device; see TESSERA_DEVICE"),
    7: ("DEVICE_LIMITS", "the device has less than the kernels were made for; tune on it"),
    8: ("BAD_QUEUE", "a queue of another context or device, or out of order"),
    9: ("SMALL_BUFFER", "a buffer has fewer bytes than its tensor"),
}

# By path: digest of what was loaded from there. It is never unloaded.
_loaded: dict[str, str] = {}
_lock = threading.Lock()


def load(path: pathlib.Path, digest: str) -> ctypes.CDLL:
    """Loads the file at `path`, whose SHA-256 is `digest`; LibraryError if it is another by now, or
    the machine can't."""
    name = str(path.resolve())
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise LibraryError(f"{path} can't be read any more: {error.strerror}") from None
    if found != digest:
        raise LibraryError(
            f"{path} was built anew since its manifest was read; load its folder again"
        )
    with _lock:
        if _loaded.setdefault(name, digest) == digest:
            return _open(name)
        # The dynamic loader knows files by their paths: it would give the old library again, which
        # was rebuilt since.
        with tempfile.TemporaryDirectory(prefix="tessera-") as folder:
            copy = pathlib.Path(folder) / f"{digest}.so"
            shutil.copyfile(name, copy)
            return _open(str(copy))


def _open(name: str) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(name)
    except OSError as error:
        raise LibraryError(
            f"{name} can't be loaded here: {error}; build the library for this machine's kind of "
            "CPU"
        ) from None


def function(dll: ctypes.CDLL, name: str, arguments: int) -> typing.Any:
    """Function `name`, which takes so many pointers and returns a result; LibraryError if it is not
    there."""
    found = optional(dll, name)
    if found is None:
        raise LibraryError(
            f"the library exports no function {name}, which its manifest has; build it again"
        )
    found.argtypes = [ctypes.c_void_p] * arguments
    found.restype = ctypes.c_int
    return found


def size_function(dll: ctypes.CDLL, name: str) -> int:
    """What a size_t function without arguments returns."""
    found = function(dll, name, 0)
    found.restype = ctypes.c_size_t
    return int(found())


def text_function(dll: ctypes.CDLL, name: str) -> str | None:
    """What a const char* function returns; None for NULL, and where it is not there."""
    found = optional(dll, name)
    if found is None:
        return None
    found.argtypes, found.restype = [], ctypes.c_char_p
    value = found()
    return value.decode() if value is not None else None


def optional(dll: ctypes.CDLL, name: str) -> typing.Any:
    try:
        return dll[name]  # a function of its own: attributes are shared
    except AttributeError:
        return None


def check(what: str, code: int) -> None:
    """Raises LibraryError if a function of the library returned an error."""
    if code == 0:
        return
    if code < 0:
        raise LibraryError(f"{what}: the device's driver says {code}; see its header", code)
    name, why = _RESULTS.get(code, ("unknown", "this package is older than the library"))
    raise LibraryError(f"{what} returned {code} ({name}): {why}", code)
