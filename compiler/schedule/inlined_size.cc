#include "compiler/schedule/inlined_size.h"

#include <algorithm>
#include <map>
#include <vector>

#include "compiler/ir/visitor.h"

namespace tessera::schedule {
namespace {

// Counts nodes; what stands for several copies is walked once, with their number as its weight.
class Measurer : public ir::Visitor {
 public:
  BodySize size;

 protected:
#define X(name)                                     \
  void Visit##name(const ir::name& node) override { \
    Enter();                                        \
    ir::Visitor::Visit##name(node);                 \
    --depth_;                                       \
  }
  TESSERA_IR_EXPR_NODES(X)
#undef X

  void Enter() {
    size.nodes += weight_;
    size.height = std::max(size.height, ++depth_);
  }

  double weight_ = 1;
  int depth_ = 0;
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
    body_ = measurer.size;
    for (const te::Axis& axis : producer.axes) {
      uses_.push_back(measurer.uses[axis.var.get()]);
      body_.nodes -= uses_.back();  // indices take their places
    }
  }

 private:
  void VisitLoad(const ir::Load& load) override {
    if (load.buffer != output_) return Measurer::VisitLoad(load);
    const double weight = weight_;
    const int depth = depth_;
    size.nodes += weight * body_.nodes;
    size.height = std::max(size.height, depth + body_.height);
    depth_ += body_.height - 1;
    for (size_t d = 0; d < load.indices.size(); ++d) {
      weight_ = weight * uses_[d];
      if (weight_ > 0) Visit(load.indices[d]);
    }
    weight_ = weight;
    depth_ = depth;
  }

  const ir::Buffer output_;
  BodySize body_;
  std::vector<double> uses_;  // of an axis in the producer's body
};

}  // namespace

BodySize InlinedSize(const te::Stage& producer, const te::Stage& consumer) {
  ConsumerMeasurer measurer(producer);
  for (const ir::Expr& body : consumer.bodies) measurer.Visit(body);
  return measurer.size;
}

}  // namespace tessera::schedule
