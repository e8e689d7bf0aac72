#!/usr/bin/env bash
# Tunes bench/figures.yaml through server and worker on one and on two threads, once a seed, and
# prints medians over the seeds; build/bench/figures.json has every run.
# Usage: bench/figures.sh [trials] [seeds]
set -euo pipefail
cd "$(dirname "$0")/.."
trials=${1:-200}
seeds=${2:-3}
data=$(mktemp -d)
mkdir -p build/bench
build/bin/tessera up --listen 127.0.0.1:0 --data "$data" >"$data/up.log" 2>&1 &
up=$!
trap 'kill -INT $up 2>/dev/null; wait $up 2>/dev/null || true; rm -rf "$data"' EXIT
for _ in $(seq 300); do
  grep -q '^ready ' "$data/up.log" && break
  sleep 0.1
done
address=$(sed -n 's/^ready //p' "$data/up.log")
[ -n "$address" ] || { cat "$data/up.log" >&2; exit 1; }
for seed in $(seq "$seeds"); do
  for threads in 1 2; do
    build/bin/tessera tune --server "$address" bench/figures.yaml --trials "$trials" \
      --threads "$threads" --seed "$seed" --scheduler fair --prior none \
      --report "$data/$seed-$threads.json" >&2
  done
done
bench/figures_summary.py "$data"/?*-?.json --json build/bench/figures.json
