"""Libraries of operators: the C example, static ones, several in a program, several instruction sets, verify."""

import json
import os
import pathlib
import platform
import subprocess
import unittest

from tessera_rig import BAD_INPUT, BIN, ROOT, SMALL, RigTest

CPU = pathlib.Path("/proc/cpuinfo").read_text()

TWO_LIBRARIES = """
#include <math.h>
#include <stdio.h>

#include "one.h"
#include "two.h"

#ifdef __cplusplus
#define ALIGNED alignas(64)
#else
#define ALIGNED _Alignas(64)
#endif

ALIGNED float x[64], y[64], z[64];

int main(void) {
  for (int i = 0; i < 64; ++i) x[i] = (float)(i - 32) / 8;
  if (tessera_one_set_threads(1) != TESSERA_OPS_OK) return 2;
  if (tessera_two_set_threads(1) != TESSERA_OPS_OK) return 3;
  if (tanh_op(x, y) != TESSERA_OPS_OK) return 4;
  if (relu(x, z) != TESSERA_OPS_OK) return 5;
  for (int i = 0; i < 64; ++i) {
    if (fabs(y[i] - tanh(x[i])) > 1e-5) return 6;
    if (z[i] != (x[i] > 0 ? x[i] : 0)) return 7;
  }
  printf("%s, %s\\n", tessera_one_version(), tessera_two_version());
  return 0;
}
"""

PRODUCT = """
#include <stdio.h>
#include <stdlib.h>

#include "ops.h"

_Alignas(64) static float a[64 * 64], b[64 * 64], c[64 * 64], weights[128 * 64];

int main(void) {
  for (int i = 0; i < 64 * 64; ++i) {
    a[i] = (float)(i % 7 - 3);
    b[i] = (float)(i % 5 - 2);
  }
  if (matmul_packed_bytes() > sizeof(weights)) return 2;
  int status = matmul_pack_weights(b, weights);
  if (status == 0) status = matmul(a, weights, c);
  if (status == 0) {
    for (int i = 0; i < 64; ++i) {
      for (int j = 0; j < 64; ++j) {
        float sum = 0;
        for (int k = 0; k < 64; ++k) sum += a[i * 64 + k] * b[k * 64 + j];
        if (sum != c[i * 64 + j]) return 1;
      }
    }
  }
  printf("%s %d\\n", tessera_ops_isa() ? tessera_ops_isa() : "none", status);
  return 0;
}
"""


class UseLibrary(RigTest):
    def test_the_c_example_agrees_with_a_library_built_from_an_empty_log(self):
        self.start_server()
        self.start_worker()
        dist, program = self.folder / "dist", self.folder / "use_library"
        self.output("build", ROOT / "examples" / "resnet18.yaml", "--name", "ops", "--out", dist)
        manifest = json.loads((dist / "manifest.json").read_text())
        self.assertTrue(all(op["versions"][0]["is_default"] for op in manifest["ops"]))
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

    def test_a_program_takes_a_static_library_alone(self):
        self.start_server()
        self.start_worker()
        dist, program = self.folder / "dist", self.folder / "product"
        build = ["build", "--op", "matmul", "m=64", "n=64", "k=64", "--out", dist]
        self.output(*build)  # what is known without --static is not enough
        self.assertFalse((dist / "libops.a").exists())
        self.assertIn(str(dist / "libops.a"), self.output(*build, "--static").splitlines())
        self.assertIn("ok       libops.a\n", self.output("verify", dist))
        (dist / "libops.so").unlink()
        main = self.folder / "product.c"
        main.write_text(PRODUCT)
        subprocess.run(
            ["cc", "-std=c11", "-static", "-Wall", "-Wextra", "-Werror", "-I", dist, main]
            + [dist / "libops.a", "-pthread", "-o", program],
            check=True,
            timeout=60,
        )
        done = subprocess.run([program], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_verify_tells_a_library_from_one_that_was_changed(self):
        self.start_server()
        self.start_worker()
        dist = self.folder / "dist"
        self.output("build", ROOT / "examples" / "resnet18.yaml", "--out", dist)
        self.assertIn("ok       libops.so\n", self.output("verify", dist))
        report = json.loads(self.output("verify", dist, "--json"))
        self.assertEqual((report["ok"], report["run"]["status"]), (True, "ok"))
        self.assertIn(" values, off by at most ", report["run"]["detail"])
        header = dist / "ops.h"
        header.write_text(header.read_text() + "\n")
        done = self.tessera("verify", dist)
        self.assertEqual(done.returncode, 1)
        self.assertIn("differs  ops.h\n", done.stdout)
        self.assertIn("is not what its manifest says", done.stderr)
        self.assertEqual(self.tessera("verify", self.folder / "nothing").returncode, 2)

    def test_a_c_program_uses_two_libraries_and_the_c_library_beside_them(self):
        self.start_server()
        self.start_worker()
        dist, program = self.folder / "dist", self.folder / "two"
        self.output("build", "--op", "tanh", "n=64", "--name", "one", "--out", dist)
        self.output("build", "--op", "relu", "n=64", "--name", "two", "--out", dist)
        main = self.folder / "two.c"
        main.write_text(TWO_LIBRARIES)
        for compiler in (["cc", "-std=c11"], ["c++", "-x", "c++", "-std=c++17"]):
            subprocess.run(
                [*compiler, "-O0", "-fno-builtin", "-Wall", "-Wextra", "-Werror", "-I", dist]
                + [main, "-o", program, "-x", "none", dist / "libone.so", dist / "libtwo.so"]
                + [f"-Wl,-rpath,{dist}", "-lm"],
                check=True,
                timeout=60,
            )
            done = subprocess.run([program], capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        done = subprocess.run(
            ["nm", "-D", "--defined-only", dist / "libone.so"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        self.assertEqual(
            sorted(line.split()[-1] for line in done.stdout.splitlines()),
            ["tanh_op", "tanh_op_pack_input", "tanh_op_unpack_output"]
            + ["tessera_one_isa", "tessera_one_set_threads", "tessera_one_version"],
        )

    def test_a_library_for_a_device_that_nobody_has_runs_on_the_cpu(self):
        self.start_server()
        self.start_worker()
        self.wait_until_done(self.tune_in_background(*SMALL, "--trials", 2))
        dist = self.folder / "dist"
        done = self.tessera(
            "build", *SMALL, "--target", "opencl block=64 wave=32 shared=16384",
            "--device-class", "opencl/any", "--out", dist,
        )  # fmt: skip
        self.assertEqual(done.returncode, 0, done.stderr)
        manifest = json.loads((dist / "manifest.json").read_text())
        self.assertEqual(manifest["device"]["device_class"], "opencl/any")
        self.assertTrue(manifest["ops"][0]["device"]["is_default"])
        # The CPU's version is the one that was tuned.
        self.assertEqual([v["is_default"] for v in manifest["ops"][0]["versions"]], [False])
        isa = manifest["versions"][0]["isa"]
        os.environ["TESSERA_DEVICE"] = "cpu"
        self.addCleanup(os.environ.pop, "TESSERA_DEVICE")
        self.check_versions([isa])

    def test_an_operator_with_the_name_of_a_c_function_is_refused(self):
        self.start_server()
        self.start_worker()
        for name in ("tanh", "printf"):
            done = self.tessera(
                "build", "--op", "tanh", "n=64", f"name={name}", "--out", self.folder / "dist"
            )
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(f"{name}: a function of the C library has this name", done.stderr)
            self.assertIn("name=", done.stderr)

    @unittest.skipUnless("avx512vl" in CPU, "needs three instruction sets")
    def test_the_commands_for_several_instruction_sets_do_as_documented(self):
        self.start_server()
        (self.folder / "ops.yaml").write_text(
            "trials: 1\noperators:\n  - {name: a, op: relu, n: 64}\n"
        )
        page = (ROOT / "docs" / "library.md").read_text()
        section = page.split("## Versions for several instruction sets\n")[1]
        done = subprocess.run(
            ["timeout", "100", "bash", "-c", section.split("```sh\n")[1].split("```")[0]],
            cwd=self.folder, capture_output=True, text=True,
            env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}",
                 "TESSERA_SERVER": self.address, "XDG_CACHE_HOME": str(self.folder)},
        )  # fmt: skip
        self.assertEqual(done.returncode, 0, done.stderr)
        manifest = json.loads((self.folder / "dist" / "manifest.json").read_text())
        self.assertEqual(
            [v["is_default"] for v in manifest["ops"][0]["versions"]], [False] * 3, done.stderr
        )

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
            return [v["is_default"] for v in manifest["ops"][0]["versions"]], done.stderr

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
        # Both classes without being named, and the other way round by name: the same library.
        self.assertEqual(build(*SMALL)[0], [False, False])
        manifest = json.loads((self.folder / "dist" / "manifest.json").read_text())
        self.assertEqual([v["isa"] for v in manifest["versions"]], ["avx2", "sse4.2"])
        self.assertEqual([v["device_class"] for v in manifest["versions"]], [old, new])
        library = (self.folder / "dist" / "libops.so").read_bytes()
        self.assertEqual(build("--device-class", new, "--device-class", old, *SMALL)[0], [False] * 2)
        self.assertEqual((self.folder / "dist" / "libops.so").read_bytes(), library)
        self.check_versions(["avx2", "sse4.2"])
        # A job has one target, by which no library can tell two classes apart.
        done = self.tessera(
            "build", "--job", job, "--device-class", old, "--device-class", new,
            "--out", self.folder / "other",
        )  # fmt: skip
        self.assertEqual(done.returncode, BAD_INPUT, done.stderr)
        self.assertIn("have the same instruction set, avx2", done.stderr)
        self.assertFalse((self.folder / "other").exists())

    def check_versions(self, names):
        """The product of SMALL under each ceiling, and under one that no version has."""
        main, program = self.folder / "main.c", self.folder / "main"
        main.write_text(PRODUCT)
        subprocess.run(
            ["cc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-I", self.folder / "dist", main]
            + ["-o", program, self.folder / "dist" / "libops.so"]
            + [f"-Wl,-rpath,{self.folder / 'dist'}"],
            check=True,
            timeout=60,
        )
        for ceiling, said in [*((n, f"{n} 0") for n in names), ("neon", "none 5")]:
            done = subprocess.run(
                [program],
                capture_output=True,
                text=True,
                timeout=60,
                env={**os.environ, "TESSERA_ISA": ceiling},
            )
            self.assertEqual((done.returncode, done.stdout.strip()), (0, said))


if __name__ == "__main__":
    unittest.main(verbosity=2)
