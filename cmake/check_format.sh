#!/usr/bin/env bash
# Fails when a C or C++ file of the repository is not laid out as .clang-format says.
set -euo pipefail
cd "$(dirname "$0")/.."
git ls-files -z '*.cc' '*.h' '*.c' | xargs -0 clang-format-19 --dry-run --Werror
