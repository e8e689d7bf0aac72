#include "costmodel/features.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "costmodel/nest.h"

namespace tessera::costmodel {
namespace {

using schedule::BoundStage;
using schedule::LoopStructure;
using schedule::Schedule;

constexpr int kBuffers = 4;     // accesses described one by one: the store and three reads
constexpr int kInnerLoops = 4;  // serial loops described one by one, innermost first
constexpr int kIntensityPoints = 10;
constexpr int kRelationThresholds = 9;  // touched bytes 2^8, 2^10, … 2^24

float Log2(double x) { return x > 0 ? static_cast<float>(std::log2(1 + x)) : 0; }

// Fills a row and, the first time, the list of names: one place says what a feature is called and
// what it is.
class RowWriter {
 public:
  explicit RowWriter(absl::Span<float> row) : row_(row) {}
  explicit RowWriter(std::vector<std::string>* names) : names_(names) {}

  template <typename... Parts>
  void Log(double value, const Parts&... name) {
    Put(Log2(value), name...);
  }
  template <typename... Parts>
  void Put(double value, const Parts&... name) {
    if (names_ != nullptr) {
      names_->push_back(absl::StrCat(name...));
    } else {
      row_[next_] = static_cast<float>(value);
    }
    ++next_;
  }

 private:
  absl::Span<float> row_;
  std::vector<std::string>* names_ = nullptr;
  size_t next_ = 0;
};

bool IsSerial(ir::LoopKind kind) {
  return kind == ir::LoopKind::kSerial || kind == ir::LoopKind::kParallel;
}

double Work(const schedule::OperationCounts& count) {
  return count.float_add + count.float_mul + count.float_div + count.float_minmax +
         8.0 * count.float_math + count.integer;
}

// The innermost body, with unrolled and vector loops expanded.
struct Body {
  int begin;  // depth of the outermost expanded loop
  double lanes = 1;
  double copies = 1;        // vector operations
  double accumulators = 1;  // vectors
  double reductions = 1;    // unrolled
};

Body BodyOf(const NestProfile& nest) {
  Body body;
  body.begin = nest.depth;
  while (body.begin > 0 && !IsSerial(nest.kind[body.begin - 1])) --body.begin;
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

struct Weighed {
  Weighed(const Schedule& schedule, const LoopStructure& loops, const BoundStage& bound)
      : stage(&bound),
        nest(ProfileNest(schedule, loops, bound)),
        work(nest.iterations[0] *
             std::max(0.5, Work(schedule.stages()[bound.stage].analysis->operations))) {}

  const BoundStage* stage;
  NestProfile nest;  // some kilobytes: made in place
  double work;
};

void WriteBuffers(const NestProfile& nest, const Body& body, int in_l1, int in_l2, RowWriter& row) {
  static const AccessProfile kNone;
  for (int b = 0; b < kBuffers; ++b) {
    const bool exists = b < static_cast<int>(nest.accesses.size());
    const AccessProfile& access = exists ? nest.accesses[b] : kNone;
    const double bytes = access.element_bytes;
    const double once = exists ? Traffic(nest, access, nest.depth) : 0;
    int serial[2] = {-1, -1};
    for (int l = body.begin - 1, found = 0; l >= 0 && found < 2; --l) {
      if (IsSerial(nest.kind[l])) serial[found++] = l;
    }
    const auto stride = [&](int which) {
      return exists && serial[which] >= 0 ? access.stride[serial[which]] * bytes : 0;
    };
    row.Put(exists, "buffer", b, ".exists");
    row.Put(exists && access.vector_stride == 1, "buffer", b, ".contiguous");
    row.Put(exists && access.vector_stride == 0, "buffer", b, ".broadcast");
    row.Put(exists && access.vector_stride > 1, "buffer", b, ".gathered");
    row.Log(exists ? access.elements[0] * bytes : 0, "buffer", b, ".unique_bytes");
    row.Log(exists ? access.lines[0] : 0, "buffer", b, ".unique_lines");
    row.Log(exists ? access.elements[body.begin] : 0, "buffer", b, ".body_elements");
    row.Log(exists ? access.lines[body.begin] : 0, "buffer", b, ".body_lines");
    row.Log(exists ? nest.iterations[0] / access.elements[0] : 0, "buffer", b, ".reuse");
    row.Log(exists ? nest.iterations[body.begin] / access.elements[body.begin] : 0, "buffer", b,
            ".body_reuse");
    row.Log(stride(0), "buffer", b, ".stride_inner");
    row.Log(stride(1), "buffer", b, ".stride_next");
    row.Log(exists ? Traffic(nest, access, in_l1) : 0, "buffer", b, ".l1_traffic");
    row.Log(exists ? Traffic(nest, access, in_l2) : 0, "buffer", b, ".l2_traffic");
    row.Log(once, "buffer", b, ".register_traffic");
  }
}

void WriteCurves(const NestProfile& nest, double work, RowWriter& row) {
  // Arithmetic intensity against iterations, at evenly spaced (log) points.
  std::array<double, kMaxNestLoops + 1> doublings;
  for (int d = 0; d <= nest.depth; ++d) doublings[d] = std::log2(nest.iterations[d]);
  const double all = std::max(1.0, doublings[0]);
  int depth = nest.depth;
  for (int p = 0; p < kIntensityPoints; ++p) {
    const double at = all * (p + 1) / kIntensityPoints;
    while (depth > 0 && doublings[depth] < at) --depth;
    row.Log(work * nest.iterations[depth] / nest.working_set[depth], "intensity.", p);
  }
  // The best reuse among depths that touch at most so many bytes: of any read, and of the sum.
  for (int t = 0; t < kRelationThresholds; ++t) {
    const double limit = std::exp2(8 + 2 * t);
    double any = 0;
    for (const AccessProfile& access : nest.accesses) {
      if (access.is_write) continue;
      for (int d = nest.depth; d >= 0 && access.lines[d] * kLineBytes <= limit; --d) {
        any = std::max(any, nest.iterations[d] / access.elements[d]);
      }
    }
    const int fits = FittingDepth(nest, limit);
    row.Log(any, "relation.reuse.", t);
    row.Log(nest.iterations[fits], "relation.iterations.", t);
  }
}

void WriteMain(const Weighed& main, const Schedule& schedule, const ir::Target& target,
               RowWriter& row) {
  const NestProfile& nest = main.nest;
  const schedule::OperationCounts& count =
      schedule.stages()[main.stage->stage].analysis->operations;
  row.Put(count.float_add, "op.add");
  row.Put(count.float_mul, "op.mul");
  row.Put(count.float_div, "op.div");
  row.Put(count.float_minmax, "op.minmax");
  row.Put(count.float_math, "op.math");
  row.Put(count.integer, "op.integer");
  row.Put(count.compare, "op.compare");
  row.Put(count.select, "op.select");

  const Body body = BodyOf(nest);
  double loaded = 0, serial_iterations = 1;
  for (const AccessProfile& access : nest.accesses) {
    if (!access.is_write) {
      loaded += access.elements[body.begin] / (access.vector_stride == 0 ? 1 : body.lanes);
    }
  }
  for (int l = 0; l < body.begin; ++l) serial_iterations *= nest.extent[l];
  row.Log(nest.iterations[0], "iterations");
  row.Log(serial_iterations, "bodies");
  row.Log(body.lanes, "lanes");
  row.Log(body.copies, "copies");
  row.Log(body.accumulators, "accumulators");
  row.Put(body.accumulators / target.vector_registers, "accumulators_per_register");
  row.Log(body.reductions, "unrolled_reductions");
  row.Log(loaded, "loaded_vectors");
  row.Put(std::min(16.0, loaded / body.copies), "loads_per_operation");

  // Serial loops, innermost first; and how long the accumulators stay where they are.
  double stays = body.reductions;
  bool moved = false;
  int described = 0;
  for (int l = body.begin - 1; l >= 0; --l) {
    moved |= nest.accesses[0].moved[l];
    if (!moved && nest.is_reduction[l]) stays *= nest.extent[l];
    if (described == kInnerLoops) continue;
    row.Log(nest.extent[l], "loop", described, ".extent");
    row.Put(nest.is_reduction[l], "loop", described, ".reduces");
    row.Log(nest.working_set[l], "loop", described, ".working_set");
    ++described;
  }
  for (; described < kInnerLoops; ++described) {
    row.Log(0, "loop", described, ".extent");
    row.Put(0, "loop", described, ".reduces");
    row.Log(0, "loop", described, ".working_set");
  }
  row.Log(stays, "accumulation_length");
  row.Log(nest.iterations[0] / stays, "accumulator_round_trips");
  row.Log(schedule.stages()[main.stage->stage].prefetch, "prefetch");
  double guarded = 0, waste = 1;
  const te::Stage& stage = *schedule.stages()[main.stage->stage].stage;
  double points = 1;
  for (size_t a = 0; a < main.stage->axes.size(); ++a) {
    guarded += main.stage->axes[a].guarded ? 1 : 0;
    points *= static_cast<double>(a < stage.axes.size()
                                      ? stage.axes[a].extent
                                      : stage.reduce_axes[a - stage.axes.size()].extent);
  }
  waste = nest.iterations[0] / points;
  row.Put(guarded, "guarded_axes");
  row.Put(std::min(64.0, waste), "computed_per_needed");

  const int in_l1 = FittingDepth(nest, static_cast<double>(target.l1_bytes) * 0.75);
  const int in_l2 = FittingDepth(nest, static_cast<double>(target.l2_bytes) * 0.75);
  WriteBuffers(nest, body, in_l1, in_l2, row);
  const auto total = [&](double bytes) {
    const int fits = FittingDepth(nest, bytes);
    double traffic = 0;
    for (const AccessProfile& access : nest.accesses) traffic += Traffic(nest, access, fits);
    return traffic;
  };
  const auto l1 = static_cast<double>(target.l1_bytes), l2 = static_cast<double>(target.l2_bytes);
  row.Log(total(l1 / 2), "traffic.half_l1");
  row.Log(total(l1), "traffic.l1");
  row.Log(total(l2 / 2), "traffic.half_l2");
  row.Log(total(l2), "traffic.l2");
  row.Log(total(l2 * 16), "traffic.l3");
  row.Log(nest.iterations[in_l1], "iterations_in_l1");
  row.Log(nest.iterations[in_l2], "iterations_in_l2");
  WriteCurves(nest, std::max(1.0, Work(count)), row);
}

// All stages but the heaviest, added up.
void WriteRest(const std::vector<Weighed>& stages, size_t main, const Schedule& schedule,
               const ir::Target& target, RowWriter& row) {
  double iterations = 0, work = 0, vectors = 0, scalar = 0, gathered = 0, traffic = 0, entries = 0;
  double local = 0, workspace = 0, streamed = 0;
  for (size_t i = 0; i < stages.size(); ++i) {
    const BoundStage& stage = *stages[i].stage;
    double bytes = std::max(1.0, schedule.stages()[stage.stage].stage->output()->type.bits / 8.0);
    for (int64_t extent : stage.buffer_shape) bytes *= static_cast<double>(extent);
    if (stage.scope == ir::Scope::kLocal) local += bytes;
    if (stage.scope == ir::Scope::kWorkspace) workspace += bytes;
    if (schedule.stages()[stage.stage].streams) streamed += bytes;
    if (i == main) continue;
    const NestProfile& nest = stages[i].nest;
    const Body body = BodyOf(nest);
    iterations += nest.iterations[0];
    work += stages[i].work;
    (body.lanes > 1 ? vectors : scalar) += nest.iterations[0] / body.lanes;
    for (const AccessProfile& access : nest.accesses) {
      if (access.vector_stride > 1) gathered += nest.iterations[0];
      traffic += Traffic(nest, access, FittingDepth(nest, static_cast<double>(target.l2_bytes)));
    }
    double entered = 1;
    for (int l = 0; l < nest.own_begin; ++l) entered *= nest.extent[l];
    entries += entered;
  }
  row.Log(iterations, "rest.iterations");
  row.Log(work, "rest.work");
  row.Log(vectors, "rest.vectors");
  row.Log(scalar, "rest.scalars");
  row.Log(gathered, "rest.gathered");
  row.Log(traffic, "rest.traffic");
  row.Log(entries, "rest.entries");
  row.Log(local, "memory.local");
  row.Log(workspace, "memory.workspace");
  row.Log(streamed, "memory.streamed");
  row.Put(static_cast<double>(stages.size()), "stages");
}

void WriteParallel(const std::vector<Weighed>& stages, size_t main, const ir::Target& target,
                   RowWriter& row) {
  const NestProfile& nest = stages[main].nest;
  double extent = 1;
  if (nest.depth > 0 && nest.kind[0] == ir::LoopKind::kParallel) extent = nest.extent[0];
  const double threads = std::max(1, target.max_threads);
  row.Log(extent, "parallel.extent");
  row.Put(extent / (std::ceil(extent / threads) * threads), "parallel.balance");
  row.Log(nest.iterations[0] / extent, "parallel.grain");
}

void Write(const Schedule& schedule, const LoopStructure& loops, const ir::Target& target,
           RowWriter& row) {
  std::vector<Weighed> stages;
  stages.reserve(loops.stages.size());
  size_t main = 0;
  double total = 0;
  for (const BoundStage& stage : loops.stages) {
    if (stage.is_constant) continue;  // not part of a run
    const double work = stages.emplace_back(schedule, loops, stage).work;
    total += work;
    if (work > stages[main].work) main = stages.size() - 1;
  }
  row.Log(total, "work");
  row.Put(stages[main].work / total, "main_share");
  WriteParallel(stages, main, target, row);
  WriteMain(stages[main], schedule, target, row);
  WriteRest(stages, main, schedule, target, row);
}

// The smallest program there is, for the names.
std::vector<std::string> MakeNames() {
  te::Stage stage;
  stage.outputs = {ir::MakeBuffer("x", ir::Float(32), {1})};
  stage.axes = {{ir::MakeVar("i"), 1}};
  stage.bodies = {ir::MakeFloat(ir::Float(32), 0)};
  te::Dag dag;
  dag.outputs = stage.outputs;
  dag.stages = {stage};
  const Schedule schedule(dag);
  const absl::StatusOr<LoopStructure> loops = schedule::InferBounds(schedule);
  TESSERA_CHECK(loops.ok());
  std::vector<std::string> names;
  RowWriter row(&names);
  Write(schedule, *loops, ir::Target{}, row);
  return names;
}

}  // namespace

const std::vector<std::string>& FeatureNames() {
  static const auto* const kNames = new std::vector<std::string>(MakeNames());
  return *kNames;
}

int FeatureCount() { return static_cast<int>(FeatureNames().size()); }

void ExtractFeatures(const Schedule& schedule, const LoopStructure& loops, const ir::Target& target,
                     absl::Span<float> row) {
  TESSERA_CHECK(static_cast<int>(row.size()) == FeatureCount());
  RowWriter writer(row);
  Write(schedule, loops, target, writer);
}

absl::StatusOr<std::vector<float>> ConfigFeatures(const space::ConfigSpace& space,
                                                  absl::Span<const space::Config> configs) {
  const auto count = static_cast<size_t>(FeatureCount());
  std::vector<float> rows(configs.size() * count);
  for (size_t i = 0; i < configs.size(); ++i) {
    TESSERA_ASSIGN_OR_RETURN(const Schedule schedule, space.ToSchedule(configs[i]));
    TESSERA_ASSIGN_OR_RETURN(const LoopStructure loops, schedule::InferBounds(schedule));
    ExtractFeatures(schedule, loops, space.target(),
                    absl::MakeSpan(rows).subspan(i * count, count));
  }
  return rows;
}

}  // namespace tessera::costmodel
