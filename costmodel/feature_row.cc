#include "costmodel/feature_row.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/view.h"
#include "costmodel/gpu_row.h"

namespace tessera::costmodel {
namespace {

using schedule::BoundStage;

constexpr int kBuffers = 1 + kDescribedReads;  // and the store
constexpr int kInnerLoops = 4;                 // serial loops described one by one, innermost first
constexpr int kIntensityPoints = 10;
constexpr int kRelationThresholds = 9;  // touched bytes 2^8, 2^10, … 2^24

// Into the body. Loops over threads are not: each thread has a body of its own.
bool IsExpanded(ir::LoopKind kind) {
  return kind == ir::LoopKind::kVectorized || kind == ir::LoopKind::kUnrolled;
}

bool IsSerial(ir::LoopKind kind) {
  return kind == ir::LoopKind::kSerial || kind == ir::LoopKind::kParallel;
}

double Work(const schedule::OperationCounts& count) {
  return count.float_add + count.float_mul + count.float_div + count.float_minmax +
         8.0 * count.float_math + count.integer;
}

}  // namespace

double WorkOf(const NestProfile& nest) {
  return nest.iterations[0] * std::max(0.5, Work(nest.state->analysis->operations));
}

double OutputBytes(const NestProfile& nest) {
  double bytes = std::max(1.0, nest.state->stage->output()->type.bits / 8.0);
  for (int64_t extent : nest.bound->buffer_shape) bytes *= static_cast<double>(extent);
  return bytes;
}

Body BodyOf(const NestProfile& nest) {
  Body body;
  body.begin = nest.depth;
  while (body.begin > 0 && IsExpanded(nest.kind[body.begin - 1])) --body.begin;
  for (int l = body.begin; l < nest.depth; ++l) {
    if (nest.kind[l] == ir::LoopKind::kVectorized) {
      body.lanes *= nest.extent[l];
    } else {
      body.copies *= nest.extent[l];
      (nest.is_reduction[l] ? body.reductions : body.accumulators) *= nest.extent[l];
    }
  }
  return body;
}

namespace {

// Vectors that one execution of the body loads.
double LoadedVectors(const NestProfile& nest, const Body& body) {
  double loaded = 0;
  for (const AccessProfile& access : nest.accesses) {
    if (access.is_write) continue;
    loaded += access.elements[body.begin] / (access.vector_stride == 0 ? 1 : body.lanes);
  }
  return loaded;
}

// Reduction steps between two movements of the accumulators.
double AccumulationLength(const NestProfile& nest, const Body& body) {
  double length = body.reductions;
  for (int l = body.begin - 1; l >= 0 && !nest.accesses[0].moved[l]; --l) {
    if (nest.is_reduction[l]) length *= nest.extent[l];
  }
  return length;
}

// The outermost depth whose working set fits into `bytes`.
int FittingDepth(const NestProfile& nest, double bytes) {
  int depth = nest.depth;
  while (depth > 0 && nest.working_set[depth - 1] <= bytes) --depth;
  return depth;
}

// Bytes that come into a cache of `bytes`: each run of the part that fits loads its lines anew,
// but for loops right around it that don't move the access.
double Traffic(const NestProfile& nest, const AccessProfile& access, int fits) {
  double runs = 1;
  bool kept = true;
  for (int l = fits - 1; l >= 0; --l) {
    kept = kept && !access.moved[l];
    if (!kept) runs *= nest.extent[l];
  }
  return access.lines[fits] * kLineBytes * runs;
}

double Traffic(const NestProfile& nest, double bytes) {
  const int fits = FittingDepth(nest, bytes);
  double traffic = 0;
  for (const AccessProfile& access : nest.accesses) traffic += Traffic(nest, access, fits);
  return traffic;
}

void WriteParallel(const NestProfile& nest, int threads, RowWriter& row) {
  row.SetGroup("threads");
  double extent = 1;
  if (nest.depth > 0 && nest.kind[0] == ir::LoopKind::kParallel) extent = nest.extent[0];
  for (int l = 0; l < nest.depth; ++l) {
    const bool is_bound = nest.kind[l] == ir::LoopKind::kThread;
    if (is_bound && nest.thread_axis[l] != ir::ThreadAxis::kVirtual) extent *= nest.extent[l];
  }
  row.Count(extent, "iterations of the loop that threads share; of a GPU: of all bound to some",
            "parallel.extent");
  row.Ratio(extent / (std::ceil(extent / threads) * threads),
            "how evenly they go round among the task's threads; 1: all have as many",
            "parallel.balance");
  row.Count(nest.iterations[0] / extent, "executions of the body in each", "parallel.grain");
}

void WriteOperations(const schedule::OperationCounts& count, RowWriter& row) {
  row.SetGroup("operations");
  row.Number(count.float_add, "additions in one evaluation", "op.add");
  row.Number(count.float_mul, "products", "op.mul");
  row.Number(count.float_div, "divisions", "op.div");
  row.Number(count.float_minmax, "minima and maxima", "op.minmax");
  row.Number(count.float_math, "calls of mathematical functions", "op.math");
  row.Number(count.integer, "integer operations", "op.integer");
  row.Number(count.compare, "comparisons", "op.compare");
  row.Number(count.select, "choices between two values", "op.select");
}

void WriteBody(const NestProfile& nest, const Body& body, const ir::Target& target,
               RowWriter& row) {
  row.SetGroup("body");
  const double loaded = LoadedVectors(nest, body);
  row.Count(nest.iterations[0], "scalar iterations", "iterations");
  row.Count(nest.iterations[0] / nest.iterations[body.begin], "executions of the body", "bodies");
  row.Count(body.lanes, "scalars in a vector (of tensor instructions: points × group)", "lanes");
  row.Count(body.copies, "vector operations in a body", "copies");
  row.Count(body.accumulators, "vectors of the register tile", "accumulators");
  row.Ratio(body.accumulators / target.vector_registers, "of them to each vector register",
            "accumulators_per_register");
  row.Count(body.reductions, "reduction steps in a body", "unrolled_reductions");
  row.Count(loaded, "vectors that a body loads", "loaded_vectors");
  row.Ratio(std::min(16.0, loaded / body.copies), "of them to each operation, at most 16",
            "loads_per_operation");
}

void WriteLoops(const NestProfile& nest, const Body& body, RowWriter& row) {
  row.SetGroup("loops");
  int described = 0;
  const auto describe = [&](double extent, bool reduces, double working_set) {
    row.Count(extent, "extent of this serial loop; 0 is the innermost around the body", "loop",
              described, ".extent");
    row.Flag(reduces, "whether it is of a reduction", "loop", described, ".reduces");
    row.Bytes(working_set, "cache lines that one run of it touches", "loop", described,
              ".working_set");
    ++described;
  };
  for (int l = body.begin - 1; l >= 0 && described < kInnerLoops; --l) {
    if (nest.kind[l] == ir::LoopKind::kThread) continue;
    describe(nest.extent[l], nest.is_reduction[l], nest.working_set[l]);
  }
  while (described < kInnerLoops) describe(0, false, 0);
  const double stays = AccumulationLength(nest, body);
  row.Count(stays, "reduction steps between two movements of the accumulators",
            "accumulation_length");
  row.Count(nest.iterations[0] / stays, "how often accumulators move", "accumulator_round_trips");
  row.Count(nest.state->prefetch, "iterations of the innermost loop that loads are fetched ahead",
            "prefetch");
  double guarded = 0, points = 1;
  const te::Stage& stage = *nest.state->stage;
  for (size_t a = 0; a < nest.bound->axes.size(); ++a) {
    guarded += nest.bound->axes[a].guarded ? 1 : 0;
    points *= static_cast<double>(a < stage.axes.size()
                                      ? stage.axes[a].extent
                                      : stage.reduce_axes[a - stage.axes.size()].extent);
  }
  row.Number(guarded, "axes whose edge is tested", "guarded_axes");
  row.Ratio(std::min(64.0, nest.iterations[0] / points),
            "positions computed for each that counts, at most 64", "computed_per_needed");
}

void WriteBuffers(const NestProfile& nest, const Body& body, int in_l1, int in_l2, RowWriter& row) {
  row.SetGroup("buffers");
  static const AccessProfile kNone;
  for (int b = 0; b < kBuffers; ++b) {
    const bool exists = b < static_cast<int>(nest.accesses.size());
    const AccessProfile& access = exists ? nest.accesses[b] : kNone;
    const double bytes = access.element_bytes;
    int serial[2] = {-1, -1};
    for (int l = body.begin - 1, found = 0; l >= 0 && found < 2; --l) {
      if (IsSerial(nest.kind[l])) serial[found++] = l;
    }
    const auto stride = [&](int which) {
      return exists && serial[which] >= 0 ? access.stride[serial[which]] * bytes : 0;
    };
    row.Flag(exists, "whether there is such an access; 0 is the store, the others are reads",
             "buffer", b, ".exists");
    row.Flag(exists && access.vector_stride == 1, "lanes lie next to each other", "buffer", b,
             ".contiguous");
    row.Flag(exists && access.vector_stride == 0, "all lanes are one element", "buffer", b,
             ".broadcast");
    row.Flag(exists && access.vector_stride > 1, "lanes lie apart", "buffer", b, ".gathered");
    row.Bytes(exists ? access.elements[0] * bytes : 0, "distinct elements in the program", "buffer",
              b, ".unique_bytes");
    row.Count(exists ? access.lines[0] : 0, "distinct cache lines in the program", "buffer", b,
              ".unique_lines");
    row.Count(exists ? access.elements[body.begin] : 0, "distinct elements in a body", "buffer", b,
              ".body_elements");
    row.Count(exists ? access.lines[body.begin] : 0, "distinct cache lines in a body", "buffer", b,
              ".body_lines");
    row.Count(exists ? nest.iterations[0] * access.reads / access.elements[0] : 0,
              "uses of an element in the program", "buffer", b, ".reuse");
    row.Count(exists ? nest.iterations[body.begin] * access.reads / access.elements[body.begin] : 0,
              "uses of an element in a body", "buffer", b, ".body_reuse");
    row.Bytes(stride(0), "step of the innermost serial loop", "buffer", b, ".stride_inner");
    row.Bytes(stride(1), "step of the one around it", "buffer", b, ".stride_next");
    row.Bytes(exists ? Traffic(nest, access, in_l1) : 0, "what comes into L1", "buffer", b,
              ".l1_traffic");
    row.Bytes(exists ? Traffic(nest, access, in_l2) : 0, "what comes into L2", "buffer", b,
              ".l2_traffic");
    row.Bytes(exists ? Traffic(nest, access, nest.depth) : 0, "what comes into registers", "buffer",
              b, ".register_traffic");
  }
}

void WriteTraffic(const NestProfile& nest, int in_l1, int in_l2, const ir::Target& target,
                  RowWriter& row) {
  row.SetGroup("traffic");
  const auto l1 = static_cast<double>(target.l1_bytes), l2 = static_cast<double>(target.l2_bytes);
  row.Bytes(Traffic(nest, l1 / 2), "what comes into a cache of half of L1", "traffic.half_l1");
  row.Bytes(Traffic(nest, l1), "into L1", "traffic.l1");
  row.Bytes(Traffic(nest, l2 / 2), "into half of L2", "traffic.half_l2");
  row.Bytes(Traffic(nest, l2), "into L2", "traffic.l2");
  row.Bytes(Traffic(nest, l2 * 16), "into 16 times L2", "traffic.l3");
  row.Count(nest.iterations[in_l1], "iterations of the largest part that stays in L1",
            "iterations_in_l1");
  row.Count(nest.iterations[in_l2], "iterations of the largest part that stays in L2",
            "iterations_in_l2");
}

void WriteCurves(const NestProfile& nest, RowWriter& row) {
  row.SetGroup("curves");
  // Arithmetic intensity against iterations, at evenly spaced (log) points.
  const double work = std::max(1.0, Work(nest.state->analysis->operations));
  std::array<double, kMaxNestLoops + 1> doublings;
  for (int d = 0; d <= nest.depth; ++d) doublings[d] = std::log2(nest.iterations[d]);
  const double all = std::max(1.0, doublings[0]);
  int depth = nest.depth;
  for (int p = 0; p < kIntensityPoints; ++p) {
    const double at = all * (p + 1) / kIntensityPoints;
    while (depth > 0 && doublings[depth] < at) --depth;
    row.Count(work * nest.iterations[depth] / nest.working_set[depth],
              "operations a byte at tenths of the log iterations (2006.06762); 9 is the program",
              "intensity.", p);
  }
  // The best reuse among depths that touch at most so many bytes: of any read, and of the sum.
  for (int t = 0; t < kRelationThresholds; ++t) {
    const auto limit = static_cast<double>(256LL << (2 * t));
    double any = 0;
    for (const AccessProfile& access : nest.accesses) {
      if (access.is_write) continue;
      for (int d = nest.depth; d >= 0 && access.lines[d] * kLineBytes <= limit; --d) {
        any = std::max(any, nest.iterations[d] * access.reads / access.elements[d]);
      }
    }
    const int fits = FittingDepth(nest, limit);
    row.Count(any, "best reuse of a read among depths where it touches 2^(8 + 2n) bytes at most",
              "relation.reuse.", t);
    row.Count(nest.iterations[fits],
              "most iterations among depths where all touch 2^(8 + 2n) bytes at most",
              "relation.iterations.", t);
  }
}

// What one stage of a program costs, whichever it is.
struct Cost {
  double vectors = 0, scalars = 0, functions = 0, bodies = 0, loads = 0, round_trips = 0;
  double gathered = 0, entries = 0, unique = 0, registers = 0, l1 = 0, l2 = 0, l3 = 0;
  double output = 0;
};

struct Share {
  double Cost::* of;
  bool is_bytes;
  std::string_view name, meaning;
};

constexpr Share kShares[] = {
    {&Cost::vectors, false, "vectors", "operations on vectors or, where there are none, scalars"},
    {&Cost::scalars, false, "scalars", "operations on scalars"},
    {&Cost::functions, false, "functions", "divisions and mathematical functions, as vectors"},
    {&Cost::bodies, false, "bodies", "executions of bodies"},
    {&Cost::loads, false, "loads", "vectors that bodies load"},
    {&Cost::round_trips, false, "round_trips", "how often accumulators move, as vectors"},
    {&Cost::gathered, false, "gathered", "executions of accesses whose lanes lie apart"},
    {&Cost::entries, false, "entries", "how often stages begin"},
    {&Cost::unique, true, "unique_bytes", "distinct elements of all accesses"},
    {&Cost::registers, true, "register_traffic", "what comes into registers"},
    {&Cost::l1, true, "l1_traffic", "what comes into L1"},
    {&Cost::l2, true, "l2_traffic", "what comes into L2"},
    {&Cost::l3, true, "l3_traffic", "what comes into a cache of 16 times L2"},
    {&Cost::output, true, "output_bytes", "the memory of all outputs"},
};

Cost CostOf(const NestProfile& nest, const ir::Target& target) {
  const Body body = BodyOf(nest);
  const schedule::OperationCounts& count = nest.state->analysis->operations;
  const double vectors = nest.iterations[0] / body.lanes;
  Cost cost;
  cost.vectors = WorkOf(nest) / body.lanes;
  cost.scalars = body.lanes == 1 ? cost.vectors : 0;
  cost.functions = vectors * (count.float_math + count.float_div);
  cost.bodies = nest.iterations[0] / nest.iterations[body.begin];
  cost.loads = cost.bodies * LoadedVectors(nest, body);
  cost.round_trips = vectors / AccumulationLength(nest, body);
  cost.entries = nest.iterations[0] / nest.iterations[nest.own_begin];
  for (const AccessProfile& access : nest.accesses) {
    if (access.vector_stride > 1) cost.gathered += nest.iterations[0];
    cost.unique += access.elements[0] * access.element_bytes;
    cost.registers += Traffic(nest, access, nest.depth);
  }
  cost.l1 = Traffic(nest, static_cast<double>(target.l1_bytes));
  cost.l2 = Traffic(nest, static_cast<double>(target.l2_bytes));
  cost.l3 = Traffic(nest, static_cast<double>(target.l2_bytes) * 16);
  cost.output = OutputBytes(nest);
  return cost;
}

void WriteStages(const ProfiledProgram& program, RowWriter& row) {
  row.SetGroup("stages");
  Cost sum;
  double local = 0, workspace = 0, streamed = 0;
  for (const NestProfile& nest : program.nests) {
    const Cost cost = CostOf(nest, program.target);
    for (const Share& share : kShares) sum.*share.of += cost.*share.of;
    if (nest.bound->scope == ir::Scope::kLocal) local += cost.output;
    if (nest.bound->scope == ir::Scope::kWorkspace) workspace += cost.output;
    if (nest.state->streams) streamed += cost.output;
  }
  for (const Share& share : kShares) {
    if (share.is_bytes) {
      row.Bytes(sum.*share.of, share.meaning, "stages.", AbslView(share.name));
    } else {
      row.Count(sum.*share.of, share.meaning, "stages.", AbslView(share.name));
    }
  }
  row.SetGroup("memory");
  row.Bytes(local, "scratch of stages inside of others", "memory.local");
  row.Bytes(workspace, "scratch of the others", "memory.workspace");
  row.Bytes(streamed, "stored past the caches", "memory.streamed");
  row.Number(static_cast<double>(program.nests.size()), "stages that a run executes", "stages");
}

}  // namespace

void WriteTarget(const ir::Target& target, int threads, RowWriter& row) {
  row.SetGroup("target");
  row.Bytes(target.vector_bytes, "a vector register: 16 is SSE or NEON, 32 AVX2, 64 AVX-512",
            "target.vector_bytes");
  row.Count(target.vector_registers, "vector registers", "target.vector_registers");
  row.Flag(target.Has("avx2") || target.Has("avx512") || target.Has("neon"),
           "product and sum in one instruction", "target.fused_multiply_add");
  row.Flag(target.Has("vnni") || target.Has("dotprod"), "dot products of bytes",
           "target.byte_products");
  row.Flag(target.Has("bf16") || target.Has("fp16"), "arithmetic of 16-bit floats",
           "target.half_floats");
  row.Bytes(static_cast<double>(target.l1_bytes), "data cache of a core", "target.l1_bytes");
  row.Bytes(static_cast<double>(target.l2_bytes), "second cache of a core", "target.l2_bytes");
  row.Count(target.max_threads, "cores of the device", "target.cores");
  row.Count(threads, "threads that the task may use", "target.threads");
}

void WriteProgram(const ProfiledProgram& program, RowWriter& row) {
  const NestProfile* main = program.nests.data();
  double total = 0;
  for (const NestProfile& nest : program.nests) {
    total += WorkOf(nest);
    if (WorkOf(nest) > WorkOf(*main)) main = &nest;
  }
  row.SetGroup("program");
  row.Count(total, "operations of all stages; a mathematical function counts 8", "work");
  row.Ratio(WorkOf(*main) / total, "the share of the heaviest, the main stage", "main_share");
  WriteParallel(*main, program.threads, row);
  WriteOperations(main->state->analysis->operations, row);
  const Body body = BodyOf(*main);
  const int in_l1 = FittingDepth(*main, static_cast<double>(program.target.l1_bytes) * 0.75);
  const int in_l2 = FittingDepth(*main, static_cast<double>(program.target.l2_bytes) * 0.75);
  WriteBody(*main, body, program.target, row);
  WriteLoops(*main, body, row);
  WriteBuffers(*main, body, in_l1, in_l2, row);
  WriteTraffic(*main, in_l1, in_l2, program.target, row);
  WriteCurves(*main, row);
  WriteStages(program, row);
  if (ir::IsGpu(program.target.kind)) WriteGpu(program, *main, row);
}

}  // namespace tessera::costmodel
