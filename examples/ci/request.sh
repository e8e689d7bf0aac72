#!/bin/sh
# Has a library for a model, as a CI job does: request.sh MODEL [FOLDER]
#
# With TESSERA_SERVER a farm's devices measure. Without it this machine does: a server and a worker
# run as long as this script, on the data folder TESSERA_DATA, which a pipeline keeps between runs so
# that nothing is measured twice.
set -eu
model=$1
out=${2:-dist}
mkdir -p "$out"
# However this ends, a cancelled pipeline's signals included, what it started ends, too.
up=
request=
trap 'for process in $request $up; do kill $process 2>/dev/null && wait $process || true; done' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
if [ -z "${TESSERA_SERVER:-}" ]; then
  TESSERA_SERVER=${TESSERA_LISTEN:-127.0.0.1:7654}
  export TESSERA_SERVER
  tessera up --listen "$TESSERA_SERVER" --data "${TESSERA_DATA:-tessera-data}" &
  up=$!
  tries=0
  until tessera devices 2>/dev/null | grep -q ' online '; do
    tries=$((tries + 1))
    if [ $tries -gt 60 ]; then echo "request.sh: no device came up" >&2; exit 1; fi
    sleep 1
  done
  # What answers may be another's server, because of which ours didn't start.
  if ! kill -0 $up 2>/dev/null; then
    echo "request.sh: no server came up at $TESSERA_SERVER; set TESSERA_LISTEN to a free port" >&2
    exit 1
  fi
fi
# Exit codes: 0 the library is there, 3 a demand is not met, 2 bad input, 1 anything else.
tessera request --model "$model" --budget "${TESSERA_BUDGET:-500}" \
  --max-wait "${TESSERA_MAX_WAIT:-20m}" --report "$out/report.json" --out "$out" \
  ${TESSERA_DEMANDS:-} &
request=$!
wait $request
