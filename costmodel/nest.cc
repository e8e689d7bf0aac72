#include "costmodel/nest.h"

#include <algorithm>
#include <cmath>

#include "compiler/ir/threads.h"

namespace tessera::costmodel {
namespace {

using schedule::BoundStage;
using schedule::LoopStructure;
using schedule::Schedule;

// Elements that lie next to each other when a block of `span` logical elements is touched.
double Run(absl::Span<const ir::LayoutDim> storage, const std::array<double, te::kMaxRank>& span) {
  double run = 1;
  for (size_t i = storage.size(); i-- > 0;) {
    const ir::LayoutDim& dim = storage[i];
    const auto extent = static_cast<double>(dim.extent);
    const double steps = dim.divisor == 1
                             ? span[dim.axis]
                             : std::ceil(span[dim.axis] / static_cast<double>(dim.divisor));
    const double covered = std::min(extent, steps);
    run *= covered;
    if (covered < extent) break;
  }
  return run;
}

// Distance in elements that a step of `by` along a logical dimension goes.
double Stride(absl::Span<const ir::LayoutDim> storage, int axis, double by) {
  double inner = 1, best = 0;
  double largest_divisor = 0;
  for (size_t i = storage.size(); i-- > 0;) {
    const auto divisor = static_cast<double>(storage[i].divisor);
    if (storage[i].axis == axis && divisor <= std::max(1.0, by) && divisor > largest_divisor) {
      largest_divisor = divisor;
      best = inner * by / divisor;
    }
    inner *= static_cast<double>(storage[i].extent);
  }
  return best;
}

// The stage that computes `buffer`; null for inputs.
const BoundStage* ProducerOf(const Schedule& schedule, const LoopStructure& loops,
                             const ir::Buffer& buffer) {
  for (const BoundStage& stage : loops.stages) {
    const auto& outputs = schedule.stages()[stage.stage].stage->outputs;
    if (std::find(outputs.begin(), outputs.end(), buffer) != outputs.end()) return &stage;
  }
  return nullptr;
}

// Whether threads, virtual ones too, share out a loop's iterations.
bool IsOverThreads(ir::ThreadAxis axis) {
  return ir::IsThreadAxis(axis) || axis == ir::ThreadAxis::kVirtual;
}

}  // namespace

absl::Span<const NestProfile> NestProfiler::Profile(const Schedule& schedule,
                                                    const LoopStructure& loops) {
  FindKernels(loops);
  size_t used = 0;
  for (const BoundStage& stage : loops.stages) {
    if (stage.is_constant) continue;
    if (used == nests_.size()) nests_.emplace_back();
    NestProfile& nest = nests_[used++];
    nest.bound = &stage;
    nest.root = &loops.stages[roots_[&stage - stages_]];
    nest.state = &schedule.stages()[stage.stage];
    ProfileStage(schedule, loops, nest);
  }
  return absl::MakeSpan(nests_).first(used);
}

void NestProfiler::FindKernels(const LoopStructure& loops) {
  stages_ = loops.stages.data();
  const size_t count = loops.stages.size();
  roots_.resize(count);
  blocks_.assign(count, {1, 1, 1});
  // Consumers come last.
  for (size_t i = count; i-- > 0;) {
    const BoundStage& stage = loops.stages[i];
    roots_[i] = stage.at < 0 ? static_cast<int>(i) : roots_[stage.at];
    BlockShape& block = blocks_[roots_[i]];
    for (const schedule::BoundLoop& loop : stage.loops) {
      if (!ir::IsThreadAxis(loop.thread_axis)) continue;
      int64_t& extent = block[BlockAxis(loop.thread_axis)];
      extent = std::max(extent, loop.extent);
    }
  }
  // All threads of a block have to make what it shares: a loop around that says how many there are.
  for (const BoundStage& shared : loops.stages) {
    if (shared.scope != ir::Scope::kShared) continue;
    BlockShape& block = blocks_[roots_[&shared - stages_]];
    for (const BoundStage* stage = &shared; stage->at >= 0; stage = &loops.stages[stage->at]) {
      const BoundStage& around = loops.stages[stage->at];
      for (int l = 0; l <= stage->at_depth; ++l) {
        const schedule::BoundLoop& loop = around.loops[l];
        if (ir::IsThreadAxis(loop.thread_axis)) block[BlockAxis(loop.thread_axis)] = loop.extent;
      }
    }
  }
}

void NestProfiler::AddLoops(const LoopStructure& loops, const BoundStage& stage, int count,
                            bool made_together, NestProfile& nest) {
  if (stage.at >= 0) {
    AddLoops(loops, loops.stages[stage.at], stage.at_depth + 1,
             made_together || stage.scope == ir::Scope::kShared, nest);
  }
  nest.own_begin = nest.depth;
  for (int l = 0; l < count && nest.depth < kMaxNestLoops; ++l) {
    const schedule::BoundLoop& loop = stage.loops[l];
    if (loop.extent == 1 || (made_together && IsOverThreads(loop.thread_axis))) continue;
    position_[loop.id] = nest.depth;
    nest.extent[nest.depth] = static_cast<double>(loop.extent);
    nest.kind[nest.depth] = loop.kind;
    nest.thread_axis[nest.depth] = loop.thread_axis;
    nest.is_reduction[nest.depth] = loop.is_reduction;
    ++nest.depth;
  }
}

int NestProfiler::LoopsAround(const LoopStructure& loops, const BoundStage& stage) const {
  int found = 0;
  for (const BoundStage* inner = &stage; inner->at >= 0; inner = &loops.stages[inner->at]) {
    const BoundStage& around = loops.stages[inner->at];
    for (int l = 0; l <= inner->at_depth; ++l) found += position_[around.loops[l].id] >= 0 ? 1 : 0;
  }
  return found;
}

void NestProfiler::ListTerms(const BoundStage& stage) {
  terms_.clear();
  term_begin_.clear();
  for (size_t axis = 0; axis < stage.axes.size(); ++axis) {
    term_begin_.push_back(terms_.size());
    const auto& base = stage.axes[axis].base.terms;
    terms_.insert(terms_.end(), base.begin(), base.end());
    for (const schedule::BoundLoop& loop : stage.loops) {
      int64_t divisor = 1;
      for (size_t i = loop.digits.size(); i-- > 0;) {
        const schedule::Digit& digit = loop.digits[i];
        if (digit.extent > 1 && digit.axis == static_cast<int>(axis)) {
          terms_.push_back({loop.id, divisor, digit.extent, digit.stride});
        }
        divisor *= digit.extent;
      }
    }
  }
  term_begin_.push_back(terms_.size());
}

absl::Span<const schedule::LoopTerm> NestProfiler::TermsOf(int axis) const {
  return absl::MakeSpan(terms_).subspan(term_begin_[axis],
                                        term_begin_[axis + 1] - term_begin_[axis]);
}

void NestProfiler::BeginAccess(const LoopStructure& loops, const ir::Buffer& buffer,
                               const BoundStage* producer, const NestProfile& nest) {
  buffer_ = buffer;
  producer_ = producer;
  dims_ = static_cast<int>(buffer->shape.size());
  fixed_loops_ = producer == nullptr ? 0 : LoopsAround(loops, *producer);
  reads_ = 1;
  first_span_.fill(1);
  whole_.fill(false);
  ways_.assign(static_cast<size_t>(nest.depth) * dims_, Way{});
  lane_terms_.clear();
}

void NestProfiler::Move(const NestProfile& nest, int dim, const schedule::LoopTerm& term,
                        double factor) {
  const int loop = position_[term.loop];
  if (loop < 0) return;
  const bool is_shared = producer_ != nullptr && producer_->scope == ir::Scope::kShared;
  const ir::ThreadAxis axis = nest.thread_axis[loop];
  if (loop < fixed_loops_ && !(is_shared && IsOverThreads(axis))) return;
  if (ir::IsThreadAxis(axis)) {
    lane_terms_.push_back({BlockAxis(axis), term.divisor, term.extent, dim,
                           factor * static_cast<double>(term.coefficient)});
  }
  Way& way = ways_[static_cast<size_t>(loop) * dims_ + dim];
  const double by = std::abs(factor * static_cast<double>(term.coefficient));
  way.reach += by * static_cast<double>(term.extent - 1);
  if (term.divisor == 1) way.step += by;
}

void NestProfiler::AddAccess(const Schedule& schedule, bool is_write, NestProfile& nest) {
  AccessProfile& access = nest.accesses.emplace_back();
  access.is_write = is_write;
  access.producer = producer_;
  access.scope = producer_ == nullptr ? ir::Scope::kGlobal : producer_->scope;
  if (producer_ == nullptr) access.read_path = schedule.ReadPathOf(buffer_);
  access.reads = reads_;
  access.element_bytes = std::max(1.0, buffer_->type.bits / 8.0);
  // What the buffer's layout is, or of which region it holds a copy.
  if (producer_ != nullptr) {
    const schedule::StorageOrder chosen = schedule::ChosenLayout(schedule, *producer_, buffer_);
    storage_.assign(chosen.begin(), chosen.end());
  } else {
    storage_ = schedule.LayoutOf(buffer_);
  }
  if (storage_.empty()) {
    const auto& extents = producer_ != nullptr ? producer_->buffer_shape : buffer_->shape;
    for (size_t d = 0; d < extents.size(); ++d) {
      storage_.push_back({static_cast<int>(d), 1, extents[d]});
    }
  }

  std::array<double, te::kMaxRank> span;  // touched, of each dimension
  // Distinct elements can't outnumber the reads of iterations that move them.
  double cap = access.reads;
  const auto shape = [&](int d) { return static_cast<double>(buffer_->shape[d]); };
  for (int d = 0; d < dims_; ++d) {
    span[d] = std::min(first_span_[d], shape(d));
    if (whole_[d]) cap *= span[d];
  }
  const auto record = [&](int depth) {
    double elements = 1;
    for (int d = 0; d < dims_; ++d) elements *= span[d];
    elements = std::min(elements, cap);
    const double run = std::min(elements, Run(storage_, span));
    const double lines_a_run = std::max(1.0, std::ceil(run * access.element_bytes / kLineBytes));
    access.elements[depth] = elements;
    access.lines[depth] = elements / run * lines_a_run;
  };
  record(nest.depth);
  double lanes = 1;  // of vectors, as far as the loops from l inwards go
  for (int l = nest.depth - 1; l >= 0; --l) {
    double stride = 0;
    access.moved[l] = false;
    for (int d = 0; d < dims_; ++d) {
      const Way& way = ways_[static_cast<size_t>(l) * dims_ + d];
      if (way.reach == 0) continue;
      access.moved[l] = true;
      span[d] = std::min(span[d] + way.reach, shape(d));
      if (way.step > 0) stride += Stride(storage_, d, way.step);
    }
    access.stride[l] = stride;
    if (nest.kind[l] == ir::LoopKind::kVectorized) {
      // The points of a tensor instruction lie one group apart, which is next to each other.
      if (lanes == 1 || stride != access.vector_stride * lanes) access.vector_stride = stride;
      lanes *= nest.extent[l];
    }
    if (access.moved[l]) {
      cap *= nest.extent[l];
      record(l);
    } else {
      access.elements[l] = access.elements[l + 1];
      access.lines[l] = access.lines[l + 1];
    }
  }
  if (wave_threads_ == 0 || access.scope == ir::Scope::kLocal) return;
  BlockShape iterations = {0, 0, 0};
  for (int l = 0; l < nest.depth; ++l) {
    if (!ir::IsThreadAxis(nest.thread_axis[l])) continue;
    iterations[BlockAxis(nest.thread_axis[l])] = static_cast<int64_t>(nest.extent[l]);
  }
  access.wave =
      AccessOfWave({.wave_threads = wave_threads_,
                    .block = BlockOf(*nest.root),
                    .iterations = iterations,
                    .terms = lane_terms_,
                    .storage = storage_,
                    .element_bytes = static_cast<int64_t>(access.element_bytes),
                    .lanes = access.vector_stride == 1 ? static_cast<int64_t>(lanes) : 1});
}

void NestProfiler::ProfileStage(const Schedule& schedule, const LoopStructure& loops,
                                NestProfile& nest) {
  const BoundStage& stage = *nest.bound;
  nest.depth = 0;
  nest.accesses.resize(0);
  position_.assign(loops.loop_count, -1);
  AddLoops(loops, stage, static_cast<int>(stage.loops.size()), /*made_together=*/false, nest);
  nest.iterations[nest.depth] = 1;
  for (int l = nest.depth - 1; l >= 0; --l) {
    nest.iterations[l] = nest.iterations[l + 1] * nest.extent[l];
  }
  ListTerms(stage);

  // The store first, then the reads as the body lists them.
  const ir::Buffer& output = nest.state->stage->output();
  BeginAccess(loops, output, &stage, nest);
  for (int d = 0; d < dims_; ++d) {
    for (const schedule::LoopTerm& term : TermsOf(d)) Move(nest, d, term, 1);
  }
  AddAccess(schedule, true, nest);
  const schedule::StageAnalysis& analysis = *nest.state->analysis;
  for (const schedule::Window& window : analysis.windows) {
    if (nest.accesses.size() == kMaxAccesses) break;
    const schedule::Access& read = analysis.reads[window.read];
    BeginAccess(loops, read.buffer, ProducerOf(schedule, loops, read.buffer), nest);
    reads_ = window.count;
    for (int d = 0; d < dims_; ++d) {
      const schedule::AxisForm& form = read.dims[d];
      const auto& [least, largest] = window.offsets[d];
      whole_[d] = !form.affine && form.slopes.empty();
      first_span_[d] = whole_[d] ? static_cast<double>(read.buffer->shape[d])
                                 : static_cast<double>(1 + largest - least);
      for (const auto& [axis, slope] : form.slopes) {
        for (const schedule::LoopTerm& term : TermsOf(axis)) Move(nest, d, term, slope);
      }
      for (const auto& [axis, coefficient] : form.terms) {
        for (const schedule::LoopTerm& term : TermsOf(axis)) {
          Move(nest, d, term, static_cast<double>(coefficient));
        }
      }
    }
    AddAccess(schedule, false, nest);
  }
  for (int depth = 0; depth <= nest.depth; ++depth) {
    double lines = 0;
    for (const AccessProfile& access : nest.accesses) lines += access.lines[depth];
    nest.working_set[depth] = lines * kLineBytes;
  }
}

}  // namespace tessera::costmodel
