#pragma once

#include <istream>
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
  double peak_gops = 0;          // of an accelerator whose clock says it; 0: it is not known
};

// `isa` caps the instruction set ("sse4.2", "avx2", "avx512"; empty: all there is). InvalidArgument
// when the machine has less, naming both; Unimplemented for a CPU that no code is generated for.
absl::StatusOr<Host> DescribeHost(const std::vector<int>& cores, std::string_view isa);

// The name of a microarchitecture from what /proc/cpuinfo says: "zen4"; "intel-6-151" for those
// without a name here. Of vendor "arm" the family is the implementer and the model the part.
std::string Microarchitecture(std::string_view vendor, int family, int model);
// Of the cores, by the text of /proc/cpuinfo: "zen4", or "cortex-a53+cortex-a72" where they differ.
std::string Microarchitectures(std::istream& cpuinfo, const std::vector<int>& cores);

}  // namespace tessera::agent
