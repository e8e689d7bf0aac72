#!/usr/bin/env bash
# Tunes every operator of job files within a budget, builds its library, measures it beside other
# libraries and writes tables: bench/suite.sh SUITE.yaml... --trials N --threads T --seconds S
# A run that ended early, however it ended, goes on with the same command. More: --help and
# bench/peers/README.md.
set -euo pipefail
folder=$(cd "$(dirname "$0")" && pwd)
python=${TESSERA_PEERS_PYTHON:-$folder/../build/peers/bin/python}
[ -x "$python" ] || {
  printf 'suite: no %s; see Install in bench/peers/README.md, or set TESSERA_PEERS_PYTHON\n' "$python" >&2
  exit 2
}
exec "$python" "$folder/peers/suite.py" "$@"
