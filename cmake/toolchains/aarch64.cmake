# 64-bit ARM Linux with glibc: deploy/cross_worker.sh aarch64.
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(debian_triple aarch64-linux-gnu)
include(${CMAKE_CURRENT_LIST_DIR}/debian.cmake)
