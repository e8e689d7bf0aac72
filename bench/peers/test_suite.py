"""Of bench/suite.sh's parts, with a program that plays `tessera`."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
import unittest
from dataclasses import replace
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent))

from case import Case
from service import Service
from suite import run
from tuning import Budget, State, Tuner, tasks_folder, tuning_table

# Remembers its calls; `tune` lasts $FAKE_SECONDS or until its job is cancelled. Jobs are numbered
# from 7, one a key; "ended" says which one has ended by itself.
FAKE = f"""#!{sys.executable}
import json, os, signal, sys, time
from pathlib import Path
verb, words, folder = sys.argv[1], sys.argv[2:], Path(os.environ["FAKE_FOLDER"])
with (folder / "calls").open("a") as file:
    file.write(" ".join(sys.argv[1:]) + chr(10))
if verb == "up":
    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
    print("ready 127.0.0.1:1", flush=True)
    while True:
        time.sleep(0.05)
elif verb == "tune":
    keys = folder / "keys"
    known = keys.read_text().splitlines() if keys.exists() else []
    key = words[words.index("--key") + 1]
    if key not in known:
        known.append(key)
        keys.write_text(chr(10).join(known))
    job = 7 + known.index(key)
    print(f"job {{job}}: 1 tasks", flush=True)
    end = time.monotonic() + float(os.environ["FAKE_SECONDS"])
    while time.monotonic() < end:
        if (folder / f"cancelled {{job}}").exists():
            print(f"tessera: job {{job}} was cancelled", file=sys.stderr)
            sys.exit(130)
        if (folder / f"ended {{job}}").exists():
            break
        time.sleep(0.02)
    if os.environ["FAKE_SECONDS"] == "0":
        sys.exit("no trial succeeded")
    print("the last row")
elif verb == "jobs" and "--cancel" in words:
    job = words[words.index("--server") + 2]
    if (folder / "ends at a cancel").exists():
        (folder / f"ended {{job}}").touch()
    if (folder / f"ended {{job}}").exists() or (folder / f"cancelled {{job}}").exists():
        sys.exit(f"job {{job}} has ended")
    (folder / f"cancelled {{job}}").touch()
elif verb == "jobs" and "--json" in words:
    row = {{"op": "c", "trials": 5, "failures": {{"timeout": 2}}, "default_seconds": 2e-3,
           "tuned_seconds": 1e-3, "peak_fraction": 0.5}}
    print(json.dumps({{"operators": [row]}}))
elif verb == "jobs":
    print((folder / "jobs").read_text() if (folder / "jobs").exists() else "job  state")
elif verb == "log":
    print('{{"id":1}}')
"""

CASE = Case("s", "c", "matmul", {"m": 2, "n": 2, "k": 3}, "", "", 0)
BUDGET = Budget(trials=5, seconds=60, threads=1, seed=1)


class Tuning(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.program = self.folder / "tessera"
        self.program.write_text(FAKE)
        self.program.chmod(self.program.stat().st_mode | stat.S_IXUSR)
        self.play(0.1)

    def play(self, seconds: float) -> None:
        variables = {"FAKE_FOLDER": str(self.folder), "FAKE_SECONDS": f"{seconds:g}"}
        patch = mock.patch.dict(os.environ, variables)
        patch.start()
        self.addCleanup(patch.stop)

    def tune(self, budget: Budget = BUDGET, case: Case = CASE) -> State:
        with Service(self.program, self.folder) as service:
            return Tuner(service, self.folder / "tasks", budget).tune(case)

    def calls(self, verb: str) -> list[str]:
        lines = (self.folder / "calls").read_text().splitlines()
        return [line for line in lines if line.startswith(verb)]

    def test_what_is_done_is_not_done_again(self) -> None:
        state = self.tune()
        self.assertTrue(state.done)
        self.assertEqual((state.job, state.report and state.report["trials"]), (7, 5))
        self.assertEqual(self.tune(), state)
        self.tune(replace(BUDGET, trials=4, seconds=30))
        self.assertEqual(len(self.calls("tune")), 1)
        self.assertEqual(len(self.calls("up")), 1)
        self.assertIn("| s | c | 5 | 2 | ", tuning_table("warm", [state]))

    def test_more_is_asked_or_the_operator_has_changed(self) -> None:
        self.tune()
        self.tune(replace(BUDGET, trials=6))
        self.tune(case=replace(CASE, attributes={"m": 4, "n": 2, "k": 3}))
        keys = {call.split("--key ")[1] for call in self.calls("tune")}
        self.assertEqual(len(keys), 3)

    def test_cold_caches_are_tuned_for_themselves(self) -> None:
        self.tune()
        self.tune(replace(BUDGET, cache="cold"))
        keys = {call.split("--key ")[1] for call in self.calls("tune")}
        self.assertEqual(len(keys), 2)
        job = json.loads((self.folder / "tasks" / "s" / "c.yaml").read_text())
        self.assertEqual(job["cache"], "cold")
        out = Path("out")
        self.assertNotEqual(tasks_folder(out, 1, "warm"), tasks_folder(out, 1, "cold"))

    def test_a_run_that_was_killed_goes_on_with_its_job(self) -> None:
        self.play(60)
        script = (
            "import sys; from pathlib import Path; import test_suite as t\n"
            "folder = Path(sys.argv[1])\n"
            "with t.Service(folder / 'tessera', folder) as s:\n"
            "    t.Tuner(s, folder / 'tasks', t.BUDGET).tune(t.CASE)\n"
        )
        arguments = [sys.executable, "-c", script, str(self.folder)]
        here = Path(__file__).resolve().parent
        with self.assertRaises(subprocess.TimeoutExpired):
            subprocess.run(arguments, cwd=here, timeout=4)  # ends it by SIGKILL
        before = State.read(self.folder / "tasks" / "s" / "c.json")
        assert before is not None
        self.assertEqual((before.done, before.job), (False, 7))
        self.assertGreater(before.spent_seconds, 0.5)
        self.play(0.1)
        after = self.tune()
        self.assertTrue(after.done)
        self.assertGreaterEqual(after.spent_seconds, before.spent_seconds)
        self.assertEqual(len({call.split("--key ")[1] for call in self.calls("tune")}), 1)

    def test_a_job_whose_seconds_are_over_is_ended_and_counts(self) -> None:
        self.play(60)
        state = self.tune(replace(BUDGET, seconds=0.5))
        self.assertTrue((self.folder / "cancelled 7").exists())
        self.assertTrue(state.done)
        self.assertLess(state.spent_seconds, 20)

    def test_a_job_that_failed_is_tried_again(self) -> None:
        self.play(0)
        state = self.tune()
        self.assertEqual((state.done, state.message), (False, "no trial succeeded"))
        self.play(0.1)
        self.assertTrue(self.tune().done)

    def test_jobs_that_other_runs_left_are_ended(self) -> None:
        (self.folder / "jobs").write_text("job  state\n  3  running  x\n  2  done  y\n")
        self.tune()
        self.assertEqual([p.name for p in self.folder.glob("cancelled *")], ["cancelled 3"])

    def left_by_a_killed_run(self, spent: float) -> None:
        """Job 7 of CASE, cancelled, and the state that was written last before that."""
        state = State("s", "c", CASE.op, CASE.attributes, BUDGET, spent, job=7, date="then")
        state.write(self.folder / "tasks" / "s" / "c.json")
        (self.folder / "keys").write_text(state.key)
        (self.folder / "cancelled 7").touch()

    def test_a_job_that_another_run_cancelled_is_begun_anew(self) -> None:
        self.left_by_a_killed_run(spent=20)
        state = self.tune()
        self.assertEqual((state.done, state.job, state.attempt), (True, 8, 1))
        self.assertEqual(state.message, "the last row")
        self.assertGreaterEqual(state.spent_seconds, 20)
        keys = [call.split("--key ")[1] for call in self.calls("tune")]
        self.assertEqual(len(set(keys)), 2)
        self.assertEqual(self.tune(), state)

    def test_a_job_that_is_cancelled_again_and_again_fails_until_it_is_not(self) -> None:
        self.left_by_a_killed_run(spent=20)
        (self.folder / "cancelled 8").touch()
        state = self.tune()
        self.assertEqual((state.done, state.attempt), (False, 2))
        self.assertIn("job 8 was cancelled", state.message)
        state = self.tune()
        self.assertEqual((state.done, state.job), (True, 9))

    def test_a_job_cancelled_for_its_seconds_by_a_run_that_was_then_killed_is_done(self) -> None:
        self.left_by_a_killed_run(spent=BUDGET.seconds)
        state = self.tune()
        self.assertEqual((state.done, state.job, state.attempt), (True, 7, 0))
        self.assertEqual(state.message, "stopped: its seconds are over")
        self.assertEqual(state.report and state.report["trials"], 5)

    def test_a_job_that_ends_as_it_is_cancelled_is_done(self) -> None:
        self.play(60)
        (self.folder / "ends at a cancel").touch()
        state = self.tune(replace(BUDGET, seconds=0.5))
        self.assertEqual((state.done, state.message), (True, "the last row"))

    def test_jobs_of_others_that_end_as_they_are_cancelled_are_no_fault(self) -> None:
        (self.folder / "ends at a cancel").touch()
        (self.folder / "jobs").write_text("job  state\n  3  running  x\n")
        self.assertTrue(self.tune().done)

    def test_a_command_that_fails_costs_its_case_only(self) -> None:
        tuner = mock.Mock()
        tuner.tune.side_effect = subprocess.CalledProcessError(1, "tessera", stderr="no such job")
        tuner.finished.return_value = []
        arguments = mock.Mock(limit_seconds=0, out=self.folder)
        comparison = mock.Mock(plans=[mock.Mock(cache="warm")], table=self.folder / "none")
        with mock.patch("builtins.print") as said:
            self.assertEqual(run(arguments, [(Path("s"), CASE)] * 2, [tuner], comparison), 2)
        self.assertIn("failed: no such job", str(said.call_args_list))

    def test_a_server_that_has_ended_ends_the_run(self) -> None:
        with Service(self.program, self.folder) as service:
            service.start()
            os.kill(service.process_id, signal.SIGKILL)
            time.sleep(0.2)
            with self.assertRaises(SystemExit):
                service.call("jobs")

    def test_two_runs_in_one_folder_are_refused(self) -> None:
        with Service(self.program, self.folder):
            with self.assertRaises(SystemExit):
                self.tune()


if __name__ == "__main__":
    unittest.main()
