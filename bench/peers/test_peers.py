"""python3 -m unittest discover bench/peers: needs numpy and PyYAML, no peer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from agree import judge
from case import Case, Tensor, load_cases, make_inputs
from driver import Command, Outcome, Plan, measure
from geometry import convolution, operator_class, product
from report import markdown
from rows import Results, case_key, make_row
from summary import best, geometric_mean, ratio

FAKE = """
import json, os, sys
import numpy as np
seconds, value, behaviour = float(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
for line in sys.stdin:
    request = json.loads(line)
    if request["do"] == "prepare":
        if behaviour == "crash":
            os.abort()
        reason = "no such operator" if behaviour == "unsupported" else None
        answer = {"version": "1", "overhead_seconds": 0.0, "unsupported": reason}
    elif request["do"] == "run":
        if behaviour == "dies":
            sys.exit(3)
        answer = {"samples": [seconds * 1.5, seconds]}
    else:
        np.save(request["path"], np.full((2, 2), value, np.float32))
        answer = {"paths": [request["path"]]}
    print(json.dumps(answer), flush=True)
"""


def fake(seconds: float, value: float = 1.0, behaviour: str = "works") -> Command:
    return [sys.executable, "-c", FAKE, str(seconds), str(value), behaviour], {}


def a_case(name: str = "c", op: str = "matmul", **attributes: Any) -> Case:
    tensors = (
        Tensor("A", "input", (2, 3), "f32", 24),
        Tensor("B", "constant", (3, 2), "f32", 24),
        Tensor("Y", "output", (2, 2), "f32", 16),
    )
    attributes = attributes or {"m": 2, "n": 2, "k": 3}
    return Case("suite", name, op, attributes, "/nowhere", "0123456789abcdef", 64, tensors)


class Statistics(unittest.TestCase):
    def test_ratio_of_medians_lies_in_its_interval(self) -> None:
        result = ratio([2.0, 2.2, 2.1, 2.3, 9.0], [1.0, 1.1, 1.0, 1.2, 1.1])
        self.assertAlmostEqual(result.value, 2.2 / 1.1)
        self.assertLessEqual(result.low, result.value)
        self.assertGreaterEqual(result.high, result.value)

    def test_load_common_to_a_round_cancels(self) -> None:
        tessera = [1.0, 4.0, 2.0, 8.0, 1.5]
        result = ratio([3 * t for t in tessera], tessera)
        self.assertAlmostEqual(result.low, 3.0)
        self.assertAlmostEqual(result.high, 3.0)

    def test_rounds_must_pair(self) -> None:
        with self.assertRaises(ValueError):
            ratio([1.0], [1.0, 2.0])

    def test_geometric_mean_and_best(self) -> None:
        self.assertAlmostEqual(geometric_mean([0.5, 2.0]), 1.0)
        self.assertEqual(best({"a": [3.0, 1.0, 3.0], "b": [2.0, 2.0, 9.0]}), "b")


class Verdicts(unittest.TestCase):
    def test_the_odd_one_is_wrong(self) -> None:
        x = np.ones((4, 4), np.float32)
        outputs = {"a": [x], "b": [x + 1e-6], "c": [x + 0.01]}
        self.assertEqual(judge(outputs), {"a": "ok", "b": "ok", "c": "wrong"})

    def test_two_that_differ_disagree(self) -> None:
        x = np.ones(4, np.float32)
        self.assertEqual(set(judge({"a": [x], "b": [2 * x]}).values()), {"disagree"})

    def test_not_a_number_is_never_right(self) -> None:
        x = np.full(4, np.nan, np.float32)
        self.assertEqual(judge({"a": [x]}), {"a": "wrong"})
        self.assertEqual(set(judge({"a": [x], "b": [x]}).values()), {"disagree"})

    def test_integers_must_be_equal(self) -> None:
        x = np.arange(4, dtype=np.int32)
        verdicts = judge({"a": [x], "b": [x], "c": [x + 1]})
        self.assertEqual(verdicts["c"], "wrong")


class Cases(unittest.TestCase):
    def test_attributes_come_from_the_suite_by_name(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            library, suite = Path(folder), Path(folder) / "s.yaml"
            tensor = {"name": "X", "role": "input", "shape": [1], "type": "f32", "stored_bytes": 4}
            op = {"name": "a", "object_sha256": "x", "packed_bytes": 0, "tensors": [tensor]}
            (library / "manifest.json").write_text(json.dumps({"ops": [op]}))
            suite.write_text(
                "name: s\ndefaults: {conv2d: {relu: true, k: 1}}\n"
                "operators:\n  - {name: a, op: conv2d, k: 3}\n  - {name: b, op: conv2d}\n"
            )
            (case,) = load_cases([library], [suite])
        self.assertEqual((case.name, case.number("k"), case.flag("relu")), ("a", 3, True))
        self.assertEqual(Case.from_json(json.loads(json.dumps(case.to_json()))), case)

    def test_inputs_depend_on_seed_and_name_only(self) -> None:
        first, again = make_inputs(a_case(), 1), make_inputs(a_case(), 1)
        np.testing.assert_array_equal(first["A"], again["A"])
        self.assertFalse(np.array_equal(first["A"], make_inputs(a_case(), 2)["A"]))
        self.assertFalse(np.array_equal(first["A"], make_inputs(a_case("d"), 1)["A"]))

    def test_shapes_of_convolutions(self) -> None:
        dilated = convolution(
            a_case(op="conv2d", ic=8, oc=16, size=14, k=3, pad=1, stride=1, dilation=2, groups=4)
        )
        assert dilated is not None
        self.assertEqual(dilated.result, (1, 16, 12, 12))
        self.assertEqual(dilated.weights, (16, 2, 3, 3))
        turned = convolution(a_case(op="t2d", ic=512, oc=256, size=4, k=4, stride=2, pad=1))
        assert turned is not None
        self.assertEqual(turned.result, (1, 256, 8, 8))

    def test_a_capsule_convolution_is_a_convolution(self) -> None:
        rng = np.random.default_rng(1)
        case = a_case(op="capsule_conv2d", n=2, ic=3, oc=5, size=4, k=1, capsule=2)
        conv = convolution(case)
        assert conv is not None
        x = rng.random((2, 2, 2, 3, 4, 4))  # n, i, k, ic, h, w
        w = rng.random((2, 2, 3, 5, 1, 1))  # k, j, ic, oc, 1, 1
        expected = np.einsum("nikchw,kjcoxy->nijohw", x, w)
        plain = conv.weights_of({"W": w})[:, :, 0, 0]
        actual = np.einsum("nchw,oc->nohw", x.reshape(conv.source), plain)
        np.testing.assert_allclose(actual.reshape(expected.shape), expected)

    def test_classes(self) -> None:
        self.assertEqual(operator_class(a_case(m=1, n=8, k=8)), "gemv")
        conv: dict[str, Any] = {"op": "conv2d", "ic": 4, "oc": 4, "size": 8, "k": 3, "pad": 1}
        self.assertEqual(operator_class(a_case(**conv)), "conv2d 3x3 stride 1")
        self.assertEqual(operator_class(a_case(**conv, groups=2)), "conv2d grouped")
        p = product(a_case(op="batch_matmul", batch=2, m=2, n=2, k=2))
        assert p is not None
        self.assertFalse(p.constant)


class Driving(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.plan = Plan(1, 3, 0.01, 1, 20.0, Path(folder.name))

    def test_wrong_absent_and_broken_peers_are_reported_not_timed(self) -> None:
        commands = {
            "tessera": fake(1e-3),
            "right": fake(2e-3),
            "wrong": fake(1e-6, value=2.0),
            "absent": fake(1e-6, behaviour="unsupported"),
            "crashes": fake(1e-6, behaviour="crash"),
            "dies": fake(1e-6, behaviour="dies"),
        }
        outcomes = {o.peer: o for o in measure(a_case(), commands, self.plan)}
        status = {name: o.status for name, o in outcomes.items()}
        self.assertEqual(
            status,
            {
                "tessera": "ok",
                "right": "ok",
                "wrong": "wrong",
                "absent": "unsupported",
                "crashes": "failed",
                "dies": "failed",
            },
        )
        self.assertEqual(outcomes["tessera"].round_minima, [1e-3] * 3)
        self.assertEqual(outcomes["wrong"].round_minima, [])
        self.assertIn(str(-signal.SIGABRT), outcomes["crashes"].reason)

    def test_peers_die_with_the_driver(self) -> None:
        script = (
            "import sys, time; from pathlib import Path; from driver import Process\n"
            "p = Process(([sys.executable, '-c', 'input()'], {}), Path('/dev/null'), {%d}, 9.0)\n"
            "print(p._process.pid, flush=True); time.sleep(60)"
        ) % min(os.sched_getaffinity(0))
        folder = Path(__file__).resolve().parent
        driver = subprocess.Popen(
            [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=folder
        )
        assert driver.stdout
        child = Path("/proc") / driver.stdout.readline().strip() / "stat"
        self.assertTrue(child.exists())
        driver.kill()
        driver.wait()
        driver.stdout.close()

        def is_alive() -> bool:  # a zombie that nobody has waited for yet is dead
            return child.exists() and child.read_text().rpartition(")")[2].split()[0] != "Z"

        deadline = time.monotonic() + 10
        while is_alive() and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assertFalse(is_alive())

    def test_a_run_resumes_case_by_case(self) -> None:
        path = self.plan.out / "results.csv"
        outcome = Outcome("tessera", "ok", round_minima=[1e-3] * 3)
        other = Outcome("onednn", "ok", round_minima=[2e-3] * 3)
        for name in ("first", "second"):
            rows = [
                make_row(a_case(name), self.plan, o, 0.1, "now", "box") for o in (outcome, other)
            ]
            Results(path).append(rows)
        path.write_bytes(path.read_bytes()[:-40])  # killed while it wrote
        known = Results(path).load()
        self.assertEqual(set(known[case_key(a_case("first"), self.plan)]), {"tessera", "onednn"})
        self.assertEqual(set(known[case_key(a_case("second"), self.plan)]), {"tessera"})
        rows = [
            make_row(a_case("second"), self.plan, o, 0.1, "now", "box") for o in (outcome, other)
        ]
        Results(path).append(rows)
        known = Results(path).load()
        self.assertEqual(set(known[case_key(a_case("second"), self.plan)]), {"tessera", "onednn"})
        self.assertEqual(len(known), 2)
        table = markdown(list(known.values()))
        self.assertIn("| all | 2 | 2.000 | 2.000 |", table)


if __name__ == "__main__":
    unittest.main()
