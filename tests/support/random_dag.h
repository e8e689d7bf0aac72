#pragma once

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/rng.h"
#include "base/status.h"
#include "compiler/te/dag_builder.h"

namespace tessera::te {

// Draws small compute definitions that are no operator of the table: chains and diamonds of maps,
// sums, maxima, products and argmaxes over one or two tensors each, read at their own place,
// shifted, strided, reversed, broadcast, by quotients and remainders, or padded; several outputs,
// some of which later stages read. Maps are continuous and don't amplify much, so that rounding
// stays within OutputTolerance. The interpreter runs each in a moment.
class RandomDag {
 public:
  explicit RandomDag(Rng rng) : rng_(rng) {}

  Workload Draw() {
    is_integer_ = rng_.Chance(0.15);
    const int64_t inputs = rng_.Between(1, 3), stages = rng_.Between(2, 6);
    for (int64_t i = 0; i < inputs; ++i) AddInput();
    for (int64_t i = 0; i < stages; ++i) AddStage();
    std::vector<ir::Buffer> outputs;
    for (const Tensor& tensor : tensors_) {
      if (tensor.is_stage && !tensor.is_read) outputs.push_back(tensor.buffer);
    }
    absl::StatusOr<Workload> drawn = std::move(builder_).Finish(outputs);
    TESSERA_CHECK(drawn.ok());
    drawn->name = "random";
    std::string text = Print(*drawn);
    text.pop_back();  // the last line lists the outputs
    for (const Tensor& tensor : tensors_) {
      if (tensor.is_stage && tensor.is_read && rng_.Chance(0.15)) {
        absl::StrAppend(&text, ", ", tensor.buffer->name);
      }
    }
    absl::StatusOr<Workload> workload = ParseWorkload(text + "\n");
    if (!workload.ok()) Crash(text, workload.status());
    return *std::move(workload);
  }

 private:
  struct Tensor {
    ir::Buffer buffer;
    double largest;  // magnitude, about
    bool is_exact;   // holds what it was given: no operation rounded
    bool is_stage = false, is_read = false;
  };
  struct AxisVar {
    ir::Expr var;
    int64_t extent;
  };
  struct Term {
    ir::Expr value;
    double largest;
  };

  [[noreturn]] static void Crash(const std::string& text, const absl::Status& status) {
    std::fputs(absl::StrCat(text, status.ToString(), "\n").c_str(), stderr);
    std::abort();
  }

  template <typename T>
  T OneOf(const std::vector<T>& values) {
    return values[rng_.Below(values.size())];
  }
  ir::Type Computed() const { return is_integer_ ? ir::Int(32) : ir::Float(32); }
  int64_t Extent() { return OneOf<int64_t>({1, 2, 3, 4, 5, 7, 8, 11, 16, 17, 24}); }

  std::vector<Dim> Dims(const std::string& prefix, const std::vector<int64_t>& extents) {
    std::vector<Dim> dims;
    for (size_t d = 0; d < extents.size(); ++d) {
      dims.push_back({absl::StrCat(prefix, names_, "_", d), extents[d]});
    }
    ++names_;
    return dims;
  }

  void AddInput() {
    std::vector<int64_t> extents;
    int64_t elements = 1;
    for (int64_t rank = rng_.Between(1, 3); rank > 0; --rank) {
      const int64_t extent = Extent();
      if (elements * extent > kMaxElementsOfInput) continue;
      extents.push_back(extent);
      elements *= extent;
    }
    const ir::Type type = is_integer_
                              ? ir::Int(8)
                              : OneOf<ir::Type>({ir::Float(32), ir::Float(32), ir::Float(32),
                                                 ir::Float(16), ir::BFloat16()});
    const std::string name = absl::StrCat("X", tensors_.size());
    Placement placement;
    const bool is_constant = rng_.Chance(0.35);
    if (is_constant && rng_.Chance(0.7)) {
      placement = FreePlacement();
    } else if (rng_.Chance(0.3)) {
      placement = {ir::LayoutPolicy::kBlocked, static_cast<int>(rng_.Below(extents.size())), {}};
    }
    const std::vector<Dim> dims = Dims("d", extents);
    tensors_.push_back({is_constant ? builder_.Constant(name, type, dims, placement)
                                    : builder_.Input(name, type, dims, placement),
                        is_integer_ ? 8.0 : 1.0, true});
  }

  // An index along a dimension of `extent` elements; adds to `inside` what has to hold for it to be
  // one.
  ir::Expr Index(const std::vector<AxisVar>& axes, int64_t extent, ir::Expr& inside) {
    for (int attempt = 0; attempt < 12; ++attempt) {
      const AxisVar& a = axes[rng_.Below(axes.size())];
      const AxisVar& b = axes[rng_.Below(axes.size())];
      const int64_t reach = a.extent - 1;
      switch (attempt < 2 ? 0 : rng_.Below(8)) {
        case 0:
        case 1:  // at its own place
          if (a.extent == extent) return a.var;
          break;
        case 2: {
          const int64_t stride = rng_.Between(1, 2), room = extent - 1 - stride * reach;
          if (room >= 0) return a.var * ir::Expr(stride) + ir::Expr(rng_.Between(0, room));
          break;
        }
        case 3:
          if (reach < extent) return ir::Expr(rng_.Between(reach, extent - 1)) - a.var;
          break;
        case 4:
          if (a.var.As<ir::Var>() != b.var.As<ir::Var>() && reach + b.extent - 1 < extent) {
            return a.var + b.var;
          }
          break;
        case 5: {
          const int64_t divisor = rng_.Between(2, 3);
          if (reach / divisor < extent) return a.var / ir::Expr(divisor);
          break;
        }
        case 6: {
          const int64_t divisor = std::min(extent, rng_.Between(2, 4));
          if (divisor > 1) return a.var % ir::Expr(divisor);
          break;
        }
        default: {
          // Padded: some of the places lie outside.
          const int64_t before = rng_.Between(0, 2);
          const ir::Expr index = a.var + b.var - ir::Expr(before);
          inside =
              ir::And(inside, ir::And(ir::Le(ir::Expr(0), index), ir::Lt(index, ir::Expr(extent))));
          return index;
        }
      }
    }
    return ir::Expr(rng_.Between(0, extent - 1));
  }

  Term Read(Tensor& tensor, const std::vector<AxisVar>& axes) {
    tensor.is_read = true;
    std::vector<ir::Expr> indices;
    ir::Expr inside;
    for (const int64_t extent : tensor.buffer->shape) {
      indices.push_back(Index(axes, extent, inside));
    }
    ir::Expr value = ir::MakeLoad(tensor.buffer, std::move(indices));
    if (inside) value = ir::MakeSelect(inside, value, ir::Zero(tensor.buffer->type));
    if (value.type() != Computed()) value = ir::MakeCast(Computed(), value);
    return {value, tensor.largest};
  }

  Term Binary(const Term& a, const Term& b) {
    switch (rng_.Below(a.largest * b.largest <= kLargest ? 5 : 3)) {
      case 0:
        return {ir::Max(a.value, b.value), std::max(a.largest, b.largest)};
      case 1:
        return {ir::Min(a.value, b.value), std::max(a.largest, b.largest)};
      case 2:
        return {rng_.Chance(0.5) ? a.value + b.value : a.value - b.value, a.largest + b.largest};
      default:
        return {a.value * b.value, a.largest * b.largest};
    }
  }

  Term Unary(const Term& a) {
    const auto call = [&](const char* name, const ir::Expr& value) {
      return ir::MakeCall(Computed(), name, {value});
    };
    if (is_integer_) return {ir::Max(a.value, ir::Zero(Computed())), a.largest};
    const ir::Expr magnitude = call("abs", a.value), one = ir::MakeFloat(Computed(), 1);
    switch (rng_.Below(6)) {
      case 0:
        return {call("tanh", a.value), 1};
      case 1:
        return {call("sigmoid", a.value), 1};
      case 2:
        return {call("sqrt", magnitude + one), 1 + a.largest};
      case 3:
        return {call("exp", ir::Zero(Computed()) - magnitude), 1};
      case 4:
        return {a.value / (magnitude + one), 1};
      default:
        return {ir::Max(a.value, ir::Zero(Computed())), a.largest};
    }
  }

  // Of one to three reads; at most `largest`.
  Term Body(const std::vector<AxisVar>& axes, double largest) {
    Term term = Read(Source(), axes);
    for (int64_t more = rng_.Between(0, 2); more > 0; --more) {
      term = Binary(term, Read(Source(), axes));
    }
    if (rng_.Chance(0.4)) term = Unary(term);
    if (term.largest > largest && !is_integer_) {
      term = {ir::MakeCall(Computed(), "tanh", {term.value}), 1};
    }
    return term;
  }

  // The last tensors are read more often, so that chains get long.
  Tensor& Source() {
    const size_t back = std::min(rng_.Below(tensors_.size()), rng_.Below(tensors_.size()));
    return tensors_[tensors_.size() - 1 - back];
  }

  static std::vector<AxisVar> Vars(const DagBuilder::Indices& axes, const std::vector<Dim>& dims) {
    std::vector<AxisVar> vars;
    for (size_t i = 0; i < dims.size(); ++i) vars.push_back({axes[i], dims[i].extent});
    return vars;
  }

  void AddStage() {
    // Its extents are mostly those of a tensor that it may read, in any order.
    std::vector<int64_t> extents = Source().buffer->shape, reduced;
    rng_.Shuffle(absl::MakeSpan(extents));
    const bool reduces = rng_.Chance(0.5);
    if (reduces && extents.size() > 1) {
      reduced.push_back(extents.back());
      extents.pop_back();
    }
    if (reduces && reduced.empty()) reduced.push_back(Extent());
    if (reduces && rng_.Chance(0.3)) reduced.push_back(rng_.Between(1, 3));
    if (extents.size() < 3 && rng_.Chance(0.3)) extents.push_back(Extent());
    int64_t points = 1;
    for (std::vector<int64_t>* list : {&extents, &reduced}) {
      for (int64_t& extent : *list) {
        if (points * extent > kMaxPoints) extent = 1;
        points *= extent;
      }
    }
    const std::vector<Dim> dims = Dims("i", extents), reduce_dims = Dims("r", reduced);
    const std::string name = absl::StrCat("s", tensors_.size());
    const auto both = [&](const DagBuilder::Indices& axes, const DagBuilder::Indices& reduce_axes) {
      std::vector<AxisVar> vars = Vars(axes, dims);
      for (const AxisVar& var : Vars(reduce_axes, reduce_dims)) vars.push_back(var);
      return vars;
    };
    double largest = 0;
    bool is_exact = false;
    if (!reduces) {
      const ir::Type type = !is_integer_ && rng_.Chance(0.2)
                                ? OneOf<ir::Type>({ir::Float(16), ir::BFloat16()})
                                : Computed();
      const ir::Buffer made =
          builder_.Compute(name, type, dims, [&](const DagBuilder::Indices& axes) {
            const Term term = Body(Vars(axes, dims), kLargest);
            largest = term.largest;
            return type == Computed() ? term.value : ir::MakeCast(type, term.value);
          });
      tensors_.push_back({made, largest, is_exact, true});
      return;
    }
    std::vector<size_t> exact;
    for (size_t i = 0; i < tensors_.size(); ++i) {
      if (tensors_[i].is_exact) exact.push_back(i);
    }
    if (rng_.Chance(0.15)) {
      // Of values that no schedule rounds otherwise: which one is the largest is then certain.
      const std::vector<ir::Buffer> made = builder_.ReduceTuple(
          {name, name + "_at"}, {Computed(), ir::Int(32)}, dims, reduce_dims,
          rng_.Chance(0.5) ? Combiner::kArgMax : Combiner::kArgMin,
          [&](const DagBuilder::Indices& axes, const DagBuilder::Indices& reduce_axes) {
            const Term term = Read(tensors_[OneOf(exact)], both(axes, reduce_axes));
            largest = term.largest;
            return std::vector<ir::Expr>{term.value, ir::MakeCast(ir::Int(32), reduce_axes[0])};
          });
      tensors_.push_back({made[0], largest, true, true});
      tensors_.push_back({made[1], 32, true, true});
      return;
    }
    int64_t terms = 1;
    for (const int64_t extent : reduced) terms *= extent;
    Combiner combiner = OneOf<Combiner>(
        {Combiner::kSum, Combiner::kSum, Combiner::kSum, Combiner::kMax, Combiner::kMin});
    if (!is_integer_ && terms <= 5 && rng_.Chance(0.3)) combiner = Combiner::kProduct;
    const ir::Buffer made = builder_.Reduce(
        name, Computed(), dims, reduce_dims, combiner,
        [&](const DagBuilder::Indices& axes, const DagBuilder::Indices& reduce_axes) {
          const Term term =
              Body(both(axes, reduce_axes), combiner == Combiner::kProduct ? 1 : kLargest);
          largest =
              combiner == Combiner::kSum ? term.largest * static_cast<double>(terms) : term.largest;
          return term.value;
        });
    tensors_.push_back({made, largest, is_exact, true});
  }

  static constexpr int64_t kMaxElementsOfInput = 500;
  static constexpr int64_t kMaxPoints = 3000;
  static constexpr double kLargest = 64;  // of what is multiplied or stored

  Rng rng_;
  DagBuilder builder_;
  bool is_integer_ = false;
  int names_ = 0;
  std::vector<Tensor> tensors_;
};

}  // namespace tessera::te
