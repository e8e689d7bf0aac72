"""Operators of a library, as callables on NumPy arrays."""

from __future__ import annotations

import typing

import numpy as np

from tessera import _arrays, _native
from tessera._arrays import Array, Tensor
from tessera.errors import FailedPrecondition, InvalidArgument

if typing.TYPE_CHECKING:
    from tessera.library import Library


class Packed:
    """Constants of an operator as it takes them, packed for this CPU: only for the library and
    process that packed them."""

    def __init__(self, operator: Operator, block: Array) -> None:
        self.operator = operator
        self._block = block

    def __repr__(self) -> str:
        return f"<tessera.Packed of {self.operator.name}, {self._block.nbytes} bytes>"


class Stored:
    """A tensor as an operator stores it, in the layout that was tuned: passed from operator to
    operator without conversions where `layout` is the same."""

    def __init__(self, operator: Operator, tensor: Tensor, layout: str, block: Array) -> None:
        self.tensor = tensor
        self.layout = layout
        self._operator = operator
        self._block = block

    def numpy(self) -> Array:
        """A row-major array of an operator's output."""
        return self._operator._unpack(self, None)

    def __repr__(self) -> str:
        return f"<tessera.Stored {self.tensor.name} {self.tensor.shape}, {self.layout}>"


class _Argument(typing.NamedTuple):
    """An input or output; `convert` is the function from row-major to stored, or back."""

    tensor: Tensor
    layout: str
    stored_bytes: int
    convert: str

    @property
    def is_row_major(self) -> bool:
        return self.layout == "row-major"


class Operator:
    """An operator: `y = op(x)`, or `y = op(x, op.pack(W, bias))` where it has constants. Any number
    of threads may call it; calls release the GIL and share the library's threads."""

    def __init__(self, library: Library, description: typing.Mapping[str, typing.Any]) -> None:
        self.name: str = description["name"]
        self.description = description
        self._library = library
        self.constants: tuple[Tensor, ...] = tuple(
            _arrays.tensor_of(one) for one in description["tensors"] if one["role"] == "constant"
        )
        self._inputs = self._arguments("input", "pack_input")
        self._outputs = self._arguments("output", "unpack_output")

    def _arguments(self, role: str, verb: str) -> tuple[_Argument, ...]:
        tensors = [one for one in self.description["tensors"] if one["role"] == role]
        found = []
        for tensor in tensors:
            suffix = "" if len(tensors) == 1 else f"_{tensor['name']}"
            found.append(
                _Argument(
                    _arrays.tensor_of(tensor),
                    tensor["layout"],
                    tensor["stored_bytes"],
                    f"{self.name}_{verb}{suffix}",
                )
            )
        return tuple(found)

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """What it is called with, in order; `constants` are packed once instead."""
        return tuple(argument.tensor for argument in self._inputs)

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        return tuple(argument.tensor for argument in self._outputs)

    def __repr__(self) -> str:
        def text(tensors: typing.Sequence[Tensor]) -> str:
            return ", ".join(f"{t.name}: {t.type}{list(t.logical_shape)}" for t in tensors)

        constants = f"; {text(self.constants)}" if self.constants else ""
        inputs = f"{text(self.inputs)}{constants}"
        return f"<tessera.Operator {self.name}({inputs}) -> {text(self.outputs)}>"

    def pack(self, *constants: typing.Any) -> Packed:
        """Packs the constants, in the order of `constants`. Do it once: it may compute, and takes
        longer than a call."""
        if len(constants) != len(self.constants):
            names = ", ".join(tensor.name for tensor in self.constants) or "none"
            raise InvalidArgument(
                f"{self.name}: pack got {len(constants)} arrays, the operator's constants are "
                f"{names}"
            )
        if not self.constants:
            raise InvalidArgument(f"{self.name} has no constants; call it with its inputs alone")
        arrays = [
            _arrays.contiguous(_arrays.check(self.name, tensor, value))
            for tensor, value in zip(self.constants, constants)
        ]
        block = _arrays.aligned_bytes(
            _native.size_function(self._library._dll, f"{self.name}_packed_bytes")
        )
        self._call(f"{self.name}_pack_weights", [*arrays, block])
        return Packed(self, block)

    def store(self, value: typing.Any, input: int = 0) -> Stored:
        """An input as the operator stores it: worth while for one that is used several times."""
        if not 0 <= input < len(self._inputs):
            raise InvalidArgument(
                f"{self.name}: input is {input}, there are {len(self._inputs)}, counted from 0"
            )
        argument = self._inputs[input]
        array = _arrays.check(self.name, argument.tensor, value)
        if argument.is_row_major:
            copy = _arrays.empty(argument.tensor)
            np.copyto(copy, array)
            return Stored(self, argument.tensor, argument.layout, copy)
        return Stored(self, argument.tensor, argument.layout, self._pack(argument, array))

    def __call__(
        self,
        *arguments: typing.Any,
        out: Array | typing.Sequence[Array] | None = None,
        stored: bool = False,
    ) -> typing.Any:
        """Runs it on its inputs, and behind them what `pack` made where it has constants.

        Inputs are arrays of exactly the dtype and shape that `inputs` says, copied only where they
        are not row-major, not aligned to 64 bytes or stored otherwise; or Stored. Returns a new
        array, a tuple of several outputs, or `out`, which may have any strides. With `stored` they
        are Stored. InvalidArgument for what does not fit; LibraryError for what the library
        refuses."""
        expected = len(self._inputs) + (1 if self.constants else 0)
        if len(arguments) != expected:
            names = [tensor.name for tensor in self.inputs]
            if self.constants:
                names.append(f"{self.name}.pack({', '.join(t.name for t in self.constants)})")
            raise InvalidArgument(
                f"{self.name}: {len(arguments)} arguments, expected {', '.join(names)}"
            )
        pointers = [
            self._input(argument, value) for argument, value in zip(self._inputs, arguments)
        ]
        if self.constants:
            pointers.append(self._weights(arguments[-1]))
        given = self._given(out, stored)
        results: list[Array] = []
        for argument, target in zip(self._outputs, given):
            in_place = (
                target is not None
                and argument.is_row_major
                and _arrays.is_ready(target)
                and not any(np.may_share_memory(target, used) for used in (*pointers, *results))
            )
            if in_place and target is not None:
                results.append(target)
            elif argument.is_row_major:
                results.append(_arrays.empty(argument.tensor))
            else:
                results.append(_arrays.aligned_bytes(argument.stored_bytes))
        self._call(self.name, [*pointers, *results])
        values: list[typing.Any] = []
        for argument, target, result in zip(self._outputs, given, results):
            held = Stored(self, argument.tensor, argument.layout, result)
            values.append(held if stored else self._unpack(held, target))
        return values[0] if len(values) == 1 else tuple(values)

    def _input(self, argument: _Argument, value: typing.Any) -> Array:
        if isinstance(value, Stored):
            same = value.layout == argument.layout and value.tensor[1:] == argument.tensor[1:]
            if not same:
                raise InvalidArgument(
                    f"{self.name}: {argument.tensor.name} is {argument.tensor.type}"
                    f"{list(argument.tensor.logical_shape)} stored {argument.layout}, not {value!r}"
                    "; pass its numpy()"
                )
            return value._block
        array = _arrays.check(self.name, argument.tensor, value)
        if argument.is_row_major:
            return _arrays.ready(argument.tensor, array)
        return self._pack(argument, array)

    def _weights(self, value: typing.Any) -> Array:
        if not isinstance(value, Packed):
            raise InvalidArgument(
                f"{self.name}: the last argument is a {type(value).__name__}, expected what "
                f"{self.name}.pack returned"
            )
        if value.operator is not self:
            raise InvalidArgument(
                f"{self.name}: weights were packed by {value.operator.name} of "
                f"{value.operator._library.path}; pack them by this operator"
            )
        return value._block

    def _given(self, out: typing.Any, stored: bool) -> typing.Sequence[Array | None]:
        if out is None:
            return [None] * len(self._outputs)
        if stored:
            raise InvalidArgument(f"{self.name}: out is for arrays; leave it out with stored=True")
        targets = [out] if isinstance(out, np.ndarray) else list(out)
        if len(targets) != len(self._outputs):
            raise InvalidArgument(
                f"{self.name}: out has {len(targets)} arrays, expected {len(self._outputs)}"
            )
        for tensor, target in zip(self.outputs, targets):
            if not isinstance(target, np.ndarray) or not target.flags.writeable:
                raise InvalidArgument(f"{self.name}: out for {tensor.name} is no writeable array")
        return [
            _arrays.check(self.name, tensor, target)
            for tensor, target in zip(self.outputs, targets)
        ]

    def _pack(self, argument: _Argument, array: Array) -> Array:
        block = _arrays.aligned_bytes(argument.stored_bytes)
        self._call(argument.convert, [_arrays.contiguous(array), block])
        return block

    def _unpack(self, held: Stored, target: Array | None) -> Array:
        argument = next((a for a in self._outputs if a.tensor is held.tensor), None)
        result = held._block
        if argument is None or not argument.is_row_major:
            if argument is None:
                raise FailedPrecondition(
                    f"{self.name}: {held.tensor.name} is an input as it is stored, which is not "
                    "unpacked; keep the array that it was made of"
                )
            direct = target is not None and target.flags.c_contiguous
            result = target if direct and target is not None else _arrays.empty(argument.tensor)
            self._call(argument.convert, [held._block, result])
        if target is None or result is target:
            return result
        np.copyto(target, result)
        return target

    def _call(self, name: str, arrays: typing.Sequence[Array]) -> None:
        called = self._library._function(name, len(arrays))
        _native.check(name, called(*[_arrays.address(array) for array in arrays]))
