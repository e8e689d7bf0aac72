"""Jobs, libraries and workers as scripts and people at a terminal use them."""

import errno
import hashlib
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import time
import unittest

from tessera_rig import BAD_INPUT, BIN, INTERRUPTED, ROOT, SMALL, RigTest, alive, descendants, eventually


class Jobs(RigTest):
    def test_an_equal_key_finds_the_same_job(self):
        self.start_server()
        self.start_worker()
        first = self.tune_in_background(*SMALL, "--trials", 6, "--key", "nightly")
        self.assertEqual(self.tune_in_background(*SMALL, "--trials", 6, "--key", "nightly"), first)
        self.wait_until_done(first)
        self.assertEqual(self.tune_in_background(*SMALL, "--trials", 6, "--key", "nightly"), first)
        self.assertNotEqual(self.tune_in_background(*SMALL, "--trials", 6, "--key", "other"), first)
        self.assertNotEqual(self.tune_in_background(*SMALL, "--trials", 6), first)
        self.check_log(first, 6)

    def test_what_reads_its_source_for_long_is_interrupted_at_once(self):
        # As a model that is quantised: a file whose writer takes its time.
        source = self.folder / "slow.yaml"
        os.mkfifo(source)

        def open_source():  # once it is being read
            try:
                return os.open(source, os.O_WRONLY | os.O_NONBLOCK)
            except OSError as error:
                self.assertEqual(error.errno, errno.ENXIO)
                return None

        for command in ("tune", "build", "request", "codesign"):
            for number in (signal.SIGINT, signal.SIGTERM):
                with self.subTest(command=command, signal=number):
                    program = self.start("tessera", command, source)
                    writer = eventually("it reads", open_source)
                    try:
                        program.signal(number)
                        self.assertEqual(program.wait(10), INTERRUPTED, program.said())
                    finally:
                        program.process.kill()
                        program.wait()  # so that it reads no more
                        os.close(writer)

    def test_an_interrupted_tune_says_how_to_go_on(self):
        self.start_server()
        self.start_worker()
        tune = self.start("tessera", "tune", "--server", self.address, *SMALL, "--trials", 100_000)
        job = eventually("a job", self.jobs)[0]["id"]
        self.wait_for_records(job, 3)
        tune.signal(signal.SIGINT)
        self.assertEqual(tune.wait(), INTERRUPTED)
        self.assertIn(f"tessera watch {job}", tune.said().splitlines()[-1])
        self.assertEqual(self.job_state(job), "running")
        self.output("jobs", job, "--cancel")
        eventually("the job ends", lambda: self.job_state(job) == "cancelled")

    def test_an_interrupted_up_leaves_no_process(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            up = self.start("tessera", "up", "--listen", "127.0.0.1:0", "--data", self.data)
            self.address = up.read_line("ready ")
            job = self.tune_in_background(*SMALL, "--trials", 100_000)
            self.wait_for_records(job, 3)
            family = [up.pid, *descendants(up.pid)]
            self.assertGreater(len(family), 3, "a server, a worker and its children")
            up.signal(number)
            self.assertEqual(up.wait(), 0, up.said())
            eventually("no process is left", lambda: not any(map(alive, family)), seconds=5)
            self.assertIn(f"tessera up --data {self.data}", up.said().splitlines()[-1])

    def test_a_killed_up_leaves_no_process(self):
        up = self.start("tessera", "up", "--listen", "127.0.0.1:0", "--data", self.data)
        self.address = up.read_line("ready ")
        self.wait_for_records(self.tune_in_background(*SMALL, "--trials", 100_000), 3)
        family = descendants(up.pid)
        up.signal(signal.SIGKILL)
        eventually("no process is left", lambda: not any(map(alive, family)), seconds=30)

    def test_a_builder_and_a_runner_share_a_job(self):
        self.start_server()
        self.start_worker("builder", "--roles", "builder", "--cores", 1)
        done = self.tessera("tune", *SMALL, "--trials", 8)
        self.assertEqual(done.returncode, 1)
        self.assertIn("no device is online", done.stderr)
        self.start_worker("runner", "--roles", "runner", "--cores", 1)
        job = self.tune_in_background(*SMALL, "--trials", 30)
        self.wait_until_done(job)
        counted = self.check_log(job, 30)
        self.assertEqual({r["device"] for r in counted}, {"runner/cpu"})
        self.assertIn("ok", {r["outcome"] for r in counted})

    def test_the_fastest_programs_are_compared_and_built(self):
        self.start_server()
        self.start_worker("worker", "--cores", 1)
        job = self.tune_in_background(*SMALL, "--trials", 30)
        self.wait_until_done(job)
        comparison = json.loads(self.output("jobs", job, "--json"))["operators"][0]["comparison"]
        if comparison is None:
            return  # no other program was within reach of the fastest
        self.assertIn(comparison["promoted"], comparison["records"])
        self.assertLessEqual(len(comparison["records"]), 5)
        self.assertIn(f"record {comparison['promoted']}", self.output("jobs", job))
        self.output("build", *SMALL, "--out", self.folder / "dist")
        manifest = json.loads((self.folder / "dist" / "manifest.json").read_text())
        self.assertIn(f'"record_ids": ["{comparison["promoted"]}"]', json.dumps(manifest))

    def test_an_interrupted_campaign_goes_on_as_it_says(self):
        self.start_server()
        self.start_worker("worker", "--cores", 1)
        self.wait_until_done(self.tune_in_background(*SMALL, "--trials", 8))
        campaign = self.start("tessera", "aa", "--server", self.address, "--pairs", 1000)
        eventually("a pair", lambda: "1 of 1000 pairs" in campaign.said())
        campaign.signal(signal.SIGINT)
        self.assertEqual(campaign.wait(), INTERRUPTED)
        last = campaign.said().splitlines()[-1]
        measured = int(re.search(r"stopped after (\d+) of 1000 pairs", last).group(1))
        self.assertGreaterEqual(measured, 1)
        after = re.search(r"--after (\d+)", last).group(1)
        said = json.loads(self.output("aa", "matmul", "--pairs", measured + 2, "--after", after, "--json"))
        self.assertEqual(said["summary"]["pairs"], measured + 2)
        self.assertEqual(len(said["pairs"]), measured + 2)
        self.assertAlmostEqual(said["summary"]["median_ratio"], 1, delta=0.2)
        for pair in said["pairs"]:
            self.assertLessEqual(pair["low"], pair["ratio"])

    def test_the_importance_of_features_comes_from_the_log(self):
        self.start_server()
        self.start_worker("worker", "--cores", 1)
        job = self.tune_in_background(*SMALL, "--trials", 30, "--cost-model", "ensemble")
        self.wait_until_done(job)
        said = json.loads(self.output("importance", "matmul", "--count", 3, "--json"))
        taught = [r for r in self.log(job) if r["outcome"] != "infrastructure"]
        self.assertEqual(said["programs"], len(taught))
        self.assertEqual(len(said["features"]), 3)
        self.assertGreater(said["features"][0]["mean_abs_shap"], 0)
        table = self.output("importance", "matmul", "--count", 3)
        for feature in said["features"]:
            self.assertIn(feature["feature"], table)
        self.assertEqual(self.tessera("importance", "nosuch").returncode, BAD_INPUT)

    def test_a_log_is_searched_again_without_devices(self):
        server = self.start_server()
        self.start_worker("worker", "--cores", 1)
        job = self.tune_in_background(*SMALL, "--trials", 60, "--explorer", "random")
        self.wait_until_done(job)
        tried = [r for r in self.log(job) if r["outcome"] not in ("infrastructure", "cancelled")]
        data = self.folder / "small.data"
        self.output("dataset", "--task", "matmul", "--job", job, "--out", data)
        server.kill()
        rows = [line for line in data.read_text().splitlines() if not line.startswith("#")]
        self.assertEqual(len(rows), len({r["loop_hash"] for r in tried if r["config"]}))

        def replay(folder):
            arguments = ["--data", data, "--explorer", "evolution", "--seeds", 2, "--trials", 40]
            table = self.output("replay", *arguments, "--out", self.folder / folder)
            self.assertIn("evolution + xgboost", table)
            return {path.name: path.read_bytes() for path in (self.folder / folder).iterdir()}

        written = replay("one")
        self.assertEqual(sorted(written), ["curves.csv", "small.svg", "summary.csv"])
        self.assertEqual(written, replay("two"))

    def test_all_that_pins_leave_is_measured(self):
        server = self.start_server()
        self.start_worker("worker", "--cores", 1)
        file = self.folder / "rows.yaml"
        operator = {"name": "rows", "op": "softmax", "m": 4, "n": 24}
        file.write_text(json.dumps({"pins": {"group": [1]}, "operators": [operator]}))
        space = self.output("space", file, "--target", self.devices()[0]["target"])
        count = int(re.search(r"^(\d+) configs \(counted\)$", space, re.M)[1])
        grid = (file, "--explorer", "grid", "--prior", "none", "--trials")
        few = self.tune_in_background(*grid, 5)
        whole = self.tune_in_background(*grid, 500)
        self.wait_until_done(few)
        self.wait_until_done(whole)
        data = self.folder / "rows.data"
        kind = ("dataset", "--task", "rows", "--kind", "enumerated", "--out", data, "--job")
        refused = self.tessera(*kind, few)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("have no row, the first: {", refused.stderr)
        self.assertFalse(data.exists())
        self.output(*kind, whole, "--remark", "two words")
        lines = data.read_text().splitlines()
        self.assertIn('# pins: {"group":[1]}', lines)
        self.assertIn("# remark: two words", lines)
        rows = [json.loads(line.split("\t")[3]) for line in lines if not line.startswith("#")]
        self.assertEqual(len(rows), count)
        self.assertEqual({row["group"] for row in rows}, {1})

        again = {"configs": rows[:3]}
        file.write_text(json.dumps({"pins": again, "operators": [operator]}))
        job = self.tune_in_background(*grid, 500)
        self.wait_until_done(job)
        measured = [json.loads(r["config"]) for r in self.log(job) if r["config"]]
        self.assertCountEqual(measured, rows[:3])

        file.write_text(json.dumps({"pins": {"tide": [1]}, "operators": [operator]}))
        refused = self.tessera("tune", file)
        self.assertEqual(refused.returncode, BAD_INPUT)
        self.assertIn("task rows: pins: no knob tide; there are ", refused.stderr)
        server.kill()
        self.output("replay", "--data", data, "--seeds", 1, "--trials", 8, "--out", self.folder / "r")

    def test_a_job_measures_nothing_that_an_earlier_one_did(self):
        self.start_server()
        self.start_worker("worker", "--cores", 1)

        def programs(*words):
            job = self.tune_in_background(*SMALL, "--trials", 24, *words)
            self.wait_until_done(job)
            measured = [r for r in self.log(job) if r["outcome"] not in ("infrastructure", "cancelled")]
            return {r["loop_hash"] for r in measured if r["config"]}

        first = programs()
        self.assertGreater(len(first), 15)
        self.assertFalse(first & programs())
        self.assertTrue(first & programs("--prior", "none"))
        refused = self.tessera("tune", *SMALL, "--prior", "nosuch")
        self.assertEqual(refused.returncode, BAD_INPUT)
        self.assertIn("nosuch", refused.stderr)

    @unittest.skipUnless(platform.machine() == "x86_64", "two instruction sets of one machine")
    def test_a_job_is_measured_by_devices_of_one_class(self):
        self.start_server()
        self.start_worker("narrow", "--cores", 1, "--isa", "sse4.2")
        self.start_worker("wide", "--cores", 1, "--isa", "avx2")
        classes = {d["worker"]: d["device_class"] for d in self.devices()}
        self.assertEqual(len(set(classes.values())), 2)
        done = self.tessera("tune", *SMALL, "--trials", 8, "--target", "x86/sse4.2")
        self.assertEqual(done.returncode, BAD_INPUT)
        for word in (*classes.values(), "--device-class"):
            self.assertIn(word, done.stderr)
        self.assertEqual(self.jobs(), [])
        # Both run this target.
        words = (*SMALL, "--trials", 8, "--target", "x86/sse4.2", "--device-class")
        jobs = {worker: self.tune_in_background(*words, classes[worker]) for worker in classes}
        for worker, job in jobs.items():
            self.wait_until_done(job)
            counted = self.check_log(job, 8)
            self.assertEqual({r["device_class"] for r in counted}, {classes[worker]})
            self.assertIn(classes[worker], self.output("jobs", job))
        shown = {j["id"]: j["device_class"] for j in self.jobs()}
        self.assertEqual(shown, {jobs[worker]: classes[worker] for worker in classes})
        self.assertIn(f"device class {classes['wide']}", self.tessera("watch", jobs["wide"]).stderr)

    def test_a_worker_finds_a_server_that_comes_back(self):
        server = self.start_server()
        worker = self.start_worker("worker", "--cores", 1)
        for times in range(1, 4):
            server.kill()
            time.sleep(0.6)  # in which the worker finds nobody
            server = self.start_server(listen=self.address)
            connections = times + 1
            eventually(
                "the worker is back", lambda: worker.said().count("connected to") == connections, seconds=4
            )

    def test_two_ups_on_one_machine(self):
        ups = []
        for name in ("a", "b"):
            up = self.start("tessera", "up", "--listen", "127.0.0.1:0", "--data", self.folder / name)
            ups.append(up.read_line("ready "))
        jobs = []
        for self.address in ups:
            jobs.append(self.tune_in_background(*SMALL, "--trials", 30))
        for self.address, job in zip(ups, jobs):
            self.wait_until_done(job)
            counted = self.check_log(job, 30)
            self.assertNotIn("infrastructure", {r["outcome"] for r in counted})


class Models(RigTest):
    def test_a_server_comes_with_a_model(self):
        self.start_server()
        self.assertIn("x86-2", self.output("model", "list"))
        self.assertIn("bench/search/data/varied", self.output("model", "show", "x86-2"))

    def test_a_model_of_the_log_goes_to_another_server(self):
        none = self.folder / "none"
        none.mkdir()
        server = self.start(
            "tessera-server", "--listen", "127.0.0.1:0", "--data", self.data, "--models", none
        )
        self.address = server.read_line("listening on ")
        self.assertIn("tessera model train", self.tessera("model", "list").stderr)
        self.start_worker("worker", "--cores", 1)
        for n in (32, 48, 64):
            operator = ["--op", "matmul", "m=32", f"n={n}", "k=64"]
            self.wait_until_done(self.tune_in_background(*operator, "--trials", 24, "--explorer", "random"))
        said = json.loads(self.output("model", "train", "mine-1", "--cost-model", "regression", "--json"))
        self.assertEqual(said["model"]["tasks"], 3)
        self.assertEqual(len(said["held_out"]), 3)
        self.assertLessEqual(said["model"]["programs"], 3 * 24)
        again = self.tessera("model", "train", "mine-1")
        self.assertEqual(again.returncode, BAD_INPUT)
        self.assertIn("choose another name", again.stderr)
        # The next job of a task like those begins with it.
        near = ["--op", "matmul", "m=32", "n=96", "k=64"]
        job = self.tune_in_background(*near, "--trials", 16, "--prior", "mine-1")
        self.wait_until_done(job)
        proposed_by = {r["explorer"] for r in self.log(job)}
        self.assertLessEqual({"default", "near-task", "annealing"}, proposed_by)

        shipped = self.folder / "share"
        shipped.mkdir()
        self.output("model", "export", "mine-1", "--out", shipped / "mine-1.tsm")
        listed = json.loads(self.output("model", "list", "--json"))
        other = self.start(
            "tessera-server", "--listen", "127.0.0.1:0", "--data", self.folder / "other", "--models", shipped
        )
        self.address = other.read_line("listening on ")
        self.assertEqual(json.loads(self.output("model", "list", "--json")), listed)
        self.output("model", "import", shipped / "mine-1.tsm", "--name", "mine-2")
        shown = json.loads(self.output("model", "show", "mine-2", "--json"))
        self.assertEqual(shown["digest"], said["model"]["digest"])
        self.assertIn("mine-1", self.output("model", "list"))
        self.assertEqual(self.tessera("model", "show", "nosuch").returncode, BAD_INPUT)
        self.assertEqual(self.tessera("model", "export", "nosuch").returncode, BAD_INPUT)
        damaged = shipped / "damaged.tsm"
        damaged.write_bytes((shipped / "mine-1.tsm").read_bytes()[:-1])
        done = self.tessera("model", "import", damaged)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(str(damaged), done.stderr)


class Libraries(RigTest):
    def digests(self, folder):
        return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}

    def test_one_selection_gives_the_same_bytes(self):
        self.start_server()
        worker = self.start_worker("one")
        self.output("tune", *SMALL, "--trials", 12)
        one, two = self.folder / "one", self.folder / "two"
        device_class = self.devices()[0]["device_class"]
        self.output("build", *SMALL, "--out", one)
        worker.kill()
        self.start_worker("two", "--cores", 1)
        self.output("build", *SMALL, "--out", two, "--device-class", device_class)
        self.assertEqual(sorted(self.digests(one)), 
            ["libops.so", "manifest.json", "ops.h", "sbom.json", "tessera_ops.pc", "tessera_opsConfig.cmake"])
        for name in ("libops.so", "ops.h"):
            self.assertEqual((one / name).read_bytes(), (two / name).read_bytes(), name)
        manifest = json.loads((one / "manifest.json").read_text())
        again = json.loads((two / "manifest.json").read_text())
        self.assertEqual(self.without_selection(manifest), self.without_selection(again))

    def without_selection(self, manifest):
        return {k: v for k, v in manifest.items() if k not in ("selection", "created")}


class Help(RigTest):
    def test_every_subcommand_helps(self):
        self.address = None
        listing = self.output("--help")
        names = re.findall(r"^  ([a-z]+) +\S", listing[listing.index("Subcommands:") :], re.M)
        for expected in ("up worker tune jobs watch best log build devices space version").split():
            self.assertIn(expected, names)
        options = {
            "up": ["--listen", "--data", "--no-worker"],
            "tune": ["--server", "--trials", "--key", "--report", "--detach"],
            "log": ["--format", "--outcome", "--limit"],
            "build": ["--job", "--device-class", "--out"],
            "devices": ["--drain", "--resume"],
            "space": ["--samples", "--seed"],
            "dataset": ["--task", "--kind", "--out"],
            "replay": ["--data", "--explorer", "--in-flight"],
            "best": ["--count", "--trace"],
            "aa": ["--pairs", "--after", "--json"],
            "jobs": ["--cancel", "--json"],
            "worker": ["--roles", "--cores"],
        }
        for name in names:
            text = self.output(name, "--help")
            for option in options.get(name, []):
                self.assertIn(option, text, name)

    def test_every_program_tells_its_version(self):
        release = re.search(r"VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text().split("project(")[1])
        said = self.output("version")
        self.assertRegex(said, rf"^tessera {re.escape(release.group(1))}\+[0-9a-f]{{12}}\n$")
        version = said.split()[1]
        for name in ("tessera", "tessera-server", "tessera-worker"):
            said = subprocess.run([BIN / name, "--version"], capture_output=True, text=True, timeout=10)
            self.assertEqual((said.returncode, said.stdout), (0, f"{name} {version}\n"))


class Quickstart(RigTest):
    def test_an_interrupted_one_names_no_commands_for_the_server_that_it_stops(self):
        (self.folder / "deploy").mkdir()
        (self.folder / "build").mkdir()
        (self.folder / "build" / "bin").symlink_to(BIN)
        (self.folder / "examples").symlink_to(ROOT / "examples")
        script = shutil.copy(ROOT / "deploy" / "quickstart.sh", self.folder / "deploy")
        for done_before in ("install_deps.sh", "build.sh"):
            shutil.copy("/bin/true", self.folder / "deploy" / done_before)
        errors = self.folder / "errors"
        with open(errors, "w") as file:
            quickstart = subprocess.Popen(
                ["bash", script], stdout=subprocess.DEVNULL, stderr=file,
                env={**os.environ, "XDG_CACHE_HOME": str(self.folder)},
            )  # fmt: skip
        eventually("it tunes", lambda: "job 1 running" in errors.read_text())
        quickstart.send_signal(signal.SIGINT)
        self.assertEqual(quickstart.wait(timeout=60), INTERRUPTED)
        said = errors.read_text()
        self.assertNotIn("tessera watch", said)
        self.assertIn("the same command goes on from there", said)


if __name__ == "__main__":
    unittest.main(verbosity=2)
