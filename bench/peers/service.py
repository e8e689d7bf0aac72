"""A Tessera server and worker for the length of a run, with the log in a folder that stays."""

from __future__ import annotations

import ctypes
import fcntl
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TextIO

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)
START_SECONDS = 60
RECORD_LIMIT = 1_000_000  # of a job


def die_with_parent() -> None:
    """In the child: otherwise a run that was killed would leave its server behind."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Service:
    """Two runs in one folder would measure beside each other: the second is refused. `options`: of
    `tessera up`."""

    def __init__(self, tessera: Path, out: Path, options: Sequence[object] = ()) -> None:
        self.tessera, self._out, self._options = tessera.resolve(), out, options
        self.address = ""
        self._process: subprocess.Popen[str] | None = None
        self._lock: TextIO | None = None

    def __enter__(self) -> Service:
        self._lock = (self._out / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise SystemExit(
                f"suite: another run uses {self._out}; wait for it, or end it"
            ) from None
        return self

    def start(self) -> None:
        """Started when first needed: a run that has nothing to tune or build needs none."""
        log = self._out / "up.log"
        if self._process is not None:
            if self._process.poll() is not None:
                raise SystemExit(f"suite: server and worker have ended:\n{log.read_text()[-2000:]}")
            return
        with log.open("w") as file:
            self._process = subprocess.Popen(
                [self.tessera, "up", "--listen", "127.0.0.1:0", "--data", self._out / "data"]
                + [str(option) for option in self._options],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,  # Ctrl-C comes to this program alone
                preexec_fn=die_with_parent,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self.address:
            ready = [s for s in log.read_text().splitlines() if s.startswith("ready ")]
            if ready:
                self.address = ready[0].split()[1]
            elif self._process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"suite: server and worker did not start:\n{log.read_text()}")
            else:
                time.sleep(0.05)

    @property
    def process_id(self) -> int:
        assert self._process is not None
        return self._process.pid

    def command(self, verb: str, *arguments: object) -> list[str]:
        self.start()
        return [str(a) for a in (self.tessera, verb, "--server", self.address, *arguments)]

    def call(self, verb: str, *arguments: object) -> str:
        """Standard output; raises CalledProcessError with what the command said."""
        result = subprocess.run(
            self.command(verb, *arguments), capture_output=True, text=True, check=True
        )
        return result.stdout

    def log(self, job: int, *filters: object) -> str:
        """All records of a job, or those that options of `tessera log` leave, as JSON lines."""
        options = ["--after", 0, "--format", "jsonl", "--limit", RECORD_LIMIT]
        return self.call("log", "--job", job, *options, *filters)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._lock is not None:
            self._lock.close()
