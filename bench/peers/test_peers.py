"""python3 -m unittest discover bench/peers: needs numpy and PyYAML, no peer."""

from __future__ import annotations

import csv
import ctypes
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

import dnnl
from agree import agrees, judge, long_sum
from blas_peer import BlasPeer
from case import Case, Tensor, Unsupported, load_cases, load_suite, make_inputs
from compare import compile_calls, dnnl_libraries
from dnnl2 import open_library
from driver import Command, OtherLoad, Outcome, Plan, measure
from geometry import convolution, operator_class, product, refuse_requantized
from report import markdown, summary_csv
from rows import Circumstances, Results, case_key, make_row
from storage import exact, from_stored, to_stored
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
        library = request["case"]["library"]
        answer = {"version": library, "overhead_seconds": 0.0, "unsupported": reason}
    elif request["do"] == "run":
        if behaviour == "dies":
            sys.exit(3)
        answer = {"samples": [seconds * 1.5, seconds]}
    else:
        np.save(request["path"], np.full((2, 2), value, np.float32))
        answer = {"paths": [request["path"]]}
    print(json.dumps(answer), flush=True)
"""


SEEN = Circumstances(0.1, 0.2, "now", "box")


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

    def test_a_long_sum_may_lose_what_adding_one_by_one_loses(self) -> None:
        shape = (1, 1 << 24)
        tensors = (Tensor("X", "input", shape, "f32", 0), Tensor("norm", "output", (1,), "f32", 0))
        case = Case("s", "long", "norm2", {}, "", "", 0, tensors)
        squares = make_inputs(case, 1)["X"] ** 2
        one_by_one = np.sqrt(np.cumsum(squares[0])[-1:])
        in_lanes = np.sqrt(squares.reshape(-1, 16).cumsum(0)[-1].sum(keepdims=True))
        pairwise = np.sqrt(squares.sum(1))
        outputs = {
            "a": [one_by_one],
            "b": [one_by_one],
            "c": [in_lanes],
            "d": [pairwise],
            "e": [pairwise * np.float32(1.05)],
            "f": [np.full(1, np.nan, np.float32)],
            "g": [],
        }
        self.assertEqual(judge(outputs)["d"], "wrong")  # by majority
        long = long_sum(case, seed=1)
        assert long is not None
        verdicts = judge(outputs, long=long)
        self.assertEqual({n for n, v in verdicts.items() if v == "ok"}, {"a", "b", "c", "d"})
        self.assertEqual(long.remark([pairwise], "f32"), "")
        self.assertIn("errs by 1.0e-02", long.remark([one_by_one], "f32"))

    def test_a_sum_that_loses_nothing_is_judged_as_others_are(self) -> None:
        for axis, shape in ((0, (9, 2)), (1, (2, 9))):
            tensors = (Tensor("X", "input", shape, "f32", 0), Tensor("Y", "output", (2,), "f32", 0))
            case = Case("s", "short", "reduce_sum", {"axis": axis}, "", "", 0, tensors)
            right = make_inputs(case, 1)["X"].sum(axis)
            long = long_sum(case, 1)
            verdicts = judge({"a": [right], "b": [right + 0.01]}, long=long)
            self.assertEqual(verdicts, {"a": "ok", "b": "wrong"})
            self.assertIsNone(long_sum(replace(case, op="softmax"), 1))

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
            op = {"name": "a", "packed_bytes": 0, "tensors": [tensor]}
            op["versions"] = [{"object_sha256": "x"}]
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


class Types(unittest.TestCase):
    def test_bf16_is_rounded_to_nearest_even(self) -> None:
        x = np.array([1.0, 1.00390625, 1.01171875, -1.004, 3e38], np.float32)
        self.assertEqual(to_stored(x, "bf16").tolist(), [0x3F80, 0x3F80, 0x3F82, 0xBF81, 0x7F62])
        np.testing.assert_array_equal(exact(exact(x, "bf16"), "bf16"), exact(x, "bf16"))

    def test_stored_values_come_back(self) -> None:
        for kind, values in (("i8", [-128, 127]), ("f16", [0.5, -2.0]), ("bf16", [0.5, -2.0])):
            array = np.array(values, np.float32)
            np.testing.assert_array_equal(from_stored(to_stored(array, kind), kind), array)

    def test_inputs_have_the_tensors_types(self) -> None:
        tensors = (
            Tensor("A", "input", (64, 64), "i8", 4096),
            Tensor("B", "constant", (64, 64), "bf16", 8192),
            Tensor("Bias", "constant", (64,), "i32", 256),
        )
        values = make_inputs(replace(a_case(), tensors=tensors), 1)
        self.assertEqual(
            [values[n].dtype for n in ("A", "B", "Bias")], ["int8", "float32", "int32"]
        )
        self.assertEqual((values["A"].min(), values["A"].max()), (-128, 127))
        np.testing.assert_array_equal(values["B"], exact(values["B"], "bf16"))

    def test_tolerance_is_the_types(self) -> None:
        x = np.ones(4, np.float32)
        self.assertTrue(agrees(x, x * 1.005, "bf16"))
        self.assertFalse(agrees(x, x * 1.005, "f16"))
        self.assertEqual(operator_class(a_case(m=1, n=8, k=8, dtype="i8")), "gemv i8")

    def test_blas_has_no_integers(self) -> None:
        with self.assertRaises(Unsupported):
            BlasPeer.prepare(object.__new__(BlasPeer), a_case(m=2, n=2, k=3, dtype="i8"), 1, {})

    def test_requantized_results_may_be_one_off_now_and_then(self) -> None:
        x = np.zeros(4000, np.int32)
        near, far, often = x.copy(), x.copy(), x.copy()
        near[:4], far[0], often[:5] = -1, 2, 1
        self.assertTrue(agrees(x, near, "i8", requantized=True))
        self.assertFalse(agrees(x, near, "i8"))
        self.assertFalse(agrees(x, far, "i8", requantized=True))
        self.assertFalse(agrees(x, often, "i8", requantized=True))

    def test_scales_of_requantized_results_keep_them_in_range(self) -> None:
        scale = (Tensor("Scale", "constant", (64,), "f32", 256),)
        case = replace(a_case(dtype="i8", requantize="true"), tensors=scale)
        values = make_inputs(case, 1)["Scale"]
        self.assertTrue(2**-13 <= values.min() and values.max() < 2**-12)

    def test_onnx_has_no_requantized_results(self) -> None:
        with self.assertRaises(Unsupported):
            refuse_requantized(a_case(m=2, n=2, k=3, dtype="i8", requantize="true"))


class Calls(unittest.TestCase):
    """calls.c itself."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.library = ctypes.CDLL(str(compile_calls(Path(folder.name))))
        self.library.time_pointers.restype = ctypes.c_double
        self.addCleanup(self.library.set_flush, ctypes.c_size_t(0))
        self.called = 0

        def operator(_: int) -> int:
            self.called += 1
            return self.result

        self.result = 0
        self.operator = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(operator)

    def time(self, calls: int) -> float:
        arguments = (ctypes.c_void_p * 1)()
        return float(self.library.time_pointers(self.operator, 1, arguments, ctypes.c_long(calls)))

    def test_warm_and_cold_make_the_same_calls(self) -> None:
        self.assertGreater(self.time(7), 0)
        self.library.set_flush(ctypes.c_size_t(1 << 20))
        self.assertGreater(self.time(5), 0)
        self.assertEqual(self.called, 12)

    def test_emptying_caches_is_not_timed(self) -> None:
        self.library.set_flush(ctypes.c_size_t(1 << 26))
        start = time.monotonic()
        timed = self.time(5)
        self.assertLess(timed, (time.monotonic() - start) / 2)

    def test_emptying_caches_leaves_the_cores_as_they_were(self) -> None:
        before = os.sched_getaffinity(0)
        self.library.set_flush(ctypes.c_size_t(1 << 20))
        self.library.flush()
        self.assertEqual(os.sched_getaffinity(0), before)

    def test_every_core_but_the_callers_has_a_thread_that_empties_caches(self) -> None:
        def threads() -> int:
            return len(os.listdir("/proc/self/task"))

        before = threads()
        self.library.set_flush(ctypes.c_size_t(1 << 20))
        self.library.set_flush(ctypes.c_size_t(1 << 21))
        self.library.flush()
        self.assertEqual(threads() - before, len(os.sched_getaffinity(0)) - 1)

    def test_an_error_ends_the_loop_and_is_told(self) -> None:
        self.result = 3
        for bytes_to_flush in (0, 1 << 16):
            self.library.set_flush(ctypes.c_size_t(bytes_to_flush))
            self.assertEqual(self.time(9), -4)
        self.assertEqual(self.called, 2)


class JobFiles(unittest.TestCase):
    def test_every_operator_of_the_suites_has_a_class_and_a_name_of_its_own(self) -> None:
        folder = Path(__file__).resolve().parent.parent
        for path in [*(folder / "suite").glob("*.yaml"), folder / "peers" / "tvm_subset.yaml"]:
            cases = load_suite(path)
            self.assertEqual(len({case.name for case in cases}), len(cases), path)
            for case in cases:
                self.assertTrue(operator_class(case).startswith(("gemv", case.op)), case.name)


@unittest.skipUnless("onednn-debian" in dnnl_libraries(), "no libdnnl2")
class OnednnTwo(unittest.TestCase):
    def test_a_convolution_with_every_epilogue_agrees_with_its_sums(self) -> None:
        lib = open_library(dnnl_libraries()["onednn-debian"])
        self.assertTrue(lib.version.startswith("2."))
        rng = np.random.default_rng(1)
        x, w = rng.random((1, 16, 6, 6), np.float32), rng.random((16, 16, 1, 1), np.float32)
        shape = lib.layout(x.shape)
        post_ops = [("binary", (dnnl.BINARY_ADD, shape)), ("eltwise", (dnnl.RELU, 0.0, 0.0))]
        primitive = lib.primitive(
            "convolution_forward",
            dnnl.FORWARD_INFERENCE,
            dnnl.CONVOLUTION_DIRECT,
            shape,
            lib.layout(w.shape, dnnl.ANY),
            None,
            shape,
            *(dnnl.dims((v, v)) for v in (1, 0, 0, 0)),
            lib.attributes(post_ops),
        )
        y = lib.memory(shape)
        arguments = {
            dnnl.SRC: lib.filled(shape, x),
            dnnl.WEIGHTS: lib.filled(primitive.layout(dnnl.WEIGHTS), w),
            dnnl.DST: y,
            lib.post_op | dnnl.SRC_1: lib.filled(shape, -8 * x),
        }
        primitive.run(arguments)
        expected = np.maximum(np.einsum("nchw,oc->nohw", x, w[:, :, 0, 0]) - 8 * x, 0)
        np.testing.assert_allclose(y.read(x.shape), expected, rtol=1e-4, atol=1e-4)


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
        self.assertEqual(outcomes["tessera"].round_seconds, [1e-3] * 3)
        self.assertEqual(outcomes["wrong"].round_seconds, [])
        self.assertIn(str(-signal.SIGABRT), outcomes["crashes"].reason)

    def test_a_peer_may_have_a_library_of_its_own(self) -> None:
        commands = {"tessera": fake(1e-3), "other": fake(1e-3)}
        own = {"other": replace(a_case(), library="/elsewhere")}
        outcomes = measure(a_case(), commands, self.plan, own)
        versions = {o.peer: o.version for o in outcomes}
        self.assertEqual(versions, {"tessera": "/nowhere", "other": "/elsewhere"})

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
        outcome = Outcome("tessera", "ok", round_seconds=[1e-3] * 3)
        other = Outcome("onednn", "ok", round_seconds=[2e-3] * 3)
        for name in ("first", "second"):
            rows = [make_row(a_case(name), self.plan, o, SEEN) for o in (outcome, other)]
            Results(path).append(rows)
        path.write_bytes(path.read_bytes()[:-40])  # killed while it wrote
        known = Results(path).load()
        self.assertEqual(set(known[case_key(a_case("first"), self.plan)]), {"tessera", "onednn"})
        self.assertEqual(set(known[case_key(a_case("second"), self.plan)]), {"tessera"})
        rows = [make_row(a_case("second"), self.plan, o, SEEN) for o in (outcome, other)]
        Results(path).append(rows)
        known = Results(path).load()
        self.assertEqual(set(known[case_key(a_case("second"), self.plan)]), {"tessera", "onednn"})
        self.assertEqual(len(known), 2)
        table = markdown(list(known.values()))
        self.assertIn("| all | 2 | 2.000 | 2.000 | 0 |", table)

    def test_cold_and_warm_are_cases_of_their_own(self) -> None:
        cold = replace(self.plan, flush_bytes=1 << 20)
        self.assertEqual(
            (cold.of_round([9.0, 1.0, 2.0]), self.plan.of_round([9.0, 1.0])), (2.0, 1.0)
        )
        path = self.plan.out / "results.csv"
        for plan in (self.plan, cold):
            Results(path).append(
                [make_row(a_case(), plan, Outcome("tessera", "ok", round_seconds=[1.0]), SEEN)]
            )
        known = Results(path).load()
        self.assertEqual([rows["tessera"].cache for rows in known.values()], ["warm", "cold"])
        self.assertIn("## Threads: 1, caches cold", markdown(list(known.values())))

    def test_lost_cases_are_counted_and_named(self) -> None:
        rows = {}
        for name, seconds in (("tessera", [1.0] * 3), ("onednn", [0.9] * 3), ("blis", [5.0] * 3)):
            outcome = Outcome(name, "ok", round_seconds=seconds)
            rows[name] = make_row(a_case("slow"), self.plan, outcome, SEEN)
        table = markdown([rows])
        self.assertIn("| all | 1 | 0.900 | 0.900 | 1 |", table)
        self.assertIn("Wholly below 0.97: slow.", table)
        (line,) = csv.DictReader(io.StringIO(summary_csv([rows])))
        self.assertEqual(
            (line["fastest"], line["lost"], line["other_cores"]), ("onednn", "1", "0.20")
        )

    def test_errors_of_long_sums_stand_below_the_table(self) -> None:
        outcome = Outcome("onednn", "ok", "errs by 1%", round_seconds=[1.0])
        table = markdown([{"onednn": make_row(a_case("norm"), self.plan, outcome, SEEN)}])
        self.assertIn("## Long sums\n\n- onednn, ok: errs by 1% (norm)", table)

    def test_a_file_with_other_columns_is_left_alone(self) -> None:
        path = self.plan.out / "results.csv"
        path.write_text("suite,case\nold,c\n")
        with self.assertRaises(SystemExit):
            Results(path).load()

    def test_load_of_others_leaves_out_our_own(self) -> None:
        others = OtherLoad()
        began = time.process_time()
        while time.process_time() - began < 0.3:
            pass
        self.assertLess(others.cores(), os.cpu_count() or 1)


if __name__ == "__main__":
    unittest.main()
