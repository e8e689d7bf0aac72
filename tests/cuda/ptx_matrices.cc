// Instructions by which a warp multiplies matrices: "Parallel Thread Execution ISA", 9.7.14.

#include <algorithm>
#include <array>
#include <cstring>

#include "tests/cuda/ptx_instructions.h"
#include "tests/cuda/ptx_machine.h"
#include "tests/cuda/ptx_values.h"

namespace tessera::ptx {
namespace {

constexpr size_t kRows = 16, kColumns = 8, kTerms = 16;
constexpr Word kBeyondTf32 = 0x1fff;  // bits of a float

Word& RegisterOf(Thread& thread, int slot) { return thread.registers[static_cast<size_t>(slot)]; }

// One of the two numbers of 16 bits in a register.
float NumberIn(Word pair, size_t which, bool is_half) {
  const auto bits = static_cast<uint16_t>(pair >> (16 * which));
  if (is_half) return static_cast<float>(From<Half>(bits));
  return From<float>(Word{bits} << 16);
}

// mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {d…}, {a…}, {b…}, {c…}; also of bf16, and
// m16n8k8 of tf32, whose registers hold one number each.
bool MakeMma(const std::vector<std::string>& opcode, const std::vector<Operand>& operands,
             Instruction& instruction) {
  const auto count = [&](const char* part) { return std::ranges::count(opcode, part); };
  const bool is_tf32 = count("tf32") == 2, is_half = count("f16") == 2;
  const bool known = count(is_tf32 ? "m16n8k8" : "m16n8k16") == 1 && count("f32") == 2 &&
                     (is_tf32 || is_half || count("bf16") == 2);
  if (!known || operands.size() != 4) return false;
  instruction.together = [operands, is_half, is_tf32](Block& block, absl::Span<Thread> warp) {
    float a[kRows][kTerms] = {}, b[kTerms][kColumns] = {}, sums[kRows][kColumns];
    const auto at = [&](size_t lane, size_t operand, size_t i) -> Word& {
      return RegisterOf(warp[lane], operands[operand].slots[i]);
    };
    // Numbers of a register, and of terms that a thread has next to each other.
    const size_t together = is_tf32 ? 1 : 2;
    const auto number = [&](size_t lane, size_t operand, size_t i) {
      const Word word = at(lane, operand, i / together);
      if (!is_tf32) return NumberIn(word, i % together, is_half);
      const bool is_rounded = (word & kBeyondTf32) == 0 || !std::isfinite(From<float>(word));
      if (!is_rounded) block.Fail("mma: a number is not rounded to tf32");
      return From<float>(word);
    };
    for (size_t lane = 0; lane < kWarp; ++lane) {
      const size_t g = lane / 4, q = lane % 4;
      for (size_t i = 0; i < 4 * together; ++i) {
        const size_t part = i / together;
        a[g + 8 * (part % 2)][together * q + i % together + 4 * together * (part / 2)] =
            number(lane, 1, i);
      }
      for (size_t i = 0; i < 2 * together; ++i) {
        b[together * q + i % together + 4 * together * (i / together)][g] = number(lane, 2, i);
      }
      for (size_t i = 0; i < 4; ++i) {
        sums[g + 8 * (i / 2)][2 * q + i % 2] = From<float>(at(lane, 3, i));
      }
    }
    for (size_t row = 0; row < kRows; ++row) {
      for (size_t column = 0; column < kColumns; ++column) {
        for (size_t term = 0; term < 8 * together; ++term) {
          sums[row][column] += a[row][term] * b[term][column];
        }
      }
    }
    for (size_t lane = 0; lane < kWarp; ++lane) {
      for (size_t i = 0; i < 4; ++i) {
        at(lane, 0, i) = To<float>(sums[lane / 4 + 8 * (i / 2)][lane % 4 * 2 + i % 2]);
      }
    }
  };
  return true;
}

// ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {d…}, [row].
bool MakeLdmatrix(const std::vector<std::string>& opcode, const std::vector<Operand>& operands,
                  Instruction& instruction) {
  if (operands.size() != 2 || std::ranges::count(opcode, "m8n8") != 1 ||
      std::ranges::count(opcode, "shared") != 1) {
    return false;
  }
  const bool transposed = std::ranges::count(opcode, "trans") == 1;
  instruction.together = [to = operands[0].slots, from = operands[1], transposed](
                             Block& block, absl::Span<Thread> warp) {
    for (size_t matrix = 0; matrix < to.size(); ++matrix) {
      std::array<std::array<uint16_t, 8>, 8> rows;
      for (size_t row = 0; row < 8; ++row) {
        Thread& thread = warp[8 * matrix + row];
        const Word address = RegisterOf(thread, from.slots[0]) + static_cast<Word>(from.offset);
        const std::byte* memory = block.At(thread, kSharedWindow + address, 16);
        if (memory == nullptr) return;
        std::memcpy(rows[row].data(), memory, 16);
      }
      for (size_t lane = 0; lane < kWarp; ++lane) {
        const size_t g = lane / 4, q = lane % 4;
        const Word low = transposed ? rows[2 * q][g] : rows[g][2 * q];
        const Word high = transposed ? rows[2 * q + 1][g] : rows[g][2 * q + 1];
        RegisterOf(warp[lane], to[matrix]) = low | high << 16;
      }
    }
  };
  return true;
}

}  // namespace

bool MakeMatrixInstruction(const std::vector<std::string>& opcode,
                           const std::vector<Operand>& operands, Instruction& instruction) {
  instruction.run = [](Block&, Thread&) { return Wait::kWarp; };
  return opcode[0] == "mma" ? MakeMma(opcode, operands, instruction)
                            : MakeLdmatrix(opcode, operands, instruction);
}

}  // namespace tessera::ptx
