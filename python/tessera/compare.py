"""A library's model beside ONNX Runtime: results and times on the same inputs."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import statistics
import time
import typing

import numpy as np

from tessera._arrays import Array, Tensor
from tessera._bar import time_text
from tessera.errors import InvalidArgument
from tessera.library import Library, load
from tessera.model import Model

_WARM_UP = 2


@dataclasses.dataclass(frozen=True)
class OutputError:
    """`max_absolute` is the largest difference of an element, `max_relative` that as a share of the
    largest magnitude that ONNX Runtime has there. NaN where only one of them has a NaN."""

    name: str
    max_absolute: float
    max_relative: float


@dataclasses.dataclass(frozen=True)
class OnnxComparison:
    """Seconds of each call, in turns; `ratio` is ONNX Runtime's median ÷ Tessera's: above 1 Tessera
    is faster. Only as good as the machine was quiet."""

    outputs: tuple[OutputError, ...]
    tessera_seconds: tuple[float, ...]
    onnxruntime_seconds: tuple[float, ...]
    threads: int

    @property
    def tessera_median(self) -> float:
        return statistics.median(self.tessera_seconds)

    @property
    def onnxruntime_median(self) -> float:
        return statistics.median(self.onnxruntime_seconds)

    @property
    def ratio(self) -> float:
        return self.onnxruntime_median / self.tessera_median

    def __str__(self) -> str:
        lines = [
            f"tessera {time_text(self.tessera_median)}, onnxruntime "
            f"{time_text(self.onnxruntime_median)} (medians of {len(self.tessera_seconds)} runs in "
            f"turns, {self.threads} threads): {self.ratio:.2f} times as fast"
        ]
        for output in self.outputs:
            lines.append(
                f"{output.name}: largest error {output.max_absolute:.2e}, relative "
                f"{output.max_relative:.2e}"
            )
        return "\n".join(lines)


def compare_with_onnxruntime(
    model: str | os.PathLike[str],
    library: Library | str | os.PathLike[str],
    inputs: typing.Mapping[str, typing.Any] | None = None,
    *,
    name: str | None = None,
    values: typing.Mapping[str, typing.Any] | None = None,
    runs: int = 20,
    threads: int = 1,
    seed: int = 0,
) -> OnnxComparison:
    """Runs an ONNX file by ONNX Runtime and its library (a Library or its folder) by turns on the
    same inputs, `runs` times each after a warm-up, both with `threads` threads.

    Without `inputs`, floats are drawn from a normal distribution and integers are 0 or 1, by
    `seed`; give inputs where these mean something. `name` is that of a bucket, as of
    Library.model; `values` are inputs that the library was built to know. ImportError without onnxruntime; InvalidArgument
    where inputs or outputs of the two differ."""
    try:
        import onnxruntime
    except ImportError:
        raise ImportError(
            "the comparison needs onnxruntime, which is not installed: "
            "pip install 'tessera-client[onnxruntime]'"
        ) from None
    if runs < 1:
        raise InvalidArgument(f"runs is {runs}; expected 1 or more")
    loaded = library if isinstance(library, Library) else load(library)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        str(pathlib.Path(model)), options, providers=["CPUExecutionProvider"]
    )
    loaded.set_threads(threads)
    known = dict(values or {})
    names = [node.name for node in session.get_inputs()]
    for unknown in known.keys() - set(names):
        raise InvalidArgument(
            f"values: the ONNX file has no input {unknown}; it has {', '.join(names)}"
        )
    their_inputs = [node for node in session.get_inputs() if node.name not in known]
    with loaded.model(name) as ours:
        _check_same("inputs", ours.inputs, their_inputs)
        _check_same("outputs", ours.outputs, session.get_outputs())
        feed = _feed(ours, _by_our_names(ours, their_inputs, inputs), seed)
        names = [tensor.name for tensor in ours.outputs]
        their_feed = {
            theirs.name: _as_theirs(feed[mine.name], theirs)
            for mine, theirs in zip(ours.inputs, their_inputs)
        }
        for node in session.get_inputs():
            if node.name in known:
                their_feed[node.name] = _as_theirs(known[node.name], node)
        their_names = [node.name for node in session.get_outputs()]
        sides: list[typing.Callable[[], typing.Any]] = [
            lambda: ours.run(feed),
            lambda: session.run(their_names, their_feed),
        ]
        seconds: tuple[list[float], list[float]] = ([], [])
        results: list[typing.Any] = [None, None]
        for turn in range(_WARM_UP + runs):
            # Who begins changes, so that neither always finds what the other left in the caches.
            for side in (0, 1) if turn % 2 == 0 else (1, 0):
                start = time.perf_counter()
                results[side] = sides[side]()
                if turn >= _WARM_UP:
                    seconds[side].append(time.perf_counter() - start)
    return OnnxComparison(
        outputs=tuple(
            _error(name, results[0][name], theirs) for name, theirs in zip(names, results[1])
        ),
        tessera_seconds=tuple(seconds[0]),
        onnxruntime_seconds=tuple(seconds[1]),
        threads=threads,
    )


_THEIR_TYPES = {"float": "float32", "double": "float64", "float16": "float16", "bool": "bool"}


def _as_theirs(value: typing.Any, node: typing.Any) -> Array:
    """Of the type and, where that is known, the shape that ONNX Runtime wants for an input."""
    word = node.type.removeprefix("tensor(").removesuffix(")")
    try:
        array = np.asarray(value).astype(_THEIR_TYPES.get(word, word))
        known = all(isinstance(extent, int) for extent in node.shape)
        return array.reshape(node.shape) if known else array
    except (TypeError, ValueError) as error:
        raise InvalidArgument(f"input {node.name}, {node.type} {list(node.shape)}: {error}") from None


def _check_same(what: str, ours: typing.Sequence[Tensor], theirs: typing.Any) -> None:
    """By their order and known extents: names change where no C identifier has their letters."""
    agree = len(ours) == len(theirs) and all(
        len(mine.logical_shape) == len(other.shape)
        and all(not isinstance(b, int) or a == b for a, b in zip(mine.logical_shape, other.shape))
        for mine, other in zip(ours, theirs)
    )
    if not agree:
        mine = ", ".join(f"{tensor.name} {list(tensor.logical_shape)}" for tensor in ours)
        others = ", ".join(f"{node.name} {list(node.shape)}" for node in theirs)
        raise InvalidArgument(
            f"{what} of the library are {mine}, of the ONNX file {others}; name the file that the "
            "library was built from"
        )


def _by_our_names(
    model: Model, theirs: typing.Any, inputs: typing.Mapping[str, typing.Any] | None
) -> typing.Mapping[str, typing.Any] | None:
    """Inputs that are called as in the ONNX file or as in the library."""
    if inputs is None:
        return None
    ours = {node.name: tensor.name for tensor, node in zip(model.inputs, theirs)}
    return {ours.get(name, name): value for name, value in inputs.items()}


def _feed(
    model: Model, inputs: typing.Mapping[str, typing.Any] | None, seed: int
) -> dict[str, Array]:
    if inputs is not None:
        return {name: np.asarray(value) for name, value in inputs.items()}
    random = np.random.default_rng(seed)
    feed: dict[str, Array] = {}
    for tensor in model.inputs:
        if tensor.type in ("f16", "f32", "f64"):
            feed[tensor.name] = random.standard_normal(tensor.shape).astype(tensor.dtype)
        elif tensor.shape == tensor.logical_shape and tensor.type != "bf16":
            feed[tensor.name] = random.integers(0, 2, tensor.shape).astype(tensor.dtype)
        else:
            raise InvalidArgument(
                f"input {tensor.name} is of type {tensor.type}, which the two take differently; "
                "compare a model with inputs of whole bytes, and not of bf16"
            )
    return feed


def _error(name: str, ours: Array, theirs: typing.Any) -> OutputError:
    expected = np.asarray(theirs, np.float64)
    difference = np.abs(np.asarray(ours, np.float64) - expected)
    # Equal infinities, and NaNs of both, are no difference.
    same = (np.asarray(ours, np.float64) == expected) | (np.isnan(ours) & np.isnan(expected))
    difference = np.where(same, 0.0, difference)
    absolute = float(np.max(difference, initial=0.0))
    largest = float(np.max(np.abs(expected), initial=0.0))
    return OutputError(name, absolute, absolute / largest if largest > 0 else absolute)
