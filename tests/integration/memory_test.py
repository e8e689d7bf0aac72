"""Memory of server and worker stays flat over a long run. Minutes long."""

import pathlib
import re
import time
import unittest

from tessera_rig import RigTest

TRIALS = 5000
GROWTH = 1.20


def resident_mebibytes(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) / 1024


class Memory(RigTest):
    def test_it_is_flat(self):
        server = self.start_server()
        worker = self.start_worker()
        job = self.tune_in_background("--op", "matmul", "m=48", "n=64", "k=32", "--trials", TRIALS)
        started = time.monotonic()
        marks = {}
        for count in (1000, 2000, 3000, 4000, TRIALS):
            self.wait_for_count(job, count)
            marks[count] = {"server": resident_mebibytes(server.pid),
                            "worker": resident_mebibytes(worker.pid)}  # fmt: skip
            print(f"{count} trials, {time.monotonic() - started:.0f} s: " +
                  ", ".join(f"{k} {v:.1f} MiB" for k, v in marks[count].items()), flush=True)  # fmt: skip
        for name in ("server", "worker"):
            first = marks[1000][name]
            for count, mark in marks.items():
                self.assertLess(mark[name], first * GROWTH, f"{name} at {count} trials: {marks}")

    def wait_for_count(self, job, count):
        after, have = 0, 0
        while have < count:
            text = self.output("log", "--job", job, "--format", "csv", "--after", after,
                               "--limit", 1_000_000)  # fmt: skip
            ids = re.findall(r"^(\d+),", text, re.M)
            if ids:
                self.position = after = int(ids[-1])
            have += len(ids)
            if have < count:
                self.assertIn(self.job_state(job), ("queued", "running", "done"))
                time.sleep(1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
