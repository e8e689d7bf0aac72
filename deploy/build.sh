#!/usr/bin/env bash
# Configures and builds the release preset into build/ (or the targets named).
set -euo pipefail
cd "$(dirname "$0")/.."
# What ccache needs to be correct with precompiled headers.
export CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
mkdir -p build
cmake --preset release >build/configure.log 2>&1 || { cat build/configure.log >&2; exit 1; }
if [ $# -gt 0 ]; then
  cmake --build --preset release --target "$@"
else
  cmake --build --preset release
fi
