#include "tests/compiler/vta/run_code.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>

#include "compiler/runtime/vta.h"
#include "compiler/vta/bytecode.h"
#include "compiler/vta/encoding.h"

namespace tessera::vta {
namespace {

constexpr size_t kAlignment = 4096;

// Turns the loops of a program and does what each node says, step by step.
class Interpreter {
 public:
  Interpreter(const Code& code, Buffers& buffers) : code_(code), buffers_(buffers) {
    const Config& config = code.config;
    elements_ = config.batch() * config.block();
    const auto size = [&](Memory memory, int elements) {
      return static_cast<size_t>(config.Depth(memory) * elements);
    };
    inp_.resize(size(Memory::kInp, elements_));
    wgt_.resize(size(Memory::kWgt, config.block() * config.block()));
    acc_.resize(size(Memory::kAcc, elements_));
    out_.resize(acc_.size());
  }

  void Run() { Run(code_.body); }

 private:
  int64_t Of(const Value& value) const {
    int64_t sum = value.constant;
    for (const Term& term : value.terms) {
      const int64_t turn = turns_[static_cast<size_t>(term.loop)];
      sum += term.coefficient * ((turn / term.divisor) % term.extent);
    }
    return sum;
  }

  int64_t TileOf(const Place& place) const {
    const Allocation& one = code_.allocations[static_cast<size_t>(place.allocation)];
    return one.first_tile + Of(place.copy) * one.tiles + Of(place.offset);
  }

  void Run(const std::vector<Node>& body) {
    for (const Node& node : body) {
      std::visit([&](const auto& what) { Do(what); }, node.what);
    }
  }

  void Do(const Repeat& repeat) {
    turns_.push_back(0);
    for (int64_t i = 0; i < repeat.turns; ++i) {
      turns_.back() = i;
      Run(repeat.body);
    }
    turns_.pop_back();
  }

  // A tile's bytes.
  uint8_t* Inside(Memory memory, int64_t tile) {
    uint8_t* const first = memory == Memory::kInp   ? reinterpret_cast<uint8_t*>(inp_.data())
                           : memory == Memory::kWgt ? reinterpret_cast<uint8_t*>(wgt_.data())
                                                    : reinterpret_cast<uint8_t*>(acc_.data());
    return first + tile * code_.config.TileBytes(memory);
  }

  void Do(const Move& move) {
    const Memory memory = code_.allocations[static_cast<size_t>(move.place.allocation)].memory;
    int64_t inside = TileOf(move.place);
    for (int64_t row = 0; row < move.rows.count; ++row) {
      for (int64_t column = 0; column < move.columns.count; ++column, ++inside) {
        const int64_t y = Of(move.rows.first) + row, x = Of(move.columns.first) + column;
        const bool is_there = y >= 0 && y < move.rows.limit && x >= 0 && x < move.columns.limit;
        const int64_t outside = Of(move.tile) + y * move.stride + x;
        const bool is_constant = move.buffer < 0;
        const auto number = static_cast<size_t>(is_constant ? -1 - move.buffer : move.buffer);
        const uint8_t* const from = (is_constant ? code_.constants : buffers_)[number].data();
        const size_t bytes = static_cast<size_t>(code_.config.TileBytes(memory));
        if (move.is_store) {
          const uint8_t* const results = out_.data() + inside * elements_;
          if (is_there) {
            std::copy_n(results, elements_, buffers_[number].data() + outside * elements_);
          }
        } else if (is_there) {
          std::memcpy(Inside(memory, inside), from + outside * static_cast<int64_t>(bytes), bytes);
        } else {
          std::memset(Inside(memory, inside), 0, bytes);
        }
      }
    }
  }

  // Calls `step` with the tiles of every step.
  template <typename Step>
  void ForEach(const std::vector<Loop>& loops, size_t depth, MicroOp at, const Step& step) {
    if (depth == loops.size()) return step(at);
    const Loop& loop = loops[depth];
    for (int64_t i = 0; i < loop.turns; ++i) {
      ForEach(loops, depth + 1, at, step);
      at.dst += loop.dst_step;
      at.src += loop.src_step;
      at.wgt += loop.wgt_step;
    }
  }

  int32_t* Acc(int64_t tile) { return acc_.data() + tile * elements_; }

  void SetResults(int64_t tile) {
    for (int i = 0; i < elements_; ++i) {
      out_[static_cast<size_t>(tile * elements_ + i)] = static_cast<uint8_t>(Acc(tile)[i]);
    }
  }

  void Do(const Product& product) {
    const int block = code_.config.block();
    if (product.resets) {
      return ForEach(product.loops, 0, {.dst = TileOf(product.dst)}, [&](const MicroOp& at) {
        std::fill_n(Acc(at.dst), elements_, 0);
        SetResults(at.dst);
      });
    }
    const MicroOp base = {TileOf(product.dst), TileOf(product.src), TileOf(product.wgt)};
    ForEach(product.loops, 0, base, [&](const MicroOp& at) {
      for (int i = 0; i < elements_; ++i) {
        uint32_t sum = static_cast<uint32_t>(Acc(at.dst)[i]);
        for (int k = 0; k < block; ++k) {
          const int input = inp_[static_cast<size_t>(at.src * elements_ + i / block * block + k)];
          const int weight = wgt_[static_cast<size_t>((at.wgt * block + i % block) * block + k)];
          sum += static_cast<uint32_t>(input * weight);
        }
        Acc(at.dst)[i] = static_cast<int32_t>(sum);
      }
      SetResults(at.dst);
    });
  }

  static int32_t Combine(AluOp op, int32_t a, int32_t b) {
    switch (op) {
      case AluOp::kMin:
        return std::min(a, b);
      case AluOp::kMax:
        return std::max(a, b);
      case AluOp::kAdd:
        return static_cast<int32_t>(static_cast<uint32_t>(a) + static_cast<uint32_t>(b));
      case AluOp::kShr:
        if (b >= 0) return a >> std::min(b, 31);
        return b <= -32 ? 0 : static_cast<int32_t>(static_cast<uint32_t>(a) << -b);
    }
    return 0;
  }

  void Do(const Elementwise& elementwise) {
    const int64_t src = elementwise.uses_immediate ? 0 : TileOf(elementwise.src);
    ForEach(elementwise.loops, 0, {.dst = TileOf(elementwise.dst), .src = src},
            [&](const MicroOp& at) {
              for (int i = 0; i < elements_; ++i) {
                const int32_t second = elementwise.uses_immediate
                                           ? static_cast<int32_t>(elementwise.immediate)
                                           : Acc(at.src)[i];
                Acc(at.dst)[i] = Combine(elementwise.op, Acc(at.dst)[i], second);
              }
              SetResults(at.dst);
            });
  }

  const Code& code_;
  Buffers& buffers_;
  int elements_ = 0;  // of a tile of inputs or accumulators
  std::vector<int8_t> inp_, wgt_;
  std::vector<int32_t> acc_;
  std::vector<uint8_t> out_;
  std::vector<int64_t> turns_;
};

}  // namespace

Expansion Expand(const Code& code, const Buffers& buffers) {
  const absl::Status checked = Check(code, static_cast<int>(buffers.size()));
  INFO(checked);
  REQUIRE(checked.ok());
  const std::vector<int64_t> words = Assemble(code);
  const tessera_vta_program program = {words.data(), static_cast<int64_t>(words.size())};

  Expansion made;
  std::vector<tessera_vta_buffer> placed;
  const auto reserve = [&](size_t bytes) {
    const size_t address = (made.dram.size() + kAlignment - 1) / kAlignment * kAlignment;
    made.dram.resize(address + bytes);
    return address;
  };
  for (const std::vector<uint8_t>& buffer : buffers) {
    const size_t address = reserve(buffer.size());
    std::ranges::copy(buffer, made.dram.begin() + static_cast<ptrdiff_t>(address));
    made.addresses.push_back(static_cast<int64_t>(address));
    placed.push_back({static_cast<uint32_t>(address), static_cast<int64_t>(buffer.size())});
  }
  const int64_t limit = tessera_vta_uop_limit(&program);
  REQUIRE(limit == MostWords(code));
  const size_t uops = reserve(static_cast<size_t>(limit) * sizeof(uint32_t));

  tessera_vta_stream stream = {};
  const int status =
      tessera_vta_expand(&program, placed.data(), static_cast<int64_t>(placed.size()),
                         static_cast<uint32_t>(uops), &stream);
  REQUIRE(status == TESSERA_VTA_OK);
  made.uops = stream.uop_count;
  REQUIRE(made.uops <= limit);
  if (made.uops > 0) {
    std::memcpy(made.dram.data() + uops, stream.uops,
                static_cast<size_t>(made.uops) * sizeof(uint32_t));
  }
  for (int64_t i = 0; i < stream.instruction_count; ++i) {
    const Word word = {stream.instructions[2 * i], stream.instructions[2 * i + 1]};
    const auto instruction = Decode(word, code.config);
    INFO(instruction.status());
    REQUIRE(instruction.ok());
    made.program.push_back(*instruction);
  }
  tessera_vta_stream_free(&stream);
  return made;
}

absl::StatusOr<Report> SimulateCode(const Code& code, const Timing& timing, Buffers& buffers) {
  Expansion made = Expand(code, buffers);
  auto report = Simulate(made.program, code.config, timing, absl::MakeSpan(made.dram));
  for (size_t i = 0; i < buffers.size(); ++i) {
    std::copy_n(made.dram.begin() + static_cast<ptrdiff_t>(made.addresses[i]), buffers[i].size(),
                buffers[i].begin());
  }
  return report;
}

void Interpret(const Code& code, Buffers& buffers) { Interpreter(code, buffers).Run(); }

}  // namespace tessera::vta
