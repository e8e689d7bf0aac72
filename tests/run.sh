#!/usr/bin/env bash
# Installs, builds and runs all tests. Arguments go to ctest: tests/run.sh -L unit, -R tuner, …
# Tests with the label "nightly" are long; they run with TESSERA_NIGHTLY=1.
set -euo pipefail
cd "$(dirname "$0")/.."
deploy/install_deps.sh --tests
cmake/check_layering.py
cmake/check_format.sh
deploy/build.sh
skip=(-LE nightly)
[ -n "${TESSERA_NIGHTLY:-}" ] && skip=()
exec ctest --test-dir build --output-on-failure -j2 "${skip[@]}" "$@"
