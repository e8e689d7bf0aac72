#include "costmodel/gpu_row.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "compiler/ir/threads.h"
#include "compiler/schedule/lowering_limits.h"
#include "compiler/schedule/thread_registers.h"
#include "schedule_space/wave_axes.h"

namespace tessera::costmodel {
namespace {

using schedule::BoundStage;

// A root stage with all that is attached in it.
struct Kernel {
  double blocks = 1, threads = 1, virtual_threads = 1;
  double registers = 0;  // that a thread wants
  double shared_bytes = 0;
  double work = 0, barriers = 0;
};

// How often a block comes by where a stage begins, and by the loop around that.
struct Entries {
  double here = 1, around = 1;
};
Entries EntriesOf(const NestProfile& nest) {
  Entries entries;
  for (int l = 0; l < nest.own_begin; ++l) {
    if (nest.kind[l] == ir::LoopKind::kThread) continue;
    entries.around = entries.here;
    entries.here *= nest.extent[l];
  }
  return entries;
}

double ElementBytes(const ir::Buffer& buffer) { return std::max(1.0, buffer->type.bits / 8.0); }

// Of the memory of a stage that a block shares, all of its outputs.
double SharedBytes(const ProfiledProgram& program, const NestProfile& nest) {
  constexpr double kUnit = schedule::kSharedAlignment;
  double sum = 0;
  for (const ir::Buffer& buffer : nest.state->stage->outputs) {
    const schedule::StorageOrder order =
        schedule::ChosenLayout(program.schedule, *nest.bound, buffer);
    double bytes = ElementBytes(buffer);
    for (const ir::LayoutDim& dim : order) bytes *= static_cast<double>(dim.extent);
    for (size_t d = 0; order.empty() && d < nest.bound->buffer_shape.size(); ++d) {
      bytes *= static_cast<double>(nest.bound->buffer_shape[d]);
    }
    sum += std::ceil((nest.state->is_doubled ? 2 : 1) * bytes / kUnit) * kUnit;
  }
  return sum;
}

// Whether every thread of a block has a part of a sum in memory that they share: then there is a
// barrier between what it begins with and what is added.
bool IsSumOfAllThreads(const NestProfile& nest, const BlockShape& block) {
  if (nest.bound->scope != ir::Scope::kShared || !nest.state->stage->is_reduction()) return false;
  return std::ranges::all_of(nest.bound->loops, [&](const schedule::BoundLoop& loop) {
    return !ir::IsThreadAxis(loop.thread_axis) || loop.extent == block[BlockAxis(loop.thread_axis)];
  });
}

// As passes::InsertBarriers puts them: one before the first use of what the block has written since
// the last, and one at the end of each turn of a loop that writes it anew. What is doubled has one
// before the loop instead of the first.
double Barriers(const ProfiledProgram& program, const BoundStage& root) {
  double barriers = 0;
  size_t passed = 0;         // nests that come before the last barrier
  std::pair turned(-1, -1);  // stage and depth of the loop whose turns were counted last
  for (size_t i = 0; i < program.nests.size(); ++i) {
    const NestProfile& reader = program.nests[i];
    if (reader.root != &root) continue;
    const auto is_read = [&](const NestProfile& writer) {
      return writer.bound->scope == ir::Scope::kShared &&
             std::ranges::any_of(reader.accesses, [&](const AccessProfile& access) {
               return access.producer == writer.bound && !access.is_write;
             });
    };
    const auto before = program.nests.subspan(passed, i - passed);
    const auto writer = std::ranges::find_if(before, is_read);
    if (writer != before.end()) {
      const Entries entries = EntriesOf(*writer);
      const std::pair place(writer->bound->at, writer->bound->at_depth);
      const bool turns = entries.here > 1 && place != turned;
      barriers += entries.here;
      if (turns) barriers += writer->state->is_doubled ? entries.around : entries.here;
      turned = place;
      passed = i;
    } else if (IsSumOfAllThreads(reader, program.profiler.BlockOf(root))) {
      barriers += EntriesOf(reader).here;
      passed = i;
    }
  }
  return barriers;
}

// Of the memory of a stage that each thread computes by itself, all of its outputs.
double PrivateBytes(const NestProfile& nest) {
  double elements = 1, bytes = 0;
  for (const int64_t extent : nest.bound->buffer_shape) elements *= static_cast<double>(extent);
  for (const ir::Buffer& buffer : nest.state->stage->outputs) bytes += ElementBytes(buffer);
  return elements * bytes;
}

// What a thread loads ahead of a doubled buffer: its share, in whole turns of its loops.
double BytesAhead(const NestProfile& nest, const BlockShape& block) {
  double bytes = ElementBytes(nest.state->stage->output());
  for (const schedule::BoundLoop& loop : nest.bound->loops) {
    const auto extent = static_cast<double>(loop.extent);
    const bool is_shared_out = ir::IsThreadAxis(loop.thread_axis);
    bytes *= is_shared_out
                 ? std::ceil(extent / static_cast<double>(block[BlockAxis(loop.thread_axis)]))
                 : extent;
  }
  return bytes;
}

// Bytes of registers that the operands and results of one step of a body take.
double OperandBytes(const NestProfile& nest) {
  const Body body = BodyOf(nest);
  double bytes = 0;
  for (const AccessProfile& access : nest.accesses) {
    if (access.scope == ir::Scope::kLocal) continue;
    const double steps = access.is_write ? 1 : body.reductions;
    bytes += std::max(1.0, access.elements[body.begin] / steps) * access.element_bytes;
  }
  return bytes;
}

Kernel KernelOf(const ProfiledProgram& program, const NestProfile& main) {
  Kernel kernel;
  for (const schedule::BoundLoop& loop : main.root->loops) {
    const auto extent = static_cast<double>(loop.extent);
    if (ir::IsBlockAxis(loop.thread_axis)) kernel.blocks *= extent;
    if (loop.thread_axis == ir::ThreadAxis::kVirtual) kernel.virtual_threads *= extent;
  }
  for (const int64_t extent : program.profiler.BlockOf(*main.root)) {
    kernel.threads *= static_cast<double>(extent);
  }
  double held_bytes = 0;
  for (const NestProfile& nest : program.nests) {
    if (nest.root != main.root) continue;
    kernel.work += WorkOf(nest);
    if (nest.bound->scope == ir::Scope::kLocal) {
      held_bytes += PrivateBytes(nest) * kernel.virtual_threads;
    }
    if (nest.bound->scope == ir::Scope::kShared) {
      kernel.shared_bytes += SharedBytes(program, nest);
    }
    if (nest.state->is_doubled) {
      held_bytes += BytesAhead(nest, program.profiler.BlockOf(*main.root));
    }
  }
  kernel.registers = schedule::LikelyRegisters(held_bytes, OperandBytes(main));
  kernel.barriers = Barriers(program, *main.root);
  return kernel;
}

// Threads that the waves of a block have room for.
double RoomOf(const Kernel& kernel, const ir::Target& target) {
  const double wave = std::max(1, target.wave_threads);
  return std::ceil(kernel.threads / wave) * wave;
}

// Registers that each thread may have.
double RegisterLimit(const Kernel& kernel, const ir::Target& target) {
  const auto limit = ir::ThreadRegisters(target, static_cast<int64_t>(kernel.threads));
  return limit ? static_cast<double>(*limit) : std::numeric_limits<double>::infinity();
}

// The share of a unit's threads that blocks of the kernel fill, one block at least.
double Occupancy(const Kernel& kernel, const ir::Target& target) {
  const double room = RoomOf(kernel, target);
  const double registers = std::min(kernel.registers, RegisterLimit(kernel, target));
  const double blocks = std::min({
      kUnitBlocks,
      std::floor(kUnitThreads / room),
      std::floor(kUnitRegisters / (room * registers)),
      std::floor(static_cast<double>(target.shared_bytes) / std::max(1.0, kernel.shared_bytes)),
  });
  return std::min(1.0, std::max(1.0, blocks) * room / kUnitThreads);
}

// How often waves execute an access in the whole program. In a stage's own loops around the body,
// what the innermost ones don't move stays in registers.
double Executions(const NestProfile& nest, const AccessProfile& access) {
  const Body body = BodyOf(nest);
  double threads = access.elements[body.begin];
  if (access.vector_stride == 1) threads = std::ceil(threads / body.lanes);
  bool stays = true;
  for (int l = body.begin - 1; l >= 0; --l) {
    const bool is_bound = nest.kind[l] == ir::LoopKind::kThread;
    stays = stays && l >= nest.own_begin && !is_bound && !access.moved[l];
    if (!stays) threads *= nest.extent[l];
  }
  return threads / access.wave.threads;
}

bool MultipliesMatrices(const ProfiledProgram& program, const NestProfile& nest) {
  const bool reads_copies = std::ranges::all_of(nest.accesses, [](const AccessProfile& access) {
    return access.is_write || access.scope == ir::Scope::kShared;
  });
  return space::WavesMultiply(program.schedule, *nest.root, *nest.bound, reads_copies,
                              program.target);
}

// What waves do to memory, in all kernels.
struct Traffic {
  double sectors = 0, least_sectors = 0;
  double Coalescing() const { return sectors > 0 ? least_sectors / sectors : 1; }
};

}  // namespace

void WriteGpu(const ProfiledProgram& program, const NestProfile& main, RowWriter& row) {
  const ir::Target& target = program.target;
  row.SetGroup("target");
  row.Count(target.block_threads, "threads of a block at most", "target.block_threads");
  row.Count(target.wave_threads, "of them that run in step, a wave", "target.wave_threads");
  row.Bytes(static_cast<double>(target.shared_bytes), "memory that a block may share",
            "target.shared_bytes");
  row.Count(static_cast<double>(target.block_registers),
            "registers that its threads share out; 0: the device does not say",
            "target.block_registers");

  const Kernel kernel = KernelOf(program, main);
  row.SetGroup("blocks");
  row.Count(kernel.blocks, "blocks of the main stage's kernel", "gpu.blocks");
  row.Count(kernel.threads, "threads of a block", "gpu.block_threads");
  row.Ratio(kernel.threads / RoomOf(kernel, target),
            "threads to the room in their waves; below 1: the last wave is partly empty",
            "gpu.wave_fill");
  row.Count(kernel.virtual_threads, "virtual threads that each does the work of",
            "gpu.virtual_threads");
  row.Count(kernel.registers, "registers that a thread is likely to want", "gpu.registers");
  row.Ratio(kernel.registers / RegisterLimit(kernel, target),
            "of them to those that it may have; above 1: the others are spilled; 0: no limit",
            "gpu.register_use");
  row.Bytes(kernel.shared_bytes, "memory that a block shares", "gpu.shared_bytes");
  row.Ratio(Occupancy(kernel, target), "threads of blocks to those that a unit can hold at once",
            "gpu.occupancy");
  row.Count(kernel.barriers, "barriers that a block passes", "gpu.barriers");
  row.Count(kernel.work / (kernel.blocks * kernel.threads * std::max(1.0, kernel.barriers)),
            "operations of a thread from one to the next, or in all", "gpu.work_per_barrier");

  double work = 0, matrix_work = 0, kernels = 0, bank_cycles = 0, least_cycles = 0;
  double constant_sectors = 0, image_sectors = 0;  // of the loads
  Traffic loads, stores;
  for (const NestProfile& nest : program.nests) {
    work += WorkOf(nest);
    if (MultipliesMatrices(program, nest)) matrix_work += WorkOf(nest);
    kernels += nest.bound == nest.root ? 1 : 0;
    for (const AccessProfile& access : nest.accesses) {
      if (access.scope == ir::Scope::kLocal) continue;
      const double executions = Executions(nest, access);
      if (access.scope == ir::Scope::kShared) {
        bank_cycles += executions * access.wave.bank_cycles;
        least_cycles += executions * access.wave.least_cycles;
        continue;
      }
      Traffic& traffic = access.is_write ? stores : loads;
      traffic.sectors += executions * access.wave.sectors;
      traffic.least_sectors += executions * access.wave.least_sectors;
      const double sectors = executions * access.wave.sectors;
      if (access.read_path == ir::ReadPath::kConstant) constant_sectors += sectors;
      if (access.read_path == ir::ReadPath::kImage) image_sectors += sectors;
    }
  }
  row.Ratio(work > 0 ? matrix_work / work : 0,
            "operations that waves do by multiplying matrices to all", "gpu.matrix_share");
  row.SetGroup("global");
  row.Number(kernels, "kernels, one after the other", "gpu.kernels");
  row.Bytes(loads.sectors * kSectorBytes, "sectors of 32 bytes that waves load", "gpu.load_bytes");
  row.Bytes(stores.sectors * kSectorBytes, "sectors that they store", "gpu.store_bytes");
  row.Ratio(loads.Coalescing(), "the fewest sectors that could hold a load to those it touches",
            "gpu.load_coalescing");
  row.Ratio(stores.Coalescing(), "the same of stores", "gpu.store_coalescing");
  row.Count(work / ((loads.sectors + stores.sectors) * kSectorBytes),
            "operations a byte of these sectors", "gpu.intensity");
  row.Bytes(constant_sectors * kSectorBytes, "of what is loaded, by constant memory",
            "gpu.constant_bytes");
  row.Bytes(image_sectors * kSectorBytes, "of what is loaded, by images", "gpu.image_bytes");
  row.SetGroup("shared");
  row.Count(bank_cycles, "cycles that waves' accesses to shared memory take", "gpu.shared_cycles");
  row.Ratio(least_cycles > 0 ? bank_cycles / least_cycles : 1,
            "of them to what they would take without conflicts of banks; 32: one by one",
            "gpu.bank_conflicts");
  row.Count(bank_cycles > 0 ? work / bank_cycles : 0, "operations a cycle of these",
            "gpu.work_per_shared_cycle");
}

}  // namespace tessera::costmodel
