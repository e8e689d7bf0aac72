"""Measures a library made by `tessera build` and other libraries side by side; see README.md."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

from case import Case, load_cases
from driver import Command, OtherLoad, Plan, load_average, measure, now
from report import markdown, summary_csv
from rows import TESSERA, Circumstances, Results, Row, case_key, make_row

HERE = Path(__file__).resolve().parent
DEFAULT_PEERS = (
    "onednn",
    "onednn-omp",
    "onednn-debian",
    "openblas",
    "blis",
    "onnxruntime",
    "openvino",
)
PEERS = (*DEFAULT_PEERS, "tvm")
DEBIAN_DNNL = "/usr/lib/*-linux-gnu/libdnnl.so.2"
# Debian 12's versions don't know newer cores and fall back to slow kernels on them.
AVX512 = {"OPENBLAS_CORETYPE": "SkylakeX", "BLIS_ARCH_TYPE": "0"}
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "BLIS_NUM_THREADS")


def compile_calls(out: Path) -> Path:
    library = out / "calls.so"
    compiler = os.environ.get("CC", "cc")
    flags = ["-std=c11", "-O2", "-fPIC", "-shared", "-pthread"]
    subprocess.run([compiler, *flags, str(HERE / "calls.c"), "-o", str(library)], check=True)
    return library.resolve()


def dnnl_libraries() -> dict[str, Path]:
    """Of both wheels, by their version: `onednn` is the newest, `onednn-omp` the OpenMP build,
    which was last published as 3.2. `onednn-debian` is the distribution's, 2.6 on Debian 12."""
    folder = Path(sys.prefix) / "lib"
    found = {
        tuple(int(x) for x in match.groups()): path
        for path in folder.glob("libdnnl.so.3.*")
        if (match := re.fullmatch(r"libdnnl\.so\.(\d+)\.(\d+)", path.name))
    }
    result = {}
    if found:
        result["onednn"] = found[max(found)]
    if (3, 2) in found:
        result["onednn-omp"] = found[(3, 2)]
    for path in sorted(Path("/").glob(DEBIAN_DNNL[1:])):
        result["onednn-debian"] = path
    return result


def last_level_bytes() -> int:
    """Of the largest cache of core 0, as the kernel tells."""
    sizes = [0]
    for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
        match = re.fullmatch(r"(\d+)([KM]?)", path.read_text().strip())
        if match:
            sizes.append(int(match[1]) * {"": 1, "K": 1024, "M": 1024**2}[match[2]])
    return max(sizes) or 64 * 1024**2


def command(name: str, threads: int, calls: Path, tvm: tuple[Path, Path]) -> Command:
    """`tvm`: the interpreter of TVM's virtual environment and tvm_tune.py's folder."""
    environment = {variable: str(threads) for variable in THREAD_VARIABLES}
    environment["TESSERA_PEERS_CALLS"] = str(calls)
    environment["GLIBC_TUNABLES"] = "glibc.malloc.hugetlb=1"
    if "avx512f" in Path("/proc/cpuinfo").read_text():
        environment |= AVX512
    library = dnnl_libraries().get(name)
    if name.startswith("onednn"):
        if library is None:
            raise SystemExit(f"compare: no library for {name}; see Install in README.md")
        environment["TESSERA_PEERS_DNNL"] = str(library)
        environment["LD_LIBRARY_PATH"] = str(library.parent)
        environment["OCL_ICD_FILENAMES"] = str(library.parent / "libintelocl.so")
    interpreter = sys.executable
    if name == "tvm":
        interpreter = str(tvm[0])
        environment |= {"TVM_NUM_THREADS": str(threads), "TESSERA_PEERS_TVM": str(tvm[1].resolve())}
        if not tvm[0].exists():
            raise SystemExit(
                f"compare: no {interpreter}; see Install in README.md, or --tvm-python"
            )
    return [interpreter, str(HERE / "peer.py"), name], environment


def warn_of_threads(libraries: list[Path], threads: int) -> None:
    for library in libraries:
        versions = json.loads((library / "manifest.json").read_text())["versions"]
        match = re.search(r"threads=(\d+)", versions[0]["target"])
        if match and int(match[1]) != threads:
            print(
                f"compare: {library} was made for {match[1]} threads, not {threads}: its operators "
                f"were tuned for that; tune and build with --threads {threads}",
                file=sys.stderr,
            )


def machine() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return f"{line.split(':', 1)[1].strip()}, {os.cpu_count()} cores"
    return f"{platform.machine()}, {os.cpu_count()} cores"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "library", nargs="+", type=Path, help="folder of libops.so and manifest.json"
    )
    parser.add_argument("--suite", nargs="+", type=Path, required=True, help="YAML with attributes")
    parser.add_argument("--cases", default="", help="regular expression of names; default: all")
    parser.add_argument("--retry-failed", action="store_true", help="cases where a library failed")
    parser.add_argument("--out", type=Path, default=Path("build/bench/peers"))
    add_measuring_options(parser)
    arguments = parser.parse_args()
    check_measuring_options(parser, arguments)
    return arguments


def add_measuring_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cache", choices=("warm", "cold", "both"), default="warm")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--turn-seconds", type=float, default=0.1, help="of one turn of one library"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--timeout", type=float, default=300, help="seconds for one answer")
    parser.add_argument("--peers", default=",".join(DEFAULT_PEERS), help=f"of {','.join(PEERS)}")
    parser.add_argument("--tvm-python", type=Path, default=Path("build/peers-tvm/bin/python"))
    parser.add_argument("--tvm-work", type=Path, default=Path("build/bench/tvm"))


def check_measuring_options(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    cores = len(os.sched_getaffinity(0))
    if not 1 <= arguments.threads <= cores:
        parser.error(f"--threads {arguments.threads}: this process may use 1 to {cores} cores")
    if arguments.rounds < 3:
        parser.error(f"--rounds {arguments.rounds}: an interval needs at least 3")
    unknown = set(arguments.peers.split(",")) - set(PEERS)
    if unknown:
        parser.error(f"--peers: {', '.join(sorted(unknown))}: there are {', '.join(PEERS)}")


def make_plans(arguments: argparse.Namespace) -> list[Plan]:
    """One a state of the caches."""
    plans = []
    for cache in ("warm", "cold"):
        if arguments.cache not in (cache, "both"):
            continue
        plans.append(
            Plan(
                threads=arguments.threads,
                rounds=arguments.rounds,
                seconds=arguments.turn_seconds,
                seed=arguments.seed,
                timeout_seconds=arguments.timeout,
                out=arguments.out,
                flush_bytes=2 * last_level_bytes() if cache == "cold" else 0,
            )
        )
    return plans


class Comparison:
    """Measures cases and keeps results.csv, results.md and summary.csv in `arguments.out`."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        arguments.out.mkdir(parents=True, exist_ok=True)
        self.plans = make_plans(arguments)
        self._retry_failed = bool(arguments.retry_failed)
        calls = compile_calls(arguments.out)
        names = [TESSERA, *arguments.peers.split(",")]
        tvm = (arguments.tvm_python.absolute(), arguments.tvm_work)
        self._commands = {name: command(name, arguments.threads, calls, tvm) for name in names}
        self.results = Results(arguments.out / "results.csv")
        self.table = arguments.out / "results.md"
        self._summary = arguments.out / "summary.csv"

    def is_measured(self, case: Case, plan: Plan) -> bool:
        rows = self.results.load().get(case_key(case, plan), {})
        failed = any(row.status == "failed" for row in rows.values())
        return set(self._commands) <= set(rows) and not (failed and self._retry_failed)

    def run(self, case: Case, plan: Plan) -> list[Row]:
        load, date, others = load_average(), now(), OtherLoad()
        outcomes = measure(case, self._commands, plan)
        seen = Circumstances(load, others.cores(), date, machine())
        rows = [make_row(case, plan, outcome, seen) for outcome in outcomes]
        self.results.append(rows)
        self.write_tables()
        return rows

    def write_tables(self) -> None:
        known = list(self.results.load().values())
        if known:
            self.table.write_text(markdown(known))
            self._summary.write_text(summary_csv(known))


def main() -> int:
    arguments = parse_arguments()
    warn_of_threads(arguments.library, arguments.threads)
    cases = [
        case
        for case in load_cases(arguments.library, arguments.suite)
        if re.search(arguments.cases, case.name)
    ]
    if not cases:
        raise SystemExit("compare: no operator is both in a suite and in a library")
    comparison = Comparison(arguments)
    for number, case in enumerate(cases, 1):
        for plan in comparison.plans:
            print(f"{number}/{len(cases)} {case.name}, {plan.cache}: ", end="", flush=True)
            if comparison.is_measured(case, plan):
                print("already measured", flush=True)
            else:
                print(line(comparison.run(case, plan)), flush=True)
    comparison.write_tables()
    print(f"{comparison.results.path}, {comparison.table}")
    return 0


def line(rows: list[Row]) -> str:
    return ", ".join(
        f"{r.peer} {min(r.rounds):.4g} us" if r.rounds else f"{r.peer} {r.status}" for r in rows
    )


if __name__ == "__main__":
    sys.exit(main())
