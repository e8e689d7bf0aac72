#include "worker/runner/vta/setup.h"

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "base/status.h"
#include "base/view.h"

namespace tessera::vta {
namespace {

// Source: apache/tvm-vta d4a15f6, config/pkg_config.py.
struct KnownBoard {
  const char* name;
  int64_t clock_mhz;
  int64_t bus_bytes;
  uint32_t registers_base;
};
constexpr KnownBoard kBoards[] = {{"pynq", 100, 8, 0x43C0'0000},
                                  {"ultra96", 333, 16, 0xA000'0000},
                                  {"zcu104", 333, 16, 0xA000'0000}};

struct TimingMember {
  const char* name;
  int64_t Timing::* value;
};
constexpr TimingMember kTimings[] = {{"BUS_BYTES", &Timing::bus_bytes},
                                     {"ROW_LATENCY", &Timing::row_latency},
                                     {"FETCH_BURST", &Timing::fetch_burst},
                                     {"QUEUE_ENTRIES", &Timing::queue_entries},
                                     {"TOKEN_ENTRIES", &Timing::token_entries},
                                     {"GEMM_DEPTH", &Timing::gemm_depth},
                                     {"ALU_DEPTH", &Timing::alu_depth},
                                     {"TURN_CYCLES", &Timing::turn_cycles},
                                     {"GEMM_INTERVAL", &Timing::gemm_interval},
                                     {"ALU_INTERVAL", &Timing::alu_interval},
                                     {"ALU_IMMEDIATE_INTERVAL", &Timing::alu_immediate_interval}};
// A parameter that is missing here would let times of different ones compare.
static_assert(sizeof(Timing) == std::size(kTimings) * sizeof(int64_t));
constexpr int64_t kMostCycles = 1 << 20;
constexpr int64_t kMostMegahertz = 10'000;
// Addresses of buffers are multiples of it, and of every tile.
constexpr int64_t kMostTileBytes = 4096;

absl::Status Refuse(std::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("VTA configuration: ", AbslView(why)));
}

// It becomes a part of a device class's name.
absl::Status CheckBoardName(const std::string& name) {
  const bool is_good =
      !name.empty() && name.size() <= 32 && std::ranges::all_of(name, [](unsigned char c) {
        return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '-' || c == '_';
      });
  if (is_good) return absl::OkStatus();
  return Refuse(absl::StrCat("TARGET is \"", name.substr(0, 40),
                             "\"; 1 to 32 small letters, digits, - and _ are allowed"));
}

// Reads members one after the other and takes them away.
class Reader {
 public:
  explicit Reader(nlohmann::json document) : document_(std::move(document)) {}

  absl::Status Number(const char* name, int64_t most, int64_t& value) {
    const nlohmann::json found = Take(name);
    if (found.is_null()) return absl::OkStatus();
    if (!found.is_number_integer() || found < 1 || found > most) {
      return Refuse(
          absl::StrCat(name, " is ", Shown(found), ", not a whole number of 1 to ", most));
    }
    value = found.get<int64_t>();
    return absl::OkStatus();
  }

  absl::Status Text(const char* name, std::string& value) {
    const nlohmann::json found = Take(name);
    if (found.is_null()) return absl::OkStatus();
    if (!found.is_string()) return Refuse(absl::StrCat(name, " is ", Shown(found), ", not a text"));
    value = found.get<std::string>();
    return absl::OkStatus();
  }

  std::string Rest() const { return document_.dump(); }

 private:
  nlohmann::json Take(const char* name) {
    const auto found = document_.find(name);
    if (found == document_.end()) return nullptr;
    nlohmann::json value = std::move(*found);
    document_.erase(found);
    return value;
  }
  static std::string Shown(const nlohmann::json& value) {
    return value.is_primitive() ? value.dump().substr(0, 40) : value.type_name();
  }

  nlohmann::json document_;
};

std::string ClassOf(std::string_view prefix, const Setup& setup, std::string_view digested) {
  return absl::StrCat(AbslView(prefix), "/", setup.config.batch(), "x", setup.config.block(), "/",
                      setup.clock_mhz, "mhz/", Sha256Hex(digested).substr(0, 12));
}

}  // namespace

absl::StatusOr<Setup> ParseSetup(std::string_view text) {
  nlohmann::json document =
      nlohmann::json::parse(text.empty() ? "{}" : text, nullptr, /*allow_exceptions=*/false);
  if (!document.is_object()) return Refuse("it is no JSON object");
  Reader reader(std::move(document));
  Setup setup;
  TESSERA_RETURN_IF_ERROR(reader.Text("TARGET", setup.board));
  TESSERA_RETURN_IF_ERROR(CheckBoardName(setup.board));
  const auto board = std::ranges::find(kBoards, setup.board, &KnownBoard::name);
  setup.registers_base = board == std::end(kBoards) ? 0 : board->registers_base;
  if (board != std::end(kBoards)) {
    setup.clock_mhz = board->clock_mhz;
    setup.timing.bus_bytes = board->bus_bytes;
  }
  TESSERA_RETURN_IF_ERROR(reader.Number("CLOCK_MHZ", kMostMegahertz, setup.clock_mhz));
  TESSERA_RETURN_IF_ERROR(reader.Text("REGISTERS", setup.registers_file));
  TESSERA_RETURN_IF_ERROR(reader.Text("DRAM", setup.dram));
  for (const TimingMember& member : kTimings) {
    TESSERA_RETURN_IF_ERROR(reader.Number(member.name, kMostCycles, setup.timing.*member.value));
  }
  TESSERA_ASSIGN_OR_RETURN(setup.config, ParseConfig(reader.Rest()));
  for (const Memory memory : {Memory::kWgt, Memory::kInp, Memory::kAcc}) {
    const int64_t bytes = setup.config.TileBytes(memory);
    if (bytes > kMostTileBytes) {
      return Refuse(absl::StrCat("a tile of ", AbslView(MemoryName(memory)), " has ", bytes,
                                 " bytes; the limit is ", kMostTileBytes));
    }
  }
  return setup;
}

std::string TargetText(const Setup& setup) {
  const Config& config = setup.config;
  return absl::StrCat(
      "vta batch=", config.batch(), " block=", config.block(),
      " uop=", int64_t{1} << config.log_uop_bytes, " inp=", int64_t{1} << config.log_inp_bytes,
      " wgt=", int64_t{1} << config.log_wgt_bytes, " acc=", int64_t{1} << config.log_acc_bytes,
      " pipeline=", std::max({setup.timing.gemm_depth, setup.timing.alu_depth, int64_t{1}}));
}

std::string SimulatorClass(const Setup& setup) {
  std::string digested = absl::StrCat(kSimulatorVersion, " ", Print(setup.config));
  for (const TimingMember& member : kTimings) {
    absl::StrAppend(&digested, " ", member.name, "=", setup.timing.*member.value);
  }
  return ClassOf("vta-sim", setup, digested);
}

std::string BoardClass(const Setup& setup) {
  return ClassOf(absl::StrCat("vta/", setup.board), setup, Print(setup.config));
}

double PeakGops(const Setup& setup) {
  const auto products = static_cast<double>(setup.config.TileBytes(Memory::kWgt)) *
                        static_cast<double>(setup.config.batch());
  return 2 * products * 1e-3 * static_cast<double>(setup.clock_mhz) /
         static_cast<double>(setup.timing.gemm_interval);
}

std::string Describe(const Config& config) {
  const auto kib = [](int log_bytes) {
    return static_cast<double>(int64_t{1} << log_bytes) / 1024;
  };
  return absl::StrCat("products of ", config.batch(), " x ", config.block(), " by ", config.block(),
                      " x ", config.block(), ", KiB of micro-ops ", kib(config.log_uop_bytes),
                      ", inputs ", kib(config.log_inp_bytes), ", weights ",
                      kib(config.log_wgt_bytes), ", accumulators ", kib(config.log_acc_bytes));
}

}  // namespace tessera::vta
