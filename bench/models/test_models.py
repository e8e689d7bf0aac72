"""Of what needs no build: models are valid, and tables say what was measured. Run by hand: python -m unittest."""

from __future__ import annotations

import sys
import unittest
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

import light
import make_models
import measure
import profile_kernels as profiles
from check_import import Row, difference
from values import inputs_of, model_inputs


class Models(unittest.TestCase):
    def test_a_model_is_the_same_each_time_and_its_results_depend_on_its_input(self) -> None:
        import onnxruntime

        for name in ("squeezenet", "bert_2", "gru"):
            with self.subTest(name):
                model = make_models.build(name, small=True)
                self.assertEqual(model.SerializeToString(), make_models.build(name, small=True).SerializeToString())
                session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
                first, second = (session.run(None, inputs_of(model, seed))[0] for seed in (1, 2))
                self.assertTrue(np.isfinite(first).all())
                self.assertGreater(difference(first, second), 1e-3)

    def test_light_models_get_weights_that_results_depend_on(self) -> None:
        import onnxruntime

        model = light.build("light_squeezenet")
        self.assertNotIn("ConstantOfShape", {node.op_type for node in model.graph.node})
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        first, second = (session.run(None, inputs_of(model, seed))[0] for seed in (1, 2))
        self.assertGreater(difference(first, second), 1e-3)

    def test_extents_that_are_open_are_given_or_one(self) -> None:
        model = make_models.build("lstm", small=True)
        dim = model_inputs(model)[0].type.tensor_type.shape.dim[0]
        dim.dim_param = "time"
        self.assertEqual(inputs_of(model, 1, dimensions={"time": 9})["frames"].shape, (9, 1, 16))
        self.assertEqual(inputs_of(model, 1)["frames"].shape, (1, 1, 16))


class Differences(unittest.TestCase):
    def test_they_are_of_the_largest_value(self) -> None:
        self.assertAlmostEqual(difference(np.array([1.0, -4.0]), np.array([1.5, -4.0])), 0.125)
        self.assertEqual(difference(np.array([1.0]), np.array([[1.0]])), np.inf)
        self.assertEqual(difference(np.array([1.0, 2.0]), np.array([1.0, np.nan])), np.inf)

    def test_a_model_may_differ_thrice_as_much_as_onnxruntime_from_itself(self) -> None:
        self.assertTrue(Row("m", {}, differences=(9e-5,)).is_fine())
        self.assertFalse(Row("m", {}, differences=(2e-4,)).is_fine())
        self.assertTrue(Row("m", {}, differences=(2e-4,), own=1e-4).is_fine())
        self.assertFalse(Row("m", {}, error="no").is_fine())


class Tables(unittest.TestCase):
    def test_the_ratio_is_to_the_fastest_other(self) -> None:
        def of(seconds: float, off: float) -> dict:
            return {"seconds": seconds, "start_seconds": 0.5, "peak_bytes": 2**20, "off": off}

        row = {"model": "net", "library": "tuned", "threads": 2,
               "runtimes": {"openvino": of(0.003, 0.1), "tessera": of(0.004, 0), "onnxruntime": of(0.002, 0)}}
        line = measure.table([row]).splitlines()[-1]
        self.assertIn("| tuned | 2 | 4.00 | 2.00 | 3.00 |", line)
        self.assertIn("| 0.50 | openvino is 1.0e-01 off |", line)

    def test_kernels_stand_beside_the_nodes_that_they_compute(self) -> None:
        steps = [{"kernel": "conv", "nodes": ["conv_0_0_1", "relu_2_0"], "seconds": [0.001, 0.003, 0.002],
                  "operations": 4_000_000, "type": "f32[1]"}] * 2
        text = profiles.table(steps, {"norm_1_0_nchwc (Conv)": 0.001, "reorder (ReorderInput)": 0.0005},
                              {"norm_1_0": "conv_0_0"}, 5)
        self.assertIn("2.00 ms in 2 kernels; onnxruntime 1.50 ms in 2 nodes", text)
        self.assertIn("| conv | 2 | 2.000 | 100.0% | 4.0 | 1.000 | 1.000 | f32[1] |", text)
        self.assertIn("| *reorder (ReorderInput)* | | | | | 0.500 | | |", text)


if __name__ == "__main__":
    unittest.main()
