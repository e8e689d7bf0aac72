#!/usr/bin/env bash
# From a bare Debian 12 machine to a tuned operator library that a C program links.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: deploy/quickstart.sh [--trials N] [--threads N] [--long]

Installs what is missing, builds, starts a server and a local worker on a free loopback port, tunes
examples/resnet18.yaml, builds an operator library from the log, links examples/use_library.c
against it, runs that and prints a table.

  --trials N   measured candidates an operator, 1 to 1000000 (default 64)
  --threads N  threads of a kernel, 1 to 1024 (default 1)
  --long       500 trials an operator
  --help       this text

Results, in build/quickstart/:
  report.json  per operator: default_gflops, tuned_gflops, peak_fraction, trials, seconds, failures
  dist/        libops.so, ops.h and manifest.json, of the best records of all runs so far
  data/        the log. An interrupted run goes on when it is started with the same options

Exit codes: 0 done, 1 failed, 2 bad input, 130 interrupted.
TEXT
}

say() { printf 'quickstart: %s\n' "$*"; }
refuse() {
  printf 'quickstart: %s\n' "$*" >&2
  exit 2
}
fail() {
  printf 'quickstart: %s\n' "$*" >&2
  exit 1
}

# number OPTION VALUE LIMIT
number() {
  if ! [[ "$2" =~ ^[1-9][0-9]{0,8}$ ]] || [ "$2" -gt "$3" ]; then
    refuse "$1 is \"$2\"; expected a number from 1 to $3"
  fi
}

trials=64
threads=1
while [ $# -gt 0 ]; do
  case "$1" in
    --trials) number "$1" "${2:-}" 1000000; trials=$2; shift 2 ;;
    --threads) number "$1" "${2:-}" 1024; threads=$2; shift 2 ;;
    --long) trials=500; shift ;;
    --help | -h) usage; exit 0 ;;
    *) refuse "unknown argument \"$1\"; see --help" ;;
  esac
done

cd "$(dirname "$0")/.."
out=build/quickstart
tessera=build/bin/tessera
job_file=examples/resnet18.yaml
services=
client=

# Runs a program out of reach of the terminal's Ctrl-C, which comes to this script alone and is
# handed on in order. The program ends when this script does, even if that is killed.
detached() {
  exec setsid setpriv --pdeathsig TERM "$@" </dev/null 9>&-
}
# stop PID: as Ctrl-C would; returns when it has ended.
stop() {
  [ -n "$1" ] || return 0
  kill -INT "$1" 2>/dev/null || true
  wait "$1" 2>/dev/null || true
}
at_exit() {
  local code=$?
  trap '' INT TERM HUP
  # Not asked to end, upon which it names commands for a server that ends, too.
  if [ -n "$client" ]; then
    { kill -KILL "$client" && wait "$client"; } 2>/dev/null || true
  fi
  stop "$services"
  if [ $code -eq 130 ] && [ -s "$out/unfinished" ]; then
    say "interrupted: server and worker are stopped, what was measured is kept; the same command goes on from there" >&2
  fi
  exit $code
}
trap at_exit EXIT
trap 'exit 130' INT TERM HUP

mkdir -p "$out"
exec 9>"$out/lock"
flock -n 9 || fail "another quickstart is running in this checkout; wait for it, or end it"

# 1. Packages and programs.
deploy/install_deps.sh
deploy/build.sh tessera tessera-server tessera-worker

# 2. A server and a worker, each a process of its own.
: >"$out/up.log"
detached "$tessera" up --listen 127.0.0.1:0 --data "$out/data" >"$out/up.log" 2>&1 &
services=$!
address=
while [ -z "$address" ]; do
  if ! kill -0 "$services" 2>/dev/null; then
    cat "$out/up.log" >&2
    fail "server and worker did not start; the lines above say why"
  fi
  sleep 0.1
  address=$(sed -n 's/^ready //p' "$out/up.log")
done
export TESSERA_SERVER=$address
say "server and worker are up at $address; their log is $out/up.log"

# 3. Tuning. A run that was interrupted with these options goes on; one with others gives way.
options="trials $trials threads $threads file $(cksum <"$job_file")"
key="quickstart $(date +%s.%N) $options"
if [ -s "$out/unfinished" ] && [[ "$(cat "$out/unfinished")" == *" $options" ]]; then
  key=$(cat "$out/unfinished")
  say "going on with the run that was interrupted"
else
  "$tessera" jobs | awk '$2 == "running" || $2 == "queued" { print $1 }' | while read -r job; do
    say "job $job, left by a run with other options, is cancelled; its records stay"
    "$tessera" jobs "$job" --cancel
  done
fi
printf '%s\n' "$key" >"$out/unfinished"
detached "$tessera" tune "$job_file" --trials "$trials" --threads "$threads" --key "$key" \
  --report "$out/report.json" >"$out/table.txt" &
client=$!
code=0
wait "$client" || code=$?
client=
if [ $code -ne 0 ]; then
  kill -0 "$services" 2>/dev/null || tail -n 5 "$out/up.log" >&2
  exit $code
fi
rm -f "$out/unfinished"

# 4. The library, and a program that links it.
"$tessera" build "$job_file" --threads "$threads" --name ops --out "$out/dist"
cc -std=c11 -O2 -Wall -Wextra -I "$out/dist" examples/use_library.c -o "$out/use_library" \
  "$out/dist/libops.so" "-Wl,-rpath,$PWD/$out/dist" -lm
printf '\nexamples/use_library.c, linked against %s/dist/libops.so:\n' "$out"
"$out/use_library"

printf '\n'
cat "$out/table.txt"
printf '\n'
say "report $out/report.json, library $out/dist, log $out/data"
