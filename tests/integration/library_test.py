"""The C example against a library of default schedules, as a first user without records builds it."""

import json
import subprocess
import unittest

from tessera_rig import ROOT, RigTest


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


if __name__ == "__main__":
    unittest.main(verbosity=2)
