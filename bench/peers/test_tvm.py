"""python3 -m unittest discover bench/peers: needs numpy and PyYAML, no TVM."""

from __future__ import annotations

import json
import sys
import tempfile
import unittest
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from case import load_suite
from test_peers import a_case
from tvm_curves import Curves, table, tessera_curve, trials_to
from tvm_ops import LAYOUTS, Layout, largest_block, permutation
from tvm_ops import operator as tvm_operator
from tvm_work import FAILED_SECONDS, Task, best_folder, curve_of, task_folder


class Tvm(unittest.TestCase):
    def test_tvms_subset_has_twelve_operators_that_it_can_express(self) -> None:
        cases = load_suite(Path(__file__).resolve().parent / "tvm_subset.yaml")
        for layout in LAYOUTS:
            self.assertEqual({len(tvm_operator(c, layout).arguments) > 1 for c in cases}, {True})
        self.assertGreaterEqual(len(cases), 12)

    def test_blocked_activations_come_back(self) -> None:
        x = np.random.default_rng(1).random((2, 32, 5, 7))
        layout = Layout(largest_block(32))
        self.assertEqual(layout.pack(x).shape, layout.shape(x.shape))
        np.testing.assert_array_equal(layout.unpack(layout.pack(x)), x)
        self.assertEqual([largest_block(c) for c in (3, 24, 17, 64)], [3, 12, 1, 16])

    def test_packed_weights_are_where_the_compute_reads_them(self) -> None:
        case = a_case(op="conv2d", ic=32, oc=64, size=8, k=3, pad=1, groups=2, layout="any")
        op = tvm_operator(case, "nchwc")
        rng = np.random.default_rng(1)
        w = rng.random((64, 16, 3, 3))
        packed = op.pack({"X": rng.random((1, 32, 8, 8)), "W": w})[1]
        self.assertEqual(packed.shape, dict(op.arguments)["W"])
        self.assertEqual(packed[3, 0, 2, 1, 5, 7], w[3 * 16 + 7, 5, 2, 1])

    def test_channels_last_arguments_have_their_shapes(self) -> None:
        conv: dict[str, Any] = {"size": 8, "k": 3, "pad": 1, "layout": "any", "bias": True}
        rng = np.random.default_rng(1)
        cases: list[dict[str, Any]] = [{"op": "conv2d", "ic": 4, "oc": 6}]
        for more in (*cases, {"op": "depthwise_conv2d", "c": 4}):
            op = tvm_operator(a_case(**conv, **more))
            w = rng.random((6, 4, 3, 3) if "oc" in more else (4, 1, 3, 3))
            values = {"X": rng.random((1, 4, 8, 8)), "W": w, "Bias": rng.random(len(w))}
            packed = op.pack(values)
            self.assertEqual([p.shape for p in packed], [s for _, s in op.arguments[:-1]])
            at = (2, 1, 3) if "oc" in more else (2, 1)
            self.assertEqual(packed[1][*at, 1], w[1, 3 if "oc" in more else 0, 2, 1])

    def test_a_permutation_follows_the_index_map(self) -> None:
        w = np.arange(8 * 6).reshape(8, 6)
        order = permutation(
            (8, 6), (3, 4, 2, 2), ["i0", "i1"], ["i1 // 2", "i0 % 4", "i0 // 4", "i1 % 2"]
        )
        packed = w.reshape(-1)[order].reshape(3, 4, 2, 2)
        self.assertEqual(packed[2, 3, 1, 1], w[4 + 3, 5])

    def test_a_permutation_with_holes_is_refused(self) -> None:
        with self.assertRaises(ValueError):
            permutation((4,), (8,), ["i0"], ["i0"])

    def test_a_tuned_task_is_known_by_its_attributes_and_trials(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            lines = [[0, [[], [2e-3, 1e-3]]], [0, [[], [1e10]]], [0, [[], None]]]
            (folder / "database_tuning_record.json").write_text(
                "".join(json.dumps(line) + "\n" for line in lines)
            )
            task = Task("c", "{}", 1, "nhwc", 3)
            self.assertFalse(task.is_done(folder))
            task.add_seconds(folder, 1.5)
            task.add_seconds(folder, 2.0)
            task.write(folder, curve_of(folder), [[1]], "1")
            self.assertTrue(task.is_done(folder))
            self.assertFalse(replace(task, trials=4).is_done(folder))
            with self.assertRaises(SystemExit):
                replace(task, attributes="other").is_done(folder)
            written = json.loads((folder / "task.json").read_text())
        self.assertEqual((written["failed"], written["seconds"]), (2, 3.5))
        self.assertAlmostEqual(written["best_us"], 1000)

    def test_the_layout_that_was_faster_is_measured(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            work, case = Path(name), a_case()
            self.assertIsNone(best_folder(work, case, 1))
            for layout, seconds in (("nhwc", 2e-3), ("nchwc", 1e-3), ("unfinished", 1e-9)):
                folder = task_folder(work, case, 1, layout)
                folder.mkdir(parents=True)
                line = json.dumps([0, [[], [seconds]]])
                (folder / "database_tuning_record.json").write_text(line)
                if layout != "unfinished":
                    (folder / "task.json").write_text("{}")
            self.assertEqual(best_folder(work, case, 1), task_folder(work, case, 1, "nchwc"))
            self.assertIsNone(best_folder(work, case, 2))


class TvmCurves(unittest.TestCase):
    def test_trials_count_against_the_best_of_either(self) -> None:
        curves = Curves("c", [4.0, FAILED_SECONDS, 1.0], [2.0, 1.04, 1.5])
        self.assertEqual(trials_to(curves.tessera, 4.0), 1)
        cells = [cell.strip() for cell in curves.row().strip("|").split("|")]
        self.assertEqual(cells[3:9], ["3", "3", "3", "2", "2", "never"])
        self.assertEqual(cells[9:], ["3 (1)", "3 (0)"])
        text = table([curves, Curves("d", [1.0], [])])
        self.assertIn("1.040, geometric mean of 1.", text)
        self.assertIn("Not tuned by both: d.", text)

    def test_tesseras_records_are_put_in_the_order_of_trials(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "c.jsonl"
            rows = [
                {"trial": 1, "outcome": "timeout", "cost_seconds": 0},
                {"trial": 0, "outcome": "ok", "cost_seconds": 2.0},
            ]
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
            self.assertEqual(tessera_curve(path), [2.0, FAILED_SECONDS])
