"""A farm of several kinds of devices on one server: CPUs, OpenCL and CUDA where there is a device.

ctest lets an interpreter of PTX stand in for a CUDA device that is not there (tests/cuda).
"""

import json
import subprocess
import unittest

from tessera_rig import BIN, SMALL, RigTest


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
