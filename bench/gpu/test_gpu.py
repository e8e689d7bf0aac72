"""python3 -m unittest discover bench/gpu: needs numpy and PyYAML. The dry run needs the programs of a
build, too; an interpreter of PTX stands in for a GPU that is not there."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

import peers_modules
from case import Case, make_inputs
from contenders import Contender, Outcome, check, time_interleaved
from operators import load_operators, reference
from programs import StoredLayout, parse_device_code
from tables import markdown
from tuned import needed

import compare
import opencl

BIN = Path(os.environ.get("TESSERA_BIN", compare.ROOT / "build/bin"))

CODE = """// tessera cuda 3
// workspace 64
// prepare pack blocks 1 1 1 threads 32 1 1 shared 0 arguments 1 2
// launch sum blocks 4 2 1 threads 64 1 1 shared 128 arguments 0 2 workspace 3
.version 6.0
// launch in a comment
"""


class Operators(unittest.TestCase):
    def test_operators_of_the_files_have_groups_and_names_of_their_own(self) -> None:
        for file in ("operators.yaml", "dry_run.yaml"):
            suite = load_operators(peers_modules.HERE / file)
            self.assertEqual(set(suite.groups.values()), set(suite.goals))
            names = [case.name for case in suite.cases]
            self.assertEqual(len(names), len(set(names)))
            for case in suite.cases:
                self.assertNotIn("group", case.attributes)

    def test_what_nobody_would_heed_is_refused(self) -> None:
        text = "trials: 1\ngroups: {g: {goal: 1}}\noperators:\n  - {group: g, name: a, "
        for entry in ("op: matmul, m: 8, bias: true}", "op: gelu, n: 8}"):
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "x.yaml"
                path.write_text(text + entry + "\n")
                with self.assertRaisesRegex(SystemExit, "a: of "):
                    load_operators(path)

    def test_a_convolution_is_the_sum_over_its_window(self) -> None:
        rng = np.random.default_rng(7)
        x, w = rng.random((2, 3, 7, 6)), rng.random((4, 3, 3, 2))
        case = Case("s", "c", "conv2d", {"stride": 2, "pad": 1}, "", "", 0)
        found = reference(case, {"X": x, "W": w})
        padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
        self.assertEqual(found.shape, (2, 4, 4, 4))
        for n, oc, i, j in np.ndindex(found.shape):
            window = padded[n, :, 2 * i : 2 * i + 3, 2 * j : 2 * j + 2]
            self.assertAlmostEqual(found[n, oc, i, j], float((window * w[oc]).sum()))


class DeviceCode(unittest.TestCase):
    def test_launches_stand_before_the_source(self) -> None:
        code = parse_device_code(CODE)
        self.assertEqual(code.workspace_bytes, 64)
        self.assertEqual([launch.kernel for launch in code.preparation], ["pack"])
        (launch,) = code.launches
        self.assertEqual((launch.blocks, launch.threads), ((4, 2, 1), (64, 1, 1)))
        self.assertEqual(launch.shared_bytes, 128)
        self.assertEqual(launch.arguments, ("0", "2", "workspace", "3"))
        self.assertTrue(code.source.startswith(".version"))

    def test_another_version_is_refused(self) -> None:
        for line in ("// tessera cuda 2", "// tessera opencl 3"):
            with self.assertRaises(ValueError):
                parse_device_code(line + CODE[CODE.index("\n") :])

    def test_layouts_store_and_load(self) -> None:
        values = np.arange(2 * 5, dtype=np.float32).reshape(2, 5)
        blocks = StoredLayout((2, 5), [(1, 2, 3), (0, 1, 2), (1, 1, 2)])  # 5 in three pairs
        stored = blocks.store(values)
        self.assertEqual(stored.tolist(), [0, 1, 5, 6, 2, 3, 7, 8, 4, 0, 9, 0])
        np.testing.assert_array_equal(blocks.load(stored), values)
        plain = StoredLayout((2, 5), [])
        np.testing.assert_array_equal(plain.load(plain.store(values)), values)


class FakeWatch:
    """A turn of the contender that takes 2 µs in rounds of even number, 4 µs in others."""

    def __init__(self) -> None:
        self.turns: list[str] = []

    def calls_of_turn(self, call: Any, turn_seconds: float) -> int:
        return 5

    def turn(self, call: Any, calls: int) -> tuple[list[float], bool]:
        name = call()
        self.turns.append(name)
        return [2e-6 if self.turns.count(name) % 2 else 4e-6] * calls, name == "b"


class Timing(unittest.TestCase):
    def test_contenders_take_turns_and_wrong_ones_none(self) -> None:
        names = ("a", "b", "wrong")
        contenders = [Contender(n, lambda n=n: n, lambda: np.zeros(1)) for n in names]
        outcomes = [Outcome(n, "wrong" if n == "wrong" else "ok") for n in names]
        watch = FakeWatch()
        time_interleaved(watch, contenders, outcomes, 5, 0.01, "seed")  # type: ignore[arg-type]
        self.assertEqual(len(watch.turns), 10)
        for first in range(0, 10, 2):
            self.assertEqual(set(watch.turns[first : first + 2]), {"a", "b"})
        self.assertEqual(outcomes[0].seconds, 2e-6)
        self.assertEqual([o.is_host_bound for o in outcomes], [False, True, False])
        self.assertIsNone(outcomes[2].seconds)

    def test_a_result_is_checked_and_an_exception_is_an_outcome(self) -> None:
        expected = np.array([1.0, -2.0])

        def outcome(result: Any) -> str:
            return check(Contender("x", lambda: None, result), expected, "f32").status

        self.assertEqual(outcome(lambda: np.float32([1, -2.0001])), "ok")
        self.assertEqual(outcome(lambda: np.float32([1, -2.001])), "wrong")
        self.assertEqual(outcome(lambda: np.float32([1, np.nan])), "wrong")
        self.assertEqual(outcome(lambda: 1 / 0), "failed")

    def test_what_a_search_needed_ends_with_the_first_program_that_is_close(self) -> None:
        def record(second: int, cost: float | None, stale: bool = False) -> dict[str, Any]:
            created = f"2026-01-01T00:00:{second:02}.5Z"
            return {"cost_seconds": cost, "stale": stale, "created": created}

        records = [record(1, None), record(2, 5.0), record(3, 1.0, True), record(4, 2.1)]
        self.assertEqual(needed([*records, record(9, 2.0)]), (3, 3.0))


class Report(unittest.TestCase):
    def row(self, name: str, **seconds: float) -> dict[str, Any]:
        outcomes = [
            {"name": n.replace("_", " "), "seconds": s, "status": "ok", "is_host_bound": False}
            for n, s in seconds.items()
        ]
        spent = {"trials": 10, "seconds": 2.0, "trials_until_close": 3, "seconds_until_close": 1.0}
        return {"name": name, "group": "g", "outcomes": outcomes, "spent": spent, "reason": ""}

    def test_the_faster_layout_counts_and_goals_are_by_group(self) -> None:
        rows = [
            self.row("a", Tessera=1e-6, cuDNN_NCHW=4e-6, cuDNN_NHWC=2e-6),
            self.row("b", Tessera=2e-6, cuDNN_NCHW=1e-6, Triton=4e-6),
        ]
        document = {"is_dry_run": False, "environment": {}, "missing": ["triton is missing"]}
        document |= {"goals": {"g": 1.01, "none": 1.0}, "operators": rows}
        text = markdown(document)
        self.assertIn("| g | 2 of 2 | 1.00 | 0.50 | 1.01, missed | 2.00 | 20 | 4 |", text)
        self.assertIn("| a | 1.00 | cuDNN NHWC | 2.00 | 2.00 | – | – | 10 | 2.0 | 3 | 1.0 |", text)
        self.assertIn("- not compared: triton is missing", text)
        self.assertNotIn("Dry run", text)


    def test_what_an_opencl_device_took_is_a_line_an_operator_and_a_sum(self) -> None:
        def op(name: str, tuned: float | None, failures: dict[str, int]) -> dict[str, Any]:
            times = {"default_seconds": 8e-6, "tuned_seconds": tuned, "tuned_gflops": 1.25}
            return {"op": name, **times, "trials": 3, "failures": failures}

        report = {
            "machine": {"description": "a device"},
            "elapsed_seconds": 7.2,
            "operators": [op("a", 2e-6, {"timeout": 1}), op("b", None, {"timeout": 2, "run_error": 1})],
        }
        costs = (None, 8e-6, 2.1e-6, 2e-6)
        records = [
            {"cost_seconds": cost, "stale": False, "created": f"2026-01-01T00:00:0{second}.5Z"}
            for second, cost in enumerate(costs)
        ]
        text = opencl.markdown(report, {"a": records, "b": []})
        self.assertIn("| a | 8 µs | 2 µs | 4.0 | 1.2 | 3 | 1 |", text)
        self.assertIn("| b | – | – | – | – | – | 3 |", text)
        self.assertIn("a device: 6 trials in 7 s; 4 failed: 1 run_error, 3 timeout.", text)


@unittest.skipUnless((BIN / "bench_device_code").exists(), f"no programs in {BIN}")
class DryRun(unittest.TestCase):
    def test_operators_are_tuned_exported_run_and_checked(self) -> None:
        with tempfile.TemporaryDirectory(prefix="tessera-gpu-") as folder:
            words = ["--dry-run", "--tessera", str(BIN / "tessera"), "--out", folder]
            words += ["--rounds", "2"]
            said = io.StringIO()
            with contextlib.redirect_stdout(said):
                code = compare.main(words)
            out = Path(folder)
            document = json.loads((out / "results.json").read_text())
            first = {row["name"]: row["spent"]["job"] for row in document["operators"]}
            self.assertEqual(code, 0, said.getvalue())
            for row in document["operators"]:
                (ours,) = row["outcomes"]
                self.assertEqual((ours["name"], ours["status"]), ("Tessera", "ok"))
                self.assertEqual(len(ours["round_seconds"]), 2)
                self.assertLess(ours["error"], 2e-3)
            self.assertIn("Dry run", (out / "results.md").read_text())
            # Goes on: what was tuned is measured again and not tuned again.
            with contextlib.redirect_stdout(said):
                self.assertEqual(compare.main([*words, "--cases", "gemm"]), 0)
            again = json.loads((out / "results.json").read_text())["operators"]
            self.assertEqual([row["spent"]["job"] for row in again], [first[r["name"]] for r in again])


if __name__ == "__main__":
    unittest.main()
