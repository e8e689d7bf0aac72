#!/usr/bin/env python3
"""Where a model's time goes: Tessera's kernels beside what onnxruntime needs for the same nodes.

    python profile_kernels.py [--threads N] [--records FILE] [--top 20] MODEL.onnx

Nodes are matched by their names, which make_models.py gives; what onnxruntime fuses under other names, and its
changes of layout, are its own lines. Times are the fastest of the rounds, which are whole runs of the model.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import onnx

from check_import import PROGRAM, command
from values import inputs_of

NAME = re.compile(r"[a-z]+_\d+_\d+")


def ours(args: argparse.Namespace, scratch: Path) -> list[dict]:
    file = scratch / "steps.json"
    more = ["--records", str(args.records)] if args.records else []
    command("profile", args.model, args, "--out", str(file), "--threads", str(args.threads), "--rounds",
            str(args.rounds), *more)
    return json.loads(file.read_text())


def onnxruntime_nodes(args: argparse.Namespace, scratch: Path) -> dict[str, float]:
    """Seconds of a run by node."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = args.threads, 1
    options.enable_profiling, options.profile_file_prefix = True, str(scratch / "onnxruntime")
    session = onnxruntime.InferenceSession(str(args.model), options, providers=["CPUExecutionProvider"])
    inputs = inputs_of(onnx.load(args.model), 1)
    for _ in range(args.rounds + 1):
        session.run(None, inputs)
    events = json.loads(Path(session.end_profiling()).read_text())
    times = defaultdict(list)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            times[event["name"].removesuffix("_kernel_time"), event["args"].get("op_name", "")].append(event["dur"])
    return {f"{name} ({op})": min(t) * 1e-6 for (name, op), t in times.items()}


def aliases(model: onnx.ModelProto) -> dict[str, str]:
    """Of normalisations the convolution before, which both sides fold them into under different names."""
    makers = {output: node for node in model.graph.node for output in node.output}
    return {node.name: makers[node.input[0]].name for node in model.graph.node
            if node.op_type == "BatchNormalization" and node.input[0] in makers}


def table(steps: list[dict], theirs: dict[str, float], same: dict[str, str], top: int) -> str:
    left = dict(theirs)
    kinds: dict[str, dict] = {}
    for step in steps:
        names = {n for node in step["nodes"] for n in NAME.findall(node)}
        matched = [name for name in left if (found := NAME.search(name)) and
                   names & {found.group(), same.get(found.group())}]
        kind = kinds.setdefault(step["kernel"], {"runs": 0, "seconds": 0.0, "theirs": 0.0, "operations": 0, "of": step})
        kind["runs"] += 1
        kind["seconds"] += min(step["seconds"])
        kind["operations"] += step["operations"]
        kind["theirs"] += sum(left.pop(name) for name in matched)
    whole, other = sum(k["seconds"] for k in kinds.values()), sum(theirs.values())
    lines = [f"{whole * 1e3:.2f} ms in {len(steps)} kernels; onnxruntime {other * 1e3:.2f} ms in {len(theirs)} nodes", "",
             "| kernel | runs | ms | share | GFLOPS | onnxruntime, ms | lost, ms | result |", "|" + "---|" * 8]
    for name, kind in sorted(kinds.items(), key=lambda k: -(k[1]["seconds"] - k[1]["theirs"]))[:top]:
        lines.append(f"| {name} | {kind['runs']} | {kind['seconds'] * 1e3:.3f} | {kind['seconds'] / whole:.1%} | "
                     f"{kind['operations'] / kind['seconds'] * 1e-9:.1f} | {kind['theirs'] * 1e3:.3f} | "
                     f"{(kind['seconds'] - kind['theirs']) * 1e3:.3f} | {kind['of']['type']} |")
    for name, seconds in sorted(left.items(), key=lambda item: -item[1])[:max(3, top // 3)]:
        lines.append(f"| *{name}* | | | | | {seconds * 1e3:.3f} | | |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--records", type=Path)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--top", type=int, default=20)
    parser.add_argument("--program", type=Path, default=PROGRAM)
    args = parser.parse_args()
    args.shape, args.dim, args.seconds = [], [], 600
    with tempfile.TemporaryDirectory() as scratch:
        steps = ours(args, Path(scratch))
        print(table(steps, onnxruntime_nodes(args, Path(scratch)), aliases(onnx.load(args.model)), args.top))
    return 0


if __name__ == "__main__":
    sys.exit(main())
