"""The service's messages and calls, from the descriptors that setup.py made of proto/*.proto.

Messages have no static types here; values.py makes typed values of them.
"""

from __future__ import annotations

import os
import pathlib
import typing

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from tessera.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    ServerError,
    ServerUnavailable,
    TesseraError,
)

DEFAULT_ADDRESS = "127.0.0.1:7654"
PACKAGE = "tessera.v1"
MAX_MESSAGE_BYTES = 64 << 20  # as proto/limits.h

_FILE = pathlib.Path(__file__).with_name("protocol.desc")


def _load() -> tuple[typing.Any, typing.Any]:
    try:
        files = descriptor_pb2.FileDescriptorSet.FromString(_FILE.read_bytes()).file
    except FileNotFoundError:
        raise ImportError(
            f"{_FILE} is missing: it is made when the package is built; install it with "
            "`pip install ./python`, or build it with `python3 setup.py build`"
        ) from None
    # A pool of its own: other packages may have messages of the same names.
    pool = descriptor_pool.DescriptorPool()
    for file in files:
        pool.AddSerializedFile(file.SerializeToString())
    return files, pool


_FILES, _POOL = _load()


def message_class(name: str) -> typing.Any:
    """The class of message `name` of the service's package."""
    descriptor = _POOL.FindMessageTypeByName(f"{PACKAGE}.{name}")
    if hasattr(message_factory, "GetMessageClass"):
        return message_factory.GetMessageClass(descriptor)
    return message_factory.MessageFactory(_POOL).GetPrototype(descriptor)  # protobuf before 4.22


def new(name: str, **fields: typing.Any) -> typing.Any:
    return message_class(name)(**fields)


class _Method(typing.NamedTuple):
    path: str
    request: typing.Any
    reply: typing.Any
    streams: bool  # replies


def _methods() -> dict[str, _Method]:
    found = {}
    for file in _FILES:
        for service in file.service:
            for method in service.method:
                if method.client_streaming:
                    continue  # nothing here uploads
                prefix = len(PACKAGE) + 2
                found[f"{service.name}.{method.name}"] = _Method(
                    f"/{PACKAGE}.{service.name}/{method.name}",
                    message_class(method.input_type[prefix:]),
                    message_class(method.output_type[prefix:]),
                    method.server_streaming,
                )
    return found


_METHODS = _methods()


def resolve_address(address: str | None) -> str:
    """`address`, or that of TESSERA_SERVER, or the default one; InvalidArgument if it is none."""
    text = address or os.environ.get("TESSERA_SERVER") or DEFAULT_ADDRESS
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or not 1 <= int(port) <= 65535:
        raise InvalidArgument(
            f'address "{text}" is not HOST:PORT with a port from 1 to 65535; '
            f"`tessera up` says the server's, by default {DEFAULT_ADDRESS}"
        )
    return text


def error_of(error: typing.Any, address: str) -> TesseraError:
    """What a failed call (a grpc.RpcError) is to callers of this package."""
    code, details = error.code(), error.details() or "no reason given"
    if code == grpc.StatusCode.INVALID_ARGUMENT:
        return InvalidArgument(details)
    if code == grpc.StatusCode.NOT_FOUND:
        return NotFound(details)
    if code == grpc.StatusCode.FAILED_PRECONDITION:
        return FailedPrecondition(details)
    # A server that stops cancels its calls.
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
        return ServerUnavailable(
            f"the server at {address} went away ({details}); start it again on the same --data, "
            "its jobs then go on by themselves, and repeat this call"
        )
    if code == grpc.StatusCode.DEADLINE_EXCEEDED:
        return ServerUnavailable(
            f"the server at {address} did not answer in time; repeat this call, or give "
            "tessera.connect a longer call_timeout"
        )
    if code == grpc.StatusCode.UNIMPLEMENTED:
        return ServerError(
            f"the server at {address} has no such call ({details}); it is of another version: "
            "install the package from the same checkout",
            code.name,
        )
    return ServerError(f"the server at {address}: {code.name}: {details}", code.name)


class Channel:
    """A connection to a server. Any number of threads may call."""

    def __init__(self, address: str, connect_timeout: float, call_timeout: float) -> None:
        self.address = address
        self._call_timeout = call_timeout
        self._is_open = True
        self._channel = grpc.insecure_channel(
            address, options=[("grpc.max_receive_message_length", MAX_MESSAGE_BYTES)]
        )
        self._calls: dict[str, typing.Any] = {}
        for name, method in _METHODS.items():
            make = self._channel.unary_stream if method.streams else self._channel.unary_unary
            self._calls[name] = make(
                method.path,
                request_serializer=method.request.SerializeToString,
                response_deserializer=method.reply.FromString,
            )
        try:
            grpc.channel_ready_future(self._channel).result(timeout=connect_timeout)
        except grpc.FutureTimeoutError:
            self.close()
            raise ServerUnavailable(
                f"no server answers at {address}; start one with `tessera up`, or name yours: "
                'tessera.connect("HOST:PORT")'
            ) from None

    def call(self, name: str, request: typing.Any) -> typing.Any:
        """The reply of "Service.Method"."""
        self._check_open()
        try:
            return self._calls[name](request, timeout=self._call_timeout)
        except grpc.RpcError as error:
            raise error_of(error, self.address) from None

    def stream(
        self, name: str, request: typing.Any, timeout: float | None = None
    ) -> typing.Iterator[typing.Any]:
        """The replies of "Service.Method"; ends the call when the iteration ends. TimeoutError when
        there are more after `timeout` seconds."""
        self._check_open()
        call = self._calls[name](request, timeout=timeout)
        try:
            yield from call
        except grpc.RpcError as error:
            if timeout is not None and error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
                raise TimeoutError(f"not within {timeout:g} s") from None
            raise error_of(error, self.address) from None
        finally:
            call.cancel()

    def close(self) -> None:
        self._is_open = False
        self._channel.close()

    def _check_open(self) -> None:
        if not self._is_open:
            raise FailedPrecondition(
                f"the connection to {self.address} was closed; make another: tessera.connect"
            )
