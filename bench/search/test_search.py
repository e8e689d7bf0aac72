"""Of live.py's and metaschedule.py's parts, with a program that plays `tessera`."""

from __future__ import annotations

import csv
import json
import math
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
import unittest
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from statistics import median
from unittest import mock
from xml.etree import ElementTree

sys.path.insert(0, str(Path(__file__).resolve().parent))

import leave_out
import live
import metaschedule
import peers_modules
import winners
from case import Case
from intervals import interval_of, mean_ratio, median_interval
from live_report import Searched, distance, load, markdown, ratio_of, write_report
from methods import Method, choose, load_methods
from plot import Series, draw
from runs import Plan, Run, Trial, found
from tasks import Task, load_tasks
from winners import Table, Winner

# Measures four programs, of 4, 2, 3 µs and one that fails; `tune` fails while $FAKE_FOLDER/broken is there.
FAKE = f"""#!{sys.executable}
import json, os, signal, sys, time
from pathlib import Path
verb, words, folder = sys.argv[1], sys.argv[2:], Path(os.environ["FAKE_FOLDER"])
with (folder / "calls").open("a") as file:
    file.write(" ".join(sys.argv[1:]) + chr(10))
if verb == "up":
    data = Path(words[words.index("--data") + 1])
    data.mkdir(exist_ok=True)
    (folder / "started from").write_text(" ".join(sorted(p.name for p in data.iterdir())))
    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
    print("ready 127.0.0.1:1", flush=True)
    while True:
        time.sleep(0.05)
elif verb == "tune":
    if (folder / "broken").exists():
        sys.exit("tessera: job 7 failed: no trial succeeded")
    runners = [{{"device": "d", "run_seconds": 3, "build_seconds": 1, "proposal_seconds": 0,
                "store_seconds": 0, "worker_seconds": 0, "others_seconds": 0}}]
    report = {{"job": 7, "elapsed_seconds": 1.5, "machine": {{"description": "a CPU"}},
              "operators": [], "runners": runners}}
    Path(words[words.index("--report") + 1]).write_text(json.dumps(report))
elif verb == "log":
    now = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(time.time() + 2))
    trials = [(1, 4e-6, "ok"), (3, 3e-6, "ok"), (2, 2e-6, "ok"), (4, None, "timeout"),
              (5, None, "infrastructure")]
    for number, seconds, outcome in trials:
        print(json.dumps({{"id": number, "outcome": outcome, "cost_seconds": seconds, "stale": False,
                          "created": now, "explorer": "random"}}))
    print(json.dumps({{"id": 6, "outcome": "ok", "cost_seconds": 1e-9, "stale": True,
                      "created": now, "explorer": "random"}}))
elif verb == "model":
    assert words[0] == "train", words
elif verb == "build":
    out = Path(words[words.index("--out") + 1])
    out.mkdir(exist_ok=True)
    op = {{"name": "c", "packed_bytes": 0, "tensors": [], "workload_hash": "h1",
          "versions": [{{"measured_seconds": 2e-6, "object_sha256": "0"}}]}}
    manifest = {{"ops": [op]}}
    (out / "manifest.json").write_text(json.dumps(manifest))
"""

CASE = Case("s", "c", "matmul", {"m": 2, "n": 2, "k": 3}, "", "", 0)
RANDOM = Method("random", trials=5, explorer="random", cost_model="random")
OURS = Method("default", trials=5)


def a_run(
    method: Method, seed: int, micros: list[float | None], task: str = "c", resumed: bool = False
) -> Run:
    """A trial a second."""
    trials = [
        Trial(None if us is None else us * 1e-6, float(i), "x") for i, us in enumerate(micros, 1)
    ]
    fastest = min(t.seconds for t in trials if t.seconds)
    return Run(
        task=task,
        method=method,
        seed=seed,
        threads=1,
        attributes={"op": "matmul"},
        trials=trials,
        seconds=float(len(trials)),
        winner_seconds=fastest,
        resumed=resumed,
        runners=[
            {
                "device": "d",
                "run_seconds": 3.0,
                "build_seconds": 1.0,
                "proposal_seconds": 0.0,
                "store_seconds": 0.0,
                "worker_seconds": 0.0,
                "others_seconds": 0.0,
            }
        ],
        machine="a CPU",
        date="2026-01-01T00:00:00",
    )


class InFolder(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        patch = mock.patch.object(live, "wait_until_quiet")
        patch.start()
        self.addCleanup(patch.stop)


class Methods(InFolder):
    def load(self, text: str) -> dict[str, Method]:
        path = self.folder / "methods.yaml"
        path.write_text(text)
        return load_methods(path)

    def test_only_what_is_given_is_told_to_the_program(self) -> None:
        methods = self.load("a: {trials: 9}\nb: {trials: 8, cost_model: ensemble, prior: none}\n")
        self.assertEqual(methods["a"].arguments(), ["--trials", "9"])
        self.assertEqual(
            methods["b"].arguments(),
            ["--trials", "8", "--cost-model", "ensemble", "--prior", "none"],
        )

    def test_errors_say_what_there_is(self) -> None:
        with self.assertRaisesRegex(SystemExit, "a: modle: there are cost_model, explorer"):
            self.load("a: {trials: 9, modle: x}")
        for trials in ("0", "many"):
            with self.assertRaisesRegex(SystemExit, "trials must be a positive number"):
                self.load(f"a: {{trials: {trials}}}")
        methods = {"a": OURS, "b": RANDOM}
        with self.assertRaisesRegex(SystemExit, "x: there are a, b"):
            choose(methods, "a,x")
        self.assertEqual(choose(methods, "b"), [RANDOM])
        self.assertEqual(choose(methods, ""), [OURS, RANDOM])

    def test_the_comparison_has_its_three_methods(self) -> None:
        methods = load_methods(peers_modules.HERE / "methods.yaml")
        self.assertTrue({"random", "published", "default"} <= set(methods))


class Tasks(InFolder):
    def test_what_the_comparison_knows_is_no_attribute(self) -> None:
        path = self.folder / "tasks.yaml"
        path.write_text(
            "threads: 2\ndefaults: {matmul: {n: 4}}\noperators:\n"
            "  - {name: a, op: matmul, m: 1, k: 2, hard: true}\n"
            "  - {name: b, op: matmul, m: 1, k: 2, threads: 1}\n"
        )
        a, b = load_tasks(path)
        self.assertEqual((a.case.name, a.threads, a.is_hard), ("a", 2, True))
        self.assertEqual((b.case.name, b.threads, b.is_hard), ("b", 1, False))
        self.assertEqual(a.case.attributes, {"n": 4, "m": 1, "k": 2})
        self.assertEqual(b.case.attributes, {"n": 4, "m": 1, "k": 2})

    def test_the_comparison_has_hard_tasks_of_six_kinds_and_others(self) -> None:
        tasks = load_tasks(peers_modules.HERE / "tasks.yaml")
        self.assertEqual(len({task.case.name for task in tasks}), len(tasks))
        hard = [task for task in tasks if task.is_hard]
        self.assertEqual(len(hard), 6)
        self.assertTrue(any(task.threads == 2 for task in hard))
        self.assertLess(len(hard), len(tasks))


class Runs(InFolder):
    def setUp(self) -> None:
        super().setUp()
        self.program = self.folder / "tessera"
        self.program.write_text(FAKE)
        self.program.chmod(self.program.stat().st_mode | stat.S_IXUSR)
        patch = mock.patch.dict(os.environ, {"FAKE_FOLDER": str(self.folder)})
        patch.start()
        self.addCleanup(patch.stop)
        self.out = self.folder / "out"

    def calls(self, verb: str) -> list[str]:
        lines = (self.folder / "calls").read_text().splitlines()
        return [line for line in lines if line.startswith(verb)]

    def test_a_run_is_what_was_measured_in_the_order_of_results(self) -> None:
        plan = Plan(CASE, RANDOM, 3, 1)
        run = plan.make(self.program, self.out)
        self.assertEqual([t.seconds for t in run.trials], [4e-6, 2e-6, 3e-6, None])
        self.assertEqual(run.best_so_far(), [4e-6, 2e-6, 2e-6, 2e-6])
        self.assertEqual((run.best, run.failed, run.winner_seconds), (2e-6, 1, 2e-6))
        self.assertFalse(run.resumed)
        for trial in run.trials:
            self.assertTrue(0 < trial.at < 60)
        (call,) = self.calls("tune")
        self.assertIn("--trials 5 --explorer random --cost-model random --threads 1 --seed 3", call)
        job = json.loads((plan.folder(self.out) / "job.yaml").read_text())
        self.assertEqual(job["operators"], [{"name": "c", "op": "matmul", "m": 2, "n": 2, "k": 3}])
        self.assertEqual(Run.read(plan.result(self.out)), run)
        self.assertEqual(found(self.out), {"c": [(run, plan.folder(self.out))]})
        self.assertFalse((plan.folder(self.out) / "data").exists())  # as large as everything else

    def test_what_is_done_is_not_done_again(self) -> None:
        plan = Plan(CASE, RANDOM, 3, 1)
        self.assertIsNone(plan.done(self.out))
        run = plan.make(self.program, self.out)
        self.assertEqual(plan.done(self.out), run)
        other = replace(plan, method=replace(RANDOM, trials=6))
        with self.assertRaisesRegex(SystemExit, "of another method, operator or number of threads"):
            other.done(self.out)
        with self.assertRaises(SystemExit):
            replace(plan, case=replace(CASE, attributes={"m": 3})).done(self.out)

    def test_every_run_has_a_log_of_its_own(self) -> None:
        prepared = self.folder / "logs" / "c"
        prepared.mkdir(parents=True)
        (prepared / "records").touch()
        Plan(CASE, RANDOM, 0, 1).make(self.program, self.out)
        self.assertEqual((self.folder / "started from").read_text(), "")
        transfer = Method("transfer", trials=5, starts_from=str(prepared.parent))
        (Plan(CASE, transfer, 0, 1).folder(self.out) / "data.part").mkdir(parents=True)  # killed
        Plan(CASE, transfer, 0, 1).make(self.program, self.out)
        self.assertEqual((self.folder / "started from").read_text(), "records")
        self.assertTrue((prepared / "records").exists())
        with self.assertRaisesRegex(SystemExit, "leave_out.py makes it"):
            Plan(replace(CASE, name="d"), transfer, 0, 1).make(self.program, self.out)

    def test_a_run_that_ended_early_goes_on_and_says_so(self) -> None:
        plan = Plan(CASE, OURS, 0, 1)
        (self.folder / "broken").touch()
        with self.assertRaises(subprocess.CalledProcessError):
            plan.make(self.program, self.out)
        self.assertIsNone(plan.done(self.out))
        (self.folder / "broken").unlink()
        self.assertTrue(plan.make(self.program, self.out).resumed)
        keys = {call.split("--key ")[1] for call in self.calls("tune")}
        self.assertEqual(len(keys), 1)  # the same job

    def test_a_failed_run_does_not_end_the_comparison(self) -> None:
        (self.folder / "broken").touch()
        arguments = Namespace(
            tessera=self.program, out=self.out, limit_seconds=0, quiet=math.inf, patience=0
        )
        plans = [Plan(CASE, OURS, seed, 1) for seed in range(2)]
        with mock.patch("builtins.print") as said:
            self.assertEqual(live.make_runs(arguments, plans), (0, 2))
        self.assertIn("no trial succeeded", str(said.call_args_list))
        (self.folder / "broken").unlink()
        with mock.patch("builtins.print"):
            self.assertEqual(live.make_runs(arguments, plans), (0, 0))
        arguments.limit_seconds = 1e-9
        self.assertEqual(live.make_runs(arguments, plans), (0, 0))  # nothing is left to begin
        self.assertEqual(live.make_runs(arguments, [Plan(CASE, RANDOM, 0, 1)]), (1, 0))

    def test_a_log_is_copied_without_the_tasks_workload_and_given_a_model(self) -> None:
        log = self.folder / "log"
        log.mkdir()
        (log / "epoch").write_text("1")
        source = sqlite3.connect(log / "tessera.db")
        source.executescript("""
            CREATE TABLE tasks (id INTEGER, key TEXT, workload_hash TEXT);
            CREATE TABLE jobs (id INTEGER);
            CREATE TABLE job_tasks (job_id INTEGER, task_id INTEGER);
            CREATE TABLE records (task_key TEXT);
            CREATE TABLE events (job_id INTEGER);
            CREATE TABLE models (name TEXT);
            INSERT INTO tasks VALUES (1, 'k1', 'h1'), (2, 'k2', 'h2'), (3, 'k3', 'h1');
            INSERT INTO jobs VALUES (10), (20), (30);
            INSERT INTO job_tasks VALUES (10, 1), (20, 2), (30, 3);
            INSERT INTO records VALUES ('k1'), ('k1'), ('k2'), ('k3');
            INSERT INTO events VALUES (10), (20), (30);
            INSERT INTO models VALUES ('trained on everything');
            CREATE TABLE comparisons (id INTEGER, task_key TEXT);
            CREATE TABLE comparison_programs (comparison_id INTEGER);
            INSERT INTO comparisons VALUES (100, 'k1'), (200, 'k2');
            INSERT INTO comparison_programs VALUES (100), (100), (200);
            """)
        source.close()
        tasks = [Task(CASE, 1, True)]
        hashes = leave_out.workload_hashes(self.program, self.folder / "hashes", tasks)
        self.assertEqual(hashes, {"c": "h1"})
        self.assertFalse((self.folder / "hashes").exists())
        out = self.folder / "logs"
        self.assertEqual(leave_out.prepare(self.program, log, out, "c", "h1"), 3)
        self.assertIn(
            "model train others --server 127.0.0.1:1 --note without c", self.calls("model")
        )
        copy = sqlite3.connect(out / "c" / "tessera.db")
        self.addCleanup(copy.close)

        def rows(table: str) -> list[tuple[object, ...]]:
            return copy.execute(f"SELECT * FROM {table}").fetchall()

        self.assertEqual(rows("tasks"), [(2, "k2", "h2")])
        self.assertEqual(rows("records"), [("k2",)])
        for table in ("jobs", "events"):
            self.assertEqual(rows(table), [(20,)])
        self.assertEqual(rows("job_tasks"), [(20, 2)])
        self.assertEqual(rows("models"), [])
        self.assertEqual(rows("comparisons"), [(200, "k2")])
        self.assertEqual(rows("comparison_programs"), [(200,)])
        self.assertEqual({path.name for path in out.iterdir()}, {"c"})


class Order(unittest.TestCase):
    def test_methods_take_turns_and_take_turns_at_beginning(self) -> None:
        tasks = [Task(replace(CASE, name=name), 1, True) for name in ("a", "b")]
        methods = [RANDOM, OURS, Method("third", 5)]
        plans = list(live.in_turn(tasks, methods, 3))
        self.assertEqual(len({(p.case.name, p.name) for p in plans}), 18)
        self.assertEqual(len(plans), 18)
        rounds = [plans[i : i + 3] for i in range(0, 18, 3)]
        for group in rounds:
            self.assertEqual(len({(p.case.name, p.seed) for p in group}), 1)
        for name in ("a", "b"):
            first = {g[0].method.name for g in rounds if g[0].case.name == name}
            self.assertEqual(first, {"random", "default", "third"})


class Intervals(unittest.TestCase):
    def test_the_median_lies_in_its_interval(self) -> None:
        values = [3.0, 8.0, 5.0, 40.0, 4.0]
        found_interval = median_interval(values)
        self.assertEqual(found_interval.middle, 5.0)
        self.assertTrue(3 <= found_interval.low <= 5 <= found_interval.high <= 40)
        self.assertLess(found_interval.low, found_interval.high)
        self.assertEqual(found_interval, median_interval(values))
        self.assertEqual(median_interval([7.0]), median_interval([7.0, 7.0, 7.0]))

    def test_searches_that_never_got_there_are_infinite(self) -> None:
        self.assertEqual(median_interval([1.0, math.inf, math.inf]).middle, math.inf)
        self.assertEqual(median_interval([1.0, 2.0, math.inf]).middle, 2.0)
        self.assertEqual(median_interval([1.0, 2.0, math.inf]).high, math.inf)

    def test_ratios_are_averaged_geometrically(self) -> None:
        ratio = mean_ratio([([8.0], [2.0]), ([3.0, 3.0], [3.0])])
        self.assertAlmostEqual(ratio.middle, 2.0)
        self.assertAlmostEqual(ratio.low, 2.0)
        self.assertAlmostEqual(ratio.high, 2.0)

    def test_a_ratio_to_what_may_never_come_has_no_low_end(self) -> None:
        ratio = mean_ratio([([100.0], [1.0, 2.0, math.inf]), ([4.0], [2.0])])
        self.assertAlmostEqual(ratio.middle, 10.0)
        self.assertEqual(ratio.low, 0)

    def test_an_interval_needs_values(self) -> None:
        without: tuple[list[list[float]], ...] = ([], [[]], [[1.0], []])
        for samples in without:
            with self.assertRaises(ValueError):
                interval_of(lambda s: median(s[0]), samples)


class Reports(InFolder):
    def searched(self, winners_of: dict[str, Winner] | None = None) -> Searched:
        runs = [
            a_run(RANDOM, 0, [10, None, 5, 4.2]),
            a_run(RANDOM, 1, [10, 9, 8, 4.0]),
            a_run(OURS, 0, [6, 4.01, 4.0]),
            a_run(OURS, 1, [4.0, 5.0, 9.0]),
        ]
        return Searched("c", True, runs, winners_of or {})

    def test_trials_count_against_the_best_of_all_runs(self) -> None:
        one = self.searched()
        self.assertAlmostEqual(one.best, 4e-6)
        trials = [one.trials_to(run, 0.99) for run in one.runs]
        self.assertEqual(trials, [math.inf, 4, 2, 1])
        self.assertEqual(one.trials_to(one.runs[0], 0.95), 4)
        self.assertEqual(one.shares(one.runs[0])[:2], [0.4, 0.4])  # a failure changes nothing

    def test_winners_measured_side_by_side_correct_what_a_run_recorded(self) -> None:
        # The first run was measured while the machine was 1.05 times as slow.
        sides = {"random-0": 4.0, "random-1": 4.0, "default-0": 4.0, "default-1": 4.4}
        one = self.searched({name: Winner("ok", [us, us]) for name, us in sides.items()})
        self.assertAlmostEqual(one.best, 4e-6)
        self.assertEqual(one.trials_to(one.runs[0], 0.99), 4)
        self.assertEqual(one.trials_to(one.runs[3], 0.99), math.inf)  # it was lucky
        self.assertEqual(one.trials_to(one.runs[3], 0.90), 1)

    def test_a_winner_that_was_not_timed_counts_as_recorded(self) -> None:
        one = self.searched({"random-0": Winner("failed", [])})
        self.assertAlmostEqual(one.scale(one.runs[0]), 1.0)

    def test_who_does_not_get_there_bounds_the_ratio(self) -> None:
        one = self.searched()
        found_ratio = ratio_of([one], "default", "random", 0.99)
        assert found_ratio is not None
        ratio, is_bound = found_ratio
        self.assertTrue(is_bound)
        self.assertAlmostEqual(ratio.middle, 4 / 1.5)
        self.assertIsNone(ratio_of([one], "random", "default", 0.99))
        found_ratio = ratio_of([one], "default", "random", 0.9)
        assert found_ratio is not None
        self.assertFalse(found_ratio[1])

    def test_distances_are_of_records(self) -> None:
        runs = [a_run(OURS, 0, [8.0, 4.0] + [4.0] * 6), a_run(OURS, 1, [None, 16.0] + [16.0] * 6)]
        one = Searched("c", True, runs, {"default-0": Winner("ok", [1.0])})
        found_distance = distance([one], "default", 8)
        assert found_distance is not None
        self.assertAlmostEqual(found_distance.middle, 2.0)  # of 4/4 and 16/4
        self.assertIsNone(distance([one], "default", 16))
        self.assertIsNone(distance([one], "random", 8))

    def test_the_report_says_what_was_measured(self) -> None:
        text = markdown([self.searched()])
        self.assertIn("4 runs, 2 seeds a task and method, 14 trials, of which 1 failed", text)
        self.assertIn("by the records of the runs", text)
        self.assertIn("| **c** | 4 | >4 (4–>4) | 1.5 (1–2) |", text)
        self.assertIn("| c | default | 75.0 % | 25.0 % | 0.0 % |", text)

    def test_files_are_written_for_what_was_found(self) -> None:
        self.assertEqual(write_report(self.folder, {}), [])
        for run in self.searched().runs:
            path = self.folder / "runs" / "c" / run.method.name / f"{run.seed}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            run.write(path)
        names = {path.name for path in write_report(self.folder, {"c": True, "later": True})}
        self.assertEqual(names, {"search.md", "trials.csv", "curves.csv", "c.svg"})
        with (self.folder / "trials.csv").open() as file:
            rows = list(csv.DictReader(file))
        self.assertEqual(len(rows), 4)
        self.assertEqual({r["trials_to_99%"] for r in rows if r["method"] == "random"}, {"", "4"})
        (one,) = load(self.folder, {"c": True})
        self.assertTrue(one.is_hard)
        self.assertEqual(one.methods, ["random", "default"])  # the baseline first
        ElementTree.parse(self.folder / "c.svg")


class Plots(unittest.TestCase):
    def test_pictures_are_well_formed_whatever_names_say(self) -> None:
        series = [
            Series("random", [[0.2, 0.4, 0.4, 0.9], [0.3, 0.3, 0.8]]),
            Series("<ours> & more", [[0.5, 1.0]]),
        ]
        svg = draw("a < b", 'say "no"', series)
        root = ElementTree.fromstring(svg)
        space = "{http://www.w3.org/2000/svg}"
        self.assertEqual(len(root.findall(f"{space}polyline")), 2)
        self.assertEqual(len(root.findall(f"{space}polygon")), 2)
        words = [text.text for text in root.iter(f"{space}text")]
        self.assertIn("<ours> & more", words)
        self.assertIn("0 %", words)

    def test_a_run_that_ended_keeps_its_best(self) -> None:
        band = Series("x", [[0.2, 0.4], [0.6]]).band()
        self.assertEqual([middle for _, middle, _ in band], [0.4, 0.5])


class Winners(InFolder):
    def test_a_tasks_rows_are_replaced_together(self) -> None:
        table = Table(self.folder / "winners.csv")
        self.assertEqual(table.load(), {})
        table.replace("a", {"random-0": Winner("ok", [1.5, 2.5]), "x": Winner("failed", [])})
        table.replace("b", {"random-0": Winner("ok", [3.0])})
        table.replace("a", {"random-1": Winner("ok", [1.0])})
        self.assertEqual(
            table.load(),
            {"a": {"random-1": Winner("ok", [1.0])}, "b": {"random-0": Winner("ok", [3.0])}},
        )
        self.assertEqual(Winner("ok", [1.0, 3.0, 2.0]).seconds, 2e-6)
        self.assertIsNone(Winner("failed", []).seconds)

    def test_all_runs_of_a_task_are_measured_whatever_this_one_was_asked_for(self) -> None:
        for method, seed in ((RANDOM, 0), (OURS, 0)):
            plan = Plan(CASE, method, seed, 1)
            plan.folder(self.folder).mkdir(parents=True)
            a_run(method, seed, [4.0]).write(plan.result(self.folder))
        arguments = Namespace(out=self.folder, rounds=3, quiet=math.inf, patience=0)
        asked: list[set[str]] = []

        def measured(cases: dict[str, Case], plan: object) -> dict[str, Winner]:
            asked.append(set(cases))
            return {name: Winner("ok", [4.0]) for name in cases}

        with (
            mock.patch.object(live, "built", lambda folder: CASE),
            mock.patch.object(live, "measure_side_by_side", measured),
            mock.patch("builtins.print"),
        ):
            live.measure_winners(arguments)
            live.measure_winners(arguments)  # nothing new
        self.assertEqual(asked, [{"random-0", "default-0"}])

    @unittest.skipIf(shutil.which("cc") is None, "no C compiler")
    def test_each_winner_is_called_from_its_own_library(self) -> None:
        cases = {name: replace(CASE, library=name) for name in ("a", "b")}
        seen: list[object] = []

        def measure(case: Case, commands: object, plan: object, own: object) -> list[object]:
            seen.append(own)
            return []

        with mock.patch.object(winners, "measure", measure):
            plan = live.timing_plan(Namespace(rounds=3, out=self.folder), 1)
            self.assertEqual(winners.measure_side_by_side(cases, plan), {})
        self.assertEqual(seen, [cases])


class MetaSchedule(InFolder):
    def one(self, seconds: list[float], task: str = "c") -> metaschedule.Compared:
        return metaschedule.Compared(task, 1000, 600.0, 900, 4.0, 3.9, seconds)

    def test_the_clock_stops_at_the_first_program_that_is_as_fast(self) -> None:
        run = a_run(OURS, 0, [10, None, 5, 4.2, 3.0])
        self.assertEqual(metaschedule.seconds_to(run, 1.0, 4.2e-6), 4.0)
        self.assertEqual(metaschedule.seconds_to(run, 1.1, 4.2e-6), 5.0)
        self.assertEqual(metaschedule.seconds_to(run, 2.0, 4.2e-6), math.inf)

    def test_the_table_says_how_many_times_less(self) -> None:
        text = metaschedule.markdown([self.one([10.0, 20.0, 15.0])])
        self.assertIn("| c | 1000 | 900 | 600 | 4 | 3.9 | 15.0 | 40.0 (30.0–60.0) |", text)
        self.assertIn("Geometric mean of all: 40.0 times less", text)

    def test_where_tessera_does_not_get_there_the_table_says_so(self) -> None:
        never = self.one([10.0, math.inf, math.inf], "d")
        text = metaschedule.markdown([self.one([15.0]), never])
        self.assertIn("| never | never (never–60.0) |", text)
        self.assertIn("Geometric mean of the 1 where it got there: 40.0", text)
        self.assertNotIn("Geometric mean", metaschedule.markdown([never]))

    def test_runs_that_were_interrupted_have_no_clock(self) -> None:
        task = Task(CASE, 1, True)
        plans = [Plan(CASE, OURS, seed, 1) for seed in range(2)]
        for plan, resumed in zip(plans, (True, False)):
            plan.folder(self.folder).mkdir(parents=True)
            run = replace(
                a_run(OURS, plan.seed, [6, 4.0], resumed=resumed),
                attributes={"op": CASE.op, **CASE.attributes},
            )
            run.write(plan.result(self.folder))
        work = self.folder / "tvm" / "s-t1" / "c" / "nhwc"
        work.mkdir(parents=True)
        (work / "task.json").write_text(json.dumps({"seconds": 30.0}))
        (work / "database_tuning_record.json").write_text(
            "".join(json.dumps([0, [0, [seconds]]]) + "\n" for seconds in (9e-6, 4.0e-6, 3.99e-6))
        )
        table = Table(self.folder / "winners.csv")
        arguments = Namespace(out=self.folder)
        self.assertIsNone(metaschedule.compared(arguments, task, plans))
        side = {name: Winner("ok", [4.0]) for name in ("default-0", "default-1", "tvm")}
        table.replace("c", side)
        one = metaschedule.compared(arguments, task, plans)
        assert one is not None
        self.assertEqual(one.seconds_to_equal, [2.0])
        self.assertEqual((one.tvm_trials, one.tvm_best_trial, one.tvm_seconds), (3, 2, 30.0))

    def test_what_tvm_cannot_express_is_left_out(self) -> None:
        with mock.patch("builtins.print"):
            self.assertTrue(metaschedule.is_expressible(Task(CASE, 1, False)))
            norm = replace(CASE, op="norm2", attributes={"m": 4, "n": 4})
            self.assertFalse(metaschedule.is_expressible(Task(norm, 1, False)))


if __name__ == "__main__":
    unittest.main()
