"""What to tune or build, as arguments of the program `tessera`."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import tempfile
import typing

from tessera.errors import InvalidArgument

# A job file or an ONNX model; what a job file says; a list of operators; or one operator.
Source = typing.Union[
    str, "os.PathLike[str]", typing.Mapping[str, typing.Any],
    typing.Sequence[typing.Mapping[str, typing.Any]],
]  # fmt: skip


class Arguments(typing.NamedTuple):
    words: list[str]
    # How messages call what the user has no file of.
    renamed: tuple[str, str] | None


def _plain(value: typing.Any) -> typing.Any:
    """NumPy's numbers as Python's."""
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{value!r} is no value of a job file; use numbers, texts, lists and dicts")


def _word(value: typing.Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@contextlib.contextmanager
def arguments(source: Source) -> typing.Iterator[Arguments]:
    """Arguments that name `source`, for as long as the context is open."""
    if isinstance(source, (str, os.PathLike)):
        yield Arguments([os.fspath(source)], None)
        return
    if isinstance(source, typing.Mapping) and "op" in source:
        attributes = [f"{key}={_word(value)}" for key, value in source.items() if key != "op"]
        yield Arguments(["--op", str(source["op"]), *attributes], None)
        return
    if not isinstance(source, typing.Mapping):
        if not isinstance(source, typing.Sequence):
            raise InvalidArgument(
                f"operators are a {type(source).__name__}; give a file's path, a list of operators "
                "as dicts, or a dict with the keys of a job file"
            )
        source = {"operators": list(source)}
    try:
        # Every JSON document is YAML. A line a value, which errors name.
        text = json.dumps(source, indent=1, default=_plain)
    except TypeError as error:
        raise InvalidArgument(f"operators: {error}") from None
    with tempfile.TemporaryDirectory(prefix="tessera-") as folder:
        file = pathlib.Path(folder) / "operators.yaml"
        file.write_text(text + "\n")
        yield Arguments([str(file)], (str(file), "operators"))


def is_model(source: Source) -> bool:
    return isinstance(source, (str, os.PathLike)) and os.fspath(source).endswith((".onnx", ".ONNX"))


def options(**named: typing.Any) -> list[str]:
    """--name value for each that is not None; lists repeat the option."""
    words = []
    for name, value in named.items():
        if value is None:
            continue
        for one in value if isinstance(value, (list, tuple)) else [value]:
            words.append(f"--{name.replace('_', '-')}={one}")
    return words
