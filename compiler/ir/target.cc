#include "compiler/ir/target.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status.h"

namespace tessera::ir {
namespace {

struct KindInfo {
  TargetKind kind;
  std::string name;
  std::vector<std::string> features;
};

const std::array<KindInfo, 6>& Kinds() {
  static const std::array<KindInfo, 6> kinds = {
      KindInfo{TargetKind::kX86, "x86", {"sse4.2", "avx2", "avx512", "vnni", "bf16"}},
      KindInfo{TargetKind::kAArch64, "aarch64", {"neon", "dotprod", "fp16"}},
      KindInfo{TargetKind::kArm, "arm", {"neon"}},
      KindInfo{TargetKind::kOpenCl, "opencl", {"fp16"}},
      KindInfo{TargetKind::kCuda,
               "cuda",
               {"sm_70", "sm_75", "sm_80", "sm_86", "sm_87", "sm_89", "sm_90"}},
      KindInfo{TargetKind::kVta, "vta", {}},
  };
  return kinds;
}

const KindInfo& InfoOf(TargetKind kind) {
  for (const KindInfo& info : Kinds()) {
    if (info.kind == kind) return info;
  }
  TESSERA_CHECK(false);
}

// Vector width and registers follow from kind and features.
void DeriveVectors(Target& target) {
  switch (target.kind) {
    case TargetKind::kX86:
      target.vector_bytes = target.Has("avx512") ? 64 : target.Has("avx2") ? 32 : 16;
      target.vector_registers = target.Has("avx512") ? 32 : 16;
      break;
    case TargetKind::kAArch64:
      target.vector_bytes = 16;
      target.vector_registers = 32;
      break;
    case TargetKind::kArm:
      target.vector_bytes = 16;
      target.vector_registers = 16;
      break;
    case TargetKind::kOpenCl:
    case TargetKind::kCuda:
      target.vector_bytes = 16;
      target.vector_registers = 64;
      break;
    case TargetKind::kVta:
      target.vector_bytes = 16;
      target.vector_registers = 16;
      break;
  }
}

// What every OpenCL 1.2 device of the full profile has, and every CUDA device without being asked.
void SetGpuDefaults(Target& target) {
  const bool is_cuda = target.kind == TargetKind::kCuda;
  if (target.block_threads == 0) target.block_threads = is_cuda ? 1024 : 256;
  if (target.wave_threads == 0) target.wave_threads = 32;
  if (target.shared_bytes == 0) target.shared_bytes = (is_cuda ? 48 : 32) << 10;
  if (target.block_registers == 0 && is_cuda) target.block_registers = 64 << 10;
}

// Those of the published design for Zynq-7020 boards (arXiv:1807.04188).
void SetVtaDefaults(Target& target) {
  if (target.tile_rows == 0) target.tile_rows = 1;
  if (target.tile_block == 0) target.tile_block = 16;
  if (target.uop_bytes == 0) target.uop_bytes = 32 << 10;
  if (target.inp_bytes == 0) target.inp_bytes = 32 << 10;
  if (target.wgt_bytes == 0) target.wgt_bytes = 256 << 10;
  if (target.acc_bytes == 0) target.acc_bytes = 128 << 10;
  if (target.pipeline_steps == 0) target.pipeline_steps = 4;
}

// A number that targets have beside their features.
struct Limit {
  const char* key;
  std::variant<int Target::*, int64_t Target::*> member;
  int64_t most;
  bool is_optional = false;  // 0 is left out
  bool is_power_of_two = false;
};

int64_t Get(const Target& target, const Limit& limit) {
  return std::visit([&](auto member) { return int64_t{target.*member}; }, limit.member);
}
void Set(Target& target, const Limit& limit, int64_t value) {
  std::visit(
      [&](auto member) {
        target.*member = static_cast<std::remove_reference_t<decltype(target.*member)>>(value);
      },
      limit.member);
}

// In the order in which they are printed.
std::vector<Limit> LimitsOf(TargetKind kind) {
  constexpr int64_t kMaxBytes = int64_t{1} << 40, kMaxTexels = (int64_t{1} << 29) - 1;
  if (kind == TargetKind::kVta) {
    const auto size = [](const char* key, auto member, int64_t most) {
      return Limit{.key = key, .member = member, .most = most, .is_power_of_two = true};
    };
    return {
        size("batch", &Target::tile_rows, 1 << 10),    size("block", &Target::tile_block, 1 << 10),
        size("uop", &Target::uop_bytes, kMaxBytes),    size("inp", &Target::inp_bytes, kMaxBytes),
        size("wgt", &Target::wgt_bytes, kMaxBytes),    size("acc", &Target::acc_bytes, kMaxBytes),
        {"pipeline", &Target::pipeline_steps, 1 << 20}};
  }
  if (IsCpu(kind)) {
    return {{"l1", &Target::l1_bytes, kMaxBytes},
            {"l2", &Target::l2_bytes, kMaxBytes},
            {"threads", &Target::max_threads, 4096}};
  }
  std::vector<Limit> limits = {{"l2", &Target::l2_bytes, kMaxBytes},
                               {"block", &Target::block_threads, 4096},
                               {"wave", &Target::wave_threads, 128},
                               {"shared", &Target::shared_bytes, kMaxBytes}};
  if (kind == TargetKind::kOpenCl) {
    limits.push_back({"constant", &Target::constant_bytes, kMaxBytes, true});
    limits.push_back({"texels", &Target::image_texels, kMaxTexels, true});
  } else {
    limits.push_back({"registers", &Target::block_registers, 1 << 20, true});
  }
  return limits;
}

absl::Status CheckPowersOfTwo(const Target& target) {
  for (const Limit& limit : LimitsOf(target.kind)) {
    const int64_t value = Get(target, limit);
    if (limit.is_power_of_two && !std::has_single_bit(static_cast<uint64_t>(value))) {
      return absl::InvalidArgumentError(
          absl::StrCat("target: ", limit.key, "=", value, " is no power of two"));
    }
  }
  return absl::OkStatus();
}

// Blocks of all sizes that the target has can be run.
absl::Status CheckRegisters(const Target& target) {
  constexpr int64_t kFewest = 16;  // that compilers can do with
  const std::optional<int64_t> registers = ThreadRegisters(target, target.block_threads);
  if (!registers || *registers >= kFewest) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("target: registers=", target.block_registers, " leave each of ",
                   target.block_threads, " threads of a block ", *registers, "; at least ", kFewest,
                   " are needed, so give more registers or a smaller block="));
}

// Of the ISA levels of x86 and CUDA only the highest is named; later ones include earlier ones.
absl::Status Canonicalise(Target& target) {
  auto& features = target.features;
  std::sort(features.begin(), features.end());
  features.erase(std::unique(features.begin(), features.end()), features.end());
  const auto drop = [&](std::string_view name) {
    features.erase(std::remove(features.begin(), features.end(), name), features.end());
  };
  if (target.kind == TargetKind::kX86) {
    if (target.Has("avx512")) drop("avx2");
    if (target.Has("avx512") || target.Has("avx2")) drop("sse4.2");
    if ((target.Has("vnni") || target.Has("bf16")) && !target.Has("avx512")) {
      return absl::InvalidArgumentError("target: x86 features vnni and bf16 need avx512");
    }
    if (!target.Has("avx512") && !target.Has("avx2") && !target.Has("sse4.2")) {
      features.push_back("sse4.2");
    }
  }
  const bool is_arm = target.kind == TargetKind::kAArch64 || target.kind == TargetKind::kArm;
  if (is_arm && !target.Has("neon")) features.push_back("neon");
  if (target.kind == TargetKind::kCuda) {
    // Sorted, the last is the highest.
    features = {features.empty() ? "sm_70" : features.back()};
  }
  if (IsGpu(target.kind)) SetGpuDefaults(target);
  if (target.kind == TargetKind::kVta) {
    SetVtaDefaults(target);
    TESSERA_RETURN_IF_ERROR(CheckPowersOfTwo(target));
  }
  TESSERA_RETURN_IF_ERROR(CheckRegisters(target));
  std::sort(features.begin(), features.end());
  DeriveVectors(target);
  return absl::OkStatus();
}

absl::Status ReadLimit(Target& target, const std::string& part) {
  const std::pair<std::string, std::string> key_value =
      absl::StrSplit(part, absl::MaxSplits('=', 1));
  const auto& [key, text] = key_value;
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  constexpr int64_t kMost = int64_t{1} << 40;
  if (error != std::errc() || end != text.data() + text.size() || value < 1 || value > kMost) {
    return absl::InvalidArgumentError(
        absl::StrCat("target: \"", part, "\" is not KEY=NUMBER with a number from 1 to 2^40"));
  }
  const std::vector<Limit> limits = LimitsOf(target.kind);
  const auto limit = std::ranges::find(limits, key, &Limit::key);
  if (limit == limits.end()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "target: limit \"", key, "\" is unknown; known: ",
        absl::StrJoin(limits, ", ",
                      [](std::string* out, const Limit& known) { *out += known.key; })));
  }
  if (value > limit->most) {
    return absl::InvalidArgumentError(
        absl::StrCat("target: ", key, "=", value, " is over the limit of ", limit->most));
  }
  Set(target, *limit, value);
  return absl::OkStatus();
}

// Of the ISA levels of x86 and CUDA a target names only its highest, which includes the others.
bool Offers(const Target& device, const std::string& feature) {
  if (device.Has(feature)) return true;
  if (device.kind == TargetKind::kCuda) return feature <= device.features.back();
  if (feature == "sse4.2") return device.Has("avx2") || device.Has("avx512");
  return feature == "avx2" && device.Has("avx512");
}

}  // namespace

bool Target::Has(std::string_view feature) const {
  return std::find(features.begin(), features.end(), feature) != features.end();
}

bool IsCpu(TargetKind kind) {
  return kind == TargetKind::kX86 || kind == TargetKind::kAArch64 || kind == TargetKind::kArm;
}

bool IsGpu(TargetKind kind) { return kind == TargetKind::kOpenCl || kind == TargetKind::kCuda; }

std::string_view KindName(TargetKind kind) { return InfoOf(kind).name; }

std::optional<int64_t> ThreadRegisters(const Target& target, int64_t block_threads) {
  if (target.block_registers == 0) return std::nullopt;
  constexpr int64_t kMost = 255, kUnit = 8;  // from compute capability 3.5 on
  // Waves have them, whole ones.
  const int64_t wave = target.wave_threads;
  const int64_t threads = (block_threads + wave - 1) / wave * wave;
  return std::min(kMost, target.block_registers / threads / kUnit * kUnit);
}

bool MultipliesMatrices(const Target& target) {
  constexpr int kWave = 32;
  return CopiesAsynchronously(target) && target.wave_threads == kWave &&
         target.block_threads >= kWave;
}

bool CopiesAsynchronously(const Target& target) {
  return target.kind == TargetKind::kCuda && target.features.back() >= "sm_80";
}

std::string ToString(const Target& target) {
  const KindInfo& info = InfoOf(target.kind);
  std::string text = absl::StrCat(info.name, target.features.empty() ? "" : "/",
                                  absl::StrJoin(target.features, ","));
  for (const Limit& limit : LimitsOf(target.kind)) {
    const int64_t value = Get(target, limit);
    if (value > 0 || !limit.is_optional) absl::StrAppend(&text, " ", limit.key, "=", value);
  }
  return text;
}

absl::StatusOr<Target> ParseTarget(std::string_view text) {
  const std::vector<std::string> parts = absl::StrSplit(std::string(text), ' ', absl::SkipEmpty());
  if (parts.empty()) {
    return absl::InvalidArgumentError("target is empty; write for example x86/avx2 threads=2");
  }
  const std::pair<std::string, std::string> head =
      absl::StrSplit(parts[0], absl::MaxSplits('/', 1));
  const KindInfo* info = nullptr;
  std::vector<std::string> names;
  for (const KindInfo& candidate : Kinds()) {
    names.push_back(candidate.name);
    if (candidate.name == head.first) info = &candidate;
  }
  if (info == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(
        "target kind \"", head.first, "\" is unknown; known: ", absl::StrJoin(names, ", ")));
  }
  Target target;
  target.kind = info->kind;
  const std::vector<std::string> features = absl::StrSplit(head.second, ',', absl::SkipEmpty());
  for (const std::string& feature : features) {
    if (std::find(info->features.begin(), info->features.end(), feature) == info->features.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("target: ", info->name, " feature \"", feature, "\" is unknown; known: ",
                       info->features.empty() ? "none" : absl::StrJoin(info->features, ", ")));
    }
    target.features.push_back(feature);
  }
  for (size_t i = 1; i < parts.size(); ++i) TESSERA_RETURN_IF_ERROR(ReadLimit(target, parts[i]));
  TESSERA_RETURN_IF_ERROR(Canonicalise(target));
  return target;
}

bool CanRun(const Target& device, const Target& task, int threads) {
  if (task.kind == TargetKind::kVta) return device == task && threads == 1;
  return device.kind == task.kind && threads <= device.max_threads &&
         task.block_threads <= device.block_threads && task.shared_bytes <= device.shared_bytes &&
         task.constant_bytes <= device.constant_bytes && task.image_texels <= device.image_texels &&
         std::all_of(task.features.begin(), task.features.end(),
                     [&](const std::string& feature) { return Offers(device, feature); });
}

std::optional<std::string> WhyNotTogether(const Target& a, const Target& b) {
  if (IsCpu(a.kind) != IsCpu(b.kind)) return std::nullopt;
  if (!IsCpu(a.kind)) return "are both devices, of which a library is for one";
  if (a.kind != b.kind) return "are machines of different kinds, which need a library each";
  if (a.features != b.features) return std::nullopt;
  return absl::StrCat("have the same instruction set, ", absl::StrJoin(a.features, ","),
                      ", by which a library chooses its version");
}

absl::StatusOr<Target> X86Target(std::string_view isa) {
  if (isa != "sse4.2" && isa != "avx2" && isa != "avx512") {
    return absl::InvalidArgumentError(
        absl::StrCat("x86 ISA \"", std::string(isa), "\" is unknown; known: sse4.2, avx2, avx512"));
  }
  return ParseTarget(absl::StrCat("x86/", std::string(isa)));
}

}  // namespace tessera::ir
