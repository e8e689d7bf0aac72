#include "compiler/schedule/inlined_size.h"

#include <map>
#include <vector>

#include "compiler/ir/visitor.h"

namespace tessera::schedule {
namespace {

// Counts nodes; what stands for several copies is walked once, with their number as its weight.
class Measurer : public ir::Visitor {
 public:
  double nodes = 0;

 protected:
#define X(name)                                     \
  void Visit##name(const ir::name& node) override { \
    nodes += weight_;                               \
    if (nodes > kMaxBodyNodes) return;              \
    ir::Visitor::Visit##name(node);                 \
  }
  TESSERA_IR_EXPR_NODES(X)
#undef X

  double weight_ = 1;
};

class ProducerMeasurer final : public Measurer {
 public:
  std::map<const ir::Var*, double> uses;

 private:
  void VisitVar(const ir::Var& var) override {
    ++uses[&var];
    Measurer::VisitVar(var);
  }
};

class ConsumerMeasurer final : public Measurer {
 public:
  explicit ConsumerMeasurer(const te::Stage& producer) : output_(producer.output()) {
    ProducerMeasurer measurer;
    measurer.Visit(producer.bodies[0]);
    body_nodes_ = measurer.nodes;
    if (body_nodes_ > kMaxBodyNodes) return;
    for (const te::Axis& axis : producer.axes) {
      uses_.push_back(measurer.uses[axis.var.get()]);
      body_nodes_ -= uses_.back();  // indices take their places
    }
  }

 private:
  void VisitLoad(const ir::Load& load) override {
    if (load.buffer != output_) return Measurer::VisitLoad(load);
    const double weight = weight_;
    nodes += weight * body_nodes_;
    if (nodes > kMaxBodyNodes) return;
    for (size_t d = 0; d < load.indices.size(); ++d) {
      weight_ = weight * uses_[d];
      if (weight_ > 0) Visit(load.indices[d]);
    }
    weight_ = weight;
  }

  const ir::Buffer output_;
  double body_nodes_;
  std::vector<double> uses_;  // of an axis in the producer's body
};

}  // namespace

double InlinedSize(const te::Stage& producer, const te::Stage& consumer) {
  ConsumerMeasurer measurer(producer);
  for (const ir::Expr& body : consumer.bodies) measurer.Visit(body);
  return measurer.nodes;
}

}  // namespace tessera::schedule
