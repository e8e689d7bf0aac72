# 32-bit ARM Linux with glibc (ARMv7, hard float): deploy/cross_worker.sh armhf.
set(CMAKE_SYSTEM_PROCESSOR armv7l)
set(debian_triple arm-linux-gnueabihf)
include(${CMAKE_CURRENT_LIST_DIR}/debian.cmake)
