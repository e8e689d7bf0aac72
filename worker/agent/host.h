#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "db/record/record.h"

namespace tessera::agent {

// What this machine is, found out without a compiler, so that runner-only workers can say it too.
struct Host {
  std::string target;            // canonical text: ISA, caches, threads = number of `cores`
  db::DeviceClass device_class;  // "x86/zen4/avx512/2c"
};

// `isa` caps the instruction set ("sse4.2", "avx2", "avx512"; empty: all there is). InvalidArgument
// when the machine has less, naming both.
absl::StatusOr<Host> DescribeHost(const std::vector<int>& cores, std::string_view isa);

// The name of a microarchitecture from what /proc/cpuinfo says: "zen4"; "intel-6-151" for those
// without a name here.
std::string Microarchitecture(std::string_view vendor, int family, int model);

}  // namespace tessera::agent
