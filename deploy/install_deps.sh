#!/usr/bin/env bash
# Installs the Debian 12 packages that Tessera builds with. Does nothing where all are present.
# --cross adds the compilers of deploy/cross_worker.sh and of libraries for other CPUs, --tests these
# and what only the tests need (a formatter, an emulator, an OpenCL driver, OpenBLAS, oneDNN, models,
# Python modules).
set -euo pipefail

packages=(
  g++ cmake ninja-build ccache pkg-config git python3
  llvm-19-dev liblld-19-dev libzstd-dev zlib1g-dev
  libxgboost-dev libgrpc++-dev libprotobuf-dev protobuf-compiler protobuf-compiler-grpc
  libabsl-dev libsqlite3-dev libspdlog-dev libssl-dev
  nlohmann-json3-dev libyaml-cpp-dev libcli11-dev catch2 opencl-c-headers
  libonnx-dev
)
if [ "${1:-}" = "--cross" ] || [ "${1:-}" = "--tests" ]; then
  packages+=(g++-aarch64-linux-gnu libc6-dev-arm64-cross g++-arm-linux-gnueabihf libc6-dev-armhf-cross)
fi
if [ "${1:-}" = "--tests" ]; then
  packages+=(clang-format-19 qemu-user-static ocl-icd-libopencl1 pocl-opencl-icd libonnx-testdata)
  packages+=(libopenblas0-pthread libdnnl2) # optional: what calls them is skipped without
  packages+=(python3-grpcio python3-numpy python3-pandas python3-protobuf python3-pytest
    python3-setuptools python3-tqdm)
fi

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  echo "install_deps: this is no Debian; install what these packages hold: ${packages[*]}" >&2
  exit 1
fi

missing=()
for package in "${packages[@]}"; do
  if ! dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -q '^installed$'; then
    missing+=("$package")
  fi
done
[ ${#missing[@]} -eq 0 ] && exit 0

sudo=""
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || {
    echo "install_deps: missing packages: ${missing[*]}; run this as root, or install them" >&2
    exit 1
  }
  sudo=sudo
fi
echo "installing ${#missing[@]} Debian packages: ${missing[*]}"
$sudo apt-get update -qq
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
  "${missing[@]}" >/dev/null
