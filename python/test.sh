#!/usr/bin/env bash
# Builds the package into build/python and tests it against the programs of TESSERA_BIN, else of
# build/bin. Arguments go to pytest. PYTHON names the interpreter, whose modules have to be there:
# deploy/install_deps.sh --tests installs those of /usr/bin/python3.
set -euo pipefail
cd "$(dirname "$0")"
python=$(command -v "${PYTHON:-/usr/bin/python3}")
python=$(realpath -s "$python")
out=$(realpath -m "${TESSERA_PYTHON_BUILD:-../build/python}")
rm -rf "$out"
mkdir -p "$out"
"$python" setup.py -q build --build-base "$out/base" --build-lib "$out/lib" \
  >"$out/build.log" 2>&1 || { cat "$out/build.log" >&2; exit 1; }
cd tests  # not where the sources are: Python looks there first
PYTHONPATH=$out/lib PYTHONDONTWRITEBYTECODE=1 exec "$python" -m pytest \
  -p no:cacheprovider "$@"
