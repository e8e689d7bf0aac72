"""Libraries that Tessera built: a folder with a shared object and its manifest."""

from __future__ import annotations

import ctypes
import functools
import os
import pathlib
import types
import typing

from tessera import _manifest, _native
from tessera.errors import FailedPrecondition, InvalidArgument, NotFound
from tessera.model import Model
from tessera.operator import Operator

_MAX_THREADS = 1024


def load(folder: str | os.PathLike[str]) -> Library:
    """Loads the library that `tessera build --out FOLDER` wrote. LibraryError where there is none,
    its files don't belong together, or this machine can't load it. A library stays loaded until the
    process ends; one that was built anew in the same folder is loaded beside it."""
    library = Library(pathlib.Path(folder))
    library.isa  # loads it
    return library


class Library:
    """A library's folder. Its shared object is loaded when it is first needed; `load` does it at
    once. Any number of threads may use it."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path.absolute()
        files = _manifest.read(self.path)
        self.name = files.name
        self.manifest = files.manifest
        self._files = files
        self._functions: dict[str, typing.Any] = {}
        # The operators of a model are not exported: the model calls them.
        described = [] if "model" in self.manifest else self.manifest["ops"]
        self.operators: typing.Mapping[str, Operator] = types.MappingProxyType(
            {one["name"]: Operator(self, one) for one in described}
        )

    def __getitem__(self, name: str) -> Operator:
        """An operator by its name; NotFound if there is none."""
        if name not in self.operators:
            what = (
                "it is of a model, which library.model() makes"
                if "model" in self.manifest
                else f"there are {', '.join(self.operators)}"
            )
            raise NotFound(f"{self.path} has no operator {name}; {what}")
        return self.operators[name]

    def __repr__(self) -> str:
        what = self.manifest["model"]["name"] if "model" in self.manifest else list(self.operators)
        return f"<tessera.Library {self.path}: {what}>"

    @property
    def version(self) -> str:
        """Which Tessera made it."""
        return str(self.manifest["tessera_version"])

    @property
    def isa(self) -> str | None:
        """The instruction set in use, such as "avx512,vnni"; None: this CPU, or TESSERA_ISA, allows
        none of the library's, and its calls raise LibraryError."""
        return _native.text_function(self._dll, f"tessera_{self.name}_isa")

    @property
    def device(self) -> str | None:
        """Of a library for a device: where calls run, None for the CPU."""
        return _native.text_function(self._dll, f"tessera_{self.name}_device")

    @property
    def fallback(self) -> str | None:
        """Of a library for a device: why calls run on the CPU, None where they don't."""
        return _native.text_function(self._dll, f"tessera_{self.name}_fallback")

    def set_threads(self, threads: int) -> None:
        """Threads that calls use from now on, the caller's included; waits for running calls.
        Without it, as many as the library was made for, but not more than the process has cores."""
        if not 1 <= threads <= _MAX_THREADS:
            raise InvalidArgument(f"threads is {threads}; expected 1 to {_MAX_THREADS}")
        function = self._function(f"tessera_{self.name}_set_threads", 1)
        function.argtypes = [ctypes.c_int]
        _native.check(f"set_threads({threads})", function(threads))

    @property
    def models(self) -> typing.Mapping[str, typing.Mapping[str, int]]:
        """Names for `model`: that of the library's model, or of each of its buckets, smallest
        first, with the extents that it is for. Empty for a library of operators."""
        return types.MappingProxyType(
            {name: one.get("extents", {}) for name, one in self._models().items()}
        )

    def model(self, name: str | None = None) -> Model:
        """Makes the library's model, which packs its constants: end it with `with` or close(). Of a
        model for several extents one of `models` by its name; each that is made packs for itself.
        FailedPrecondition where the library is of operators, or has several and none is named;
        NotFound where there is none of that name."""
        models = self._models()
        if not models:
            raise FailedPrecondition(
                f"{self.path} is a library of operators ({', '.join(self.operators)}), not of a "
                'model; call them: library["NAME"](x)'
            )
        if name is None and len(models) > 1:
            raise FailedPrecondition(
                f"{self.path} has a model for several extents; name one: {', '.join(models)}"
            )
        if name is not None and name not in models:
            raise NotFound(f"{self.path} has no model {name}; there is {', '.join(models)}")
        chosen = next(iter(models.values())) if name is None else models[name]
        return Model(self._dll, chosen, self.manifest["model"]["name"])

    def _models(self) -> dict[str, dict[str, typing.Any]]:
        if "model" not in self.manifest:
            return {}
        model = self.manifest["model"]
        return {one["name"]: one for one in model.get("buckets", [model])}

    @functools.cached_property
    def _dll(self) -> ctypes.CDLL:
        return _native.load(self._files.shared_object, self._files.digest)

    def _function(self, name: str, arguments: int) -> typing.Any:
        if name not in self._functions:
            self._functions[name] = _native.function(self._dll, name, arguments)
        return self._functions[name]
