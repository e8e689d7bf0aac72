"""The C example against a library of default schedules, as a first user without records builds it."""

import json
import platform
import subprocess
import unittest

from tessera_rig import BAD_INPUT, ROOT, SMALL, RigTest


class UseLibrary(RigTest):
    def test_the_c_example_agrees_with_a_library_built_from_an_empty_log(self):
        self.start_server()
        self.start_worker()
        dist, program = self.folder / "dist", self.folder / "use_library"
        self.output("build", ROOT / "examples" / "resnet18.yaml", "--name", "ops", "--out", dist)
        manifest = json.loads((dist / "manifest.json").read_text())
        self.assertTrue(all(op["is_default"] for op in manifest["ops"]))
        # The command of the example's own comment and of deploy/quickstart.sh.
        subprocess.run(
            ["cc", "-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-I", dist]
            + [ROOT / "examples" / "use_library.c", "-o", program]
            + [dist / "libops.so", f"-Wl,-rpath,{dist}", "-lm"],
            check=True,
            timeout=60,
        )
        done = subprocess.run([program], capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn(f"all {len(manifest['ops'])} operators agree with plain loops", done.stdout)

    @unittest.skipUnless(platform.machine() == "x86_64", "needs a second instruction set")
    def test_records_of_a_class_that_its_device_left_are_found_and_built(self):
        def device_class():
            return next(d["device_class"] for d in self.devices())

        self.start_server()
        worker = self.start_worker("worker", "--isa", "avx2")
        old = device_class()
        job = self.tune_in_background(*SMALL, "--trials", 6)
        self.wait_until_done(job)
        worker.kill()
        worker = self.start_worker("worker", "--isa", "sse4.2")
        new = device_class()
        self.assertNotEqual(old, new)

        best = json.loads(self.output("best", "--device-class", old, "--json"))
        self.assertEqual(best["device_class"], old)
        lines = self.output("log", "--device-class", old, "--format", "jsonl").splitlines()
        self.assertEqual(len(lines), 6)
        self.assertEqual(self.output("log", "--device-class", new), "")

        def build(*arguments):
            done = self.tessera("build", *arguments, "--out", self.folder / "dist")
            self.assertEqual(done.returncode, 0, done.stderr)
            manifest = json.loads((self.folder / "dist" / "manifest.json").read_text())
            return [op["is_default"] for op in manifest["ops"]], done.stderr

        for source in (SMALL, ["--job", job]):
            defaults, said = build(*source)
            self.assertEqual(defaults, [False], said)
            self.assertIn(f"device class {old}, which no device has now", said)
            defaults, said = build(*source, "--device-class", new)
            self.assertEqual(defaults, [True], said)
            self.assertIn(f"warning: no operator has a record on device class {new}", said)
            self.assertIn(old, said)

        self.wait_until_done(self.tune_in_background(*SMALL, "--trials", 6))
        self.assertEqual(build(*SMALL, "--device-class", old)[0], [False])
        done = self.tessera("build", *SMALL, "--out", self.folder / "other")
        self.assertEqual(done.returncode, BAD_INPUT, done.stderr)
        self.assertIn("--device-class", done.stderr)
        self.assertFalse((self.folder / "other").exists())


if __name__ == "__main__":
    unittest.main(verbosity=2)
