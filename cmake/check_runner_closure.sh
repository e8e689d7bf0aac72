#!/usr/bin/env bash
# Builds the runner-only worker (preset "runner") and checks that it needs no compiler, database or
# cost model. With a program's path as argument it only checks that.
set -euo pipefail
cd "$(dirname "$0")/.."
program=${1:-}
if [ -z "$program" ]; then
  cmake --preset runner > /dev/null
  cmake --build --preset runner --target tessera-worker
  program=build/runner/bin/tessera-worker
fi
libraries=$(ldd "$program")
if grep -iE 'LLVM|lld|sqlite|xgboost|yaml' <<< "$libraries"; then
  echo "$program: a runner must not link the above" >&2
  exit 1
fi
status=0
said=$("$program" --roles builder --server 127.0.0.1:1 2>&1) || status=$?
if [ "$status" != 2 ] || [[ "$said" != *"built without the builder"* ]]; then
  echo "$program: as a builder it ended with $status: $said" >&2
  exit 1
fi
echo "$program: $(stat -c %s "$program") bytes, $(wc -l <<< "$libraries") libraries, no compiler, database or cost model"
