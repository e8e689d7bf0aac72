#include "compiler/te/reference.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <set>
#include <utility>

#include "base/rng.h"
#include "base/status.h"
#include "base/test_data.h"
#include "compiler/ir/evaluate.h"
#include "compiler/ir/simplify.h"
#include "compiler/ir/visitor.h"
#include "compiler/te/saturating.h"
#include "compiler/te/stage_nest.h"

namespace tessera::te {
namespace {

// The nests of the stages that `holdings` has, in order; other tensors than inputs and `results`
// are allocated around them.
ir::Program Assemble(const Workload& workload, const Holdings& holdings,
                     const std::vector<ir::Buffer>& results) {
  const Dag& dag = workload.dag;
  ir::Program program{.name = workload.name, .params = {}, .body = {}};
  for (const Input& input : dag.inputs) {
    if (const auto held = holdings.find(input.buffer.get()); held != holdings.end()) {
      program.params.push_back(held->second.buffer);
    }
  }
  for (const ir::Buffer& result : results)
    program.params.push_back(holdings.at(result.get()).buffer);
  std::vector<ir::Stmt> nests;
  for (const Stage& stage : dag.stages) {
    if (holdings.contains(stage.output().get())) nests.push_back(StageNest(stage, holdings));
  }
  program.body = ir::MakeBlock(std::move(nests));
  for (size_t s = dag.stages.size(); s-- > 0;) {
    for (const ir::Buffer& output : dag.stages[s].outputs) {
      if (std::ranges::find(results, output) != results.end()) continue;
      if (const auto held = holdings.find(output.get()); held != holdings.end()) {
        program.body = ir::MakeAllocate(held->second.buffer, std::move(program.body));
      }
    }
  }
  return program;
}

Held Hold(const ir::Buffer& buffer, Box box, ir::Scope scope) {
  std::vector<int64_t> shape;
  for (const ir::Interval& side : box) shape.push_back(side.max - side.min + 1);
  return {ir::MakeBuffer(buffer->name, buffer->type, std::move(shape), scope), std::move(box)};
}

double TestElement(ir::Type type, uint64_t seed, int buffer, int64_t index) {
  if (type.is_float()) return TestValue(seed, buffer, index);
  if (type.code == ir::TypeCode::kUInt) {
    const int64_t high = type.bits >= 4 ? 15 : (int64_t{1} << type.bits) - 1;
    return static_cast<double>(TestInteger(seed, buffer, index, 0, high));
  }
  const int64_t half = type.bits >= 4 ? 8 : int64_t{1} << (type.bits - 1);
  return static_cast<double>(TestInteger(seed, buffer, index, -half, half - 1));
}

std::vector<std::byte> BytesFor(ir::Type type, int64_t elements) {
  return std::vector<std::byte>(static_cast<size_t>((elements * type.bits + 7) / 8));
}

// The elements of `box` of an input, row-major.
std::vector<std::byte> TestBox(const ir::BufferNode& buffer, int index, uint64_t seed,
                               const Box& box) {
  const int64_t count = Points(box);
  std::vector<std::byte> bytes = BytesFor(buffer.type, count);
  std::vector<int64_t> at;
  for (const ir::Interval& side : box) at.push_back(side.min);
  for (int64_t i = 0; i < count; ++i) {
    int64_t logical = 0;
    for (size_t d = 0; d < at.size(); ++d) logical = logical * buffer.shape[d] + at[d];
    ir::WriteElement(buffer.type, absl::MakeSpan(bytes), i,
                     TestElement(buffer.type, seed, index, logical));
    for (size_t d = at.size(); d-- > 0;) {
      if (++at[d] <= box[d].max) break;
      at[d] = box[d].min;
    }
  }
  return bytes;
}

class LoadCollector : public ir::Visitor {
 public:
  std::vector<const ir::Load*> loads;
  int64_t nodes = 0;

 protected:
  void VisitLoad(const ir::Load& load) override {
    loads.push_back(&load);
    ++nodes;
    ir::Visitor::VisitLoad(load);
  }
  void VisitBinary(const ir::Binary& node) override {
    ++nodes;
    ir::Visitor::VisitBinary(node);
  }
  void VisitCall(const ir::Call& node) override {
    ++nodes;
    ir::Visitor::VisitCall(node);
  }
};

using Boxes = absl::flat_hash_map<const ir::BufferNode*, Box>;

void Include(Boxes& boxes, const ir::BufferNode* buffer, const Box& box) {
  const auto [entry, fresh] = boxes.try_emplace(buffer, box);
  if (fresh) return;
  for (size_t d = 0; d < box.size(); ++d) {
    entry->second[d].min = std::min(entry->second[d].min, box[d].min);
    entry->second[d].max = std::max(entry->second[d].max, box[d].max);
  }
}

struct Needs {
  Boxes boxes;
  int64_t operations = 0;  // interpreted nodes and held elements
};

// What has to be held to compute `box` of `output`.
Needs NeedsOf(const Dag& dag, const ir::Buffer& output, const Box& box) {
  Needs needs;
  needs.boxes[output.get()] = box;
  for (size_t s = dag.stages.size(); s-- > 0;) {
    const Stage& stage = dag.stages[s];
    std::optional<Box> wanted;
    for (const ir::Buffer& buffer : stage.outputs) {
      const auto found = needs.boxes.find(buffer.get());
      if (found == needs.boxes.end()) continue;
      if (!wanted) wanted = found->second;
      Boxes both{{nullptr, *wanted}};
      Include(both, nullptr, found->second);
      wanted = both[nullptr];
    }
    if (!wanted) continue;
    ir::Ranges ranges;
    int64_t points = Points(*wanted);
    for (const ir::Buffer& buffer : stage.outputs) {
      needs.boxes[buffer.get()] = *wanted;
      needs.operations = SaturatingAdd(needs.operations, points);
    }
    for (size_t a = 0; a < stage.axes.size(); ++a) {
      ranges[stage.axes[a].var.get()] = (*wanted)[a];
    }
    for (const Axis& axis : stage.reduce_axes) {
      ranges[axis.var.get()] = {0, axis.extent - 1};
      points = SaturatingMultiply(points, axis.extent);
    }
    LoadCollector collector;
    for (const ir::Expr& body : stage.bodies) collector.Visit(body);
    needs.operations =
        SaturatingAdd(needs.operations, SaturatingMultiply(points, 1 + collector.nodes));
    for (const ir::Load* load : collector.loads) {
      Box read = WholeBox(load->buffer->shape);
      for (size_t d = 0; d < read.size(); ++d) {
        const std::optional<ir::Interval> bound = ir::Bound(load->indices[d], ranges);
        if (!bound) continue;
        // Beyond the tensor nothing is read: a Select or predicate guards it.
        const int64_t last = read[d].max;
        read[d] = {std::clamp<int64_t>(bound->min, 0, last),
                   std::clamp<int64_t>(bound->max, 0, last)};
      }
      Include(needs.boxes, load->buffer.get(), read);
    }
  }
  for (const Input& input : dag.inputs) {
    if (const auto found = needs.boxes.find(input.buffer.get()); found != needs.boxes.end()) {
      needs.operations = SaturatingAdd(needs.operations, Points(found->second));
    }
  }
  return needs;
}

// The value of one output element.
absl::StatusOr<double> Element(const Workload& workload, const ir::Buffer& output,
                               const Needs& needs, uint64_t seed) {
  const Dag& dag = workload.dag;
  Holdings holdings;
  std::vector<std::vector<std::byte>> storage;
  for (size_t i = 0; i < dag.inputs.size(); ++i) {
    const ir::Buffer& buffer = dag.inputs[i].buffer;
    const auto found = needs.boxes.find(buffer.get());
    if (found == needs.boxes.end()) continue;
    holdings[buffer.get()] = Hold(buffer, found->second, ir::Scope::kGlobal);
    storage.push_back(TestBox(*buffer, static_cast<int>(i), seed, found->second));
  }
  for (const Stage& stage : dag.stages) {
    for (const ir::Buffer& buffer : stage.outputs) {
      const auto found = needs.boxes.find(buffer.get());
      if (found == needs.boxes.end()) continue;
      holdings[buffer.get()] = Hold(buffer, found->second,
                                    buffer == output ? ir::Scope::kGlobal : ir::Scope::kWorkspace);
    }
  }
  storage.push_back(BytesFor(output->type, Points(needs.boxes.at(output.get()))));
  std::vector<absl::Span<std::byte>> spans;
  for (std::vector<std::byte>& bytes : storage) spans.push_back(absl::MakeSpan(bytes));
  TESSERA_RETURN_IF_ERROR(ir::Evaluate(Assemble(workload, holdings, {output}), spans));
  return ir::ReadElement(output->type, spans.back(), 0);
}

std::set<int64_t> SamplePlaces(int64_t elements, int count, Rng& rng) {
  std::set<int64_t> places;
  if (elements <= count) {
    for (int64_t i = 0; i < elements; ++i) places.insert(i);
    return places;
  }
  places = {0, elements - 1};
  while (static_cast<int>(places.size()) < count) {
    places.insert(static_cast<int64_t>(rng.Below(static_cast<uint64_t>(elements))));
  }
  return places;
}

}  // namespace

ir::Program ReferenceProgram(const Workload& workload) {
  Holdings holdings;
  const Dag& dag = workload.dag;
  const auto hold = [&](const ir::Buffer& buffer, ir::Scope scope) {
    holdings[buffer.get()] = Hold(buffer, WholeBox(buffer->shape), scope);
  };
  for (const Input& input : dag.inputs) hold(input.buffer, ir::Scope::kGlobal);
  for (const Stage& stage : dag.stages) {
    for (const ir::Buffer& output : stage.outputs) hold(output, ir::Scope::kWorkspace);
  }
  for (const ir::Buffer& output : dag.outputs) hold(output, ir::Scope::kGlobal);
  return Assemble(workload, holdings, dag.outputs);
}

std::vector<std::byte> TestInput(const ir::BufferNode& buffer, int index, uint64_t seed) {
  const int64_t count = buffer.ElementCount();
  std::vector<std::byte> bytes = BytesFor(buffer.type, count);
  for (int64_t i = 0; i < count; ++i) {
    ir::WriteElement(buffer.type, absl::MakeSpan(bytes), i,
                     TestElement(buffer.type, seed, index, i));
  }
  return bytes;
}

absl::StatusOr<std::vector<Sample>> SampleReference(const Workload& workload, uint64_t seed,
                                                    int count, int64_t max_operations) {
  const Dag& dag = workload.dag;
  const Rng rng = Rng(seed).Fork("sample places");
  std::vector<Sample> samples;
  int64_t operations = 0;
  for (size_t o = 0; o < dag.outputs.size(); ++o) {
    const ir::Buffer& output = dag.outputs[o];
    Rng places_rng = rng.Fork(absl::StrCat(o));
    for (int64_t place : SamplePlaces(output->ElementCount(), count, places_rng)) {
      Box box(output->shape.size());
      int64_t rest = place;
      for (size_t d = box.size(); d-- > 0;) {
        box[d] = {rest % output->shape[d], rest % output->shape[d]};
        rest /= output->shape[d];
      }
      const Needs needs = NeedsOf(dag, output, box);
      operations = SaturatingAdd(operations, needs.operations);
      if (operations > max_operations) {
        return absl::ResourceExhaustedError(absl::StrCat(
            workload.name, ": sampling ", count, " elements of ", output->name, " takes more than ",
            max_operations, " interpreted operations; sample fewer elements or raise the limit"));
      }
      TESSERA_ASSIGN_OR_RETURN(const double value, Element(workload, output, needs, seed));
      samples.push_back({static_cast<int>(o), place, value});
    }
  }
  return samples;
}

}  // namespace tessera::te
