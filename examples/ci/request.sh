#!/bin/sh
# Has a library for a model, as a CI job does: request.sh MODEL [FOLDER]
#
# With TESSERA_SERVER a farm's devices measure. Without it this machine does: a server and a worker
# run as long as this script, on the data folder TESSERA_DATA, which a pipeline keeps between runs so
# that nothing is measured twice.
set -eu
model=${1:?name a model: request.sh MODEL.onnx [FOLDER]}
command -v tessera >/dev/null || { echo "request.sh: tessera is not in PATH" >&2; exit 1; }
out=${2:-dist}
mkdir -p "$out"
# A cancelled pipeline's signals end what it started, too.
up=
request=
ready=$(mktemp)
trap 'trap "" HUP INT TERM; kill $request $up 2>/dev/null || true; wait; rm -f "$ready"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
if [ -z "${TESSERA_SERVER:-}" ]; then
  tessera up --listen 127.0.0.1:0 --data "${TESSERA_DATA:-tessera-data}" >"$ready" &
  up=$!
  until grep '^ready ' "$ready" >&2; do
    kill -0 $up 2>/dev/null || wait $up  # it has said why it ended
    sleep 1
  done
  TESSERA_SERVER=$(sed -n 's/^ready //p' "$ready")
  export TESSERA_SERVER
fi
# Exit codes: 0 the library is there, 3 a demand is not met, 2 bad input, 1 anything else.
tessera request --model "$model" --budget "${TESSERA_BUDGET:-500}" \
  --max-wait "${TESSERA_MAX_WAIT:-20m}" --report "$out/report.json" --out "$out" \
  ${TESSERA_DEMANDS:-} &
request=$!
wait $request
