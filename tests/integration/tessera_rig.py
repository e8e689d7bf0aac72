"""Runs Tessera's programs as a user does, in a folder that is removed afterwards.

The programs are those of TESSERA_BIN, or of build/bin. A test case derives from RigTest; whatever it
started is killed when it ends, and what a process said is shown if the test failed.
"""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("TESSERA_BIN", ROOT / "build" / "bin")).resolve()

BAD_INPUT = 2
FAILED = 1
INTERRUPTED = 130

SMALL = ["--op", "matmul", "m=64", "n=64", "k=64"]


def eventually(what, condition, seconds=60):
    """The first true value of condition(); fails with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.05)


def parents():
    """Parent of every process, by process number."""
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue  # it has just ended
            state, parent = stat[stat.rindex(")") + 2 :].split()[:2]
            if state != "Z":
                found[int(entry.name)] = int(parent)
    return found


def descendants(pid):
    found, known = [pid], parents()
    for parent in found:
        found += [child for child, its_parent in known.items() if its_parent == parent]
    return found[1:]


def alive(pid):
    return pid in parents()


class Program:
    """A command in the background; its standard error goes to a file called after `name`."""

    def __init__(self, folder, name, command):
        self.errors = pathlib.Path(folder) / f"{name}.{time.monotonic_ns()}.err"
        with open(self.errors, "w") as errors:
            self.process = subprocess.Popen(
                [str(part) for part in command],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
        self.pid = self.process.pid
        self.started = [self.pid]

    def read_line(self, prefix):
        """What follows `prefix` in the next line of output."""
        line = self.process.stdout.readline()
        if not line.startswith(prefix):
            raise AssertionError(f"expected {prefix!r}, got {line!r}: {self.said()}")
        return line[len(prefix) :].strip()

    def said(self):
        return self.errors.read_text()

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, seconds=30):
        return self.process.wait(timeout=seconds)

    def kill(self):
        """Ends it and all that it started, without warning."""
        for pid in [self.pid, *descendants(self.pid)]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
        self.process.stdout.close()


class RigTest(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tessera-test-"))
        self.data = self.folder / "data"
        self.programs = []
        self.address = None

    def tearDown(self):
        for program in reversed(self.programs):
            program.kill()
        outcome = self._outcome.result if hasattr(self._outcome, "result") else None
        failed = outcome and any(case is self for case, _ in outcome.failures + outcome.errors)
        if failed:
            for program in self.programs:
                print(f"--- {program.errors.name}\n{program.said()[-3000:]}")
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, name, *arguments, command=None):
        """Runs program `name`, or what `command` says instead."""
        program = Program(self.folder, name, [*(command or [BIN / name]), *arguments])
        self.programs.append(program)
        return program

    def start_server(self, listen=None, data=None):
        server = self.start(
            "tessera-server", "--listen", listen or "127.0.0.1:0", "--data", data or self.data
        )
        self.address = server.read_line("listening on ")
        return server

    def start_worker(self, name="worker", *arguments, command=None):
        worker = self.start(
            "tessera-worker", "--server", self.address, "--name", name,
            "--cache", self.folder / "cache" / name, *arguments, command=command,
        )  # fmt: skip
        self.wait_for_worker(name)
        return worker

    def wait_for_worker(self, name):
        eventually(
            f"worker {name} is online",
            lambda: any(d["worker"] == name and d["state"] == "online" for d in self.devices()),
        )

    def tessera(self, *arguments, seconds=120):
        """Runs `tessera`; the rest of the arguments name the server where the command takes one."""
        return subprocess.run(
            [BIN / "tessera", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=seconds,
            env={**os.environ, "TESSERA_SERVER": self.address or "127.0.0.1:1"},
        )

    def output(self, *arguments, seconds=120):
        """Standard output of a `tessera` that has to succeed."""
        done = self.tessera(*arguments, seconds=seconds)
        self.assertEqual(done.returncode, 0, f"tessera {arguments}: {done.stderr}")
        return done.stdout

    def devices(self):
        return json.loads(self.output("devices", "--json"))

    def jobs(self):
        return json.loads(self.output("jobs", "--json"))

    def job_state(self, job):
        return next(j["state"] for j in self.jobs() if j["id"] == job)

    def log(self, job=0):
        lines = self.output("log", "--format", "jsonl", "--limit", 1_000_000, "--job", job)
        return [json.loads(line) for line in lines.splitlines()]

    def tune_in_background(self, *arguments):
        return int(self.output("tune", "--detach", *arguments))

    def wait_for_records(self, job, count, seconds=60):
        def records():
            found = self.log(job)
            return found if len(found) >= count else None

        return eventually(f"{count} records of job {job}", records, seconds)

    def wait_until_done(self, job, seconds=120):
        state = eventually(
            f"job {job} ends",
            lambda: (s := self.job_state(job)) not in ("queued", "running") and s,
            seconds,
        )
        self.assertEqual(state, "done")

    def check_log(self, job, trials, seen=()):
        """The log has every trial once, in order, and all records that were `seen` before."""
        records = self.log(job)
        ids = [record["id"] for record in records]
        self.assertEqual(ids, sorted(set(ids)), "ids ascend")
        by_id = {record["id"]: record for record in records}
        for record in seen:
            self.assertEqual(by_id.get(record["id"]), record, "a record that was seen has changed")
        counted = [record for record in records if not record["stale"]]
        self.assertEqual(sorted(r["trial"] for r in counted), list(range(trials)))
        for key in ("trace", "attempt_key"):
            values = [(record["task_key"], record[key]) for record in counted]
            self.assertEqual(len(values), len(set(values)), f"measured twice: {key}")
        return counted
