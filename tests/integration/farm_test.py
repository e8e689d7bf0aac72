"""A farm of several kinds of devices on one server: CPUs, OpenCL and CUDA where there is a device.

ctest lets an interpreter of PTX stand in for a CUDA device that is not there (tests/cuda).
"""

import ctypes
import json
import os
import subprocess
import sys
import unittest

from tessera_rig import BAD_INPUT, BIN, ROOT, SMALL, RigTest, eventually


def has_device(kind):
    """Whether a worker finds a device of the kind: it fails at once where there is none."""
    try:
        done = subprocess.run(
            [BIN / "tessera-worker", "--runner", kind, "--server", "127.0.0.1:1"],
            capture_output=True,
            text=True,
            timeout=3,
        )
    except subprocess.TimeoutExpired:
        return True  # it tries to connect
    print("skipped:", done.stderr.strip())
    return False


# Multiplies by a library of SMALL in the host's memory and says what it ran on.
MULTIPLY = """
import ctypes, sys

SIZE = 64
ops = ctypes.CDLL(sys.argv[1])
for name in ("tessera_ops_device", "tessera_ops_fallback"):
    getattr(ops, name).restype = ctypes.c_char_p
ops.matmul_packed_bytes.restype = ctypes.c_size_t
blocks = []


def floats(count):
    blocks.append((ctypes.c_char * (4 * count + 64))())
    address = ctypes.addressof(blocks[-1])
    return (ctypes.c_float * count).from_address(address + -address % 64)


a, b, c = (floats(SIZE * SIZE) for _ in range(3))
weights = floats(ops.matmul_packed_bytes() // 4 + 1)
a[:] = [i % 7 - 3 for i in range(SIZE * SIZE)]
b[:] = [i % 5 - 2 for i in range(SIZE * SIZE)]
assert ops.matmul_pack_weights(b, weights) == 0
assert ops.matmul(a, weights, c) == 0
for i in range(SIZE):
    for j in range(SIZE):
        assert c[SIZE * i + j] == sum(a[SIZE * i + k] * b[SIZE * k + j] for k in range(SIZE))
print((ops.tessera_ops_device() or b"the CPU: " + ops.tessera_ops_fallback()).decode())
"""

KINDS = [kind for kind in ("opencl", "cuda") if has_device(kind)]


class SimulatedAccelerator(RigTest):
    def test_what_it_can_do_is_tuned_on_it(self):
        self.start_server()
        self.start_worker("host", "--roles", "builder", "--cores", 1)
        self.start_worker("sim", "--roles", "runner", "--runner", "vta-sim", "--cores", 1)
        convolution = "ic=32 oc=32 size=8 k=3 pad=1 dtype=i8 shift=4 bias=true layout=nchwc16"
        job = self.tune_in_background(
            "--op", "conv2d", *convolution.split(), "--target", "vta", "--trials", 12
        )
        self.wait_until_done(job)
        counted = self.check_log(job, 12)
        self.assertEqual({r["device"] for r in counted}, {"sim/vta-sim"})
        self.assertEqual({r["outcome"] for r in counted}, {"ok"})

        # A library of it and of what only the CPU can do.
        ops, dist = self.folder / "ops.yaml", self.folder / "dist"
        ops.write_text(
            "operators:\n  - {name: conv2d, op: conv2d, "
            + ", ".join(word.replace("=", ": ") for word in convolution.split())
            + "}\n  - {name: soft, op: softmax, n: 64}\n"
        )
        done = self.tessera("build", ops, "--out", dist)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stderr, r"conv2d +record \d+, ")
        self.assertRegex(done.stderr, r"soft +runs on the CPU: .*two reductions")
        manifest = json.loads((dist / "manifest.json").read_text())
        tuned, soft = (op["device"] for op in manifest["ops"])
        self.assertFalse(tuned["is_default"])
        self.assertEqual(len(tuned["programs"]), 1)
        self.assertEqual(list(soft), ["runs_on_cpu"])
        # Nobody named an accelerator.
        library = ctypes.CDLL(dist / "libops.so")
        library.tessera_ops_fallback.restype = ctypes.c_char_p
        self.assertIn(b"no accelerator has been named", library.tessera_ops_fallback())
        # For the host of a board.
        done = self.tessera("build", ops, "--cpu", "arm/neon", "--out", dist)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("default schedules for arm/neon", done.stderr)
        manifest = json.loads((dist / "manifest.json").read_text())
        self.assertEqual([v["target"].split()[0] for v in manifest["versions"]], ["arm/neon"])


@unittest.skipUnless(KINDS, "no device beside the processor")
class Farm(RigTest):
    def device_class(self, device):
        return next(d["device_class"] for d in self.devices() if d["id"] == device)

    def test_jobs_go_to_devices_of_their_kind(self):
        self.start_server()
        self.start_worker("host", "--cores", 1)
        expected = {"host/cpu": "x86/"}
        for kind in KINDS:
            self.start_worker(f"my-{kind}", "--runner", kind, "--cores", 1)
            expected[f"my-{kind}/{kind}"] = kind
        for device, prefix in expected.items():
            job = self.tune_in_background(
                *SMALL, "--trials", 8, "--device-class", self.device_class(device)
            )
            self.wait_until_done(job)
            counted = self.check_log(job, 8)
            self.assertEqual({r["device"] for r in counted}, {device})
            self.assertEqual({r["outcome"] for r in counted}, {"ok"})
            report = json.loads(self.output("jobs", job, "--json"))
            self.assertGreater(report["operators"][0]["tuned_gflops"], 0)
            best = [json.loads(line) for line in self.output("best", "--json").splitlines()]
            self.assertTrue(any(entry["target"].startswith(prefix) for entry in best))

    @unittest.skipUnless("opencl" in KINDS, "no OpenCL device")
    def test_a_library_for_opencl_runs_on_the_device_and_without_it(self):
        self.start_server()
        self.start_worker("gpu", "--runner", "opencl", "--cores", 1)
        product = ["--op", "matmul", "m=256", "n=256", "k=256"]
        self.wait_until_done(self.tune_in_background(*product, "--trials", 8))
        dist, program = self.folder / "dist", self.folder / "use_device_library"
        done = self.tessera("build", *product, "--out", dist)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("no CPU has records of these operators", done.stderr)
        library = (dist / "libops.so").read_bytes()
        self.output("build", *product, "--out", dist)
        self.assertEqual((dist / "libops.so").read_bytes(), library)

        manifest = json.loads((dist / "manifest.json").read_text())
        self.assertEqual(manifest["device"]["device_class"], self.device_class("gpu/opencl"))
        self.assertFalse(manifest["ops"][0]["device"]["is_default"])
        self.assertEqual([v["isa"] for v in manifest["versions"]], ["sse4.2"])

        # The example's own command, with the file that Debian's loader has without its -dev package.
        for options in ([], ["-DWITH_OPENCL", "-l:libOpenCL.so.1"]):
            subprocess.run(
                ["cc", "-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-I", dist]
                + [ROOT / "examples" / "use_device_library.c", "-o", program]
                + [dist / "libops.so", f"-Wl,-rpath,{dist}", *options, "-lm"],
                check=True,
                timeout=60,
            )
            device = self.run_example(program)
            self.assertIn("host memory runs on ", device.stdout)
            self.assertNotIn("on the CPU", device.stdout + device.stderr)
        self.assertIn("device memory: max error", device.stdout)
        empty = self.folder / "no drivers"
        empty.mkdir()
        absent = self.run_example(program, OCL_ICD_VENDORS=str(empty))
        self.assertIn("host memory runs on the CPU, because there is no OpenCL device", absent.stdout)
        self.assertIn("device memory: there is no OpenCL device", absent.stdout)
        self.assertEqual(
            absent.stderr,
            "tessera: libops.so runs on the CPU: there is no OpenCL device; install the driver of one\n",
        )
        quiet = self.run_example(program, TESSERA_DEVICE="no such", TESSERA_QUIET="1")
        self.assertIn('because TESSERA_DEVICE is "no such", which none of', quiet.stdout)
        self.assertEqual(quiet.stderr, "")

    @unittest.skipUnless("cuda" in KINDS, "no CUDA device")
    def test_a_library_for_cuda_runs_on_the_device_and_without_a_driver(self):
        self.start_server()
        self.start_worker("gpu", "--runner", "cuda", "--cores", 1)
        self.wait_until_done(self.tune_in_background(*SMALL, "--trials", 8))
        dist = self.folder / "dist"
        self.output("build", *SMALL, "--out", dist)
        library = (dist / "libops.so").read_bytes()
        self.output("build", *SMALL, "--out", dist)
        self.assertEqual((dist / "libops.so").read_bytes(), library)
        manifest = json.loads((dist / "manifest.json").read_text())
        self.assertEqual(manifest["device"]["device_class"], self.device_class("gpu/cuda"))
        self.assertFalse(manifest["ops"][0]["device"]["is_default"])
        self.assertIn("int matmul_cuda(", (dist / "ops.h").read_text())

        multiply = [sys.executable, "-c", MULTIPLY, dist / "libops.so"]
        device = self.run_example(*multiply)
        self.assertTrue(device.stdout.endswith(" (CUDA)\n"), device.stdout)
        self.assertEqual(device.stderr, "")
        if "tests/cuda" not in os.environ.get("LD_LIBRARY_PATH", ""):
            return  # a driver that is installed can't be taken away
        absent = self.run_example(*multiply, LD_LIBRARY_PATH="")
        why = "there is no libcuda.so.1; install the driver of an NVIDIA GPU\n"
        self.assertEqual(absent.stdout, f"the CPU: {why}")
        self.assertEqual(absent.stderr, f"tessera: libops.so runs on the CPU: {why}")

    def run_example(self, *command, **variables):
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, **variables},
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done

    def test_two_devices_of_a_class_share_a_job(self):
        self.start_server()
        kind = KINDS[0]
        for name in ("one", "two"):
            self.start_worker(name, "--runner", kind, "--cores", 1)
        job = self.tune_in_background(*SMALL, "--trials", 24)
        self.wait_until_done(job)
        counted = self.check_log(job, 24)
        self.assertEqual({r["device"] for r in counted}, {f"one/{kind}", f"two/{kind}"})
        self.assertEqual({r["outcome"] for r in counted}, {"ok"})
        # They are calibrated by programs that both measure.
        eventually(
            "the devices have paces",
            lambda: all(device["pace_programs"] >= 3 for device in self.devices()),
        )
        report = json.loads(self.output("jobs", job, "--json"))
        self.assertEqual({p["device"] for p in report["paces"]}, {f"one/{kind}", f"two/{kind}"})
        self.assertIn("programs", self.output("devices"))

    def test_a_device_that_is_not_there_is_bad_input(self):
        for kind in KINDS:
            done = subprocess.run(
                [BIN / "tessera-worker", "--runner", kind, "--device", "nosuch", "--server", "127.0.0.1:1"],
                capture_output=True,
                text=True,
                timeout=60,
            )
            self.assertEqual(done.returncode, BAD_INPUT, done.stderr)
            self.assertIn('is called "nosuch"; there are "', done.stderr)

    def test_models_of_one_kind_learn_nothing_from_another(self):
        self.start_server()
        self.start_worker("host", "--cores", 1)
        self.start_worker("gpu", "--runner", KINDS[0], "--cores", 1)
        for device in (f"gpu/{KINDS[0]}", "host/cpu"):
            job = self.tune_in_background(
                *SMALL, "--trials", 8, "--device-class", self.device_class(device)
            )
            self.wait_until_done(job)
        done = self.tessera("model", "train", "both")
        self.assertEqual(done.returncode, 2)
        self.assertIn("choose those of one kind by --device-class", done.stderr)


if __name__ == "__main__":
    unittest.main()
