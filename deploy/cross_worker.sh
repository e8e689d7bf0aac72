#!/usr/bin/env bash
# Builds the runner-only worker for a board or a phone on this machine. See --help and docs/boards.md.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'HELP'
usage: deploy/cross_worker.sh aarch64|armhf

Builds tessera-worker with its runner role for 64-bit (aarch64) or 32-bit (armhf: ARMv7, hard float)
ARM Linux, and leaves build/tessera-worker-ARCH.tar.gz, which holds one program. On the board it needs
glibc and nothing else.

The libraries to link are Debian's: the script downloads the target's packages with apt, from the
sources that this machine is set up with, and unpacks them below build/sysroot. It changes nothing in
the machine's own packages and needs no root. What is there already is not made again; delete the
folder to start over. deploy/install_deps.sh --cross installs the compilers.

Exit codes: 0 built, 1 failed, 2 bad arguments, 3 the packages can't be fetched.
HELP
}

fail() {
  echo "cross_worker: $*" >&2
  exit 1
}

[ $# -eq 1 ] || { usage >&2; exit 2; }
case $1 in
  -h | --help) usage; exit 0 ;;
  aarch64) arch=aarch64 debian=arm64 triple=aarch64-linux-gnu ;;
  armhf) arch=armhf debian=armhf triple=arm-linux-gnueabihf ;;
  *) echo "cross_worker: \"$1\" is neither aarch64 nor armhf" >&2; exit 2 ;;
esac

for tool in "$triple-g++" cmake ninja protoc grpc_cpp_plugin pkg-config apt-get dpkg-deb; do
  command -v "$tool" >/dev/null || fail "$tool is missing; deploy/install_deps.sh --cross installs it"
done

# What the worker is compiled with and linked to; protobuf-compiler-grpc because gRPC's CMake files
# ask for the plugin's path.
packages=(
  libgrpc++-dev libprotobuf-dev protobuf-compiler-grpc libabsl-dev libspdlog-dev libfmt-dev
  libssl-dev nlohmann-json3-dev libcli11-dev catch2 opencl-c-headers
)
sysroot=$PWD/build/sysroot/$triple
apt_folder=$PWD/build/sysroot/apt-$debian

# apt with a state of its own, in which nothing is installed: it then fetches what a package needs too.
write_apt_configuration() {
  mkdir -p "$apt_folder"/lists/partial "$apt_folder"/cache/archives/partial
  : >"$apt_folder/status"
  cat >"$apt_folder/apt.conf" <<CONF
APT::Architecture "$debian";
APT::Architectures { "$debian"; };
APT::Install-Recommends "false";
APT::Sandbox::User "";
Acquire::Languages "none";
Dir::State "$apt_folder";
Dir::State::status "$apt_folder/status";
Dir::Cache "$apt_folder/cache";
CONF
}

make_sysroot() {
  write_apt_configuration
  echo "cross_worker: fetching Debian's packages for $debian"
  export APT_CONFIG=$apt_folder/apt.conf
  apt-get update -qq ||
    echo "cross_worker: some lists of packages can't be fetched; going on with the others" >&2
  apt-get install -qq -y --download-only "${packages[@]}" >/dev/null ||
    { echo "cross_worker: apt can't fetch the packages for $debian; run this again to go on" >&2; exit 3; }
  unset APT_CONFIG
  rm -rf "$sysroot"
  mkdir -p "$sysroot"
  for package in "$apt_folder"/cache/archives/*.deb; do
    dpkg-deb --extract "$package" "$sysroot" || fail "$package can't be unpacked; delete it and run this again"
  done
  # Links that start at the root would lead out of it.
  find "$sysroot" -type l -lname '/*' -printf '%p\t%l\n' | while IFS=$'\t' read -r link target; do
    ln -sfrT "$sysroot$target" "$link"
  done
  touch "$sysroot/complete"
  rm -rf "$apt_folder"
}

build_worker() {
  mkdir -p build
  cmake --preset "runner-$arch" >"build/configure-$arch.log" 2>&1 ||
    { cat "build/configure-$arch.log" >&2; fail "see above; the whole of it is in build/configure-$arch.log"; }
  cmake --build --preset "runner-$arch" --target tessera-worker
}

# The program, and what the authors of the libraries in it ask to go with it.
pack_worker() {
  local folder=build/tessera-worker-$arch doc package
  rm -rf "$folder"
  mkdir -p "$folder/licenses"
  "$triple-strip" -o "$folder/tessera-worker" "build/runner-$arch/bin/tessera-worker"
  cp LICENSE "$folder/licenses/tessera"
  for doc in "$sysroot"/usr/share/doc/*/copyright; do
    package=$(basename "$(dirname "$doc")")
    [[ $package == *-dev || $package == libstdc++* ]] && cp "$doc" "$folder/licenses/$package"
  done
  tar -C build -czf "$folder.tar.gz" "tessera-worker-$arch"
}

# A library that was not linked in would be missed on the board only.
check_worker() {
  local program=build/tessera-worker-$arch/tessera-worker needed glibc
  needed=$("$triple-readelf" -d "$program" | grep -oP '(?<=Shared library: \[)[^]]+' |
    grep -vE '^(libc\.so\.6|libm\.so\.6|ld-linux.*)$' || true)
  [ -z "$needed" ] || fail "$program needs more than glibc: $needed"
  glibc=$("$triple-readelf" -V "$program" | grep -oP '(?<=GLIBC_)[0-9.]+' | sort -V | tail -1)
  echo "cross_worker: build/tessera-worker-$arch.tar.gz:" \
    "$(stat -c %s "$program") bytes, runs with glibc $glibc or later"
}

[ -e "$sysroot/complete" ] || make_sysroot
build_worker
pack_worker
check_worker
