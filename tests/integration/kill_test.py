"""A process that dies without warning loses nothing that was acknowledged; the job goes on."""

import os
import re
import signal
import unittest

from tessera_rig import FAILED, SMALL, RigTest, alive, descendants, eventually

TRIALS = 120


class Kill(RigTest):
    def test_a_killed_server_goes_on_where_it_was(self):
        server = self.start_server()
        address = self.address
        self.start_worker()
        job = self.tune_in_background(*SMALL, "--trials", TRIALS)
        watcher = self.start("tessera", "watch", job, "--server", address)
        seen = {}
        for count in (5, 40, 80):
            seen.update((r["id"], r) for r in self.wait_for_records(job, count))
            server.signal(signal.SIGKILL)
            server.wait()
            server = self.start_server(listen=address)
        self.assertEqual(watcher.wait(), FAILED)
        self.assertIn("tessera: ", watcher.said().splitlines()[-1])
        self.wait_until_done(job)
        counted = self.check_log(job, TRIALS, seen.values())
        self.assertEqual({r["outcome"] for r in counted} - {"ok", "timeout", "run_error"}, set())

    def test_a_killed_worker_loses_no_trial(self):
        self.start_server()
        worker = self.start_worker()
        job = self.tune_in_background(*SMALL, "--trials", TRIALS)
        seen = {}
        for count in (5, 60):
            seen.update((r["id"], r) for r in self.wait_for_records(job, count))
            family = [worker.pid, *descendants(worker.pid)]
            self.assertGreater(len(family), 1, "no child to kill")
            for pid in family:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass  # a candidate's process that has just ended
            worker.wait()
            worker = self.start_worker()
        self.wait_until_done(job)
        counted = self.check_log(job, TRIALS, seen.values())
        self.assertNotIn("infrastructure", {r["outcome"] for r in counted})

    def test_children_of_a_killed_worker_end_with_it(self):
        self.start_server()
        worker = self.start_worker()
        job = self.tune_in_background(*SMALL, "--trials", 10_000)
        self.wait_for_records(job, 5)
        family = descendants(worker.pid)
        worker.signal(signal.SIGKILL)
        worker.wait()
        eventually("the children end", lambda: not any(map(alive, family)), seconds=30)

    def test_another_worker_takes_over_the_trials_of_a_killed_one(self):
        self.start_server()
        worker = self.start_worker("first")
        job = self.tune_in_background(*SMALL, "--trials", TRIALS)
        seen = self.wait_for_records(job, 10)
        worker.kill()
        self.start_worker("second")
        self.wait_until_done(job)
        counted = self.check_log(job, TRIALS, seen)
        self.assertEqual({r["device"] for r in counted}, {"first/cpu", "second/cpu"})

    def test_a_job_waits_for_a_device_that_is_known(self):
        server = self.start_server()
        worker = self.start_worker()
        server.kill()
        worker.kill()
        self.start_server(listen=self.address)
        done = self.tessera("tune", "--detach", *SMALL, "--trials", 8)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("the job waits for worker/cpu, seen last", done.stderr)
        self.start_worker()
        self.wait_until_done(int(done.stdout))

    def test_a_killed_server_knows_an_ended_job(self):
        server = self.start_server()
        self.start_worker()
        self.output("tune", *SMALL, "--trials", 8, "--key", "k")
        before = self.log()
        server.kill()
        self.start_server(listen=self.address)
        self.wait_for_worker("worker")
        table = self.output("tune", *SMALL, "--trials", 8, "--key", "k")
        self.assertEqual(len(re.findall("^matmul .*%", table, re.MULTILINE)), 1)
        self.assertEqual(self.log(), before)
        self.assertEqual(len(self.jobs()), 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
