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
      const double covered =
          std::min(extent, std::ceil(span[dim.axis] / static_cast<double>(dim.divisor)));
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
  bool local = false;
  for (const BoundStage& stage : loops.stages) {
    const auto& outputs = schedule.stages()[stage.stage].stage->outputs;
    if (std::find(outputs.begin(), outputs.end(), buffer) == outputs.end()) continue;
    shape = &stage.buffer_shape;
    local = stage.at >= 0;
  }
  const std::vector<ir::LayoutDim>& layout = schedule.LayoutOf(buffer);
  if (!layout.empty() && !local) {
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

// One access: `form` of each dimension over the stage's axes.
struct Movement {
  int dims = 0;
  std::array<double, kMaxDims> shape;
  // step[l][d]: what one step of loop l adds to dimension d (its largest digit's share), and
  // reach[l][d]: what all its steps span.
  std::array<std::array<double, kMaxDims>, kMaxNestLoops> step = {}, reach = {};
  std::array<bool, kMaxDims> whole = {};
};

void AddTerm(Movement& movement, int d, int loop, const schedule::LoopTerm& term, double factor) {
  if (loop < 0) return;
  const double by = std::abs(factor * static_cast<double>(term.coefficient));
  movement.reach[loop][d] += by * static_cast<double>(term.extent - 1);
  if (term.divisor == 1) movement.step[loop][d] += by;
}

void Profile(const NestProfile& nest, const Movement& movement, const Storage& storage,
             AccessProfile& access) {
  std::array<double, kMaxDims> span;
  span.fill(1);
  double cap = 1;  // distinct elements can't outnumber the iterations that move the access
  for (int d = 0; d < movement.dims; ++d) {
    if (movement.whole[d]) {
      span[d] = movement.shape[d];
      cap *= span[d];
    }
  }
  const auto record = [&](int depth) {
    double elements = 1;
    for (int d = 0; d < movement.dims; ++d) elements *= std::min(span[d], movement.shape[d]);
    elements = std::min(elements, cap);
    std::array<double, kMaxDims> clipped = span;
    for (int d = 0; d < movement.dims; ++d) clipped[d] = std::min(span[d], movement.shape[d]);
    const double run = std::min(elements, storage.Run(clipped));
    const double lines_a_run = std::max(1.0, std::ceil(run * access.element_bytes / kLineBytes));
    access.elements[depth] = elements;
    access.lines[depth] = elements / run * lines_a_run;
  };
  record(nest.depth);
  for (int l = nest.depth - 1; l >= 0; --l) {
    double stride = 0;
    for (int d = 0; d < movement.dims; ++d) {
      if (movement.reach[l][d] == 0) continue;
      access.moved[l] = true;
      span[d] += movement.reach[l][d];
      if (movement.step[l][d] > 0) stride += storage.Stride(d, movement.step[l][d]);
    }
    access.stride[l] = stride;
    if (access.moved[l]) cap *= nest.extent[l];
    if (nest.kind[l] == ir::LoopKind::kVectorized) access.vector_stride = stride;
    record(l);
  }
}

}  // namespace

double NestProfile::WorkingSet(int at) const {
  double lines = 0;
  for (const AccessProfile& access : accesses) lines += access.lines[at];
  return lines * kLineBytes;
}

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
  absl::InlinedVector<schedule::AffineValue, 10> axes;
  for (size_t a = 0; a < stage.axes.size(); ++a) {
    axes.push_back(AxisValue(stage, static_cast<int>(a)));
  }

  const auto shape_of = [](const ir::BufferNode& buffer, Movement& movement) {
    movement.dims = std::min<int>(kMaxDims, static_cast<int>(buffer.shape.size()));
    for (int d = 0; d < movement.dims; ++d) {
      movement.shape[d] = static_cast<double>(buffer.shape[d]);
    }
  };
  const auto add_access = [&](const ir::Buffer& buffer, const Movement& movement, bool is_write) {
    AccessProfile& access = nest.accesses.emplace_back();
    access.is_write = is_write;
    access.element_bytes = std::max(1.0, buffer->type.bits / 8.0);
    Profile(nest, movement, StorageOf(schedule, loops, buffer), access);
  };

  // The store first, then the reads as the body lists them.
  Movement written;
  const ir::Buffer& output = state.stage->output();
  shape_of(*output, written);
  for (int d = 0; d < written.dims; ++d) {
    for (const schedule::LoopTerm& term : axes[d].terms) {
      // A region's own memory is addressed from its base.
      const int loop = position[term.loop];
      if (stage.at >= 0 && loop < nest.own_begin) continue;
      AddTerm(written, d, loop, term, 1);
    }
  }
  add_access(output, written, true);
  for (const schedule::Access& read : state.analysis->reads) {
    if (nest.accesses.size() == kMaxAccesses) break;
    Movement movement;
    shape_of(*read.buffer, movement);
    for (int d = 0; d < movement.dims; ++d) {
      const schedule::AxisForm& form = read.dims[d];
      movement.whole[d] = !form.affine;
      for (const auto& [axis, coefficient] : form.terms) {
        for (const schedule::LoopTerm& term : axes[axis].terms) {
          AddTerm(movement, d, position[term.loop], term, static_cast<double>(coefficient));
        }
      }
    }
    add_access(read.buffer, movement, false);
  }
  return nest;
}

}  // namespace tessera::costmodel
