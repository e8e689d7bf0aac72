"""Boards in a farm: runner-only workers that were cross-built for ARM, under emulation.

This machine serves and builds; the emulated worker registers, gets artifacts, verifies and times.
Arguments: the architectures to test; without any all.
"""

import json
import shutil
import subprocess
import sys
import unittest

from tessera_rig import ROOT, RigTest

BOARDS = {
    # architecture: (triple, emulator, kind of target)
    "aarch64": ("aarch64-linux-gnu", "qemu-aarch64-static", "aarch64"),
    "armhf": ("arm-linux-gnueabihf", "qemu-arm-static", "arm"),
}
TRIALS = 5
JOB = """
threads: 1
cache: {cache}
trials: {trials}
operators:
  - {{name: product, op: matmul, m: 64, n: 64, k: 64}}
  - {{name: padded, op: conv2d, ic: 3, oc: 8, size: 13, k: 3, pad: 1, bias: true}}
  - {{name: bytes, op: matmul, m: 16, n: 24, k: 40, dtype: i8}}
"""


class Board(RigTest):
    architecture = None

    def setUp(self):
        super().setUp()
        self.triple, emulator, self.kind = BOARDS[self.architecture]
        if not shutil.which(emulator) or not shutil.which(f"{self.triple}-g++"):
            self.skipTest(f"{emulator} or {self.triple}-g++ is missing")
        built = subprocess.run(
            [ROOT / "deploy" / "cross_worker.sh", self.architecture],
            capture_output=True,
            text=True,
        )
        if built.returncode == 3:
            self.skipTest(built.stderr)
        self.assertEqual(built.returncode, 0, built.stdout[-3000:] + built.stderr[-3000:])
        build = ROOT / "build"
        program = build / f"tessera-worker-{self.architecture}" / "tessera-worker"
        self.board = [emulator, "-L", build / "sysroot" / self.triple, program]

    def test_a_board_verifies_and_times_what_this_machine_builds(self):
        self.start_server()
        self.start_worker("here", "--roles", "builder")
        self.start_worker("board", "--cores", 1, command=self.board)
        device = next(d for d in self.devices() if d["id"] == "board/cpu")
        self.assertTrue(device["device_class"].startswith(f"{self.kind}/"), device)
        self.assertTrue(device["target"].startswith(f"{self.kind}/"), device)
        for cache in ("warm", "cold"):
            file = self.folder / f"{cache}.yaml"
            file.write_text(JOB.format(cache=cache, trials=TRIALS))
            job = self.tune_in_background(file, "--device-class", device["device_class"])
            self.wait_until_done(job)
            counted = self.check_log(job, 3 * TRIALS)
            self.assertEqual({r["device"] for r in counted}, {"board/cpu"})
            self.assertEqual({r["outcome"] for r in counted}, {"ok"}, counted)
            for record in counted:
                self.assertGreater(min(record["sample_seconds"]), 0)
            for operator in json.loads(self.output("jobs", job, "--json"))["operators"]:
                self.assertGreater(operator["tuned_gflops"], 0)


if __name__ == "__main__":
    suite = unittest.TestSuite()
    for architecture in sys.argv[1:] or BOARDS:
        case = type(f"Board_{architecture}", (Board,), {"architecture": architecture})
        suite.addTests(unittest.defaultTestLoader.loadTestsFromTestCase(case))
    sys.exit(not unittest.TextTestRunner(verbosity=2).run(suite).wasSuccessful())
