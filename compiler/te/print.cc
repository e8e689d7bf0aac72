#include "compiler/ir/print.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "compiler/te/dag.h"

namespace tessera::te {
namespace {

// " blocked(1) layout(0 1/16 2 3 1%16)", or nothing for what is fixed and row-major.
std::string PlacementText(const ir::BufferNode& buffer) {
  std::string text;
  if (buffer.policy == ir::LayoutPolicy::kFree) text = " free";
  if (buffer.policy == ir::LayoutPolicy::kBlocked) {
    text = absl::StrCat(" blocked(", buffer.block_axis, ")");
  }
  if (!buffer.layout.empty()) {
    absl::StrAppend(&text, " layout(", ir::LayoutToString(buffer.layout, buffer.shape), ")");
  }
  return text;
}

std::string AxesText(const std::vector<Axis>& axes) {
  return absl::StrCat("[",
                      absl::StrJoin(axes, ", ",
                                    [](std::string* out, const Axis& axis) {
                                      absl::StrAppend(out, axis.var->name, ":", axis.extent);
                                    }),
                      "]");
}

}  // namespace

std::string Print(const Workload& workload) {
  std::string text = absl::StrCat("workload ", workload.name, "\n");
  for (const Input& input : workload.dag.inputs) {
    const ir::BufferNode& buffer = *input.buffer;
    absl::StrAppend(&text, input.is_constant ? "const " : "input ", buffer.name, ": ",
                    ir::ToString(buffer.type), "[", absl::StrJoin(buffer.shape, ","), "]",
                    PlacementText(buffer), "\n");
  }
  for (const Stage& stage : workload.dag.stages) {
    absl::StrAppend(&text, "stage ");
    for (size_t k = 0; k < stage.outputs.size(); ++k) {
      const ir::BufferNode& buffer = *stage.outputs[k];
      absl::StrAppend(&text, k > 0 ? ", " : "", buffer.name, ": ", ir::ToString(buffer.type),
                      k == 0 ? AxesText(stage.axes) : "", PlacementText(buffer));
    }
    absl::StrAppend(&text, " = ");
    if (stage.is_reduction()) {
      if (stage.direct) absl::StrAppend(&text, "direct ");
      absl::StrAppend(&text, std::string(ToString(stage.combiner)), AxesText(stage.reduce_axes),
                      " (");
    }
    for (size_t k = 0; k < stage.bodies.size(); ++k) {
      absl::StrAppend(&text, k > 0 ? ", " : "", ir::Print(stage.bodies[k]));
    }
    absl::StrAppend(&text, stage.is_reduction() ? ")\n" : "\n");
  }
  absl::StrAppend(&text, "output ",
                  absl::StrJoin(workload.dag.outputs, ", ",
                                [](std::string* out, const ir::Buffer& buffer) {
                                  absl::StrAppend(out, buffer->name);
                                }),
                  "\n");
  return text;
}

}  // namespace tessera::te
