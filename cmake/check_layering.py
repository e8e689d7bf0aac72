#!/usr/bin/env python3
"""Checks that every #include "folder/…" goes along an allowed arrow.

The arrows are those of docs/architecture.md. They are transitive: a folder may include what it
names here and whatever that may include. Tests and benchmarks may include anything. Also checks
that each folder's CMakeLists.txt links nothing that its arrows forbid, so that the runner's
link closure stays free of LLVM, SQLite and the cost model.
"""

import pathlib
import re
import sys

ARROWS = {
    "base": [],
    "compiler/ir": ["base"],
    "compiler/te": ["compiler/ir"],
    "compiler/schedule": ["compiler/te", "compiler/vta"],
    "compiler/passes": ["compiler/schedule"],
    "compiler/graph": ["compiler/te"],
    "compiler/runtime": [],
    "compiler/vta": ["base"],
    "compiler/codegen": ["compiler/codegen/gpu", "compiler/codegen/vta", "compiler/runtime"],
    "compiler/codegen/gpu": ["compiler/passes"],
    "compiler/codegen/vta": ["compiler/passes", "compiler/vta"],
    "compiler/library": ["compiler/codegen", "compiler/graph"],
    "frontend/onnx": ["compiler/graph"],
    "schedule_space": ["compiler/schedule"],
    "costmodel": ["compiler/passes", "compiler/vta", "schedule_space"],
    "db/record": ["base"],
    "db/sqlite": ["db/record"],
    "db/postgres": ["db/record"],
    "tuner": ["costmodel", "db/record"],
    "tuner/replay": ["tuner"],
    "codesign": ["tuner", "compiler/codegen/vta", "compiler/runtime"],
    "proto": ["db/record"],
    "server": ["tuner", "compiler/graph", "db/sqlite", "db/postgres", "proto"],
    "worker/sandbox": ["compiler/runtime", "compiler/vta", "proto"],
    "worker/agent": ["compiler/runtime", "compiler/vta", "proto"],
    "worker/runner": ["worker/sandbox", "worker/agent"],
    "worker/runner/opencl": ["worker/runner"],
    "worker/runner/cuda": ["worker/runner"],
    "worker/runner/vta": ["worker/runner"],
    "worker/builder": ["compiler/library", "worker/agent", "worker/sandbox"],
    "worker": ["worker/runner", "worker/runner/opencl", "worker/runner/cuda", "worker/runner/vta",
               "worker/agent", "worker/builder"],
    "cli": ["frontend/onnx", "codesign", "tuner/replay", "db/sqlite", "proto"],
}

# What the link closure of a binary must not contain.
FORBIDDEN = {
    "server": ["compiler/codegen", "compiler/library", "frontend/onnx"],
    "worker/runner": ["compiler/codegen", "compiler/ir", "db/sqlite", "costmodel"],
    "worker/agent": ["compiler/codegen", "compiler/ir", "db/sqlite", "costmodel"],
}

ROOT = pathlib.Path(__file__).resolve().parent.parent
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)
DEPS = re.compile(r"DEPS\s+((?:[a-z_]+(?:/[a-z_]+)*\s*)+)")


def closure(folder):
    seen, todo = set(), [folder]
    while todo:
        current = todo.pop()
        if current not in seen:
            seen.add(current)
            todo.extend(ARROWS.get(current, []))
    return seen


def folder_of(path):
    """The longest known folder that holds `path`, or None."""
    parts = pathlib.PurePosixPath(path).parts[:-1]
    for length in range(len(parts), 0, -1):
        candidate = "/".join(parts[:length])
        if candidate in ARROWS:
            return candidate
    return None


def main():
    faults = []
    for folder in ARROWS:
        if folder in closure_without_self(folder):
            faults.append(f"{folder}: the arrows form a circle")
    for top in sorted({f.split("/")[0] for f in ARROWS}):
        for source in sorted((ROOT / top).rglob("*")):
            if source.suffix not in (".h", ".cc", ".c"):
                continue
            relative = source.relative_to(ROOT).as_posix()
            folder = folder_of(relative)
            if folder is None:
                faults.append(f"{relative}: its folder has no arrows in {pathlib.Path(__file__).name}")
                continue
            allowed = closure(folder)
            for included in INCLUDE.findall(source.read_text(encoding="utf-8")):
                target = folder_of(included)
                if target is not None and target not in allowed:
                    faults.append(f"{relative}: includes {included}; {folder} may not see {target}")
                if included.startswith("tests/"):
                    faults.append(f"{relative}: includes {included}; only tests may")
    for folder in ARROWS:
        lists = ROOT / folder / "CMakeLists.txt"
        if not lists.exists():
            continue
        for group in DEPS.findall(lists.read_text(encoding="utf-8")):
            for dep in group.split():
                if dep not in closure(folder):
                    faults.append(f"{folder}/CMakeLists.txt: links {dep}, which its arrows forbid")
    for folder, banned in FORBIDDEN.items():
        for name in banned:
            if name in closure(folder):
                faults.append(f"{folder}: its closure reaches {name}")
    for fault in faults:
        print(fault, file=sys.stderr)
    if faults:
        print(f"layering: {len(faults)} faults", file=sys.stderr)
        return 1
    print("layering: every include goes along an allowed arrow")
    return 0


def closure_without_self(folder):
    seen = set()
    for dep in ARROWS.get(folder, []):
        seen |= closure(dep)
    return seen


if __name__ == "__main__":
    sys.exit(main())
