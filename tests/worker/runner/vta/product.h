#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "compiler/vta/encoding.h"
#include "compiler/vta/text.h"
#include "worker/runner/vta/board.h"

// A product of one tile, shifted and clipped, as instructions in DRAM.

namespace tessera::vta {

inline constexpr int64_t kProductBytes = 4096;

// Of what lies at `address`, a multiple of kProductBytes: a micro-op, at 16 inputs, at 256 weights,
// at 1024 results, at 2048 instructions.
inline std::string ProductText(uint32_t address) {
  return absl::StrCat("load uop sram 0 dram ", address / 4, " y 1 x 1 stride 1\n",       //
                      "load inp sram 0 dram ", address / 16 + 1, " y 1 x 1 stride 1\n",  //
                      "load wgt sram 0 dram ", address / 256 + 1,
                      " y 1 x 1 stride 1 push next\n"
                      "gemm reset uop 0 1 outer 1 by 0 0 0 inner 1 by 0 0 0\n"
                      "gemm uop 0 1 outer 1 by 0 0 0 inner 1 by 0 0 0 pop prev\n"
                      "alu shr imm 2 uop 0 1 outer 1 by 0 0 inner 1 by 0 0\n"
                      "alu max imm -100 uop 0 1 outer 1 by 0 0 inner 1 by 0 0\n"
                      "alu min imm 100 uop 0 1 outer 1 by 0 0 inner 1 by 0 0 push next\n"
                      "store out sram 0 dram ",
                      address / 16 + 64,
                      " y 1 x 1 stride 1 pop prev push prev\n"
                      "finish pop next\n");
}

inline int8_t InputAt(int k) { return static_cast<int8_t>(3 * k - 20); }
inline int8_t WeightAt(int column, int k) {
  return static_cast<int8_t>((column * 5 + k * 3) % 17 - 8);
}

// Puts the product at `address`, with these instructions. Runs it by the driver; what that says.
inline int RunProduct(const tessera_vta_driver& driver, uint32_t address, const std::string& text,
                      uint64_t& cycles) {
  uint8_t* host = static_cast<uint8_t*>(driver.dram) + (address - driver.dram_address);
  std::memset(host, 0, kProductBytes);
  for (int k = 0; k < 16; ++k) {
    host[16 + k] = static_cast<uint8_t>(InputAt(k));
    for (int column = 0; column < 16; ++column) {
      host[256 + column * 16 + k] = static_cast<uint8_t>(WeightAt(column, k));
    }
  }
  const auto program = ParseAll(text);
  REQUIRE(program.ok());
  for (size_t i = 0; i < program->size(); ++i) {
    const Word word = Encode((*program)[i], Config()).value();
    std::memcpy(host + 2048 + i * sizeof(word), word.data(), sizeof(word));
  }
  return driver.run(driver.self, address + 2048, std::ssize(*program), &cycles);
}

inline bool HoldsProduct(const tessera_vta_driver& driver, uint32_t address) {
  const uint8_t* host = static_cast<const uint8_t*>(driver.dram) + (address - driver.dram_address);
  for (int column = 0; column < 16; ++column) {
    int sum = 0;
    for (int k = 0; k < 16; ++k) sum += InputAt(k) * WeightAt(column, k);
    if (static_cast<int8_t>(host[1024 + column]) != std::clamp(sum >> 2, -100, 100)) return false;
  }
  return true;
}

// `text` where `from` is replaced by `to`.
inline std::string Replaced(std::string text, const std::string& from, const std::string& to) {
  REQUIRE(text.find(from) != std::string::npos);
  return text.replace(text.find(from), from.size(), to);
}

}  // namespace tessera::vta
