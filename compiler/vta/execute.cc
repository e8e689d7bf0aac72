#include "compiler/vta/execute.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/view.h"
#include "compiler/vta/encoding.h"

namespace tessera::vta {
namespace {

absl::Status Fault(std::string_view what) { return absl::FailedPreconditionError(AbslView(what)); }

// For |amount| < 32; the low 32 bits, as hardware has them.
int32_t ShiftRight(int32_t value, int64_t amount) {
  if (amount >= 0) return value >> std::min<int64_t>(amount, 31);
  if (amount <= -32) return 0;
  return static_cast<int32_t>(static_cast<uint32_t>(value) << -amount);
}

class Executor {
 public:
  Executor(const Config& config, PipelineDepths depths, Memories& memories,
           absl::Span<uint8_t> dram)
      : config_(config), depths_(depths), memories_(memories), dram_(dram) {
    for (int i = 0; i < kMemories; ++i) {
      const TileSet none(config.Depth(static_cast<Memory>(i)));
      footprint_.reads[static_cast<size_t>(i)] = none;
      footprint_.writes[static_cast<size_t>(i)] = none;
    }
  }

  absl::Status Run(const Transfer& transfer) {
    const int64_t rows = transfer.y_pad_before + transfer.y_size + transfer.y_pad_after;
    const int64_t columns = transfer.x_pad_before + transfer.x_size + transfer.x_pad_after;
    const int64_t depth = config_.Depth(transfer.memory);
    if (transfer.memory == Memory::kUop && (rows != 1 || columns != transfer.x_size)) {
      return Fault(absl::StrCat("loads micro-ops as ", rows, " rows of ", columns, ", of these ",
                                transfer.x_size,
                                " of DRAM; hardware loads one row, without padding"));
    }
    if (transfer.sram_base + rows * columns > depth) {
      return Fault(absl::StrCat("ends at tile ", transfer.sram_base + rows * columns, " of ",
                                AbslView(MemoryName(transfer.memory)), ", which has ", depth));
    }
    int64_t tile = transfer.sram_base;
    Pad(transfer, transfer.y_pad_before * columns, tile);
    for (int64_t y = 0; y < transfer.y_size; ++y) {
      Pad(transfer, transfer.x_pad_before, tile);
      TESSERA_RETURN_IF_ERROR(MoveRow(transfer, y, tile));
      Pad(transfer, transfer.x_pad_after, tile);
    }
    Pad(transfer, transfer.y_pad_after * columns, tile);
    return absl::OkStatus();
  }

  absl::Status Run(const Gemm& gemm) {
    TESSERA_ASSIGN_OR_RETURN(const std::vector<MicroOp> uops,
                             MicroOps(gemm.uop_begin, gemm.uop_end));
    std::vector<int64_t> last_step(static_cast<size_t>(config_.Depth(Memory::kAcc)), kNever);
    return ForEachStep(gemm, uops, [&](const MicroOp& at) -> absl::Status {
      TESSERA_RETURN_IF_ERROR(CheckReuse(at.dst, depths_.gemm, last_step));
      if (gemm.resets) {
        TESSERA_RETURN_IF_ERROR(CheckTile(Memory::kAcc, at.dst));
        std::fill_n(AccTile(at.dst), AccElements(), 0);
      } else {
        TESSERA_RETURN_IF_ERROR(Read(Memory::kAcc, at.dst));
        TESSERA_RETURN_IF_ERROR(Read(Memory::kInp, at.src));
        TESSERA_RETURN_IF_ERROR(Read(Memory::kWgt, at.wgt));
        Multiply(at);
      }
      WriteAccumulator(at.dst);
      return absl::OkStatus();
    });
  }

  absl::Status Run(const Alu& alu) {
    TESSERA_ASSIGN_OR_RETURN(const std::vector<MicroOp> uops, MicroOps(alu.uop_begin, alu.uop_end));
    std::vector<int64_t> last_step(static_cast<size_t>(config_.Depth(Memory::kAcc)), kNever);
    return ForEachStep(alu, uops, [&](const MicroOp& at) -> absl::Status {
      TESSERA_RETURN_IF_ERROR(Read(Memory::kAcc, at.dst));
      if (!alu.uses_immediate) {
        TESSERA_RETURN_IF_ERROR(Read(Memory::kAcc, at.src));
        TESSERA_RETURN_IF_ERROR(CheckStored(at.src, depths_.alu, last_step));
      }
      TESSERA_RETURN_IF_ERROR(CheckReuse(at.dst, depths_.alu, last_step));
      Combine(alu, at);
      WriteAccumulator(at.dst);
      return absl::OkStatus();
    });
  }

  absl::Status Run(const Finish&) { return absl::OkStatus(); }

  Footprint TakeFootprint() { return std::move(footprint_); }

 private:
  static constexpr int64_t kNever = -(int64_t{1} << 40);

  absl::Status CheckTile(Memory memory, int64_t tile) const {
    if (tile < config_.Depth(memory)) return absl::OkStatus();
    return Fault(absl::StrCat("uses tile ", tile, " of ", AbslView(MemoryName(memory)),
                              ", which has ", config_.Depth(memory)));
  }

  absl::Status Read(Memory memory, int64_t tile) {
    TESSERA_RETURN_IF_ERROR(CheckTile(memory, tile));
    footprint_.reads[static_cast<size_t>(memory)].Add(tile);
    if (memories_.known(memory).Has(tile)) return absl::OkStatus();
    return Fault(absl::StrCat("reads tile ", tile, " of ", AbslView(MemoryName(memory)),
                              ", which nothing was put into"));
  }

  void Write(Memory memory, int64_t tile) {
    footprint_.writes[static_cast<size_t>(memory)].Add(tile);
    memories_.known(memory).Add(tile);
  }

  // A tile's first byte.
  uint8_t* Bytes(Memory memory, int64_t tile) {
    const int64_t offset = tile * config_.TileBytes(memory);
    switch (memory) {
      case Memory::kUop:
        return reinterpret_cast<uint8_t*>(memories_.uop.data()) + offset;
      case Memory::kWgt:
        return reinterpret_cast<uint8_t*>(memories_.wgt.data()) + offset;
      case Memory::kInp:
        return reinterpret_cast<uint8_t*>(memories_.inp.data()) + offset;
      case Memory::kAcc:
        return reinterpret_cast<uint8_t*>(memories_.acc.data()) + offset;
      case Memory::kOut:
        return reinterpret_cast<uint8_t*>(memories_.out.data()) + offset;
    }
    TESSERA_CHECK(false);
  }

  void Pad(const Transfer& transfer, int64_t tiles, int64_t& tile) {
    for (int64_t end = tile + tiles; tile < end; ++tile) {
      std::memset(Bytes(transfer.memory, tile), 0,
                  static_cast<size_t>(config_.TileBytes(transfer.memory)));
      Write(transfer.memory, tile);
      ++footprint_.padded_tiles;
    }
  }

  absl::Status MoveRow(const Transfer& transfer, int64_t y, int64_t& tile) {
    const int64_t tile_bytes = config_.TileBytes(transfer.memory);
    const int64_t begin = (transfer.dram_base + y * transfer.x_stride) * tile_bytes;
    const int64_t bytes = transfer.x_size * tile_bytes;
    if (begin + bytes > static_cast<int64_t>(dram_.size())) {
      return Fault(
          absl::StrCat("ends at byte ", begin + bytes, " of DRAM, which has ", dram_.size()));
    }
    if (transfer.x_size == 0) return absl::OkStatus();
    uint8_t* inside = Bytes(transfer.memory, tile);
    uint8_t* outside = dram_.data() + begin;
    (transfer.is_store ? footprint_.dram_writes : footprint_.dram_reads)
        .push_back({begin, begin + bytes});
    for (int64_t end = tile + transfer.x_size; tile < end; ++tile) {
      if (transfer.is_store) {
        TESSERA_RETURN_IF_ERROR(Read(transfer.memory, tile));
      } else {
        Write(transfer.memory, tile);
      }
    }
    std::memcpy(transfer.is_store ? outside : inside, transfer.is_store ? inside : outside,
                static_cast<size_t>(bytes));
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<MicroOp>> MicroOps(int64_t begin, int64_t end) {
    std::vector<MicroOp> uops;
    for (int64_t i = begin; i < end; ++i) {
      TESSERA_RETURN_IF_ERROR(Read(Memory::kUop, i));
      TESSERA_ASSIGN_OR_RETURN(uops.emplace_back(),
                               DecodeMicroOp(memories_.uop[static_cast<size_t>(i)], config_));
    }
    return uops;
  }

  template <typename Operation, typename Step>
  absl::Status ForEachStep(const Operation& operation, absl::Span<const MicroOp> uops,
                           const Step& step) {
    const Loop &outer = operation.outer, &inner = operation.inner;
    if (uops.empty()) return absl::OkStatus();
    for (int64_t i = 0; i < outer.turns; ++i) {
      for (int64_t j = 0; j < inner.turns; ++j) {
        const MicroOp base = {i * outer.dst_step + j * inner.dst_step,
                              i * outer.src_step + j * inner.src_step,
                              i * outer.wgt_step + j * inner.wgt_step};
        for (const MicroOp& uop : uops) {
          TESSERA_RETURN_IF_ERROR(
              step({base.dst + uop.dst, base.src + uop.src, base.wgt + uop.wgt}));
          ++footprint_.steps;
        }
      }
    }
    return absl::OkStatus();
  }

  // That the pipeline has stored what an earlier step computed of the accumulator.
  absl::Status CheckStored(int64_t tile, int64_t depth,
                           const std::vector<int64_t>& last_step) const {
    const int64_t since = footprint_.steps - last_step[static_cast<size_t>(tile)];
    if (since == 0 || since >= depth) return absl::OkStatus();
    return Fault(absl::StrCat("uses tile ", tile, " of acc again after ", since,
                              since == 1 ? " step" : " steps", "; the pipeline takes ", depth));
  }

  absl::Status CheckReuse(int64_t tile, int64_t depth, std::vector<int64_t>& last_step) const {
    TESSERA_RETURN_IF_ERROR(CheckTile(Memory::kAcc, tile));
    TESSERA_RETURN_IF_ERROR(CheckStored(tile, depth, last_step));
    last_step[static_cast<size_t>(tile)] = footprint_.steps;
    return absl::OkStatus();
  }

  int64_t AccElements() const { return int64_t{config_.batch()} * config_.block(); }
  int32_t* AccTile(int64_t tile) { return memories_.acc.data() + tile * AccElements(); }

  void Multiply(const MicroOp& at) {
    const int block = config_.block();
    const int8_t* inputs = memories_.inp.data() + at.src * AccElements();
    const int8_t* weights = memories_.wgt.data() + at.wgt * block * block;
    int32_t* sums = AccTile(at.dst);
    for (int row = 0; row < config_.batch(); ++row, inputs += block, sums += block) {
      for (int column = 0; column < block; ++column) {
        const int8_t* weight = weights + column * block;
        int32_t sum = 0;
        for (int k = 0; k < block; ++k) sum += int32_t{inputs[k]} * weight[k];
        sums[column] =
            static_cast<int32_t>(static_cast<uint32_t>(sums[column]) + static_cast<uint32_t>(sum));
      }
    }
  }

  void Combine(const Alu& alu, const MicroOp& at) {
    int32_t* to = AccTile(at.dst);
    const int32_t* from = alu.uses_immediate ? nullptr : AccTile(at.src);
    for (int64_t i = 0; i < AccElements(); ++i) {
      const int32_t second = from == nullptr ? static_cast<int32_t>(alu.immediate) : from[i];
      switch (alu.op) {
        case AluOp::kMin:
          to[i] = std::min(to[i], second);
          break;
        case AluOp::kMax:
          to[i] = std::max(to[i], second);
          break;
        case AluOp::kAdd:
          to[i] =
              static_cast<int32_t>(static_cast<uint32_t>(to[i]) + static_cast<uint32_t>(second));
          break;
        case AluOp::kShr:
          to[i] = ShiftRight(to[i], second);
          break;
      }
    }
  }

  // Results are the low 8 bits of accumulators, kept beside them.
  void WriteAccumulator(int64_t tile) {
    Write(Memory::kAcc, tile);
    Write(Memory::kOut, tile);
    const int32_t* from = AccTile(tile);
    int8_t* to = memories_.out.data() + tile * AccElements();
    for (int64_t i = 0; i < AccElements(); ++i) to[i] = static_cast<int8_t>(from[i]);
  }

  const Config& config_;
  PipelineDepths depths_;
  Memories& memories_;
  absl::Span<uint8_t> dram_;
  Footprint footprint_;
};

}  // namespace

absl::StatusOr<Footprint> Execute(const Instruction& instruction, const Config& config,
                                  PipelineDepths depths, Memories& memories,
                                  absl::Span<uint8_t> dram) {
  Executor executor(config, depths, memories, dram);
  TESSERA_RETURN_IF_ERROR(std::visit([&](const auto& operation) { return executor.Run(operation); },
                                     instruction.operation));
  return executor.TakeFootprint();
}

}  // namespace tessera::vta
