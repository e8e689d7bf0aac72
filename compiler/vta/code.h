#pragma once

#include <cstdint>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "compiler/vta/config.h"
#include "compiler/vta/instruction.h"

// Programs in few words: loops around what becomes instructions when a program starts
// (compiler/runtime/vta.h), which also makes the micro-ops and the tokens.

namespace tessera::vta {

// constant + Σ coefficient × ((turn of the loop / divisor) % extent). Loops (Repeat) are counted
// from the outermost one around, 0.
struct Term {
  int loop = 0;
  int64_t divisor = 1;
  int64_t extent = 1;
  int64_t coefficient = 1;

  friend bool operator==(const Term&, const Term&) = default;
};
struct Value {
  int64_t constant = 0;
  std::vector<Term> terms;

  friend bool operator==(const Value&, const Value&) = default;
};

// Tiles of a memory that hold one tensor's part, as many times as it is held at once: copy c begins
// at first_tile + c × tiles. Results lie where their accumulators do: kOut has no allocations.
// An instruction that uses a copy is put in order with all others that do, by tokens; so is one
// that loads of a buffer with those that store to it.
struct Allocation {
  Memory memory = Memory::kInp;
  int64_t first_tile = 0;
  int64_t tiles = 0;
  int64_t copies = 1;

  friend bool operator==(const Allocation&, const Allocation&) = default;
};

// The tile first_tile + copy × tiles + offset of an allocation's memory.
struct Place {
  int allocation = 0;
  Value copy;
  Value offset;

  friend bool operator==(const Place&, const Place&) = default;
};

// Of a tensor's dimension [0, limit), what lies in [first, first + count).
struct Span {
  Value first;
  int64_t count = 1;
  int64_t limit = 1;

  friend bool operator==(const Span&, const Span&) = default;
};

// What Move::buffer says of a constant of the program.
constexpr int BufferOfConstant(int constant) { return -1 - constant; }

// Rows of tiles from DRAM, or to it, that lie one behind the other from `place` on. Element (y, x)
// is tile `tile` + y × stride + x of buffer `buffer`, or of a constant, which is never stored to.
// What lies outside of the limits is loaded as
// zeros, and not stored. Stored are results: the low 8 bits of what a product or an operation last
// made of the accumulators; those that were only loaded since are none.
struct Move {
  bool is_store = false;
  Place place;  // of kAcc where results are stored
  int buffer = 0;
  Value tile;
  Span rows, columns;
  int64_t stride = 1;

  friend bool operator==(const Move&, const Move&) = default;
};

// Loops around one step, outermost first: the first two become the instruction's, all others
// micro-ops, whose steps may be negative. Steps of what is not used are 0, those of one turn any.
struct Product {
  bool resets = false;  // acc[dst] = 0; src and wgt are not used
  Place dst, src, wgt;
  std::vector<Loop> loops;

  friend bool operator==(const Product&, const Product&) = default;
};
struct Elementwise {
  AluOp op = AluOp::kAdd;
  bool uses_immediate = false;  // src is not used then
  int64_t immediate = 0;
  Place dst, src;
  std::vector<Loop> loops;

  friend bool operator==(const Elementwise&, const Elementwise&) = default;
};

struct Node;
struct Repeat {
  int64_t turns = 1;
  std::vector<Node> body;

  friend bool operator==(const Repeat&, const Repeat&) = default;
};
struct Node {
  std::variant<Repeat, Move, Product, Elementwise> what;

  friend bool operator==(const Node&, const Node&) = default;
};

// A program; it ends with a finish, which nobody writes down. Buffers are numbered by whoever
// starts it. Constants are bytes that the runtime puts into DRAM in front of the micro-ops.
struct Code {
  Config config;
  std::vector<Allocation> allocations;
  std::vector<std::vector<uint8_t>> constants;
  std::vector<Node> body;

  friend bool operator==(const Code&, const Code&) = default;
};

// Those that are used, in the order dst, src, wgt.
std::vector<const Place*> UsedPlaces(const Product& product);
std::vector<const Place*> UsedPlaces(const Elementwise& elementwise);

// What Check lets pass.
inline constexpr int kMaxLoops = 16;  // around an instruction
inline constexpr int kMaxStepLoops = 8;
inline constexpr int kMaxTerms = 16;  // of a value
inline constexpr int kMaxAllocations = 64;
inline constexpr int64_t kMaxCopies = 256;  // of all: so many tokens may wait in a queue
inline constexpr int kMaxConstants = 8;
inline constexpr int64_t kMaxConstantBytes = 1 << 14;   // of one, a multiple of 4
inline constexpr int64_t kConstantAlignment = 1 << 12;  // of the largest tile's bytes
inline constexpr int64_t kMaxNodes = 1 << 16;
inline constexpr int64_t kMaxTurns = 1 << 22;
inline constexpr int64_t kMaxExtent = 1 << 30;           // of a tensor, in tiles
inline constexpr int64_t kMaxNumber = int64_t{1} << 32;  // of constants, divisors, factors
// Visits of nodes, of a store whose columns are cut as many as it has rows. Micro-ops' loads come
// on top.
inline constexpr int64_t kMaxInstructions = 1 << 22;
inline constexpr int64_t kMaxMicroOps = 1 << 22;  // in DRAM
inline constexpr int kMaxLogTileBytes = 12;

// InvalidArgument, naming node, value and limit, where a program can't become instructions whatever
// lies in DRAM: what has no bits (fields.h), tiles and copies that there aren't, allocations that
// overlap, more padding than 15 tiles, loads of nothing but padding, more micro-ops than there is
// memory for, buffers from `buffers` on and constants that there aren't, too many instructions,
// what is not used and not as it was made. A program that it lets pass is safe to expand; it may
// still compute nonsense.
absl::Status Check(const Code& code, int buffers);

// The most words of 4 bytes that a program that Check lets pass has in DRAM: its constants, and the
// micro-ops of a node once for each of the places that it may have.
int64_t MostWords(const Code& code);

}  // namespace tessera::vta
