"""ONNX models through the programs: requests, layouts, shape buckets, i8, libraries of others, the script for CI."""

import contextlib
import ctypes
import json
import os
import pathlib
import shutil
import signal
import socket
import sqlite3
import struct
import subprocess
import unittest

from onnx_files import convolutions, open_model
from tessera_rig import BAD_INPUT, BIN, ROOT, RigTest, eventually

CONVOLUTION = pathlib.Path("/usr/share/libonnx-testdata/data/pytorch-converted/test_Conv2d")


def floats_of(path):
    """The elements of a serialised TensorProto of one-byte dimensions and raw floats."""
    data = path.read_bytes()
    at = 0
    while data[at] != 0x4A:  # raw_data
        at += 2
    at += 1
    size = shift = 0
    while True:
        size |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            break
    return struct.unpack(f"<{size // 4}f", data[at : at + size])


def aligned(values):
    """Floats at an address that is a multiple of 64."""
    space = (ctypes.c_char * (4 * len(values) + 64))()
    offset = -ctypes.addressof(space) % 64
    array = (ctypes.c_float * len(values)).from_buffer(space, offset)
    array[:] = values
    return array


class ModelTest(RigTest):
    """Of a convolution's ONNX file and what it computes."""

    def write_model(self, name):
        """The test's model as of opset 7, in which nothing of it means another thing."""
        data = (CONVOLUTION / "model.onnx").read_bytes()
        self.assertEqual(data.count(b"\x42\x02\x10\x06"), 1)
        path = self.folder / name
        path.write_bytes(data.replace(b"\x42\x02\x10\x06", b"\x42\x02\x10\x07"))
        return path

    def run_model(self, dist):
        model = json.loads((dist / "manifest.json").read_text())["model"]
        library = ctypes.CDLL(str(dist / f"lib{model['name']}.so"))
        name = model["name"]
        create, run = library[f"{name}_create"], library[f"{name}_run"]
        library[f"{name}_workspace_bytes"].restype = ctypes.c_size_t
        instance = ctypes.c_void_p()
        self.assertEqual(create(ctypes.byref(instance)), 0)
        image = aligned(floats_of(CONVOLUTION / "test_data_set_0" / "input_0.pb"))
        expected = floats_of(CONVOLUTION / "test_data_set_0" / "output_0.pb")
        output = aligned([0] * len(expected))
        workspace = aligned([0] * (library[f"{name}_workspace_bytes"]() // 4 + 16))
        self.assertEqual(run(instance, image, output, workspace), 0)
        destroy = library[f"{name}_destroy"]
        destroy.argtypes = [ctypes.c_void_p]
        destroy(instance)
        for got, wanted in zip(output, expected):
            self.assertAlmostEqual(got, wanted, delta=1e-4)


class BuildModel(ModelTest):
    """A model from its ONNX file to a library that computes what its test says."""

    def test_a_tuned_model_becomes_a_library_and_the_same_bytes_again(self):
        server = self.start_server()
        self.start_worker()
        model, dist = self.write_model("conv.onnx"), self.folder / "dist"
        report = self.folder / "report.json"
        tuned = self.tessera("tune", model, "--trials", "4", "--report", report)
        self.assertEqual(tuned.returncode, 0, tuned.stderr)
        self.assertIn("uploading 2 of 2 tensors and graphs", tuned.stderr)
        self.assertIn("in place: measuring it in", tuned.stderr)
        in_place = json.loads(report.read_text())["in_place"]
        self.assertEqual(in_place["device"], "worker/cpu")
        self.assertGreater(in_place["seconds"], 0)
        self.assertIn(" a run on worker/cpu; ", tuned.stderr)
        done = self.tessera("build", model, "--name", "conv", "--out", dist)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("uploading", done.stderr)
        self.assertNotIn("in place: measuring it", done.stderr)  # tune did
        version = json.loads((dist / "manifest.json").read_text())["ops"][0]["versions"][0]
        self.assertIn(version["device"], ["worker/cpu", None])  # None: the default schedule
        self.assertEqual(version["device"] is None, version["is_default"])
        self.assertIn("record", done.stderr)
        self.run_model(dist)
        again = self.folder / "again"
        done = self.tessera("build", model, "--name", "conv", "--out", again)
        self.assertNotIn("uploading", done.stderr)
        for file in ("libconv.so", "conv.h", "manifest.json"):
            self.assertEqual((dist / file).read_bytes(), (again / file).read_bytes(), file)
        # A server that lost its artifacts gets them again.
        server.signal(signal.SIGTERM)
        server.wait()
        shutil.rmtree(self.folder / "data" / "artifacts")
        self.start_server(listen=self.address)
        self.wait_for_worker("worker")
        done = self.tessera("build", model, "--name", "conv", "--out", again)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("uploading 2 of 2", done.stderr)
        self.assertEqual((dist / "libconv.so").read_bytes(), (again / "libconv.so").read_bytes())

    def test_a_model_is_named_by_its_file_and_needs_a_cpu(self):
        self.start_server()
        self.start_worker()
        model, dist = self.write_model("my-net.onnx"), self.folder / "dist"
        self.output("build", model, "--out", dist)
        self.run_model(dist)
        self.assertTrue((dist / "libmy_net.so").exists())
        done = self.tessera("build", model, "--target", "opencl", "--out", dist)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("no device of kind opencl", done.stderr)
        # Before anything is tuned.
        done = self.tessera("request", "--model", model, "--target", "opencl", "--out", dist)
        self.assertEqual(done.returncode, BAD_INPUT, done.stderr)
        self.assertIn("libraries of models run on CPUs only; opencl", done.stderr)

    def test_what_is_not_supported_of_a_model_is_bad_input(self):
        self.start_server()
        model = self.folder / "odd.onnx"
        model.touch()
        os.truncate(model, 3 << 30)
        done = self.tessera("tune", model)
        self.assertEqual(done.returncode, BAD_INPUT, done.stderr)
        self.assertIn("has 3221225472 bytes; 2147483647 are the most", done.stderr)
        model.write_bytes(open_model([1] * 16).replace(b"Relu", b"Rulu"))
        for command in (["graph", model], ["request", "--budget", "2", "--model", model]):
            done = self.tessera(*command, "--dim", "rows=2")
            self.assertEqual(done.returncode, BAD_INPUT, done.stderr)
            self.assertIn("Rulu", done.stderr)
        model.write_bytes(open_model([1] * 16))
        done = self.tessera("graph", model)  # nobody says how many rows
        self.assertEqual(done.returncode, BAD_INPUT, done.stderr)
        self.assertIn("give an extent for that name", done.stderr)

    def test_gradients_of_a_model_are_kernels_that_are_tuned(self):
        self.start_server()
        self.start_worker()
        model = self.folder / "net.onnx"
        model.write_bytes(open_model([i / 8 - 1 for i in range(16)]))
        backward = [model, "--dim", "rows=2", "--backward"]
        self.assertNotEqual(self.output("graph", *backward), self.output("graph", *backward[:-1]))
        job = int(self.output("tune", "--detach", *backward, "--trials", "1"))
        self.wait_until_done(job)
        self.assertGreater(len(self.log()), 0)


class Layouts(RigTest):
    """How values are stored between a model's kernels goes by what was measured."""

    def scale_times(self, server, factor):
        """Has all records take `factor`(name of their task) times as long, and the server start again."""
        server.signal(signal.SIGTERM)
        server.wait()
        with contextlib.closing(sqlite3.connect(self.data / "tessera.db")) as log, log:
            rows = log.execute(
                "SELECT r.id, r.sample_seconds, r.cost_seconds, t.name FROM records r "
                "JOIN tasks t ON t.key = r.task_key WHERE r.cost_seconds IS NOT NULL"
            ).fetchall()
            for record, samples, cost, name in rows:
                times = factor(name)
                samples = json.dumps([times * one for one in json.loads(samples)])
                log.execute(
                    "UPDATE records SET sample_seconds = ?, cost_seconds = ? WHERE id = ?",
                    (samples, times * cost, record),
                )
        server = self.start_server(listen=self.address)
        self.wait_for_worker("worker")
        return server

    def build(self, model, folder):
        """What `tessera build` says, and the kernels of its library."""
        done = self.tessera("build", model, "--alone", "--out", self.folder / folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("default schedule", done.stderr)  # what is built was measured
        self.output("verify", self.folder / folder)
        manifest = json.loads((self.folder / folder / "manifest.json").read_text())
        return done.stderr, {op["workload_hash"] for op in manifest["ops"]}

    def test_records_that_say_that_others_are_faster_flip_the_choice(self):
        server = self.start_server()
        self.start_worker()
        model = self.folder / "chain.onnx"
        model.write_bytes(convolutions(3, 32, 12))
        # Where nobody waits, it is tuned as estimated.
        self.wait_until_done(self.tune_in_background(model, "--trials", "2"))
        request = ["request", "--model", model, "--budget", "160", "--alone"]
        done = self.tessera(*request, "--out", self.folder / "first")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stderr, "layouts: job 2 measures 3 kernels of 1 choice, 8 trials each")
        self.assertRegex(done.stderr, "layouts: [0-2] of 2 values in blocks of channels, ")
        names = [job["name"] for job in self.jobs()]
        self.assertEqual(names, ["model_chain", "model_chain layouts", "model_chain"])
        done = self.tessera(*request, "--out", self.folder / "second")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(self.jobs()), 3)  # what was asked for before is there
        library = "libchain.so"
        self.assertEqual(
            (self.folder / "first" / library).read_bytes(),
            (self.folder / "second" / library).read_bytes(),
        )

        is_rival = lambda name: name.rstrip("_").endswith("_rival")  # noqa: E731
        server = self.scale_times(server, lambda name: 0.01 if is_rival(name) else 1)
        said, flipped = self.build(model, "flipped")
        self.assertRegex(said, "layouts: [01] of 2 values in blocks of channels, [12] of them otherwise")
        self.assertRegex(said, "as measured: their kernels take .* rather than ")
        # The same bytes again, and what is tuned next is what was built.
        self.build(model, "again")
        for file in ("libchain.so", "manifest.json"):
            self.assertEqual(
                (self.folder / "flipped" / file).read_bytes(),
                (self.folder / "again" / file).read_bytes(),
            )
        done = self.tessera("tune", "--detach", model, "--trials", "1")
        self.assertEqual(done.returncode, 0, done.stderr)
        layouts = said[said.index("layouts: ") :].splitlines()[0]
        self.assertIn(layouts, done.stderr)
        device_class = self.devices()[0]["device_class"]
        self.assertIn(layouts, self.output("graph", model, "--device-class", device_class))
        self.assertIn("as estimated", self.output("graph", model, "--target", "x86/avx2"))
        self.wait_until_done(int(done.stdout))

        self.scale_times(server, lambda name: 10_000 if is_rival(name) else 1)
        said, estimated = self.build(model, "estimated")
        self.assertIn("layouts: 2 of 2 values in blocks of channels, as estimated", said)
        self.assertNotEqual(estimated, flipped)

    def test_versions_of_other_blocks_are_tuned_in_the_layouts_that_are_named(self):
        self.start_server()
        self.start_worker("wide", "--cores", 1)
        self.start_worker("narrow", "--cores", 1, "--isa", "avx2")
        classes = {device["worker"]: device["device_class"] for device in self.devices()}
        if "avx512" not in classes["wide"] or "avx2" not in classes["narrow"]:
            self.skipTest(f"no blocks of two sizes: {classes}")
        model = self.folder / "chain.onnx"
        model.write_bytes(convolutions(2, 32, 14))
        both = ["--device-class", classes["wide"], "--device-class", classes["narrow"]]

        def tune(worker, *words):
            of_class = ["--device-class", classes[worker], "--trials", 1]
            self.wait_until_done(self.tune_in_background(model, *of_class, *words))

        def build(folder):
            done = self.tessera("build", model, *both, "--out", self.folder / folder)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.output("verify", self.folder / folder)
            manifest = json.loads((self.folder / folder / "manifest.json").read_text())
            kernels = [op["versions"] for op in manifest["ops"] if op["executed_operations"]]
            return done.stderr, [sum(not one["is_default"] for one in of) for of in zip(*kernels)]

        tune("wide")
        tune("narrow")
        warning, measured = build("apart")
        self.assertEqual(measured, [2, 0])
        self.assertIn(f"device class {classes['narrow']}: ", warning)
        self.assertIn("`tessera tune --layouts x86/avx512", warning)
        tune("narrow", "--layouts", "x86/avx512")
        warning, measured = build("together")
        self.assertNotIn("`tessera tune --layouts", warning)
        self.assertEqual(measured, [2, 2])
        # Of all classes that have records.
        every = self.folder / "every"
        self.output("build", model, "--layouts", "x86/avx512", "--out", every)
        self.assertEqual(len(json.loads((every / "manifest.json").read_text())["versions"]), 2)
        refused = self.tessera("build", model, "--out", every)
        self.assertEqual(refused.returncode, BAD_INPUT)
        self.assertIn("several one each, of models tuned with the same --layouts", refused.stderr)
        refused = self.tessera("tune", model, "--layouts", "x86/mmx")
        self.assertEqual(refused.returncode, BAD_INPUT)
        self.assertIn("--layouts: ", refused.stderr)
        refused = self.tessera("build", "--job", 1, "--layouts", "x86/avx512")
        self.assertEqual(refused.returncode, BAD_INPUT)
        self.assertIn("--layouts", refused.stderr)

    def test_a_key_gives_the_job_of_a_model_whatever_was_measured_of_its_layouts(self):
        self.start_server()
        self.start_worker()
        model = self.folder / "chain.onnx"
        model.write_bytes(convolutions(3, 32, 12))
        tune = ["tune", model, "--budget", "160", "--max-seconds", "300", "--key", "nightly"]
        done = self.tessera(*tune)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("layouts: job 1 measures 3 kernels of 1 choice", done.stderr)
        records = len(self.log())
        for repeated in (tune, [*tune, "--detach"]):
            done = self.tessera(*repeated)
            self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout, "2\n")
        self.assertEqual(len(self.log()), records)
        self.assertEqual(len(self.jobs()), 2)
        other = self.folder / "other.onnx"
        other.write_bytes(convolutions(3, 16, 12))
        for different in (["tune", other, *tune[2:]], [*tune, "--seed", "7"]):
            done = self.tessera(*different)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn("key nightly is taken by job 2", done.stderr)
        self.assertEqual(len(self.jobs()), 2)


class Buckets(RigTest):
    """A model whose batch is open, for several sizes of it."""

    def run_bucket(self, library, instance, rows, weights):
        x = aligned([i % 7 - 3 for i in range(4 * rows)])
        y = aligned([0] * (4 * rows))
        size = library[f"net_rows_{rows}_workspace_bytes"]
        size.restype = ctypes.c_size_t
        workspace = aligned([0] * (size() // 4 + 16))
        self.assertEqual(library[f"net_rows_{rows}_run"](instance, x, y, workspace), 0)
        for i in range(rows):
            for j in range(4):
                total = sum(x[4 * i + k] * weights[4 * k + j] for k in range(4))
                self.assertAlmostEqual(y[4 * i + j], max(total, 0), delta=1e-4)

    def test_a_request_for_several_extents_makes_one_library(self):
        self.start_server()
        self.start_worker()
        weights = [i / 8 - 1 for i in range(16)]
        model, dist = self.folder / "net.onnx", self.folder / "dist"
        model.write_bytes(open_model(weights))
        done = self.tessera(
            "request", "--model", model, "--dim", "rows=8,2", "--budget", "6",
            "--max-error", "0.001", "--out", dist,
        )  # fmt: skip
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stderr, "--max-error 0.001 is met: output y of net_rows_[28] is off")
        manifest = json.loads((dist / "manifest.json").read_text())
        buckets = manifest["model"]["buckets"]
        self.assertEqual([one["extents"] for one in buckets], [{"rows": 2}, {"rows": 8}])
        self.assertEqual(manifest["model"]["constant_bytes"], 64)
        self.assertEqual(len(manifest["ops"]), 2)
        said = self.output("verify", dist)
        self.assertRegex(said, "ok       run: net_rows_2: 8 values.*; net_rows_8: 32 values")
        library = ctypes.CDLL(str(dist / "libnet.so"))
        instance = ctypes.c_void_p()
        self.assertEqual(library.net_create(ctypes.byref(instance)), 0)
        for rows, number in ((1, 0), (2, 0), (3, 1), (8, 1), (9, -1)):
            self.assertEqual(library.net_bucket(ctypes.byref(ctypes.c_int64(rows))), number)
        for rows in (8, 2):
            self.run_bucket(library, instance, rows, weights)
        library.net_destroy.argtypes = [ctypes.c_void_p]
        library.net_destroy(instance)
        # Tuning, then building takes the same records.
        self.output("tune", model, "--dim", "rows=2,8", "--budget", "6")
        again = self.folder / "again"
        self.output("build", model, "--dim", "rows=2,8", "--out", again)
        other = json.loads((again / "manifest.json").read_text())
        self.assertEqual(
            sorted(op["workload_hash"] for op in manifest["ops"]),
            sorted(op["workload_hash"] for op in other["ops"]),
        )
        done = self.tessera("graph", model, "--dim", "rows=2,8")
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("several extents are for `tessera tune`", done.stderr)


class Request(ModelTest):
    """What a CI job asks for."""

    def test_kernels_of_openblas_count_where_they_are_allowed(self):
        try:
            build = ctypes.CDLL("libopenblas.so.0").openblas_get_config
        except OSError as error:
            self.skipTest(f"{error}; install libopenblas0-pthread")
        build.restype = ctypes.c_char_p
        if {b"SINGLE_THREADED", b"USE_OPENMP"} & set(build().split()):
            self.skipTest(f"OpenBLAS is {build().decode()}; install libopenblas0-pthread")
        self.start_server()
        worker = self.start_worker("worker", "--cores", 1)
        product = ["--op", "matmul", "m=97", "n=97", "k=97"]
        refused = self.tessera("tune", *product, "--allow", "blis")
        self.assertEqual(refused.returncode, BAD_INPUT)
        self.assertIn("known are openblas or onednn", refused.stderr)

        # A worker that loads no library says what to do.
        job = self.tune_in_background(*product, "--allow", "openblas", "--trials", 2)
        self.wait_until_done(job)
        failed = next(record for record in self.log(job) if record["explorer"] == "openblas")
        self.assertEqual(failed["outcome"], "run_error")
        self.assertIn("start the worker with --allow openblas", failed["reason"])
        worker.kill()

        self.start_worker("loading", "--cores", 1, "--allow", "openblas")
        job = self.tune_in_background(*product, "--allow", "openblas", "--trials", 2, "--seed", 1)
        self.wait_until_done(job)
        called = next(record for record in self.log(job) if record["explorer"] == "openblas")
        self.assertEqual(called["outcome"], "ok", called["reason"])
        self.assertIn("external matmul openblas\n", called["trace"])

        def best(*words):
            lines = self.output("best", "--count", 9, "--json", *words).splitlines()
            return [json.loads(line)["id"] for line in lines]

        self.assertIn(called["id"], best("--allow", "openblas"))
        self.assertNotIn(called["id"], best())

        for allow in (["--allow", "openblas"], []):
            out = self.folder / f"out{len(allow)}"
            self.output("build", *product, "--out", out, *allow)
            self.check_needed(out, "libopenblas.so.0", {called["id"]} if allow else set())
            self.output("verify", out)

    def test_a_model_calls_another_library_where_it_is_allowed_and_chosen(self):
        self.start_with_onednn()
        model = self.folder / "chain.onnx"
        model.write_bytes(convolutions(2, 16, 14))
        for allow in (["--allow", "onednn"], []):
            out = self.folder / f"out{len(allow)}"
            self.output("request", "--model", model, "--budget", "12", "--out", out, *allow)
            calls = [record for record in self.log() if record["explorer"] == "onednn"]
            self.assertIn("ok", [record["outcome"] for record in calls], calls)
            self.check_needed(out, "libdnnl.so.2", {record["id"] for record in calls})
            self.assertIn("ok       run: 64 values", self.output("verify", out))
        self.assertNotIn("libdnnl.so.2", (out / "manifest.json").read_text())

    def start_with_onednn(self):
        try:
            ctypes.CDLL("libdnnl.so.2")
        except OSError as error:
            self.skipTest(f"{error}; install libdnnl2")
        self.start_server()
        self.start_worker("loading", "--cores", 1, "--allow", "onednn")

    def check_needed(self, library, name, called):
        """Another library is needed where the program that calls it was chosen: of few programs the fastest
        by far, but no bet."""
        manifest = json.loads((library / "manifest.json").read_text())
        chosen = {int(record) for op in manifest["ops"] for record in op["versions"][0]["record_ids"]}
        self.assertEqual(name in manifest["needed"], bool(called & chosen))

    def test_kernels_of_onednn_convolve_where_they_are_allowed(self):
        self.start_with_onednn()
        convolution = ["--op", "conv2d", "ic=32", "oc=32", "size=20", "k=3", "pad=1", "relu=true"]
        job = self.tune_in_background(*convolution, "--allow", "onednn", "--trials", 2)
        self.wait_until_done(job)
        called = next(record for record in self.log(job) if record["explorer"] == "onednn")
        self.assertEqual(called["outcome"], "ok", called["reason"])
        self.assertIn("onednn\n", called["trace"])
        lines = self.output("best", "--count", 9, "--json", "--allow", "onednn").splitlines()
        ids = [json.loads(line)["id"] for line in lines]
        self.assertIn(called["id"], ids)
        out = self.folder / "out"
        self.output("build", *convolution, "--out", out, "--allow", "onednn")
        self.check_needed(out, "libdnnl.so.2", {called["id"]})
        self.output("verify", out)

    def test_a_request_is_repeatable_and_judged(self):
        self.start_server()
        self.start_worker()
        model, dist = self.write_model("conv.onnx"), self.folder / "dist"
        request = ["request", "--model", model, "--budget", "6"]
        done = self.tessera(*request, "--min-speedup", "1000", "--out", dist)
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn("--min-speedup 1000 is not met", done.stderr)
        self.assertIn("in place: measuring it in", done.stderr)
        self.assertFalse(dist.exists())
        done = self.tessera(*request, "--max-latency", "1ns", "--out", dist)
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn("--max-latency 1ns is not met", done.stderr)
        done = self.tessera(*request, "--max-error", "1e-12", "--out", dist)
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn("--max-error 1e-12 is not met: output ", done.stderr)
        self.assertEqual(list(dist.glob("*")), [])
        report = self.folder / "report.json"
        done = self.tessera(
            *request, "--max-latency", "1s", "--max-error", "0.001", "--report", report, "--out", dist
        )  # fmt: skip
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.splitlines()[0], str(dist / "libconv.so"))
        self.assertIn("--max-error 0.001 is met: output ", done.stderr)
        self.run_model(dist)
        self.assertGreater(json.loads(report.read_text())["all"]["tuned_seconds"], 0)
        self.assertRegex(done.stderr, r"in place: .* a run on .*/cpu; .* with default schedules")
        self.assertNotIn("measuring", done.stderr)  # what was measured before is known
        self.assertEqual(len(self.jobs()), 1)  # all of them asked for the same
        self.assertEqual(len(self.log()), 6)
        done = self.tessera("request", "--model", model, "--budget", "0")
        self.assertEqual(done.returncode, 2, done.stderr)
        done = self.tessera("request", "--model", model, "--max-wait", "soon")
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("--max-wait soon: expected a time such as 20m", done.stderr)

    def test_a_model_in_i8_is_judged_by_what_quantisation_costs(self):
        self.start_server()
        self.start_worker()
        model, samples = self.write_model("conv.onnx"), self.folder / "samples"
        samples.mkdir()
        image = floats_of(CONVOLUTION / "test_data_set_0" / "input_0.pb")
        (samples / "a.raw").write_bytes(struct.pack(f"<{len(image)}f", *image))
        request = ["request", "--model", model, "--budget", "4", "--int8", samples]
        for limit, code, verdict in (("0.00001", 3, "is not met"), ("0.1", 0, "is met")):
            done = self.tessera(*request, "--max-error", limit, "--out", self.folder / "dist")
            self.assertEqual(done.returncode, code, done.stderr)
            self.assertRegex(
                done.stderr,
                f"--max-error [0-9.e-]+ {verdict}: output .* is off from the model of floats by 0",
            )
        # What shows the model asks a server, too, and says how far results are off.
        report = self.folder / "accuracy.json"
        done = self.tessera("graph", model, "--int8", samples, "--report", report)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("samples calibrated: 1 of 1", done.stderr)
        self.assertGreater(json.loads(report.read_text())["outputs"][0]["snr_db"], 20)
        environment = {**os.environ, "TESSERA_SERVER": "127.0.0.1:9"}
        done = subprocess.run(
            [BIN / "tessera", "graph", model, "--int8", samples],
            capture_output=True, text=True, timeout=60, env=environment,
        )  # fmt: skip
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("no server answers at 127.0.0.1:9", done.stderr)
        done = self.tessera("request", "--op", "relu", "n=64", "--max-error", "0.1")
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("--max-error is for models", done.stderr)

    def test_the_script_for_ci_brings_its_own_server_or_uses_one(self):
        model = self.write_model("conv.onnx")
        environment = {
            **os.environ,
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "XDG_CACHE_HOME": str(self.folder),
            "TESSERA_BUDGET": "4",
            "TESSERA_DATA": str(self.folder / "kept"),
            "TESSERA_DEMANDS": "--max-latency 1s",
        }
        environment.pop("TESSERA_SERVER", None)

        def command(folder):
            return [ROOT / "examples" / "ci" / "request.sh", model, self.folder / folder]

        def run(folder):
            return subprocess.run(
                command(folder), capture_output=True, text=True, timeout=120, env=environment
            )

        for folder in ("own", "again"):
            done = run(folder)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.run_model(self.folder / folder)
        self.assertIn("done", done.stderr)

        # A pipeline that is cancelled leaves no server behind; another can't use its data meanwhile.
        with subprocess.Popen(
            command("cancelled"), stderr=subprocess.PIPE, text=True,
            env={**environment, "TESSERA_BUDGET": "100000"},
        ) as cancelled:  # fmt: skip
            ready = next(line for line in cancelled.stderr if line.startswith("ready "))
            done = run("beside")
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn("is in use", done.stderr)
            cancelled.terminate()
            cancelled.stderr.read()
            self.assertEqual(cancelled.wait(60), 143)
        with socket.socket() as probe:
            self.assertNotEqual(probe.connect_ex(("127.0.0.1", int(ready.rsplit(":", 1)[1]))), 0)

        self.start_server()
        self.start_worker()
        environment["TESSERA_SERVER"] = self.address
        environment["TESSERA_DEMANDS"] = "--min-speedup 1000"
        self.assertEqual(run("farm").returncode, 3)


if __name__ == "__main__":
    unittest.main(verbosity=2)
