"""What this package raises. Every message names what was asked, why it can't be, and what to do."""

from __future__ import annotations

import typing


class TesseraError(Exception):
    """Base of all errors of this package."""


class InvalidArgument(TesseraError, ValueError):
    """A value is malformed or out of bounds."""


class NotFound(TesseraError, LookupError):
    """There is no such job, task, record or device."""


class FailedPrecondition(TesseraError):
    """It can't be done as things are, for example because no builder is connected."""


class ServerUnavailable(TesseraError, ConnectionError):
    """No server answers, or it went away. Jobs go on when it is back."""


class ServerError(TesseraError):
    """The server could not do it; `code` is gRPC's name of why. ABORTED and RESOURCE_EXHAUSTED may
    pass: try again. INTERNAL is a bug of Tessera."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class ProgramNotFound(TesseraError, FileNotFoundError):
    """The program `tessera` is not installed here."""


class ProgramError(TesseraError):
    """The program `tessera` failed; `exit_code` is its own."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class JobFailed(TesseraError):
    """A job ended, but is not done: it failed or was cancelled. `job` is what the server says of it
    (a tessera.JobInfo)."""

    def __init__(self, message: str, job: typing.Any) -> None:
        super().__init__(message)
        self.job = job


class LibraryError(TesseraError):
    """A folder holds no library that can be loaded, or a function of one refused a call; `code` is
    then what it returned, else 0."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


class TesseraWarning(UserWarning):
    """What the program `tessera` warns of."""
