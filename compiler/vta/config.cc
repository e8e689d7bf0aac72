#include "compiler/vta/config.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/view.h"
#include "compiler/vta/fields.h"

namespace tessera::vta {
namespace {

constexpr int kLogAccumulatorBytes = 2;
constexpr int kLogUopBytes = 2;
constexpr int kMaxLog = 30;

struct Member {
  const char* name;
  int Config::* value;
};
constexpr Member kMembers[] = {{"LOG_BATCH", &Config::log_batch},
                               {"LOG_BLOCK", &Config::log_block},
                               {"LOG_UOP_BUFF_SIZE", &Config::log_uop_bytes},
                               {"LOG_INP_BUFF_SIZE", &Config::log_inp_bytes},
                               {"LOG_WGT_BUFF_SIZE", &Config::log_wgt_bytes},
                               {"LOG_ACC_BUFF_SIZE", &Config::log_acc_bytes}};

// What this accelerator is not offered with another value of.
struct Fixed {
  const char* name;
  int value;
};
constexpr Fixed kFixed[] = {{"LOG_INP_WIDTH", 3}, {"LOG_WGT_WIDTH", 3}, {"LOG_ACC_WIDTH", 5}};
// Of the same files, and of no meaning here.
constexpr const char* kIgnored[] = {"TARGET", "HW_VER"};

absl::Status Refuse(std::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("VTA configuration: ", AbslView(why)));
}

absl::Status ReadMember(const std::string& name, const nlohmann::json& value, Config& config) {
  if (std::ranges::find(kIgnored, name, [](const char* one) { return std::string_view(one); }) !=
      std::end(kIgnored)) {
    return absl::OkStatus();
  }
  const auto* member = std::ranges::find(kMembers, name, &Member::name);
  const auto* fixed = std::ranges::find(kFixed, name, &Fixed::name);
  if (member == std::end(kMembers) && fixed == std::end(kFixed)) {
    return Refuse(absl::StrCat("there is no member ", name.substr(0, 40)));
  }
  if (!value.is_number_integer() || value < 0 || value > kMaxLog) {
    return Refuse(absl::StrCat(
        name, " is ", value.is_primitive() ? value.dump().substr(0, 40) : value.type_name(),
        ", not a whole number of 0 to ", kMaxLog));
  }
  const int number = value.get<int>();
  if (member != std::end(kMembers)) {
    config.*(member->value) = number;
  } else if (number != fixed->value) {
    return Refuse(absl::StrCat(name, " is ", number, "; this accelerator has ", fixed->value));
  }
  return absl::OkStatus();
}

}  // namespace

std::string_view MemoryName(Memory memory) {
  constexpr std::array<std::string_view, kMemories> kNames = {"uop", "wgt", "inp", "acc", "out"};
  return kNames[static_cast<size_t>(memory)];
}

int Config::LogTileBytes(Memory memory) const {
  switch (memory) {
    case Memory::kUop:
      return kLogUopBytes;
    case Memory::kWgt:
      return 2 * log_block;
    case Memory::kInp:
    case Memory::kOut:
      return log_batch + log_block;
    case Memory::kAcc:
      return log_batch + log_block + kLogAccumulatorBytes;
  }
  TESSERA_CHECK(false);
}

int Config::LogDepth(Memory memory) const {
  switch (memory) {
    case Memory::kUop:
      return log_uop_bytes - LogTileBytes(memory);
    case Memory::kWgt:
      return log_wgt_bytes - LogTileBytes(memory);
    case Memory::kInp:
      return log_inp_bytes - LogTileBytes(memory);
    case Memory::kAcc:
    case Memory::kOut:
      return log_acc_bytes - LogTileBytes(Memory::kAcc);
  }
  TESSERA_CHECK(false);
}

absl::Status CheckEncodable(const Config& config) {
  for (const Memory memory : {Memory::kUop, Memory::kWgt, Memory::kInp, Memory::kAcc}) {
    const int depth = config.LogDepth(memory);
    if (depth < 0) {
      return Refuse(absl::StrCat("a tile of ", AbslView(MemoryName(memory)), " has 2^",
                                 config.LogTileBytes(memory), " bytes, its memory 2^",
                                 config.LogTileBytes(memory) + depth));
    }
    if (depth > kMaxLogDepth) {
      return Refuse(absl::StrCat(AbslView(MemoryName(memory)), " has 2^", depth,
                                 " tiles; transfers address 2^", kMaxLogDepth));
    }
  }
  for (const WordUse& use : WordUses(config)) {
    if (use.bits > use.limit) {
      return Refuse(absl::StrCat(use.what, " takes ", use.bits, " bits, there are ", use.limit,
                                 "; make a memory smaller"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Config> ParseConfig(std::string_view text) {
  const nlohmann::json document = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!document.is_object()) return Refuse("it is no JSON object");
  Config config;
  for (const auto& [name, value] : document.items()) {
    TESSERA_RETURN_IF_ERROR(ReadMember(name, value, config));
  }
  TESSERA_RETURN_IF_ERROR(CheckEncodable(config));
  return config;
}

std::string Print(const Config& config) {
  nlohmann::ordered_json document;
  for (const Member& member : kMembers) document[member.name] = config.*member.value;
  return document.dump();
}

}  // namespace tessera::vta
