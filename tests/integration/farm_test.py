"""A farm of several kinds of devices on one server: CPUs, OpenCL and CUDA where there is a device.

ctest lets an interpreter of PTX stand in for a CUDA device that is not there (tests/cuda).
"""

import json
import os
import subprocess
import unittest

from tessera_rig import BIN, ROOT, SMALL, RigTest


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


KINDS = [kind for kind in ("opencl", "cuda") if has_device(kind)]


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

    def test_a_library_for_a_device_runs_on_it_and_without_it(self):
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

    def run_example(self, program, **variables):
        done = subprocess.run(
            [program],
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
