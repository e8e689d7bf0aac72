#include "compiler/library/isa.h"

#include <algorithm>
#include <bit>
#include <iterator>
#include <numeric>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "compiler/library/device_kind.h"
#include "compiler/runtime/cpu.h"

namespace tessera::library {
namespace {

// Whether the library's device, if it has one, is one, and each operator is there for it.
absl::Status CheckDevice(const LibrarySpec& spec) {
  const std::string device = spec.device ? ir::ToString(spec.device->target) : "";
  if (spec.device && FindDeviceKind(spec.device->target.kind) == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(
        "library: target ", device, " is no device that libraries are made for; they are for ",
        DeviceKindNames()));
  }
  if (spec.versions.empty()) {
    return absl::InvalidArgumentError(
        spec.device ? absl::StrCat("library: for ", device,
                                   " it needs a version for CPUs, too, which runs where there is "
                                   "no such device")
                    : "library: it has no version");
  }
  for (const LibraryOp& op : spec.ops) {
    if (op.on_device.has_value() == spec.device.has_value()) continue;
    const bool is_accelerator = spec.device && spec.device->target.kind == ir::TargetKind::kVta;
    if (is_accelerator && !op.why_not_on_device.empty()) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("library: operator ", op.name, " has ", op.on_device ? "a" : "no",
                     " schedule for a device, the library has ", spec.device ? device : "none"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<int64_t> CpuNeeds(const ir::Target& target) {
  static constexpr std::pair<std::string_view, int64_t> kSets[] = {
      {"sse4.2", TESSERA_CPU_SSE42},
      {"avx2", TESSERA_CPU_SSE42 | TESSERA_CPU_AVX2},
      {"avx512", TESSERA_CPU_SSE42 | TESSERA_CPU_AVX2 | TESSERA_CPU_AVX512},
      {"bf16", TESSERA_CPU_BF16},
      {"vnni", TESSERA_CPU_VNNI},
      {"neon", TESSERA_CPU_NEON},
      {"fp16", TESSERA_CPU_FP16},
      {"dotprod", TESSERA_CPU_DOTPROD},
  };
  if (!ir::IsCpu(target.kind)) {
    return absl::InvalidArgumentError(absl::StrCat("library: target ", ir::ToString(target),
                                                   " is not a CPU; the versions of a library "
                                                   "are for x86, aarch64 and arm"));
  }
  // What code is generated for where no level is named.
  int64_t needs = target.kind == ir::TargetKind::kX86 ? TESSERA_CPU_SSE42 : TESSERA_CPU_NEON;
  for (const std::string& feature : target.features) {
    const auto* found = std::find_if(std::begin(kSets), std::end(kSets),
                                     [&](const auto& set) { return set.first == feature; });
    if (found == std::end(kSets)) {
      return absl::UnimplementedError(absl::StrCat("library: ", ir::ToString(target),
                                                   ": libraries can't ask a CPU for ", feature,
                                                   " (compiler/runtime/cpu.h)"));
    }
    needs |= found->second;
  }
  return needs;
}

std::string IsaText(const ir::Target& target) { return absl::StrJoin(target.features, ","); }

absl::StatusOr<LibrarySpec> SortVersions(LibrarySpec spec) {
  TESSERA_RETURN_IF_ERROR(CheckDevice(spec));
  std::vector<int64_t> needs;
  for (const LibraryVersion& version : spec.versions) {
    TESSERA_ASSIGN_OR_RETURN(const int64_t more, CpuNeeds(version.target));
    if (version.target.kind != spec.versions[0].target.kind) {
      return absl::InvalidArgumentError(
          absl::StrCat("library: target ", ir::ToString(version.target), " is not of the kind of ",
                       ir::ToString(spec.versions[0].target), "; build a library for each"));
    }
    needs.push_back(more);
    if (std::count(needs.begin(), needs.end(), needs.back()) > 1) {
      return absl::InvalidArgumentError(absl::StrCat(
          "library: two versions are for ", IsaText(version.target),
          "; it couldn't choose between them, so name one device class for each instruction set"));
    }
  }
  std::vector<size_t> order(needs.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    const auto rank = [&](size_t i) {
      return std::pair(std::popcount(static_cast<uint64_t>(needs[i])), needs[i]);
    };
    return rank(a) > rank(b);
  });
  const auto sorted = [&](auto list) {
    decltype(list) result;
    for (const size_t i : order) result.push_back(std::move(list[i]));
    return result;
  };
  for (const LibraryOp& op : spec.ops) {
    if (op.versions.size() == order.size()) continue;
    return absl::InvalidArgumentError(absl::StrCat("library: operator ", op.name, " has ",
                                                   op.versions.size(), " schedules for ",
                                                   order.size(), " versions"));
  }
  spec.versions = sorted(std::move(spec.versions));
  for (LibraryOp& op : spec.ops) op.versions = sorted(std::move(op.versions));
  return spec;
}

}  // namespace tessera::library
