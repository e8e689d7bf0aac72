#include "costmodel/nest.h"

#include <algorithm>
#include <cmath>

namespace tessera::costmodel {
namespace {

using schedule::BoundStage;
using schedule::LoopStructure;
using schedule::Schedule;

// An access's storage: what the buffer's layout is, or of which region it holds a copy.
struct Storage {
  absl::InlinedVector<ir::LayoutDim, 12> dims;  // outermost first

  // Elements that lie next to each other when a block of `span` logical elements is touched.
  double Run(const std::array<double, kMaxDims>& span) const {
    double run = 1;
    for (size_t i = dims.size(); i-- > 0;) {
      const ir::LayoutDim& dim = dims[i];
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
  double Stride(int axis, double by) const {
    double inner = 1, best = 0;
    double largest_divisor = 0;
    for (size_t i = dims.size(); i-- > 0;) {
      const auto divisor = static_cast<double>(dims[i].divisor);
      if (dims[i].axis == axis && divisor <= std::max(1.0, by) && divisor > largest_divisor) {
        largest_divisor = divisor;
        best = inner * by / divisor;
      }
      inner *= static_cast<double>(dims[i].extent);
    }
    return best;
  }
};

Storage StorageOf(const Schedule& schedule, const LoopStructure& loops, const ir::Buffer& buffer) {
  Storage storage;
  const std::vector<int64_t>* shape = &buffer->shape;
  const BoundStage* made_by = nullptr;
  for (const BoundStage& stage : loops.stages) {
    const auto& outputs = schedule.stages()[stage.stage].stage->outputs;
    if (std::find(outputs.begin(), outputs.end(), buffer) == outputs.end()) continue;
    shape = &stage.buffer_shape;
    made_by = &stage;
  }
  const std::vector<ir::LayoutDim> layout =
      made_by == nullptr ? schedule.LayoutOf(buffer)
                         : schedule::ChosenLayout(schedule, *made_by, buffer);
  if (!layout.empty()) {
    storage.dims.assign(layout.begin(), layout.end());
    return storage;
  }
  for (size_t d = 0; d < shape->size(); ++d) {
    storage.dims.push_back({static_cast<int>(d), 1, (*shape)[d]});
  }
  return storage;
}

void AddLoops(const LoopStructure& loops, const BoundStage& stage, int count, NestProfile& nest,
              absl::InlinedVector<int, kMaxNestLoops>& position) {
  if (stage.at >= 0) AddLoops(loops, loops.stages[stage.at], stage.at_depth + 1, nest, position);
  nest.own_begin = nest.depth;
  for (int l = 0; l < count && nest.depth < kMaxNestLoops; ++l) {
    const schedule::BoundLoop& loop = stage.loops[l];
    if (loop.extent == 1) continue;
    position[loop.id] = nest.depth;
    nest.extent[nest.depth] = static_cast<double>(loop.extent);
    nest.kind[nest.depth] = loop.kind;
    nest.is_reduction[nest.depth] = loop.is_reduction;
    ++nest.depth;
  }
}

// How loops move one access through its buffer's dimensions.
class Movement {
 public:
  // What one step of a loop adds to a dimension (its largest digit's share), and what all its
  // steps span.
  struct Way {
    double step = 0, reach = 0;
  };

  Movement(const ir::BufferNode& buffer, int loops)
      : shape_(buffer.shape.begin(),
               buffer.shape.begin() + std::min<size_t>(kMaxDims, buffer.shape.size())),
        whole_(shape_.size(), false),
        ways_(shape_.size() * loops) {}

  int dims() const { return static_cast<int>(shape_.size()); }
  double shape(int d) const { return shape_[d]; }
  bool whole(int d) const { return whole_[d]; }
  const Way& way(int loop, int d) const { return ways_[loop * dims() + d]; }

  void SetWhole(int d) { whole_[d] = true; }
  void Add(int d, int loop, const schedule::LoopTerm& term, double factor) {
    if (loop < 0) return;
    Way& way = ways_[loop * dims() + d];
    const double by = std::abs(factor * static_cast<double>(term.coefficient));
    way.reach += by * static_cast<double>(term.extent - 1);
    if (term.divisor == 1) way.step += by;
  }

 private:
  absl::InlinedVector<double, kMaxDims> shape_;
  absl::InlinedVector<bool, kMaxDims> whole_;  // any value of the dimension may be touched
  absl::InlinedVector<Way, 128> ways_;         // [loops × dims]
};

void Profile(const NestProfile& nest, const Movement& movement, const Storage& storage,
             AccessProfile& access) {
  std::array<double, kMaxDims> span;  // touched, of each dimension
  double cap = 1;                     // distinct elements can't outnumber iterations that move them
  for (int d = 0; d < movement.dims(); ++d) {
    span[d] = movement.whole(d) ? movement.shape(d) : 1;
    cap *= span[d];
  }
  const auto record = [&](int depth) {
    double elements = 1;
    for (int d = 0; d < movement.dims(); ++d) elements *= span[d];
    elements = std::min(elements, cap);
    const double run = std::min(elements, storage.Run(span));
    const double lines_a_run = std::max(1.0, std::ceil(run * access.element_bytes / kLineBytes));
    access.elements[depth] = elements;
    access.lines[depth] = elements / run * lines_a_run;
  };
  record(nest.depth);
  for (int l = nest.depth - 1; l >= 0; --l) {
    double stride = 0;
    access.moved[l] = false;
    for (int d = 0; d < movement.dims(); ++d) {
      const Movement::Way& way = movement.way(l, d);
      if (way.reach == 0) continue;
      access.moved[l] = true;
      span[d] = std::min(span[d] + way.reach, movement.shape(d));
      if (way.step > 0) stride += storage.Stride(d, way.step);
    }
    access.stride[l] = stride;
    if (nest.kind[l] == ir::LoopKind::kVectorized) access.vector_stride = stride;
    if (access.moved[l]) {
      cap *= nest.extent[l];
      record(l);
    } else {
      access.elements[l] = access.elements[l + 1];
      access.lines[l] = access.lines[l + 1];
    }
  }
}

}  // namespace

NestProfile ProfileNest(const Schedule& schedule, const LoopStructure& loops,
                        const BoundStage& stage) {
  NestProfile nest;
  absl::InlinedVector<int, kMaxNestLoops> position(loops.loop_count, -1);
  AddLoops(loops, stage, static_cast<int>(stage.loops.size()), nest, position);
  nest.iterations[nest.depth] = 1;
  for (int l = nest.depth - 1; l >= 0; --l) {
    nest.iterations[l] = nest.iterations[l + 1] * nest.extent[l];
  }
  const schedule::StageState& state = schedule.stages()[stage.stage];
  const schedule::AxisValues axes = schedule::ValuesOfAxes(stage);

  const auto add_access = [&](const ir::Buffer& buffer, const Movement& movement, bool is_write) {
    AccessProfile& access = nest.accesses.emplace_back();
    access.is_write = is_write;
    access.element_bytes = std::max(1.0, buffer->type.bits / 8.0);
    Profile(nest, movement, StorageOf(schedule, loops, buffer), access);
  };

  // The store first, then the reads as the body lists them.
  const ir::Buffer& output = state.stage->output();
  Movement written(*output, nest.depth);
  for (int d = 0; d < written.dims(); ++d) {
    for (const schedule::LoopTerm& term : axes[d].terms) {
      // A region's own memory is addressed from its base.
      const int loop = position[term.loop];
      if (stage.at >= 0 && loop < nest.own_begin) continue;
      written.Add(d, loop, term, 1);
    }
  }
  add_access(output, written, true);
  const std::vector<schedule::Access>& reads = state.analysis->reads;
  for (size_t r = 0; r < reads.size() && nest.accesses.size() < kMaxAccesses; ++r) {
    const schedule::Access& read = reads[r];
    if (state.analysis->moves_as_before[r]) {
      nest.accesses.push_back(nest.accesses.back());
      continue;
    }
    Movement movement(*read.buffer, nest.depth);
    for (int d = 0; d < movement.dims(); ++d) {
      const schedule::AxisForm& form = read.dims[d];
      if (!form.affine && form.slopes.empty()) movement.SetWhole(d);
      for (const auto& [axis, slope] : form.slopes) {
        for (const schedule::LoopTerm& term : axes[axis].terms) {
          movement.Add(d, position[term.loop], term, slope);
        }
      }
      for (const auto& [axis, coefficient] : form.terms) {
        for (const schedule::LoopTerm& term : axes[axis].terms) {
          movement.Add(d, position[term.loop], term, static_cast<double>(coefficient));
        }
      }
    }
    add_access(read.buffer, movement, false);
  }
  for (int depth = 0; depth <= nest.depth; ++depth) {
    double lines = 0;
    for (const AccessProfile& access : nest.accesses) lines += access.lines[depth];
    nest.working_set[depth] = lines * kLineBytes;
  }
  return nest;
}

}  // namespace tessera::costmodel
