#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "absl/container/flat_hash_map.h"
#include "compiler/ir/print.h"
#include "compiler/ir/tf32.h"
#include "compiler/te/reference.h"

namespace tessera::te {
namespace {

constexpr double kUnknown = std::numeric_limits<double>::infinity();
// Sums of at least so many values of one sign are never near zero; of many they lie near the mean.
constexpr double kSome = 4;
constexpr double kMany = 32;
// Of a sum of independent values, in standard deviations.
constexpr double kSpread = 6;

// Half a unit in the last place at 1; 0 for integers.
double RoundingError(ir::Type type) {
  if (type.code == ir::TypeCode::kBFloat) return std::ldexp(1.0, -8);
  if (type.code != ir::TypeCode::kFloat) return 0;
  return std::ldexp(1.0, type.bits == 16 ? -11 : type.bits == 32 ? -24 : -53);
}

// What is known of a stage's elements or an expression's values on seeded inputs (TestInput), and
// how far two right programs may be apart there.
struct Values {
  double mean = 0, rms = 0;  // of magnitudes, at most
  double largest = 0;        // magnitude
  double least = 0;          // magnitude, where there are many of one sign; else 0
  double grain = kUnknown;   // all are multiples of it; 0: of nothing, infinite: zeros
  double error = 0;          // absolute
  double relative = 0;       // infinite where terms may cancel
  bool non_negative = true;
  bool centred = true;  // symmetric about zero
  std::set<const ir::BufferNode*> inputs;
};

using Known = absl::flat_hash_map<const ir::BufferNode*, Values>;

Values Constant(double value) {
  Values v;
  if (std::isinf(value)) {  // padding that a maximum passes over: no value of any result
    v.non_negative = value > 0;
    v.centred = false;
    return v;
  }
  v.mean = v.rms = v.largest = v.least = std::abs(value);
  v.non_negative = value >= 0;
  v.centred = value == 0;
  int exponent = 0;
  const double fraction = std::frexp(value, &exponent);
  if (value != 0) v.grain = std::ldexp(1.0, exponent - 53);
  for (int bits = 0; value != 0 && bits < 53; ++bits) {
    const double scaled = std::ldexp(fraction, bits);
    if (scaled != std::floor(scaled)) continue;
    v.grain = std::ldexp(1.0, exponent - bits);
    break;
  }
  return v;
}

Values SeededInput(const ir::BufferNode& buffer) {
  Values v;
  if (buffer.type.is_float()) {
    v.mean = 0.5;
    v.rms = std::sqrt(1.0 / 3);
    v.largest = 1;
    v.grain = 1.0 / 64;
    v.non_negative = false;
  } else {
    v.mean = v.rms = v.largest = buffer.type.code == ir::TypeCode::kUInt ? 15 : 8;
    v.grain = 1;
    v.non_negative = buffer.type.code == ir::TypeCode::kUInt;
    v.centred = false;
  }
  v.inputs = {&buffer};
  return v;
}

// Whether a float of this precision holds every multiple of the grain up to `largest`.
bool IsExact(double grain, double largest, double rounding) {
  return rounding == 0 || (grain > 0 && largest <= grain / rounding);
}

// The result of one operation is rounded. Values are taken to be around 1 at least.
Values Rounded(Values v, double rounding) {
  if (rounding == 0) {
    v.error = v.relative = 0;
    return v;
  }
  const bool exact = IsExact(v.grain, v.largest, rounding);
  if (!exact) v.grain = 0;
  v.error += rounding * std::max(1.0, exact ? 1.0 : v.largest);
  v.relative += rounding;
  v.error = std::min(v.error, std::max(rounding, v.relative * v.largest));
  return v;
}

bool Disjoint(const Values& a, const Values& b) {
  return std::none_of(a.inputs.begin(), a.inputs.end(),
                      [&](const ir::BufferNode* input) { return b.inputs.contains(input); });
}

// What holds for either.
Values Either(const Values& a, const Values& b) {
  Values v;
  v.mean = std::max(a.mean, b.mean);
  v.rms = std::max(a.rms, b.rms);
  v.largest = std::max(a.largest, b.largest);
  v.least = std::min(a.least, b.least);
  v.grain = std::min(a.grain, b.grain);
  v.error = std::max(a.error, b.error);
  v.relative = std::max(a.relative, b.relative);
  v.non_negative = a.non_negative && b.non_negative;
  v.centred = a.centred && b.centred;
  v.inputs = a.inputs;
  v.inputs.insert(b.inputs.begin(), b.inputs.end());
  return v;
}

Values Sum(const Values& a, const Values& b, bool subtracts) {
  Values v = Either(a, b);
  v.mean = a.mean + b.mean;
  v.rms = a.rms + b.rms;
  v.largest = a.largest + b.largest;
  v.non_negative &= !subtracts;
  v.least = v.non_negative && a.least > 0 && b.least > 0 ? a.least + b.least : 0;
  v.error = a.error + b.error;
  if (!v.non_negative) v.relative = v.error > 0 ? kUnknown : 0;
  return v;
}

Values Product(const Values& a, const Values& b, bool squares) {
  Values v = Either(a, b);
  const bool independent = Disjoint(a, b);
  v.mean = independent ? a.mean * b.mean : a.rms * b.rms;
  v.largest = a.largest * b.largest;
  v.rms = independent ? a.rms * b.rms : std::min(a.rms * b.largest, b.rms * a.largest);
  v.least = a.least * b.least;
  v.grain = a.grain * b.grain;
  if (a.mean == 0 || b.mean == 0) v.grain = kUnknown;
  v.non_negative = squares || v.non_negative;
  v.centred = !squares && independent && (a.centred || b.centred);
  v.error = a.error * b.largest + b.error * a.largest;
  v.relative = a.relative + b.relative;
  return v;
}

Values Quotient(const Values& a, const Values& b, const double* constant) {
  Values v = Either(a, b);
  if (constant != nullptr && *constant != 0) {
    const double scale = 1 / std::abs(*constant);
    v = a;
    v.mean *= scale;
    v.rms *= scale;
    v.largest *= scale;
    v.least *= scale;
    v.error *= scale;
    int exponent = 0;
    const bool shifts = std::abs(std::frexp(*constant, &exponent)) == 0.5;
    v.grain = shifts ? v.grain * scale : 0;
    v.non_negative &= *constant > 0;
    return v;
  }
  // Divisors are taken to be 1 or larger.
  v.mean = a.mean;
  v.rms = a.rms;
  v.largest = a.largest;
  v.least = 0;
  v.grain = 0;
  v.centred = false;
  v.relative = a.relative + b.relative;
  v.error = a.error + b.error * std::max(1.0, a.largest);
  return v;
}

Values Function(const ir::Call& call, Values v, double rounding) {
  const double approximation = 8 * rounding;  // back ends approximate
  const Values of = v;
  v.least = 0;
  v.grain = 0;
  v.centred = false;
  v.relative = kUnknown;
  v.error += approximation;
  if (call.name == "abs") {
    v = of;
    v.non_negative = true;
    v.centred = false;
  } else if (call.name == "exp") {
    v.non_negative = true;
    v.mean = v.rms = v.largest = 1;
    v.relative = of.error + approximation;
  } else if (call.name == "sigmoid") {
    v.non_negative = true;
    v.mean = v.rms = v.largest = 1;
  } else if (call.name == "tanh" || call.name == "erf") {
    v.largest = 1;
  } else if (call.name == "sqrt" || call.name == "rsqrt") {
    const bool inverse = call.name == "rsqrt";
    v.non_negative = true;
    const double relative = of.least > 0 ? std::min(of.relative, of.error / of.least) : of.relative;
    v.relative = relative / 2 + approximation;
    if (of.least > 0) {
      v.largest = inverse ? 1 / std::sqrt(of.least) : std::sqrt(of.largest);
      v.least = inverse ? 1 / std::sqrt(of.largest) : std::sqrt(of.least);
      v.mean = v.rms = v.largest;
      v.error = v.relative * v.largest;
    }
  }
  return v;
}

Values Describe(const ir::Expr& e, const Known& known) {
  const double rounding = RoundingError(e.type());
  if (const auto* load = e.As<ir::Load>()) return known.at(load->buffer.get());
  if (const auto* constant = e.As<ir::FloatImm>()) return Constant(constant->value);
  if (const auto* constant = e.As<ir::IntImm>()) {
    return Constant(static_cast<double>(constant->value));
  }
  if (const auto* binary = e.As<ir::Binary>()) {
    const Values a = Describe(binary->a, known), b = Describe(binary->b, known);
    switch (binary->op) {
      case ir::BinaryOp::kAdd:
      case ir::BinaryOp::kSub:
        return Rounded(Sum(a, b, binary->op == ir::BinaryOp::kSub), rounding);
      case ir::BinaryOp::kMul:
        return Rounded(Product(a, b, ir::Print(binary->a) == ir::Print(binary->b)), rounding);
      case ir::BinaryOp::kDiv: {
        const auto* constant = binary->b.As<ir::FloatImm>();
        return Rounded(Quotient(a, b, constant != nullptr ? &constant->value : nullptr), rounding);
      }
      case ir::BinaryOp::kMax:
      case ir::BinaryOp::kMin: {
        Values v = Either(a, b);
        v.non_negative |= binary->op == ir::BinaryOp::kMax && (a.non_negative || b.non_negative);
        v.centred = false;
        return v;
      }
      default: {
        Values v = Either(a, b);
        v.largest = a.largest + b.largest;
        v.centred = false;
        return Rounded(std::move(v), rounding);
      }
    }
  }
  if (const auto* select = e.As<ir::Select>()) {
    return Either(Describe(select->if_true, known), Describe(select->if_false, known));
  }
  if (const auto* cast = e.As<ir::Cast>()) {
    Values v = Describe(cast->value, known);
    const double from = RoundingError(cast->value.type());
    const bool narrows = rounding > from && !IsExact(v.grain, v.largest, rounding);
    if (rounding > from) v.error += rounding * std::max(1.0, narrows ? v.mean : 0.0);
    if (narrows) v.grain = 0;
    if (narrows) v.relative += rounding;
    if (!e.type().is_float()) {
      // What is not exact may lie on either side of a step.
      v.error = IsExact(v.grain, v.largest, from) ? 0 : v.error + 1;
      v.grain = 1;
    }
    return v;
  }
  if (const ir::Expr* value = ir::AsTf32(e)) {
    Values v = Describe(*value, known);
    const double tf32_rounding = std::ldexp(1.0, -1 - ir::kTf32Bits);
    if (IsExact(v.grain, v.largest, tf32_rounding)) return v;
    v.error += tf32_rounding * std::max(1.0, v.mean);
    v.relative += tf32_rounding;
    return v;
  }
  if (const auto* call = e.As<ir::Call>()) {
    Values v;
    for (const ir::Expr& arg : call->args) {
      const Values of = Describe(arg, known);
      const double error = v.error + of.error;
      v = call->args.size() == 1 ? of : Either(v, of);
      v.error = error;
    }
    return Function(*call, std::move(v), rounding);
  }
  Values v;  // an index
  v.mean = v.rms = v.largest = 1;
  v.grain = 1;
  v.centred = false;
  return v;
}

// `terms` values added in any order that does not look at them. Partial sums of values of one sign
// grow evenly, others swing; each addition rounds one, in the program and in the oracle.
// Instructions that take subnormal operands, products and sums for zero (vdpbf16ps) lose 3 · 2^-126
// · `largest` a term, which terms · rounding holds many times.
Values Total(const Values& v, double terms, double rounding) {
  Values total = v;
  const double swing = kSpread * std::sqrt(terms) * v.rms;
  const double partial = std::min(terms * v.largest, v.centred ? swing : terms * v.mean + swing);
  const bool exact = IsExact(v.grain, partial, rounding);
  const double rounded = exact ? 0 : terms * rounding * partial * (v.centred ? 2 : 1);
  total.error = v.error * (v.non_negative ? terms : std::sqrt(terms)) + terms * rounding + rounded;
  total.largest = partial;
  total.mean = v.centred ? std::min(partial, std::sqrt(terms) * v.rms) : terms * v.mean;
  total.rms = v.centred ? total.mean : partial;
  total.least = 0;
  if (v.non_negative && terms >= kSome) total.least = terms * v.mean / (terms < kMany ? 8 : 2);
  if (!exact) total.grain = 0;
  total.relative = kUnknown;
  if (total.error == 0) total.relative = 0;
  if (v.non_negative) total.relative = v.relative + (exact ? 1 : terms) * rounding;
  return total;
}

Values Multiplied(const Values& v, double terms, double rounding) {
  Values product = v;
  product.error = v.error * std::sqrt(terms) + terms * rounding;
  product.relative = terms * (v.relative + rounding);
  product.largest = std::max(1.0, std::pow(v.largest, std::min(terms, 64.0)));
  product.mean = product.rms = product.largest;
  product.least = 0;
  product.grain = 0;
  return product;
}

}  // namespace

Tolerance OutputTolerance(const Dag& dag, int output, const ErrorFactors& error_factors) {
  Known known;
  for (const te::Input& input : dag.inputs) known[input.buffer.get()] = SeededInput(*input.buffer);
  for (const Stage& stage : dag.stages) {
    double terms = 1;
    for (const Axis& axis : stage.reduce_axes) terms *= static_cast<double>(axis.extent);
    for (size_t k = 0; k < stage.outputs.size(); ++k) {
      const double rounding = RoundingError(stage.outputs[k]->type);
      Values values = Describe(stage.bodies[k], known);
      if (stage.combiner == Combiner::kSum) {
        values = Total(values, terms, rounding);
      } else if (stage.combiner == Combiner::kProduct) {
        values = Multiplied(values, terms, rounding);
      } else if (stage.is_reduction()) {
        values.mean = values.rms = values.largest;
        values.centred = false;
      }
      if (const auto found = error_factors.find(stage.name()); found != error_factors.end()) {
        values.error *= found->second;
        values.relative *= found->second;
      }
      known[stage.outputs[k].get()] = std::move(values);
    }
  }
  const ir::Buffer& buffer = dag.outputs[output];
  // Integers are exact, but for floats that were rounded to them.
  if (!buffer->type.is_float()) return {std::floor(known.at(buffer.get()).error), 0};
  const double floor = 16 * std::ldexp(1.0, -24);
  return {std::max(known.at(buffer.get()).error, floor), floor + 2 * RoundingError(buffer->type)};
}

}  // namespace tessera::te
