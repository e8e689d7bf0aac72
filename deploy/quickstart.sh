#!/usr/bin/env bash
# From a bare Debian 12 machine to a tuned operator library that a C program links.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: deploy/quickstart.sh [--trials N] [--threads N] [--long]

Installs what is missing, builds, starts a server and a local worker on a free loopback port, tunes
examples/resnet18.yaml, builds an operator library from the log, links examples/use_library.c
against it, runs that and prints a table.

  --trials N   measured candidates an operator (default 64)
  --threads N  threads of a kernel (default 1)
  --long       1000 trials an operator
  --help       this text

Results: build/quickstart/report.json, build/quickstart/dist/{libops.so,ops.h,manifest.json}.
The log stays in build/quickstart/data; a second run adds to it.
TEXT
}

fail() {
  echo "quickstart: $*" >&2
  exit 2
}

trials=64
threads=1
while [ $# -gt 0 ]; do
  case "$1" in
    --trials | --threads)
      [[ "${2:-}" =~ ^[1-9][0-9]{0,6}$ ]] || fail "$1 is \"${2:-}\"; expected a number from 1 on"
      [ "$1" = --trials ] && trials=$2 || threads=$2
      shift 2
      ;;
    --long) trials=1000; shift ;;
    --help | -h) usage; exit 0 ;;
    *) fail "unknown argument $1; see --help" ;;
  esac
done

cd "$(dirname "$0")/.."
deploy/install_deps.sh
deploy/build.sh tessera tessera-server tessera-worker

out=build/quickstart
tessera=build/bin/tessera
mkdir -p "$out"

# Its own process group is not wanted: Ctrl-C reaches this script, which then stops the services.
"$tessera" up --listen 127.0.0.1:0 --data "$out/data" >"$out/up.log" 2>&1 &
services=$!
stop() {
  kill -INT "$services" 2>/dev/null || true
  wait "$services" 2>/dev/null || true
}
trap stop EXIT
trap 'exit 130' INT TERM

address=
for _ in $(seq 600); do
  address=$(sed -n 's/^ready //p' "$out/up.log")
  [ -n "$address" ] && break
  kill -0 "$services" 2>/dev/null || break
  sleep 0.1
done
if [ -z "$address" ]; then
  cat "$out/up.log" >&2
  echo "quickstart: server or worker did not start; the lines above say why" >&2
  exit 1
fi
export TESSERA_SERVER=$address

echo "tuning examples/resnet18.yaml: $trials trials an operator, $threads thread(s)"
"$tessera" tune examples/resnet18.yaml --trials "$trials" --threads "$threads" \
  --report "$out/report.json" >"$out/table.txt" || {
  code=$?
  [ $code -eq 130 ] && echo "quickstart: run it again to tune on from the log in $out/data" >&2
  exit $code
}

"$tessera" build examples/resnet18.yaml --threads "$threads" --name ops --out "$out/dist"
cc -O2 -std=c11 -D_POSIX_C_SOURCE=200809L -I "$out/dist" examples/use_library.c -o "$out/use_library" \
  "$out/dist/libops.so" -Wl,-rpath,"$PWD/$out/dist" -lm
echo
echo "a C program that links $out/dist/libops.so:"
"$out/use_library"
echo
cat "$out/table.txt"
echo
echo "report: $out/report.json   library: $out/dist   log: $out/data"
