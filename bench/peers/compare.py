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

from case import load_cases
from driver import Command, Plan, load_average, measure, now
from report import markdown
from rows import TESSERA, Results, Row, case_key, make_row

HERE = Path(__file__).resolve().parent
PEERS = ("onednn", "onednn-omp", "openblas", "blis", "onnxruntime", "openvino")
# Debian 12's versions don't know newer cores and fall back to slow kernels on them.
AVX512 = {"OPENBLAS_CORETYPE": "SkylakeX", "BLIS_ARCH_TYPE": "0"}
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "BLIS_NUM_THREADS")


def compile_calls(out: Path) -> Path:
    library = out / "calls.so"
    compiler = os.environ.get("CC", "cc")
    flags = ["-std=c11", "-O2", "-fPIC", "-shared"]
    subprocess.run([compiler, *flags, str(HERE / "calls.c"), "-o", str(library)], check=True)
    return library.resolve()


def dnnl_libraries() -> dict[str, Path]:
    """Of both wheels, by their version: `onednn` is the newest, `onednn-omp` the OpenMP build,
    which was last published as 3.2."""
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
    return result


def command(name: str, threads: int, calls: Path) -> Command:
    environment = {variable: str(threads) for variable in THREAD_VARIABLES}
    environment["TESSERA_PEERS_CALLS"] = str(calls)
    environment["GLIBC_TUNABLES"] = "glibc.malloc.hugetlb=1"
    if "avx512f" in Path("/proc/cpuinfo").read_text():
        environment |= AVX512
    library = dnnl_libraries().get(name)
    if name.startswith("onednn"):
        if library is None:
            raise SystemExit(f"compare: no library for {name} in {sys.prefix}/lib; see README.md")
        environment["TESSERA_PEERS_DNNL"] = str(library)
        environment["LD_LIBRARY_PATH"] = str(library.parent)
        environment["OCL_ICD_FILENAMES"] = str(library.parent / "libintelocl.so")
    return [sys.executable, str(HERE / "peer.py"), name], environment


def warn_of_threads(libraries: list[Path], threads: int) -> None:
    for library in libraries:
        target = json.loads((library / "manifest.json").read_text())["target"]
        match = re.search(r"threads=(\d+)", target)
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
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.1, help="of one turn of one library")
    parser.add_argument("--retry-failed", action="store_true", help="cases where a library failed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--timeout", type=float, default=300, help="seconds for one answer")
    parser.add_argument("--peers", default=",".join(PEERS), help=f"of {','.join(PEERS)}")
    parser.add_argument("--out", type=Path, default=Path("build/bench/peers"))
    arguments = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    if not 1 <= arguments.threads <= cores:
        parser.error(f"--threads {arguments.threads}: this process may use 1 to {cores} cores")
    if arguments.rounds < 3:
        parser.error(f"--rounds {arguments.rounds}: an interval needs at least 3")
    unknown = set(arguments.peers.split(",")) - set(PEERS)
    if unknown:
        parser.error(f"--peers: {', '.join(sorted(unknown))}: there are {', '.join(PEERS)}")
    return arguments


def main() -> int:
    arguments = parse_arguments()
    arguments.out.mkdir(parents=True, exist_ok=True)
    warn_of_threads(arguments.library, arguments.threads)
    calls = compile_calls(arguments.out)
    names = [TESSERA, *arguments.peers.split(",")]
    commands = {name: command(name, arguments.threads, calls) for name in names}
    plan = Plan(
        threads=arguments.threads,
        rounds=arguments.rounds,
        seconds=arguments.seconds,
        seed=arguments.seed,
        timeout_seconds=arguments.timeout,
        out=arguments.out,
    )
    cases = [
        case
        for case in load_cases(arguments.library, arguments.suite)
        if re.search(arguments.cases, case.name)
    ]
    if not cases:
        raise SystemExit("compare: no operator is both in a suite and in a library")
    results = Results(arguments.out / "results.csv")
    table = arguments.out / "results.md"
    known = results.load()
    for number, case in enumerate(cases, 1):
        rows = known.get(case_key(case, plan), {})
        failed = any(row.status == "failed" for row in rows.values())
        if set(names) <= set(rows) and not (failed and arguments.retry_failed):
            print(f"{number}/{len(cases)} {case.name}: already measured", flush=True)
            continue
        load, date = load_average(), now()
        outcomes = measure(case, commands, plan)
        new = [make_row(case, plan, o, load, date, machine()) for o in outcomes]
        results.append(new)
        known = results.load()
        table.write_text(markdown(list(known.values())))
        print(f"{number}/{len(cases)} {case.name}: {line(new)}", flush=True)
    if known:
        table.write_text(markdown(list(known.values())))
    print(f"{results.path}, {table}")
    return 0


def line(rows: list[Row]) -> str:
    return ", ".join(
        f"{r.peer} {min(r.minima):.4g} us" if r.minima else f"{r.peer} {r.status}" for r in rows
    )


if __name__ == "__main__":
    sys.exit(main())
