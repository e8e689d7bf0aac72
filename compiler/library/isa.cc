#include "compiler/library/isa.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "compiler/runtime/cpu.h"

namespace tessera::library {
namespace {

bool IsCpu(const ir::Target& target) {
  return target.kind == ir::TargetKind::kX86 || target.kind == ir::TargetKind::kAArch64;
}

}  // namespace

int64_t CpuNeeds(const ir::Target& target) {
  static constexpr std::pair<const char*, int64_t> kSets[] = {
      {"bf16", TESSERA_CPU_BF16}, {"vnni", TESSERA_CPU_VNNI},       {"neon", TESSERA_CPU_NEON},
      {"fp16", TESSERA_CPU_FP16}, {"dotprod", TESSERA_CPU_DOTPROD},
  };
  TESSERA_CHECK(IsCpu(target));
  int64_t needs = 0;
  for (const auto& [name, bit] : kSets) {
    if (target.Has(name)) needs |= bit;
  }
  if (target.kind == ir::TargetKind::kX86) {
    needs |= TESSERA_CPU_SSE42;  // what code is generated for when no level is named
    if (target.Has("avx2") || target.Has("avx512")) needs |= TESSERA_CPU_AVX2;
    if (target.Has("avx512")) needs |= TESSERA_CPU_AVX512;
  } else {
    needs |= TESSERA_CPU_NEON;
  }
  return needs;
}

std::string IsaText(const ir::Target& target) { return absl::StrJoin(target.features, ","); }

absl::StatusOr<LibrarySpec> SortVersions(LibrarySpec spec) {
  if (spec.versions.empty()) return absl::InvalidArgumentError("library: it has no version");
  std::vector<int64_t> needs;
  for (const LibraryVersion& version : spec.versions) {
    if (!IsCpu(version.target)) {
      return absl::InvalidArgumentError(
          absl::StrCat("library: target ", ir::ToString(version.target),
                       " is not a CPU; libraries are for x86 and aarch64"));
    }
    if (version.target.kind != spec.versions[0].target.kind) {
      return absl::InvalidArgumentError(
          absl::StrCat("library: target ", ir::ToString(version.target), " is not of the kind of ",
                       ir::ToString(spec.versions[0].target), "; build a library for each"));
    }
    needs.push_back(CpuNeeds(version.target));
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
