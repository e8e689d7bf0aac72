#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "compiler/te/dag.h"

namespace tessera::te {

struct Dim {
  std::string name;
  int64_t extent;
};

// What may be done with a buffer's storage order.
struct Placement {
  ir::LayoutPolicy policy = ir::LayoutPolicy::kFixed;
  int block_axis = -1;
  std::vector<ir::LayoutDim> layout;
};
inline Placement FreePlacement() { return {ir::LayoutPolicy::kFree, -1, {}}; }

// Collects inputs and stages of one workload. A tensor or stage past the limits of dag.h is
// remembered and reported by Finish; until then everything stays safe to use.
class DagBuilder {
 public:
  using Indices = std::vector<ir::Expr>;
  using Body = std::function<ir::Expr(const Indices& axes)>;
  using ReduceBody = std::function<ir::Expr(const Indices& axes, const Indices& reduce_axes)>;
  using TupleBody =
      std::function<std::vector<ir::Expr>(const Indices& axes, const Indices& reduce_axes)>;

  ir::Buffer Input(std::string name, ir::Type type, const std::vector<Dim>& dims,
                   Placement placement = {});
  ir::Buffer Constant(std::string name, ir::Type type, const std::vector<Dim>& dims,
                      Placement placement = {});
  ir::Buffer Compute(std::string name, ir::Type type, const std::vector<Dim>& dims,
                     const Body& body);
  ir::Buffer Reduce(std::string name, ir::Type type, const std::vector<Dim>& dims,
                    const std::vector<Dim>& reduce_dims, Combiner combiner, const ReduceBody& body);
  // Names and types are one an output.
  std::vector<ir::Buffer> ReduceTuple(const std::vector<std::string>& names,
                                      const std::vector<ir::Type>& types,
                                      const std::vector<Dim>& dims,
                                      const std::vector<Dim>& reduce_dims, Combiner combiner,
                                      const TupleBody& body);

  // Makes the sum that was added last direct (Stage::direct).
  void KeepDirect() { dag_.stages.back().direct = true; }

  // The workload with `outputs`, which no stage reads, stored as `placement` says.
  absl::StatusOr<Workload> Finish(const std::vector<ir::Buffer>& outputs,
                                  const Placement& placement = {}) &&;

 private:
  ir::Buffer NewBuffer(std::string name, ir::Type type, const std::vector<Dim>& dims,
                       ir::Scope scope, Placement placement);

  Dag dag_;
  absl::Status status_;
};

std::vector<int64_t> Extents(const std::vector<Dim>& dims);

}  // namespace tessera::te
