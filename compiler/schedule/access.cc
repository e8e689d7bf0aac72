#include "compiler/schedule/access.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "compiler/ir/print.h"
#include "compiler/ir/simplify.h"
#include "compiler/ir/tf32.h"
#include "compiler/ir/visitor.h"

namespace tessera::schedule {
namespace {

constexpr int64_t kMaxPeriod = 1 << 20;
constexpr std::ptrdiff_t kMaxOpenWindows = 64;  // that a read is compared with

class Analyzer final : public ir::Visitor {
 public:
  Analyzer(const te::Stage& stage, StageAnalysis& analysis) : stage_(stage), analysis_(analysis) {}

 private:
  int AxisOf(const ir::Var* var) const {
    int number = 0;
    for (const std::vector<te::Axis>* axes : {&stage_.axes, &stage_.reduce_axes}) {
      for (const te::Axis& axis : *axes) {
        if (axis.var.get() == var) return number;
        ++number;
      }
    }
    return -1;
  }

  // Notes of a quotient or remainder of a sum what it is of.
  void TakeDigit(const ir::Expr& index, AxisForm& form) const {
    const auto* node = index.As<ir::Binary>();
    const int64_t* divisor = node == nullptr ? nullptr : ir::AsConstInt(node->b);
    if (divisor == nullptr || *divisor < 1 ||
        (node->op != ir::BinaryOp::kDiv && node->op != ir::BinaryOp::kMod)) {
      return;
    }
    AxisForm sum = Form(node->a);
    if (!sum.affine) return;
    form.constant = sum.constant;
    form.dividend = std::move(sum.terms);
    form.divisor = *divisor;
    form.is_remainder = node->op == ir::BinaryOp::kMod;
  }

  AxisForm Form(const ir::Expr& index) const {
    AxisForm form;
    const std::optional<ir::LinearForm> linear = ir::AsLinear(index);
    if (!linear) {
      AddSlopes(index, 1, form);
      TakeDigit(index, form);
      return form;
    }
    for (const auto& [var, coefficient] : linear->terms) {
      const int axis = AxisOf(var.get());
      if (axis < 0) return form;
      form.terms.emplace_back(axis, coefficient);
    }
    form.constant = linear->constant;
    form.affine = true;
    return form;
  }

  void AddSlope(const ir::Var* var, double slope, AxisForm& form) const {
    const int axis = AxisOf(var);
    if (axis < 0) return;
    for (auto& [known, sum] : form.slopes) {
      if (known != axis) continue;
      sum += slope;
      return;
    }
    form.slopes.emplace_back(axis, slope);
  }

  void AddSlopes(const ir::Expr& e, double scale, AxisForm& form) const {
    const auto* node = e.As<ir::Binary>();
    const int64_t* by = node == nullptr ? nullptr : ir::AsConstInt(node->b);
    const bool repeats =
        node != nullptr && (node->op == ir::BinaryOp::kDiv || node->op == ir::BinaryOp::kMod);
    if (node != nullptr && (node->op == ir::BinaryOp::kAdd || node->op == ir::BinaryOp::kSub)) {
      AddSlopes(node->a, scale, form);
      AddSlopes(node->b, node->op == ir::BinaryOp::kSub ? -scale : scale, form);
    } else if (node != nullptr && node->op == ir::BinaryOp::kMul && by != nullptr) {
      AddSlopes(node->a, scale * static_cast<double>(*by), form);
    } else if (repeats && by != nullptr && *by > 0) {
      const bool divides = node->op == ir::BinaryOp::kDiv;
      AddSlopes(node->a, divides ? scale / static_cast<double>(*by) : scale, form);
      if (form.period <= kMaxPeriod / *by) form.period = std::lcm(form.period, *by);
    } else {
      ir::ForEach<ir::Var>(e, [&](const ir::Var& var) { AddSlope(&var, scale, form); });
    }
  }

  void VisitLoad(const ir::Load& load) override {
    Access access{load.buffer, {}};
    for (const ir::Expr& index : load.indices) access.dims.push_back(Form(index));
    analysis_.reads.push_back(std::move(access));
    // Index arithmetic is addressing, not work; but a gather's index holds loads of its own.
    for (const ir::Expr& index : load.indices) {
      if (!ir::AsLinear(index)) Visit(index);
    }
  }

  void VisitBinary(const ir::Binary& node) override {
    OperationCounts& count = analysis_.operations;
    const bool is_float = node.a.type().is_float();
    switch (node.op) {
      case ir::BinaryOp::kAdd:
      case ir::BinaryOp::kSub:
        ++(is_float ? count.float_add : count.integer);
        break;
      case ir::BinaryOp::kMul:
        ++(is_float ? count.float_mul : count.integer);
        break;
      case ir::BinaryOp::kDiv:
      case ir::BinaryOp::kMod:
        ++(is_float ? count.float_div : count.integer);
        break;
      case ir::BinaryOp::kMin:
      case ir::BinaryOp::kMax:
        ++(is_float ? count.float_minmax : count.integer);
        break;
      case ir::BinaryOp::kEq:
      case ir::BinaryOp::kNe:
      case ir::BinaryOp::kLt:
      case ir::BinaryOp::kLe:
        ++count.compare;
        break;
      default:
        ++count.integer;
    }
    ir::Visitor::VisitBinary(node);
  }

  void VisitSelect(const ir::Select& node) override {
    ++analysis_.operations.select;
    if (ir::ReadsMemory(node.condition)) {
      ir::Visitor::VisitSelect(node);
      return;
    }
    OperationCounts& count = analysis_.operations;
    const int integer = count.integer;
    Visit(node.condition);
    count.integer = integer;
    const OperationCounts before = count;
    Visit(node.if_true);
    const OperationCounts with_true = std::exchange(count, before);
    Visit(node.if_false);
    for (int OperationCounts::* const kind :
         {&OperationCounts::float_add, &OperationCounts::float_mul, &OperationCounts::float_div,
          &OperationCounts::float_minmax, &OperationCounts::float_math, &OperationCounts::integer,
          &OperationCounts::compare, &OperationCounts::select}) {
      count.*kind = std::max(count.*kind, with_true.*kind);
    }
  }

  void VisitCall(const ir::Call& node) override {
    if (node.name != ir::kTf32) ++analysis_.operations.float_math;
    ir::Visitor::VisitCall(node);
  }

  const te::Stage& stage_;
  StageAnalysis& analysis_;
};

// Whether the two move alike and differ by the constants of affine indices only. Of an index that
// is neither affine nor a quotient or remainder nothing is known.
bool InOneWindow(const Access& a, const Access& b) {
  return a.buffer == b.buffer &&
         std::ranges::equal(a.dims, b.dims, [](const AxisForm& x, const AxisForm& y) {
           if (x.affine || y.affine) return x.affine == y.affine && x.terms == y.terms;
           return x.divisor != 0 && x.divisor == y.divisor && x.constant == y.constant &&
                  x.dividend == y.dividend && x.is_remainder == y.is_remainder;
         });
}

std::vector<Window> WindowsOf(const std::vector<Access>& reads) {
  std::vector<Window> windows;
  for (size_t r = 0; r < reads.size(); ++r) {
    const Access& read = reads[r];
    const auto recent = windows.end() - std::min(std::ssize(windows), kMaxOpenWindows);
    const auto known = std::find_if(recent, windows.end(), [&](const Window& window) {
      return InOneWindow(reads[window.read], read);
    });
    if (known == windows.end()) {
      windows.push_back({static_cast<int>(r), 1, {}});
      windows.back().offsets.resize(read.dims.size(), {0, 0});
      continue;
    }
    ++known->count;
    for (size_t d = 0; d < read.dims.size(); ++d) {
      auto& [least, largest] = known->offsets[d];
      const int64_t offset = read.dims[d].constant - reads[known->read].dims[d].constant;
      least = std::min(least, offset);
      largest = std::max(largest, offset);
    }
  }
  return windows;
}

}  // namespace

int PlainAxis(const AxisForm& form) {
  const bool plain =
      form.affine && form.constant == 0 && form.terms.size() == 1 && form.terms[0].second == 1;
  return plain ? form.terms[0].first : -1;
}

bool Uses(const AxisForm& form, int axis) {
  const auto moves = [&](const auto& term) { return term.first == axis; };
  return std::any_of(form.terms.begin(), form.terms.end(), moves) ||
         std::any_of(form.slopes.begin(), form.slopes.end(), moves);
}

bool Uses(const Access& access, int axis) {
  return std::ranges::any_of(access.dims, [&](const AxisForm& form) { return Uses(form, axis); });
}

std::shared_ptr<const StageAnalysis> Analyze(const te::Stage& stage) {
  auto analysis = std::make_shared<StageAnalysis>();
  Analyzer analyzer(stage, *analysis);
  StableHasher hasher;
  hasher.Add(static_cast<uint64_t>(stage.combiner));
  for (const std::vector<te::Axis>* axes : {&stage.axes, &stage.reduce_axes}) {
    hasher.Add(axes->size());
    for (const te::Axis& axis : *axes) {
      hasher.Add(axis.var->name).Add(static_cast<uint64_t>(axis.extent));
    }
  }
  for (const ir::Expr& body : stage.bodies) {
    analyzer.Visit(body);
    hasher.Add(ir::Print(body));
  }
  analysis->windows = WindowsOf(analysis->reads);
  std::vector<const ir::BufferNode*>& buffers = analysis->read_buffers;
  for (const Access& access : analysis->reads) buffers.push_back(access.buffer.get());
  std::sort(buffers.begin(), buffers.end());
  buffers.erase(std::unique(buffers.begin(), buffers.end()), buffers.end());
  OperationCounts& count = analysis->operations;
  const bool is_float = stage.output()->type.is_float();
  switch (stage.combiner) {
    case te::Combiner::kNone:
      break;
    case te::Combiner::kSum:
      ++(is_float ? count.float_add : count.integer);
      break;
    case te::Combiner::kProduct:
      ++(is_float ? count.float_mul : count.integer);
      break;
    default:
      ++(is_float ? count.float_minmax : count.integer);
  }
  for (const ir::Buffer& output : stage.outputs) {
    hasher.Add(output->name).Add(ir::ToString(output->type));
  }
  analysis->definition_hash = hasher.Finish();
  return analysis;
}

}  // namespace tessera::schedule
