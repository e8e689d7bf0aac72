// The OpenCL device that tests use.
#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "worker/runner/opencl/device.h"

namespace tessera {

// Part of its name: TESSERA_OPENCL_DEVICE, or empty, which is the first one.
inline std::string OpenClTestDevice() {
  const char* name = std::getenv("TESSERA_OPENCL_DEVICE");
  return name == nullptr ? "" : name;
}

// Warns and returns nothing on a machine without OpenCL devices. One that was asked for is
// required.
inline std::optional<opencl::DeviceInfo> FindOpenClTestDevice() {
  const auto devices = opencl::ListDevices();
  if (!devices.ok() || devices->empty()) {
    WARN("skipped, no OpenCL device: " << devices.status());
    return std::nullopt;
  }
  const auto found = std::ranges::find_if(*devices, [](const opencl::DeviceInfo& one) {
    return one.name.find(OpenClTestDevice()) != std::string::npos;
  });
  INFO("TESSERA_OPENCL_DEVICE=" << OpenClTestDevice());
  REQUIRE(found != devices->end());
  return *found;
}

}  // namespace tessera
