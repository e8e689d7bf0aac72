"""Memory of server and worker stays flat over a long run. Minutes long."""

import pathlib
import re
import statistics
import time
import unittest

from tessera_rig import RigTest

TRIALS = 5000
GROWTH = 1.12


def resident_mebibytes(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) / 1024


class Memory(RigTest):
    def test_it_is_flat(self):
        server = self.start_server()
        worker = self.start_worker()
        self.seen = self.last_id = 0
        job = self.tune_in_background("--op", "matmul", "m=96", "n=96", "k=48", "--trials", TRIALS)
        started = time.monotonic()
        marks = {}
        for count in (1000, 2000, 3000, 4000, TRIALS):
            samples = self.sample_until(job, count, {"server": server.pid, "worker": worker.pid})
            # The median passes over the moments in which a model is trained.
            marks[count] = {name: statistics.median(s) for name, s in samples.items()}
            print(f"{count} trials, {time.monotonic() - started:.0f} s: " +
                  ", ".join(f"{k} {v:.1f} MiB" for k, v in marks[count].items()), flush=True)  # fmt: skip
        for name in ("server", "worker"):
            first = marks[1000][name]
            for count, mark in marks.items():
                self.assertLess(mark[name], first * GROWTH, f"{name} at {count} trials: {marks}")

    def sample_until(self, job, count, pids):
        """Resident sizes by name, about once a second over the last 300 trials before `count`."""
        samples = {name: [] for name in pids}
        while self.seen < count:
            text = self.output("log", "--job", job, "--format", "csv", "--after", self.last_id,
                               "--limit", 1_000_000)  # fmt: skip
            ids = re.findall(r"^(\d+),", text, re.M)
            self.seen += len(ids)
            self.last_id = int(ids[-1]) if ids else self.last_id
            if self.seen >= count - 300:
                for name, pid in pids.items():
                    samples[name].append(resident_mebibytes(pid))
            if self.seen < count:
                self.assertEqual(self.job_state(job), "running")
                time.sleep(1)
        return samples


if __name__ == "__main__":
    unittest.main(verbosity=2)
