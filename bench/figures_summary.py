#!/usr/bin/env python3
"""Medians over the seeds of bench/figures.sh's runs: a table on standard output, all as JSON."""
import argparse
import json
import pathlib
import statistics


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("reports", nargs="+", type=pathlib.Path, help="SEED-THREADS.json")
    parser.add_argument("--json", type=pathlib.Path, required=True)
    arguments = parser.parse_args()

    runs = {}  # (operator, threads) -> its rows, one a seed
    machine = None
    failed = trials = 0
    for path in sorted(arguments.reports):
        report = json.loads(path.read_text())
        machine = report["machine"]
        threads = machine["threads"]
        for row in report["operators"]:
            runs.setdefault((row["op"], threads), []).append(row)
            trials += row["trials"]
            failed += sum(row["failures"].values())

    def median(op, threads, field):
        return statistics.median(row[field] for row in runs[op, threads])

    rows = []
    print("| | default, 1 thread | tuned, 1 thread | share of peak (lowest) | two threads ÷ one (lowest) | trials/s |")
    print("|---|---|---|---|---|---|")
    for op in dict.fromkeys(op for op, _ in runs):
        ratios = [one["tuned_seconds"] / two["tuned_seconds"]
                  for one, two in zip(runs[op, 1], runs[op, 2])]
        row = {
            "op": op,
            "default_gflops": median(op, 1, "default_gflops"),
            "tuned_gflops": median(op, 1, "tuned_gflops"),
            "peak_fraction": median(op, 1, "peak_fraction"),
            "lowest_peak_fraction": min(r["peak_fraction"] for r in runs[op, 1]),
            "two_threads": statistics.median(ratios),
            "lowest_two_threads": min(ratios),
            "trials_per_second": statistics.median(r["trials"] / r["seconds"] for r in runs[op, 1]),
        }
        rows.append(row)
        print(f"| {op} | {row['default_gflops']:.1f} | {row['tuned_gflops']:.1f} "
              f"| {row['peak_fraction']:.1%} ({row['lowest_peak_fraction']:.1%}) "
              f"| {row['two_threads']:.2f} ({row['lowest_two_threads']:.2f}) "
              f"| {row['trials_per_second']:.1f} |")
    print(f"\n{failed} of {trials} trials failed; {machine['description']}; "
          f"{len(arguments.reports) // 2} seeds")
    arguments.json.write_text(json.dumps(
        {"machine": machine, "medians": rows, "failed": failed, "trials": trials,
         "runs": [{"threads": t, **r} for (_, t), rs in runs.items() for r in rs]}, indent=1))


if __name__ == "__main__":
    main()
