"""python3 -m unittest discover bench/search: needs numpy and PyYAML. A program plays `tessera`."""

from __future__ import annotations

import itertools
import json
import lzma
import math
import os
import random
import stat
import subprocess
import sys
import tempfile
import time
import unittest
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent))

import collect
import peers_modules
from collection import Entry, choose, enumerated, load, pilot, refined, sampled
from collector import NATIVE, Collector, Conditions, Failed, Unit
from quiet import OutsideLoad, wait_until_quiet
from service import Service
from sets import DataSet, median_trials, summary
from tasks import load_tasks

HEADER = """# tessera-data: 1
# name: {task}
# threads: 1
# class: x86/test
# commit: 0123abc
# kind: {kind}
# rows: 4
# workload: workload a
# workload: line two
"""
ROWS = """0000000000000001\tok\t2e-05\t{"sketch":"a"}
0000000000000002\tok\t1e-05\t{"sketch":"b"}
0000000000000003\trun_error\t\t{"sketch":"c"}
0000000000000004\tok\t1.005e-05\t{"sketch":"d"}
"""

# Remembers its calls. Jobs are numbered from 7, one a key; `tune` ends as the file "tune" says.
FAKE = f"""#!{sys.executable}
import json, os, signal, sys, time
from pathlib import Path
verb, words, folder = sys.argv[1], sys.argv[2:], Path(os.environ["FAKE_FOLDER"])
with (folder / "calls").open("a") as file:
    file.write(" ".join(sys.argv[1:]) + chr(10))
def word(name):
    return words[words.index(name) + 1]
if verb == "up":
    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
    print("ready 127.0.0.1:1", flush=True)
    while True:
        time.sleep(0.05)
elif verb == "tune":
    keys = folder / "keys"
    known = keys.read_text().splitlines() if keys.exists() else []
    if word("--key") not in known:
        known.append(word("--key"))
        keys.write_text(chr(10).join(known))
    print(f"job {{7 + known.index(word('--key'))}}: 1 tasks", file=sys.stderr, flush=True)
    how = (folder / "tune").read_text() if (folder / "tune").exists() else ""
    if how == "cancelled" and len(known) == 1:
        sys.exit(130)
    if how == "fails":
        sys.exit("no trial succeeded")
elif verb == "jobs" and "--json" in words:
    print(json.dumps({{"machine": {{"device_class": "x86/test"}}}}))
elif verb == "jobs":
    print((folder / "joblist").read_text() if (folder / "joblist").exists() else "job  state")
elif verb == "watch":
    watched = len([x for x in (folder / "calls").read_text().splitlines() if x.startswith("watch")])
    if watched == 1:
        sys.exit("the connection was lost")
    (folder / "joblist").unlink()
elif verb == "dataset":
    if (folder / "missing").exists():
        sys.exit("3 programs have no row")
    text = {HEADER!r}.format(task=word("--task"), kind=word("--kind")) + {ROWS!r}
    Path(word("--out")).write_text(text)
elif verb == "devices":
    print(json.dumps([{{"target": "x86/avx512 l1=1"}}]))
elif verb == "space":
    print("title" + chr(10) + "123 configs (counted)")
"""

ENTRY = Entry("mm", "matmul", {"m": 2, "n": 2, "k": 3}, frozenset(), False, None)
PINNED = replace(ENTRY, name="pinned", pins={"sketch": ["direct"]})
CONDITIONS = Conditions(quiet_cores=1000, patience_seconds=0, commit="0123abc")


class WithFake(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.sets = self.folder / "sets"
        self.program = self.folder / "tessera"
        self.program.write_text(FAKE)
        self.program.chmod(self.program.stat().st_mode | stat.S_IXUSR)
        for patch in (
            mock.patch.dict(os.environ, {"FAKE_FOLDER": str(self.folder)}),
            mock.patch("quiet.PROBE_SECONDS", 0.01),
        ):
            patch.start()
            self.addCleanup(patch.stop)

    def collect(self, unit: Unit) -> Path:
        with Service(self.program, self.folder) as service, redirect_stdout(StringIO()):
            return Collector(service, self.folder, self.sets, CONDITIONS).collect(unit)

    def calls(self, verb: str) -> list[str]:
        lines = (self.folder / "calls").read_text().splitlines()
        return [line for line in lines if line.startswith(verb + " ")]


class Collecting(WithFake):
    def test_a_sample_is_two_jobs_and_one_data_set(self) -> None:
        path = self.collect(sampled(ENTRY, NATIVE, 2, 1000, 1))
        self.assertEqual(path, self.sets / "sampled" / "mm-native-t2.data")
        first, second = self.calls("tune")
        self.assertIn("--explorer random --prior none --trials 401 --seed 0 ", first)
        self.assertIn("--explorer random --prior none --trials 601 --seed 1 ", second)
        job = json.loads((self.folder / "jobs" / "mm-native-t2-pilot.yaml").read_text())
        self.assertEqual((job["threads"], job["operators"][0]["op"]), (2, "matmul"))
        self.assertNotIn("pins", job)
        (made,) = self.calls("dataset")
        self.assertIn("--task mm --kind sampled --job 7 --job 8 --device-class x86/test", made)
        self.assertIn("--commit 0123abc --remark bench/search/collect.py; cores that others", made)

    def test_a_second_pass_measures_the_same_programs_again(self) -> None:
        self.collect(sampled(ENTRY, NATIVE, 1, 1000, 1))
        self.collect(sampled(ENTRY, NATIVE, 1, 1000, 2))
        calls = [call.split(" --prior none ")[1] for call in self.calls("tune")]
        asked, keys = zip(*(call.split(" --key collect mm-native-t1 ") for call in calls))
        self.assertEqual([key.split()[0] for key in keys], ["pilot", "more", "pilot2", "more2"])
        self.assertEqual(asked[:2], asked[2:])
        self.assertIn("--job 7 --job 8 --job 9 --job 10 ", self.calls("dataset")[1])

    def test_what_is_done_is_not_done_again_unless_it_has_changed(self) -> None:
        unit = sampled(ENTRY, NATIVE, 1, 1000, 1)
        self.collect(unit)
        before = self.calls("up")
        self.collect(unit)
        self.assertEqual(self.calls("up"), before)  # nothing was started
        self.collect(sampled(ENTRY, NATIVE, 1, 1200, 1))  # the pilot is the same
        self.assertEqual(
            [c.split(" --key ")[1].split()[2] for c in self.calls("tune")],
            ["pilot", "more", "more"],
        )
        self.collect(sampled(replace(ENTRY, attributes={"m": 4}), NATIVE, 1, 1200, 1))
        self.assertEqual(len(self.calls("tune")), 5)

    def test_a_pilot_is_the_beginning_of_the_sample(self) -> None:
        path = self.collect(pilot(ENTRY, NATIVE, 1))
        self.assertEqual(path.parent.name, "pilot")
        self.assertIn("--kind sampled --job 7 ", self.calls("dataset")[0])
        self.collect(sampled(ENTRY, NATIVE, 1, 1000, 1))
        self.assertEqual(len(self.calls("tune")), 2)
        self.assertIn("--job 7 --job 8", self.calls("dataset")[1])

    def test_an_enumeration_is_a_grid_within_pins(self) -> None:
        self.collect(enumerated(PINNED, "avx2", 1, 5000))
        self.assertIn("--explorer grid --prior none --trials 5000 ", self.calls("tune")[0])
        self.assertIn("--kind enumerated", self.calls("dataset")[0])
        job = json.loads((self.folder / "jobs" / "pinned-avx2-t1-all.yaml").read_text())
        self.assertEqual(job["pins"], {"sketch": ["direct"]})

    def test_a_refinement_measures_the_fastest_again_in_other_orders(self) -> None:
        table = self.collect(enumerated(PINNED, NATIVE, 1, 5000))
        data = DataSet.read(table)
        with mock.patch("collection.REFINED_FASTEST", 2), mock.patch(
            "collection.REFINED_OTHERS", 1
        ):
            unit = refined(PINNED, NATIVE, 1, 5000, data, passes=3)
        self.collect(unit)
        all_parts = [call.split(" --key ")[1].split()[2] for call in self.calls("tune")]
        self.assertEqual(all_parts, ["all", "again1", "again2", "again3"])
        self.assertIn("--explorer grid --prior none --trials 4 ", self.calls("tune")[1])
        made = self.calls("dataset")[1]
        self.assertIn("--kind enumerated --job 7 --job 8 --job 9 --job 10 ", made)
        orders = []
        for number in (1, 2, 3):
            path = self.folder / "jobs" / f"pinned-native-t1-again{number}.yaml"
            pins = json.loads(path.read_text())["pins"]
            orders.append([config["sketch"] for config in pins["configs"]])
            self.assertEqual(sorted(orders[-1]), ["a", "b", "d"])  # c failed
        self.assertGreater(len({tuple(order) for order in orders}), 1)

    def test_what_was_measured_before_an_export_that_failed_is_kept(self) -> None:
        (self.folder / "missing").touch()
        with self.assertRaisesRegex(Failed, "3 programs have no row"):
            self.collect(sampled(ENTRY, NATIVE, 1, 1000, 1))
        (self.folder / "missing").unlink()
        self.collect(sampled(ENTRY, NATIVE, 1, 1000, 1))
        self.assertEqual(len(self.calls("tune")), 2)

    def test_a_job_that_somebody_cancelled_is_begun_anew(self) -> None:
        (self.folder / "tune").write_text("cancelled")
        self.collect(pilot(ENTRY, NATIVE, 1))
        keys = [call.split(" --key ")[1] for call in self.calls("tune")]
        self.assertEqual(keys[1], keys[0] + " 1")
        self.assertIn("--job 8 ", self.calls("dataset")[0])

    def test_a_job_that_failed_is_said_and_tried_again(self) -> None:
        (self.folder / "tune").write_text("fails")
        with self.assertRaisesRegex(Failed, "no trial succeeded"):
            self.collect(pilot(ENTRY, NATIVE, 1))
        (self.folder / "tune").unlink()
        self.collect(pilot(ENTRY, NATIVE, 1))
        self.assertEqual(len(set(call.split(" --key ")[1] for call in self.calls("tune"))), 1)

    def test_jobs_that_a_killed_run_left_are_waited_for(self) -> None:
        (self.folder / "joblist").write_text("job  state\n  3  running  x\n  2  done  y\n")
        self.collect(pilot(ENTRY, NATIVE, 1))
        self.assertEqual(self.calls("watch"), 2 * ["watch --server 127.0.0.1:1 3"])
        order = [line.split()[0] for line in (self.folder / "calls").read_text().splitlines()]
        self.assertLess(order.index("watch"), order.index("tune"))

    def test_the_command_goes_on_after_a_task_that_failed(self) -> None:
        (self.folder / "tune").write_text("fails")
        with Service(self.program, self.folder) as service, redirect_stdout(StringIO()) as said:
            collector = Collector(service, self.folder, self.sets, CONDITIONS)
            failed = collect.collect(collector, [pilot(ENTRY, NATIVE, 1), pilot(PINNED, NATIVE, 1)])
        self.assertEqual(failed, 2)
        self.assertIn("2/2 pilot pinned-native-t1\n  failed: no trial succeeded", said.getvalue())

    def test_a_worker_has_the_ceiling_that_is_asked_for(self) -> None:
        tasks = self.folder / "tasks.yaml"
        tasks.write_text(
            "sampled: [{name: a, op: relu, n: 4, also: [isa]}, {name: b, op: relu, n: 4}]\n"
            "enumerated: []\n"
        )
        words = ["collect", "pilot", "--isa", "avx2", "--tasks", tasks, "--out", self.sets]
        words += ["--tessera", self.program, "--quiet", 1000]
        with mock.patch.object(sys, "argv", [str(w) for w in words]):
            with redirect_stdout(StringIO()):
                self.assertEqual(collect.main(), 0)
        self.assertTrue(self.calls("up")[0].endswith(" --isa avx2"))
        self.assertEqual(len(self.calls("tune")), 1)
        self.assertIn("a-avx2-t1", self.calls("tune")[0])
        self.assertIn("| pilot | a | x86/test |", (self.sets / "summary.md").read_text())

    def test_sizes_are_counted_for_the_devices_target(self) -> None:
        with Service(self.program, self.folder) as service:
            text = collect.sizes(service, self.folder, [enumerated(PINNED, NATIVE, 1, 5)])
        self.assertEqual(text, "pinned: 123 configs (counted)")
        self.assertIn("--target x86/avx512 l1=1 ", self.calls("space")[0])


class Tasks(unittest.TestCase):
    def write(self, text: str) -> Path:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = Path(folder.name) / "tasks.yaml"
        path.write_text(text)
        return path

    def test_what_is_collected_is_enough(self) -> None:
        sections = load(peers_modules.HERE / "collect.yaml")
        self.assertGreaterEqual(len(sections["sampled"]), 20)
        self.assertGreaterEqual(len({entry.op for entry in sections["sampled"]}), 10)
        self.assertGreaterEqual(len(choose(sections["sampled"], "", "avx2", 1)), 8)
        self.assertGreaterEqual(len(choose(sections["sampled"], "", None, 2)), 6)
        easy = {entry.name for entry in sections["sampled"] if entry.is_easy}
        self.assertEqual(easy, {"c9", "gemm_512", "gemv_1024"})
        self.assertGreaterEqual(len(sections["enumerated"]), 6)

    def test_what_models_are_to_learn_from_has_no_task_that_they_are_judged_by(self) -> None:
        def workload(op: str, attributes: dict[str, Any]) -> str:
            return json.dumps([op, {k: str(v) for k, v in attributes.items()}], sort_keys=True)

        varied = load(peers_modules.HERE / "varied.yaml")["sampled"]
        learned = {workload(entry.op, entry.attributes) for entry in varied}
        self.assertEqual(len(learned), len(varied))
        self.assertGreaterEqual(len(varied), 100)
        sections = load(peers_modules.HERE / "collect.yaml")
        for entry in sections["sampled"] + sections["enumerated"]:
            self.assertNotIn(workload(entry.op, entry.attributes), learned, entry.name)
        # Those of live searches are among the sampled ones.
        tasks = {task.case.name for task in load_tasks(peers_modules.HERE / "tasks.yaml")}
        self.assertLessEqual(tasks, {entry.name for entry in sections["sampled"]})

    def test_what_models_learned_from_has_no_task_that_they_are_judged_by(self) -> None:
        def workloads(folder: str) -> list[str]:
            found = []
            for path in sorted((peers_modules.HERE / "data" / folder).glob("*.data.xz")):
                with lzma.open(path, "rt") as file:
                    header = list(itertools.takewhile(lambda line: line.startswith("#"), file))
                mark = "# workload: "
                lines = [line.removeprefix(mark) for line in header if line.startswith(mark)]
                found.append("".join(lines[1:]))  # the first has the name
            return found

        learned = workloads("varied")
        self.assertGreaterEqual(len(learned), 100)
        self.assertEqual(len(set(learned)), len(learned))
        judged = set(workloads("sampled") + workloads("refined"))
        self.assertGreaterEqual(len(judged), 30)
        self.assertEqual(judged & set(learned), set())

    def test_attributes_are_the_entry_s_and_the_defaults(self) -> None:
        sections = load(
            self.write(
                "defaults: {conv2d: {layout: any, pad: 1}}\n"
                "sampled: [{name: a, op: conv2d, pad: 2, also: [isa], easy: true}]\n"
                "enumerated: [{name: b, op: relu, n: 4, pins: {sketch: [x]}}]\n"
            )
        )
        (a,), (b,) = sections["sampled"], sections["enumerated"]
        self.assertEqual(a.attributes, {"layout": "any", "pad": 2})
        self.assertEqual((a.also, a.is_easy, a.pins), (frozenset({"isa"}), True, None))
        self.assertEqual(b.pins, {"sketch": ["x"]})
        self.assertEqual([e.name for e in choose([a, b], "", "avx2", 1)], ["a"])
        self.assertEqual(choose([a, b], "", "avx2", 2), [])
        self.assertEqual([e.name for e in choose([a, b], "b", None, 1)], ["b"])

    def test_faults_are_named(self) -> None:
        for text, fault in (
            ("sampled: [{name: a, op: b, also: [gpu]}]\nenumerated: []", "also is"),
            ("sampled: [{name: a, op: b, pins: {}}]\nenumerated: []", "pins are for"),
            ("sampled: []\nenumerated: [{name: a, op: b}]", "pins are for"),
            (
                "sampled: [{name: a, op: b}, {name: a, op: c}]\nenumerated: []",
                "a: names come twice",
            ),
        ):
            with self.assertRaisesRegex(SystemExit, fault):
                load(self.write(text))


class Sets(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / "sampled" / "t.data"
        self.path.parent.mkdir()
        self.path.write_text(HEADER.format(task="t", kind="sampled") + ROWS)

    def test_a_file_is_read(self) -> None:
        data = DataSet.read(self.path)
        self.assertEqual(data.header["workload"], "workload a\nline two")
        self.assertEqual(data.seconds, [2e-5, 1e-5, math.inf, 1.005e-5])
        self.assertEqual((data.best, data.within(0.99), data.within(0.4)), (1e-5, 2, 3))

    def test_a_summary_has_a_row_a_set(self) -> None:
        self.path.with_suffix(".json").write_text(
            json.dumps({"parts": {"a": {"other_cores": 0.1}, "b": {"other_cores": 0.24}}})
        )
        row = summary(self.path.parent.parent).splitlines()[-1]
        cells = "| sampled | t | x86/test | 1 | 4 | 1 | 10 | 1.00 | 2 | 2 | 1 | 0.24 | 0123abc |"
        self.assertEqual(row, cells)

    def test_median_trials_are_those_of_draws_without_replacement(self) -> None:
        self.assertEqual(median_trials(1, 1), 1)
        self.assertEqual(median_trials(10, 10), 1)
        self.assertEqual(median_trials(100, 1), 50)
        rng = random.Random(1)
        first = []
        for _ in range(4000):
            first.append(1 + min(rng.sample(range(300), 7)))
        first.sort()
        self.assertAlmostEqual(median_trials(300, 7), first[2000], delta=2)


class Quiet(unittest.TestCase):
    def test_what_this_program_started_is_no_load_from_outside(self) -> None:
        load = OutsideLoad()
        script = (
            "import subprocess, sys; subprocess.run([sys.executable, '-c', 'while True: pass'])"
        )
        child = subprocess.Popen([sys.executable, "-c", script], start_new_session=True)
        own, deadline = 0.0, time.monotonic() + 30
        while own <= 0.3 and time.monotonic() < deadline:
            time.sleep(0.05)
            own = OutsideLoad._read()[2] - load._start[2]
        os.killpg(child.pid, 9)
        child.wait()
        self.assertGreater(own, 0.3)

    def test_a_busy_machine_is_refused_after_patience(self) -> None:
        busy: list[Any] = [mock.Mock(**{"cores.return_value": c}) for c in (0.9, 0.9, 0.1)]
        with mock.patch("quiet.OutsideLoad", side_effect=busy), redirect_stdout(StringIO()):
            with mock.patch("quiet.PROBE_SECONDS", 0):
                wait_until_quiet(0.2, 60)
        busy = [mock.Mock(**{"cores.return_value": 0.9})]
        with mock.patch("quiet.OutsideLoad", side_effect=busy):
            with mock.patch("quiet.PROBE_SECONDS", 0.01):
                with self.assertRaisesRegex(SystemExit, "keep 0.90 cores busy, more than 0.2"):
                    wait_until_quiet(0.2, 0)


if __name__ == "__main__":
    unittest.main()
