"""What can't be done gets one line that names the value and the limit, and changes nothing."""

import contextlib
import ctypes
import hashlib
import pathlib
import platform
import shutil
import signal
import socket
import sqlite3
import struct
import subprocess
import threading
import unittest

from tessera_rig import BAD_INPUT, BIN, FAILED, SMALL, RigTest, eventually

LIBC = ctypes.CDLL(None)


def give_up_looking_into_folders():
    """For the program that comes next: root, too, is refused where modes say so."""
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        LIBC.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP; others than root have none to drop


class Refused(RigTest):
    def check_refusal(self, done, code, words, program="tessera"):
        self.assertEqual(done.returncode, code, done.stderr)
        # A server may have told what it did until then.
        lines = [line for line in done.stderr.splitlines() if " info " not in line]
        self.assertEqual(len(lines), 1, done.stderr)
        self.assertTrue(lines[0].startswith(f"{program}: "), lines[0])
        for word in words:
            self.assertIn(word, lines[0])
        self.assertEqual(done.stdout, "")


class BadJobs(Refused):
    def setUp(self):
        super().setUp()
        self.start_server()
        self.start_worker("worker", "--cores", 1)

    def refuse(self, code, words, *arguments):
        with self.subTest(arguments=arguments):
            self.check_refusal(self.tessera(*arguments), code, words)
            self.assertEqual(self.jobs(), [])

    def refuse_file(self, words, text):
        path = self.folder / "job.yaml"
        path.write_text(text)
        with self.subTest(text=text):
            self.refuse(BAD_INPUT, [str(path), *words], "tune", path)

    def test_files(self):
        def one(attributes):
            return "operators:\n  - {name: a, " + attributes + "}\n"

        for words, text in [
            ([":2: "], "operators: [ {name: a, op: matmul\n"),
            (["map"], ""),
            (["list"], "operators: 5\n"),
            (["unknown key operator;"], "operator:\n  - {name: a, op: relu, n: 4}\n"),
            (["trials is 99999999999", "1 to 10000000"], "trials: 99999999999\n"),
            (["threads is 0", "1 to 1024"], "threads: 0\n"),
            (["trials is given twice"], "trials: 3\ntrials: 4\n"),
            (["n is given twice"], one("op: relu, n: 4, n: 5")),
            (["weight is .inf", "above 0"], one("op: relu, n: 4, weight: .inf")),
            (["control characters"], 'name: "a\\nb"\n' + one("op: relu, n: 4")),
            (['"a/b"', "identifier"], "operators:\n  - {name: a/b, op: relu, n: 4}\n"),
            (["bad file"], "[" * 100_000),
            (['m is "0"', "1 to "], one("op: matmul, m: 0, n: 4, k: 4")),
            (['m is "-3"', "1 to "], one("op: matmul, m: -3, n: 4, k: 4")),
            (["2^40"], one("op: matmul, m: 4000000000, n: 4000000000, k: 4")),
            (['m is "99999999999999999999"'], one("op: matmul, m: 99999999999999999999, n: 4, k: 4")),
            (["k is missing"], one("op: matmul, m: 4, n: 4")),
            (['no operator "matmull"', "batch_matmul"], one("op: matmull, m: 4, n: 4, k: 4")),
            (['no attribute "colour"', "transpose_b"], one("op: matmul, m: 4, n: 4, k: 4, colour: 1")),
            ([":3: task a: pins: no sketch \"magic\""], one("op: relu, n: 4") + "pins: {sketch: [magic]}\n"),
            (["printf: a function of the C library"], "operators:\n  - {name: printf, op: relu, n: 4}\n"),
            (["kernel spans 7"], one("op: conv2d, ic: 3, oc: 4, size: 4, k: 7")),
            (["two operators are named a"], one("op: relu, n: 4") + "  - {name: a, op: relu, n: 4}\n"),
        ]:  # fmt: skip
            self.refuse_file(words, text)

    def test_options(self):
        folder = self.folder
        many = folder / "many.yaml"
        many.write_text("operators:\n" + "".join(f"  - {{name: a{i}, op: relu, n: 4}}\n" for i in range(1025)))
        link = folder / "link"  # whose file isn't there yet
        link.symlink_to("c")
        (folder / "file").write_text("")
        for code, words, arguments in [
            (BAD_INPUT, ['"x87"', "x86"], ["tune", *SMALL, "--target", "x87"]),
            (BAD_INPUT, ["no sum of products i8 * i8", "leave it out of the job"], ["tune", *SMALL, "--target", "vta"]),
            (BAD_INPUT, ["runs none of the operators", "no sum of products i8 * i8"], ["build", *SMALL, "--target", "vta", "--out", folder / "o"]),
            (BAD_INPUT, ["no sum of products i8 * i8"], ["space", *SMALL, "--target", "vta"]),
            (BAD_INPUT, ["nosuch.yaml", "No such file"], ["build", "nosuch.yaml", "--out", folder / "o"]),
            (BAD_INPUT, ["nosuch.yaml", "No such file"], ["space", "nosuch.yaml"]),
            (BAD_INPUT, ["threads is 3", "1 to "], ["tune", *SMALL, "--threads", 3]),
            (BAD_INPUT, ["--threads", '"9999"', "1 to 1024"], ["tune", *SMALL, "--threads", 9999]),
            (BAD_INPUT, ["--trials", '"0"', "1 to 10000000"], ["tune", *SMALL, "--trials", 0]),
            (BAD_INPUT, ["--trials", '"-1"', "1 to 10000000"], ["tune", *SMALL, "--trials", -1]),
            (BAD_INPUT, ["--trials", '"10000001"', "1 to 10000000"], ["tune", *SMALL, "--trials", 10_000_001]),
            (BAD_INPUT, ["--trials", str(10**20)], ["tune", *SMALL, "--trials", 10**20]),
            (BAD_INPUT, ["--trials", '"many"'], ["tune", *SMALL, "--trials", "many"]),
            (BAD_INPUT, ["--seed", '"-1"', "0 to "], ["tune", *SMALL, "--seed", -1]),
            (BAD_INPUT, ["--seed", str(2**63), str(2**63 - 1)], ["tune", *SMALL, "--seed", 2**63]),
            (BAD_INPUT, ["--seed", str(10**20)], ["tune", *SMALL, "--seed", 10**20]),
            (BAD_INPUT, ["--max-seconds", '"nan"', "0 to "], ["tune", *SMALL, "--max-seconds", "nan"]),
            (BAD_INPUT, ["--max-seconds", '"-1"', "0 to "], ["tune", *SMALL, "--max-seconds", -1]),
            (BAD_INPUT, ["'foo'", "annealing"], ["tune", *SMALL, "--explorer", "foo"]),
            (BAD_INPUT, ["'foo'", "autotvm, draft, ensemble, random, regression or xgboost"], ["tune", *SMALL, "--cost-model", "foo"]),
            (BAD_INPUT, ["'foo'", "fair, fixed or gradient"], ["tune", *SMALL, "--scheduler", "foo"]),
            (BAD_INPUT, ["task"], ["importance"]),
            (BAD_INPUT, ["--count", '"0"'], ["importance", "matmul", "--count", 0]),
            (BAD_INPUT, ["--task"], ["dataset", "--out", folder / "o"]),
            (BAD_INPUT, ["--kind", "enumerated"], ["dataset", "--task", "a", "--kind", "b", "--out", folder / "o"]),
            (BAD_INPUT, ["nosuch"], ["dataset", "--task", "nosuch", "--out", folder / "o"]),
            (BAD_INPUT, ["nosuch.data", "No such file"], ["replay", "--data", "nosuch.data"]),
            (BAD_INPUT, [str(folder)], ["replay", "--data", folder]),
            (BAD_INPUT, ["'foo'", "annealing"], ["replay", "--data", "a", "--explorer", "random,foo"]),
            (BAD_INPUT, ["'foo'", "fair, fixed or gradient"], ["replay", "--data", "a", "--scheduler", "fair,foo"]),
            (BAD_INPUT, ["--scheduler", "more than once"], ["replay", "--data", "a", "--scheduler", "fair"]),
            (BAD_INPUT, ["--in-flight", '"0"', "1 to 1024"], ["replay", "--data", "a", "--in-flight", 0]),
            (BAD_INPUT, ["--key", "300", "256"], ["tune", *SMALL, "--key", "k" * 300]),
            (BAD_INPUT, ["--report", "/no/such"], ["tune", *SMALL, "--report", "/no/such/report.json"]),
            (BAD_INPUT, ["--report", "is a folder"], ["tune", *SMALL, "--report", folder]),
            (BAD_INPUT, ["--report", "too long"], ["tune", *SMALL, "--report", folder / ("x" * 300)]),
            (BAD_INPUT, ["job file"], ["tune"]),
            (BAD_INPUT, ["job file"], ["tune", many, *SMALL]),
            (BAD_INPUT, ["1025", "1024"], ["tune", many]),
            (BAD_INPUT, [str(folder), "is a folder"], ["tune", folder]),
            (BAD_INPUT, ["/dev/null", "operators"], ["tune", "/dev/null"]),
            (BAD_INPUT, ["/dev/zero", "4194304"], ["tune", "/dev/zero"]),
            (BAD_INPUT, ['"m:3"', "name=value"], ["tune", "--op", "matmul", "m:3"]),
            (BAD_INPUT, ["m is given twice"], ["tune", *SMALL, "m=3"]),
            (BAD_INPUT, ['"a/b"', "identifier"], ["tune", *SMALL, "name=a/b"]),
            (BAD_INPUT, ["nosuch.yaml", "No such file"], ["tune", "nosuch.yaml"]),
            (BAD_INPUT, ['"nowhere"', "HOST:PORT"], ["tune", *SMALL, "--server", "nowhere"]),
            (BAD_INPUT, ['""', "HOST:PORT"], ["jobs", "--server", ""]),
            (BAD_INPUT, ["job 99"], ["watch", 99]),
            (BAD_INPUT, ["job", '"0"', "1 to "], ["watch", 0]),
            (BAD_INPUT, ["job", '"one"', "1 to "], ["watch", "one"]),
            (BAD_INPUT, ["job 99"], ["jobs", 99]),
            (BAD_INPUT, ["job", '"-1"', "1 to "], ["jobs", -1]),
            (BAD_INPUT, ["job 99"], ["jobs", 99, "--cancel"]),
            (BAD_INPUT, ["--cancel"], ["jobs", "--cancel"]),
            (BAD_INPUT, ["job 99"], ["build", "--job", 99]),
            (BAD_INPUT, ["--job"], ["build"]),
            (BAD_INPUT, ["../x"], ["build", *SMALL, "--name", "../x", "--out", folder / "o"]),
            (BAD_INPUT, ["--out", "/proc/nothing"], ["build", *SMALL, "--out", "/proc/nothing"]),
            (BAD_INPUT, ["--out", str(folder / "file")], ["build", *SMALL, "--out", folder / "file"]),
            (BAD_INPUT, ["nosuch"], ["build", *SMALL, "--device-class", "nosuch", "--out", folder / "o"]),
            (BAD_INPUT, ['"foo"', "timeout"], ["log", "--outcome", "foo"]),
            (BAD_INPUT, ["foo"], ["log", "--task", "foo"]),
            (BAD_INPUT, ["job 99"], ["log", "--job", 99]),
            (BAD_INPUT, ["--limit", '"0"', "1 to 1000000"], ["log", "--limit", 0]),
            (BAD_INPUT, ["--after", '"-1"', "0 to "], ["log", "--after", -1]),
            (BAD_INPUT, ["--format", "xml", "jsonl"], ["log", "--format", "xml"]),
            (BAD_INPUT, ["nosuch", "x86/" if platform.machine() == "x86_64" else "aarch64/"],
             ["log", "--device-class", "nosuch"]),
            (BAD_INPUT, ["nosuch", "known are"], ["best", "--device-class", "nosuch"]),
            (BAD_INPUT, ["foo"], ["best", "foo"]),
            (BAD_INPUT, ["--count", '"0"', "1 to 1000"], ["best", "--count", 0]),
            (BAD_INPUT, ["bset"], ["bset"]),
            (BAD_INPUT, ["subcommand"], []),
            (BAD_INPUT, ["nowhere", "worker/cpu"], ["devices", "--drain", "nowhere"]),
            (BAD_INPUT, ["--drain", '""'], ["devices", "--drain", ""]),
            (BAD_INPUT, ["--drain", "--resume"], ["devices", "--drain", "a", "--resume", "a"]),
            (BAD_INPUT, ["--reason", "--drain"], ["devices", "--reason", "why"]),
            (BAD_INPUT, ["--samples", '"0"', "1 to "], ["space", *SMALL, "--samples", 0]),
            (BAD_INPUT, ["--seed", '"-1"', "0 to "], ["space", *SMALL, "--seed", -1]),
            (BAD_INPUT, ['"x87"', "x86"], ["space", *SMALL, "--target", "x87"]),
            (BAD_INPUT, ["no sum of products i8 * i8"], ["codesign", *SMALL]),
            (BAD_INPUT, ["XC7Z999", "XC7Z020, ZU3EG"], ["codesign", *SMALL, "--device", "XC7Z999"]),
            (BAD_INPUT, ["--variants", '"0"', "1 to 10000"], ["codesign", *SMALL, "--variants", 0]),
            (BAD_INPUT, ["--svg", "is a folder"], ["codesign", *SMALL, "--svg", folder]),
            (BAD_INPUT, [str(many), "no log"], ["codesign", *SMALL, "--resume", many]),
            (BAD_INPUT, ["--resume and --svg", "the same file"],
             ["codesign", *SMALL, "--resume", folder / "c", "--svg", folder / "." / "no" / ".." / "c"]),
            (BAD_INPUT, ["--resume and --csv", "the same file"],
             ["codesign", *SMALL, "--resume", link, "--csv", folder / "c"]),
            (BAD_INPUT, ["FILE and --csv", "the same file"], ["codesign", many, "--csv", many]),
            (BAD_INPUT, ["--cores", "1000"], ["up", "--cores", 1000, "--data", folder / "o"]),
            (BAD_INPUT, ["--isa", "mmx"], ["up", "--isa", "mmx", "--data", folder / "o"]),
            (BAD_INPUT, ["--data", '""'], ["up", "--data", ""]),
        ]:  # fmt: skip
            self.refuse(code, words, *arguments)
        self.assertFalse((folder / "o").exists())
        self.assertFalse((folder / "c").exists())
        self.assertEqual(self.log(), [])
        self.output("space", *SMALL, "--samples", 10, "--seed", 2**63 - 1)

    def test_no_server(self):
        address = self.address
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            nobody = f"127.0.0.1:{unused.getsockname()[1]}"
            for arguments in (["tune", *SMALL], ["jobs"], ["log"], ["best"], ["devices"], ["watch", 1]):
                done = self.tessera(*arguments, "--server", nobody)
                self.check_refusal(done, FAILED, [nobody, "tessera up"])
        self.address = address

    def test_a_workload_larger_than_the_device(self):
        worker = self.programs[-1]
        done = self.tessera("tune", "--op", "matmul", "m=2000000", "n=20000", "k=20", "--trials", 2)
        self.assertEqual(done.returncode, FAILED, done.stderr)
        last = done.stderr.splitlines()[-1]
        for word in ("tessera: job 1 failed", "MiB of memory", "available", "smaller shapes"):
            self.assertIn(word, last)
        self.assertEqual(done.stderr.count("smaller shapes"), 1, done.stderr)
        self.assertIsNone(worker.process.poll(), worker.said())
        for record in self.log():
            self.assertNotEqual(record["outcome"], "ok")
            self.assertIn("memory", record["reason"])
        self.output("tune", *SMALL, "--trials", 4)

    def test_results_that_do_not_get_out(self):
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                [BIN / "tessera", "devices", "--server", self.address],
                stdout=full, stderr=subprocess.PIPE, text=True, timeout=20,
            )  # fmt: skip
        self.assertEqual(done.returncode, FAILED)
        self.assertEqual(done.stderr, "tessera: cannot write to standard output: No space left on device\n")

    def test_a_server_that_goes_away(self):
        server = self.programs[0]
        for job, number in enumerate((signal.SIGKILL, signal.SIGTERM), start=1):
            tune = self.start("tessera", "tune", "--server", self.address, *SMALL, "--trials", 1_000_000)
            eventually("the job is there", lambda: len(self.jobs()) == job)
            self.wait_for_records(job, 3)
            server.signal(number)
            self.assertEqual(tune.wait(), FAILED)
            last = tune.said().splitlines()[-1]
            again = f"`tessera watch {job} --server {self.address}`"
            for word in (self.address, "went away", "start it again", f"job {job} then goes on", again):
                self.assertIn(word, last)
            server.kill()
            server = self.start_server(listen=self.address)
            self.output("jobs", job, "--cancel")
            self.wait_for_worker("worker")


class BadWorkers(Refused):
    def refuse_worker(self, code, words, *arguments):
        with self.subTest(arguments=arguments):
            done = subprocess.run(
                [BIN / "tessera-worker", "--log-level", "error", *map(str, arguments)],
                capture_output=True, text=True, timeout=20,
            )  # fmt: skip
            self.check_refusal(done, code, words, "tessera-worker")

    def test_options(self):
        for words, arguments in [
            (['--name: ""', "1 to 64 letters"], ["--name", ""]),
            (['--name: "."', "letter or digit"], ["--name", "."]),
            (['--name: ".."', "letter or digit"], ["--name", ".."]),
            (['--name: "a/b"', "letters"], ["--name", "a/b"]),
            (["--name", "1 to 64"], ["--name", "a" * 65]),
            (['--server: "nowhere"', "HOST:PORT"], ["--server", "nowhere"]),
            (['--server: "127.0.0.1:0"', "1 to 65535"], ["--server", "127.0.0.1:0"]),
            (['"cook"', "builder"], ["--roles", "cook"]),
            (["--cores", "1000", "may use"], ["--cores", 1000]),
            (["--isa", "mmx", "sse4.2"], ["--isa", "mmx"]),
            (["--device", "--runner cpu has none"], ["--device", "a"]),
            (["--device", "--runner vta-sim has none"], ["--runner", "vta-sim", "--device", "a"]),
            (["--config", "--runner cpu takes none"], ["--config", "a"]),
            (["--config", "/nowhere can't be read"], ["--runner", "vta-sim", "--config", "/nowhere"]),
        ]:  # fmt: skip
            self.refuse_worker(BAD_INPUT, words, *arguments)

    def test_configurations_of_accelerators(self):
        path = self.folder / "vta.json"
        for words, text in [
            (["no JSON object"], "LOG_BATCH"),
            (["CLOCK_MHZ is -1", "1 to 10000"], '{"CLOCK_MHZ": -1}'),
            (["LOG_BLOCK is 31", "0 to 30"], '{"LOG_BLOCK": 31}'),
            (["over 64 KiB"], " " * 70000),
        ]:
            path.write_text(text)
            words = ["--config", str(path), *words]
            self.refuse_worker(BAD_INPUT, words, "--runner", "vta-sim", "--config", path)

    def test_a_cache_that_cannot_be_used(self):
        self.start_server()
        first = self.start_worker("one")
        cache = self.folder / "cache" / "one"
        before = sorted(cache.iterdir())
        words = ["--cache", str(cache), f"process {first.pid}", "another folder"]
        self.refuse_worker(FAILED, words, "--server", self.address, "--name", "two", "--cache", cache)
        self.assertEqual(sorted(cache.iterdir()), before)
        words = ["--cache", "/proc/nothing"]
        self.refuse_worker(FAILED, words, "--server", self.address, "--cache", "/proc/nothing")

    def test_a_refusal_by_the_server_is_no_bad_command_line(self):
        # The least of HTTP/2 with which a server can say INVALID_ARGUMENT.
        def frame(kind, flags, stream, payload):
            return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload

        def header(name, value):
            return bytes([0, len(name)]) + name + bytes([len(value)]) + value

        headers = b"\x88" + b"".join(
            header(name, value)
            for name, value in [(b"content-type", b"application/grpc"), (b"grpc-status", b"3"),
                                (b"grpc-message", b"device: not to my taste")]  # fmt: skip
        )

        def refuse(listener):
            connection, _ = listener.accept()
            with connection:
                connection.sendall(frame(4, 0, 0, b""))  # settings
                seen = connection.recv(1 << 16)
                while b"/tessera.v1.WorkerService/Connect" not in seen:
                    seen += connection.recv(1 << 16)
                connection.sendall(frame(4, 1, 0, b"") + frame(1, 5, 1, headers))  # trailers only
                while connection.recv(1 << 16):
                    pass

        with socket.create_server(("127.0.0.1", 0)) as listener:
            threading.Thread(target=refuse, args=[listener], daemon=True).start()
            done = subprocess.run(
                [BIN / "tessera-worker", "--server", f"127.0.0.1:{listener.getsockname()[1]}", "--cores", "1",
                 "--log-level", "error", "--cache", self.folder / "cache"],
                capture_output=True, text=True, timeout=20,
            )  # fmt: skip
        self.check_refusal(done, FAILED, ["not to my taste"], "tessera-worker")


class BadServers(Refused):
    def refuse_server(self, code, words, *arguments, before=None):
        done = subprocess.run(
            [BIN / "tessera-server", *map(str, arguments)],
            capture_output=True, text=True, timeout=20, preexec_fn=before,
        )  # fmt: skip
        self.check_refusal(done, code, words, "tessera-server")

    def tree(self, folder):
        """Digest of every file but the one that tells who has the database open."""
        files = [p for p in pathlib.Path(folder).rglob("*") if p.is_file() and p.suffix != ".lock"]
        return {p: hashlib.sha256(p.read_bytes()).hexdigest() for p in files}

    def test_listening(self):
        for listen, words in [
            ("0.0.0.0:0", ['"0.0.0.0"', "loopback"]),
            ("192.168.1.1:7654", ['"192.168.1.1"', "loopback"]),
            ("example.org:7654", ['"example.org"', "loopback"]),
            ("127.0.0.1:65536", ["65536", "0 to 65535"]),
            ("nonsense", ['"nonsense"', "HOST:PORT"]),
        ]:
            self.refuse_server(BAD_INPUT, words, "--listen", listen, "--data", self.data)
        self.assertFalse(self.data.exists())
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            words = [f"127.0.0.1:{port}", "in use"]
            self.refuse_server(FAILED, words, "--listen", f"127.0.0.1:{port}", "--data", self.data)

    def test_a_second_server_on_one_folder(self):
        server = self.start_server()
        words = [str(self.data), "in use", str(server.pid)]
        self.refuse_server(FAILED, words, "--listen", "127.0.0.1:0", "--data", self.data)
        self.assertEqual(self.jobs(), [])

    def test_databases(self):
        self.start_server().kill()
        database = self.data / "tessera.db"
        with contextlib.closing(sqlite3.connect(database)) as connection:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            connection.execute("PRAGMA user_version = 999")
            connection.commit()
        before = self.tree(self.data)
        words = [str(database), "999", f"up to {version}"]
        self.refuse_server(FAILED, words, "--listen", "127.0.0.1:0", "--data", self.data)
        self.assertEqual(self.tree(self.data), before)
        database.write_bytes(b"not a database")
        words = [str(database), "not a database"]
        self.refuse_server(FAILED, words, "--listen", "127.0.0.1:0", "--data", self.data)
        self.assertEqual(database.read_bytes(), b"not a database")

    def test_folders_that_take_no_files(self):
        file = self.folder / "file"
        file.write_text("")
        for data in (file, file / "below", "/dev/null"):  # no folder can be there
            self.refuse_server(BAD_INPUT, [str(data)], "--listen", "127.0.0.1:0", "--data", data)
            done = self.tessera("up", "--listen", "127.0.0.1:0", "--data", data)
            self.check_refusal(done, BAD_INPUT, [str(data)], "tessera-server")
        data = "/proc/nothing"
        self.refuse_server(FAILED, [data], "--listen", "127.0.0.1:0", "--data", data)

    def test_folders_that_nobody_can_look_for(self):
        loop = self.folder / "loop"
        loop.symlink_to(loop)
        for data in (self.folder / ("x" * 300), loop):
            self.refuse_server(BAD_INPUT, [str(data)], "--listen", "127.0.0.1:0", "--data", data)
        closed = self.folder / "closed"
        closed.mkdir(mode=0)
        data = closed / "data"
        self.refuse_server(
            FAILED, [str(data), "Permission denied"], "--listen", "127.0.0.1:0", "--data", data,
            before=give_up_looking_into_folders,
        )  # fmt: skip

    def test_up_tells_what_its_server_told(self):
        self.start_server()
        for code, listen, words in [(FAILED, self.address, [self.address, "in use"]),
                                    (BAD_INPUT, "0.0.0.0:1", ["loopback"])]:  # fmt: skip
            done = self.tessera("up", "--listen", listen, "--data", self.folder / "other")
            self.check_refusal(done, code, words, "tessera-server")


@contextlib.contextmanager
def small_disk(folder, mebibytes):
    """A file system of its own in `folder`; skips the test where it may not be mounted."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", folder], capture_output=True
    )
    if mounted.returncode != 0:
        raise unittest.SkipTest("a full disk needs a mount, which takes root")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


class FullDisks(Refused):
    def fill(self, path):
        with open(path, "wb", buffering=0) as file:
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(4096))

    def test_a_server_does_not_start_on_a_full_disk(self):
        with small_disk(self.folder / "disk", 1):
            self.fill(self.folder / "disk" / "ballast")
            done = subprocess.run(
                [BIN / "tessera-server", "--listen", "127.0.0.1:0", "--data", self.folder / "disk/d"],
                capture_output=True, text=True, timeout=20,
            )  # fmt: skip
            self.check_refusal(done, FAILED, [str(self.folder / "disk")], "tessera-server")

    def test_what_a_command_writes(self):
        self.start_server()
        self.start_worker()
        disk = self.folder / "disk"
        with small_disk(disk, 1):
            self.fill(disk / "ballast")
            done = self.tessera("tune", *SMALL, "--trials", 2, "--report", disk / "report.json")
            self.assertEqual(done.returncode, FAILED, done.stderr)
            last = done.stderr.splitlines()[-1]
            self.assertIn(f"--report: cannot write {disk}/report.json: No space left on device", last)
            done = self.tessera("build", *SMALL, "--out", disk)
            self.assertEqual((done.returncode, done.stdout), (FAILED, ""), done.stderr)
            self.assertRegex(done.stderr.splitlines()[-1], f"--out {disk}: .*No space left on device")
            self.assertEqual(list(disk.glob("*.part")), [])

    def test_a_job_goes_on_by_itself_after_the_disk_was_full(self):
        self.check_that_a_job_goes_on(restart=False)

    def test_a_job_goes_on_in_a_new_server_after_the_disk_was_full(self):
        self.check_that_a_job_goes_on(restart=True)

    def check_that_a_job_goes_on(self, restart):
        disk = self.folder / "disk"
        with small_disk(disk, 8):
            try:
                server = self.start_server(data=disk / "d")
                self.start_worker()
                job = self.tune_in_background(*SMALL, "--trials", 60)
                seen = self.wait_for_records(job, 10)
                self.fill(disk / "ballast")
                eventually("the server says so", lambda: "full" in server.said() or
                           "No space" in server.said())  # fmt: skip
                self.assertIsNone(server.process.poll(), server.said())
                (disk / "ballast").unlink()
                if restart:
                    server.kill()
                    server = self.start_server(listen=self.address, data=disk / "d")
                self.wait_until_done(job)
                self.check_log(job, 60, seen)
                self.assertIsNone(server.process.poll(), server.said())
            finally:
                for program in self.programs:
                    program.kill()


class DamagedArtifacts(RigTest):
    def test_what_is_damaged_is_built_again(self):
        server = self.start_server()
        worker = self.start_worker()
        job = self.tune_in_background(*SMALL, "--trials", 80)
        seen = self.wait_for_records(job, 10)
        server.kill()
        worker.kill()
        shutil.rmtree(self.folder / "cache")
        artifacts = [p for p in (self.data / "artifacts").iterdir() if len(p.name) == 64]
        self.assertGreater(len(artifacts), 5)
        for path in artifacts:
            bytes_ = bytearray(path.read_bytes())
            bytes_[len(bytes_) // 2] ^= 0xFF
            path.write_bytes(bytes_)
        self.start_server(listen=self.address)
        self.start_worker()
        self.wait_until_done(job)
        counted = self.check_log(job, 80, seen)
        self.assertNotIn("infrastructure", {r["outcome"] for r in counted})


if __name__ == "__main__":
    unittest.main(verbosity=2)
