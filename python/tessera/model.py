"""Whole models in libraries, as callables on NumPy arrays."""

from __future__ import annotations

import ctypes
import threading
import typing

from tessera import _arrays, _native
from tessera._arrays import Array, Tensor
from tessera.errors import FailedPrecondition, InvalidArgument, LibraryError

if typing.TYPE_CHECKING:
    import types


class Model:
    """A model with its constants packed for this CPU; Library.model() makes one. Any number of
    threads may run it at once, each call in a workspace of its own, which is kept for later calls:
    memory is that of the most calls at a time. Calls release the GIL."""

    def __init__(
        self, dll: ctypes.CDLL, description: typing.Mapping[str, typing.Any], family: str
    ) -> None:
        """`family` is whose create and destroy make it."""
        self.name: str = description["name"]
        self.inputs = _tensors(description["inputs"])
        self.outputs = _tensors(description["outputs"])
        self._create = _native.function(dll, f"{family}_create", 1)
        self._destroy = _native.function(dll, f"{family}_destroy", 1)
        self._destroy.restype = None
        arguments = len(self.inputs) + len(self.outputs) + 2
        self._run = _native.function(dll, f"{self.name}_run", arguments)
        self._workspace_bytes = _native.size_function(dll, f"{self.name}_workspace_bytes")
        self._changed = threading.Condition()  # guards what follows
        self._workspaces: list[Array] = []
        self._running = 0
        self._instance: int | None = None
        instance = ctypes.c_void_p()
        _native.check(f"{family}_create", self._create(ctypes.byref(instance)))
        self._instance = instance.value

    def __repr__(self) -> str:
        def text(tensors: typing.Sequence[Tensor]) -> str:
            return ", ".join(f"{t.name}: {t.type}{list(t.logical_shape)}" for t in tensors)

        return f"<tessera.Model {self.name}({text(self.inputs)}) -> {text(self.outputs)}>"

    def __call__(self, *inputs: typing.Any) -> typing.Any:
        """Runs it on its inputs in order. Returns the output, or a tuple of several."""
        if len(inputs) != len(self.inputs):
            names = ", ".join(tensor.name for tensor in self.inputs)
            raise InvalidArgument(f"{self.name}: {len(inputs)} inputs, expected {names}")
        outputs = self._run_on(inputs)
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def run(
        self, inputs: typing.Mapping[str, typing.Any] | None = None, **named: typing.Any
    ) -> dict[str, Array]:
        """Runs it on inputs by name, outputs by name: model.run(image=x), or model.run({"input.1":
        x}) for names that are no identifiers."""
        given = {**(inputs or {}), **named}
        names = [tensor.name for tensor in self.inputs]
        if sorted(given) != sorted(names):
            raise InvalidArgument(
                f"{self.name}: inputs are {', '.join(sorted(given)) or 'none'}, expected "
                f"{', '.join(names)}"
            )
        outputs = self._run_on([given[name] for name in names])
        return {tensor.name: output for tensor, output in zip(self.outputs, outputs)}

    def close(self) -> None:
        """Frees it, after the calls under way. Later calls raise FailedPrecondition; closing again
        does nothing."""
        with self._changed:
            instance, self._instance = self._instance, None
            while self._running > 0:
                self._changed.wait()
            self._workspaces.clear()
        if instance is not None:
            self._destroy(instance)

    def __enter__(self) -> Model:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_instance", None) is not None:
            self.close()

    def _run_on(self, inputs: typing.Sequence[typing.Any]) -> list[Array]:
        arrays = [
            _arrays.ready(tensor, _arrays.check(self.name, tensor, value))
            for tensor, value in zip(self.inputs, inputs)
        ]
        outputs = [_arrays.empty(tensor) for tensor in self.outputs]
        instance, workspace = self._begin()
        try:
            pointers = [_arrays.address(array) for array in (*arrays, *outputs, workspace)]
            _native.check(f"{self.name}_run", self._run(instance, *pointers))
        finally:
            self._end(workspace)
        return outputs

    def _begin(self) -> tuple[int, Array]:
        with self._changed:
            if self._instance is None:
                raise FailedPrecondition(f"{self.name} is closed; make it anew: library.model()")
            workspace = (
                self._workspaces.pop()
                if self._workspaces
                else _arrays.aligned_bytes(self._workspace_bytes)
            )
            self._running += 1
            return self._instance, workspace

    def _end(self, workspace: Array) -> None:
        with self._changed:
            self._workspaces.append(workspace)
            self._running -= 1
            self._changed.notify_all()


def _tensors(
    descriptions: typing.Sequence[typing.Mapping[str, typing.Any]],
) -> tuple[Tensor, ...]:
    tensors = []
    for description in descriptions:
        tensor = _arrays.tensor_of(description)
        layout = description.get("layout", "row-major")
        if layout != "row-major":
            raise LibraryError(
                f"tensor {tensor.name} of the model is stored {layout}; this package passes "
                "row-major tensors only: export the model with plain inputs and outputs"
            )
        stated = description.get("bytes", tensor.nbytes)
        if stated != tensor.nbytes:
            raise LibraryError(
                f"tensor {tensor.name} has {stated} bytes by the manifest, {tensor.nbytes} by its "
                "type and shape; build the library again"
            )
        tensors.append(tensor)
    return tuple(tensors)
