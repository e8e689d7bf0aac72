#include "compiler/codegen/gpu/c_expr.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "compiler/ir/print.h"
#include "compiler/ir/tf32.h"

namespace tessera::codegen::gpu {
namespace {

using ir::BinaryOp;

constexpr int kMaxVector = 16;

bool IsWide(ir::Type type) { return type.is_integer() && type.bits == 64; }

// What stands between the operands; empty for what is called.
std::string Sign(BinaryOp op) {
  switch (op) {
    case BinaryOp::kShiftLeft:
      return "<<";
    case BinaryOp::kShiftRight:
      return ">>";
    case BinaryOp::kBitAnd:
      return "&";
    case BinaryOp::kBitOr:
      return "|";
    case BinaryOp::kBitXor:
      return "^";
    default:
      const std::string text(ir::ToString(op));
      return absl::ascii_isalpha(static_cast<unsigned char>(text[0])) ? "" : text;
  }
}

bool IsComparison(BinaryOp op) {
  return op == BinaryOp::kEq || op == BinaryOp::kNe || op == BinaryOp::kLt || op == BinaryOp::kLe;
}

bool FitsInt(const ir::Interval& range) {
  return range.min >= std::numeric_limits<int32_t>::min() &&
         range.max <= std::numeric_limits<int32_t>::max();
}

}  // namespace

std::string ExprWriter::Fail(std::string_view what) {
  status_.Update(absl::UnimplementedError(
      absl::StrCat("code generation: OpenCL C has no ", std::string(what))));
  return "0";
}

void ExprWriter::Bind(const ir::VarRef& var, std::string text, ir::Interval range) {
  vars_[var.get()] = std::move(text);
  ranges_[var.get()] = range;
}

std::string ExprWriter::ElementName(ir::Type type) const {
  if (type.is_float()) {
    if (type.bits == 32) return "float";
    if (type.bits == 16) return type.code == ir::TypeCode::kFloat && has_half_ ? "half" : "ushort";
  } else if (type.is_bool()) {
    return "uchar";
  } else if (type.is_integer()) {
    const char* sign = type.code == ir::TypeCode::kUInt ? "u" : "";
    if (type.bits == 8) return absl::StrCat(sign, "char");
    if (type.bits == 16) return absl::StrCat(sign, "short");
    if (type.bits == 32) return absl::StrCat(sign, "int");
    if (type.bits == 64) return absl::StrCat(sign, "long");
  }
  return "";
}

std::string ExprWriter::ValueName(ir::Type type) const {
  if (type.is_bool()) return "int";
  if (type.is_float() && type.bits == 16 && ElementName(type) == "ushort") return "float";
  return ElementName(type);
}

bool ExprWriter::IsNonNegative(const ir::Expr& e) const {
  const std::optional<ir::Interval> bound = ir::Bound(e, ranges_);
  return bound && bound->min >= 0;
}

bool ExprWriter::IsNarrow(const ir::Expr& e) const {
  if (const auto* ramp = e.As<ir::Ramp>()) {
    // Its lanes lie between the first and the last.
    const ir::Expr last = ramp->base + ir::Expr(ramp->stride * (e.type().lanes - 1));
    return IsNarrow(ramp->base) && IsNarrow(last);
  }
  if (const auto* broadcast = e.As<ir::Broadcast>()) return IsNarrow(broadcast->value);
  if (e.As<ir::Var>() == nullptr && e.As<ir::IntImm>() == nullptr) {
    const auto* node = e.As<ir::Binary>();
    if (node == nullptr || !IsNarrow(node->a) || !IsNarrow(node->b)) return false;
    if (e.type().is_vector()) {
      // Sums and products of what is narrow leave 32 bits only where an end does; not looked for.
      return node->op == BinaryOp::kDiv || node->op == BinaryOp::kMod;
    }
  }
  const std::optional<ir::Interval> bound = ir::Bound(e, ranges_);
  return bound && FitsInt(*bound);
}

std::string ExprWriter::Literal(ir::Type type, double value) const {
  std::string text = std::isnan(value)   ? "NAN"
                     : std::isinf(value) ? (value < 0 ? "(-INFINITY)" : "INFINITY")
                                         : absl::StrFormat("%.9g", value);
  if (std::isfinite(value)) {
    if (text.find_first_of(".e") == std::string::npos) text += ".0";
    text += 'f';
    if (value < 0) text = absl::StrCat("(", text, ")");
  }
  return ValueName(type) == "half" ? absl::StrCat("((half)", text, ")") : text;
}

std::string ExprWriter::Index(const ir::Expr& e, int lane) { return Wide(e, lane, IsNarrow(e)); }

std::string ExprWriter::Wide(const ir::Expr& e, int lane, bool narrow) {
  if (const auto* imm = e.As<ir::IntImm>()) {
    const std::string text = absl::StrCat(imm->value, narrow ? "" : "L");
    if (imm->value == std::numeric_limits<int64_t>::min()) return "LONG_MIN";
    return imm->value < 0 ? absl::StrCat("(", text, ")") : text;
  }
  if (const auto* var = e.As<ir::Var>()) {
    const std::string& name = vars_.at(var);
    return narrow ? name : absl::StrCat("(long)", name);
  }
  if (const auto* ramp = e.As<ir::Ramp>()) {
    const int64_t offset = ramp->stride * lane;
    const std::string base = Wide(ramp->base, 0, narrow);
    return offset == 0 ? base : absl::StrCat("(", base, " + ", offset, ")");
  }
  if (const auto* broadcast = e.As<ir::Broadcast>()) return Wide(broadcast->value, 0, narrow);
  if (const auto* node = e.As<ir::Binary>()) {
    const std::string a = Wide(node->a, lane, narrow), b = Wide(node->b, lane, narrow);
    const bool divides = node->op == BinaryOp::kDiv || node->op == BinaryOp::kMod;
    if (divides && !IsNonNegative(node->a)) {
      return absl::StrCat(node->op == BinaryOp::kDiv ? "FLOOR_DIV(" : "FLOOR_MOD(", a, ", ", b,
                          ")");
    }
    if (node->op == BinaryOp::kMin) return absl::StrCat("min(", a, ", ", b, ")");
    if (node->op == BinaryOp::kMax) return absl::StrCat("max(", a, ", ", b, ")");
    if (const std::string sign = Sign(node->op); !sign.empty()) {
      return absl::StrCat("(", a, " ", sign, " ", b, ")");
    }
  }
  if (const auto* select = e.As<ir::Select>()) {
    return absl::StrCat("(", Condition(select->condition, lane), " ? ",
                        Wide(select->if_true, lane, narrow), " : ",
                        Wide(select->if_false, lane, narrow), ")");
  }
  if (const auto* load = e.As<ir::Load>()) return Load(*load, lane);
  if (const auto* cast = e.As<ir::Cast>()) return Cast(*cast, lane);
  if (const auto* call = e.As<ir::Call>()) return Call(*call, lane);
  return Fail(absl::StrCat("expression ", ir::Print(e)));
}

std::string ExprWriter::Condition(const ir::Expr& e, int lane) {
  return e ? Lane(e, e.type().is_vector() ? lane : 0) : "1";
}

std::string ExprWriter::Lane(const ir::Expr& e, int lane) {
  if (!e.type().is_vector()) lane = 0;
  if (ValueName(e.type()).empty()) return Fail(absl::StrCat("type ", ir::ToString(e.type())));
  if (IsWide(e.type())) return absl::StrCat("(", ValueName(e.type()), ")", Index(e, lane));
  switch (e->kind) {
    case ir::ExprKind::kIntImm: {
      const int64_t value = e.As<ir::IntImm>()->value;
      if (e.type().is_bool()) return value != 0 ? "1" : "0";
      return absl::StrCat("((", ValueName(e.type()), ")", value, ")");
    }
    case ir::ExprKind::kFloatImm:
      return Literal(e.type(), e.As<ir::FloatImm>()->value);
    case ir::ExprKind::kVar:
      return vars_.at(e.As<ir::Var>());
    case ir::ExprKind::kBinary:
      return Binary(*e.As<ir::Binary>(), lane);
    case ir::ExprKind::kNot:
      return absl::StrCat("!", Lane(e.As<ir::Not>()->a, lane));
    case ir::ExprKind::kSelect: {
      const auto& node = *e.As<ir::Select>();
      // C makes an int of shorter ones.
      return absl::StrCat("((", ValueName(e.type()), ")(", Condition(node.condition, lane), " ? ",
                          Lane(node.if_true, lane), " : ", Lane(node.if_false, lane), "))");
    }
    case ir::ExprKind::kCast:
      return Cast(*e.As<ir::Cast>(), lane);
    case ir::ExprKind::kLoad:
      return Load(*e.As<ir::Load>(), lane);
    case ir::ExprKind::kRamp: {
      const auto& node = *e.As<ir::Ramp>();
      return absl::StrCat("(", Lane(node.base, 0), " + ", node.stride * lane, ")");
    }
    case ir::ExprKind::kBroadcast:
      return Lane(e.As<ir::Broadcast>()->value, 0);
    case ir::ExprKind::kCall:
      return Call(*e.As<ir::Call>(), lane);
  }
  return Fail("such expression");
}

std::string ExprWriter::Element(const ir::BufferNode& buffer, const ir::Expr& index, int lane) {
  const Storage& storage = StorageOf(buffer);
  if (!storage.is_scalars) return absl::StrCat(storage.name, "[", Index(index, lane), "]");
  int64_t at = 0;
  if (const auto* ramp = index.As<ir::Ramp>()) {
    at = *ir::AsConstInt(ramp->base) + ramp->stride * lane;
  } else {
    at = *ir::AsConstInt(index);
  }
  return absl::StrCat(storage.name, "e", at);
}

std::string ExprWriter::Load(const ir::Load& load, int lane) {
  if (const auto held = held_.find(&load); held != held_.end()) {
    return absl::StrCat(held->second, ".s", absl::Hex(lane));
  }
  const ir::Expr& index = load.indices[0];
  const ir::Type type = load.buffer->type;
  const int at = index.type().is_vector() ? lane : 0;
  const Storage& storage = StorageOf(*load.buffer);
  std::string value =
      storage.is_image() ? ImageElement(*load.buffer, index, at) : Element(*load.buffer, index, at);
  // Private f16 is kept as what it is computed in, and that of images is read as that.
  const bool is_packed = ElementName(type) != ValueName(type) && type.is_float() &&
                         storage.space != "__private" && !storage.is_image();
  if (is_packed && type.code == ir::TypeCode::kFloat) {
    value = absl::StrCat("vload_half(", Index(index, at), ", (", storage.space, " const half*)",
                         storage.name, ")");
  } else if (is_packed) {
    value = absl::StrCat("as_float((uint)", value, " << 16)");
  }
  if (!load.predicate) return value;
  const std::string zero =
      type.is_float() ? Literal(type, 0) : absl::StrCat("(", ValueName(type), ")0");
  return absl::StrCat("((", ValueName(type), ")(", Condition(load.predicate, lane), " ? ", value,
                      " : ", zero, "))");
}

std::optional<int64_t> ExprWriter::PlaceInTexel(const ir::Expr& at) const {
  const ir::Expr place = ir::Simplify(at % ir::Expr(ir::kTexelElements), ranges_);
  const int64_t* known = ir::AsConstInt(place);
  return known == nullptr ? std::nullopt : std::optional(*known);
}

std::string ExprWriter::Texel(const ir::BufferNode& image, const ir::Expr& at) {
  const std::string& name = StorageOf(image).name;
  const ir::Expr texel = ir::Simplify(at / ir::Expr(ir::kTexelElements), ranges_);
  const char* type = ValueName(image.type) == "half" ? "h" : "f";
  return absl::StrCat("read_image", type, "(", name, ", ", name, "_first + (int)(", Index(texel, 0),
                      "))");
}

std::string ExprWriter::ImageElement(const ir::BufferNode& image, const ir::Expr& index, int lane) {
  const auto* ramp = index.As<ir::Ramp>();
  if (ramp != nullptr || !index.type().is_vector()) {
    const ir::Expr at = ramp == nullptr ? index : ramp->base + ir::Expr(ramp->stride * lane);
    if (const std::optional<int64_t> place = PlaceInTexel(at)) {
      return absl::StrCat(Texel(image, at), ".s", *place);
    }
  }
  const std::string& name = StorageOf(image).name;
  return absl::StrCat("texel_", ValueName(image.type), "(", name, ", ", name, "_first, (int)",
                      Index(index, lane), ")");
}

bool ExprWriter::IsContiguous(const ir::Buffer& buffer, const ir::Expr& index) const {
  const auto* ramp = index.As<ir::Ramp>();
  const int lanes = index.type().lanes;
  const Storage& storage = StorageOf(*buffer);
  return ramp != nullptr && ramp->stride == 1 && lanes <= kMaxVector &&
         (lanes & (lanes - 1)) == 0 && storage.space != "__private" && !storage.is_image() &&
         ElementName(buffer->type) == ValueName(buffer->type);
}

std::string ExprWriter::Vector(const ir::Load& load) {
  const ir::Expr& index = load.indices[0];
  const int lanes = index.type().lanes;
  if (load.predicate) return "";
  const Storage& storage = StorageOf(*load.buffer);
  const auto* ramp = index.As<ir::Ramp>();
  if (IsContiguous(load.buffer, index)) {
    return absl::StrCat("vload", lanes, "(0, ", storage.name, " + ", Index(index, 0), ")");
  }
  const bool is_texel = storage.is_image() && ramp != nullptr && ramp->stride == 1 &&
                        lanes == ir::kTexelElements && PlaceInTexel(ramp->base) == 0;
  return is_texel ? Texel(*load.buffer, ramp->base) : "";
}

std::string ExprWriter::Assign(const ir::Buffer& buffer, const ir::Expr& index, int lane,
                               const std::string& value) {
  const Storage& storage = StorageOf(*buffer);
  const ir::Type type = buffer->type;
  const bool is_packed =
      ElementName(type) != ValueName(type) && type.is_float() && storage.space != "__private";
  if (is_packed && type.code == ir::TypeCode::kFloat) {
    return absl::StrCat("vstore_half_rte(", value, ", ", Index(index, lane), ", (", storage.space,
                        " half*)", storage.name, ");");
  }
  return absl::StrCat(Element(*buffer, index, lane), " = ",
                      is_packed ? absl::StrCat("to_bf16(", value, ")") : value, ";");
}

std::string ExprWriter::Binary(const ir::Binary& node, int lane) {
  if (IsComparison(node.op) && IsWide(node.a.type())) {
    const bool narrow = IsNarrow(node.a) && IsNarrow(node.b);
    return absl::StrCat("(", Wide(node.a, lane, narrow), " ", Sign(node.op), " ",
                        Wide(node.b, lane, narrow), ")");
  }
  const std::string a = Lane(node.a, lane), b = Lane(node.b, lane);
  const ir::Type type = node.a.type().Element();
  const std::string sign = Sign(node.op);
  if (type.is_float()) {
    if (node.op == BinaryOp::kMin) return absl::StrCat("fmin(", a, ", ", b, ")");
    if (node.op == BinaryOp::kMax) return absl::StrCat("fmax(", a, ", ", b, ")");
    if (node.op == BinaryOp::kMod) return Fail("remainder of floats");
    return !sign.empty() ? absl::StrCat("(", a, " ", sign, " ", b, ")") : Fail("such operator");
  }
  if (type.is_bool() || IsComparison(node.op)) {
    return !sign.empty() ? absl::StrCat("(", a, " ", sign, " ", b, ")") : Fail("such operator");
  }
  const std::string name = ValueName(type);
  switch (node.op) {
    case BinaryOp::kMin:
      return absl::StrCat("min(", a, ", ", b, ")");
    case BinaryOp::kMax:
      return absl::StrCat("max(", a, ", ", b, ")");
    case BinaryOp::kSatAdd:
      return absl::StrCat("add_sat(", a, ", ", b, ")");
    case BinaryOp::kSatSub:
      return absl::StrCat("sub_sat(", a, ", ", b, ")");
    case BinaryOp::kDiv:
    case BinaryOp::kMod:
      if (type.code == ir::TypeCode::kUInt) break;
      return absl::StrCat("((", name, ")", node.op == BinaryOp::kDiv ? "FLOOR_DIV(" : "FLOOR_MOD(",
                          a, ", ", b, "))");
    case BinaryOp::kAdd:
    case BinaryOp::kSub:
    case BinaryOp::kMul:
      // Wraps, as unsigned numbers do.
      return absl::StrCat("((", name, ")((uint)", a, " ", sign, " (uint)", b, "))");
    default:
      break;
  }
  return !sign.empty() ? absl::StrCat("((", name, ")(", a, " ", sign, " ", b, "))")
                       : Fail("such operator");
}

std::string ExprWriter::Cast(const ir::Cast& node, int lane) {
  const ir::Type to = node.type.Element(), from = node.value.type().Element();
  const std::string value = Lane(node.value, lane), name = ValueName(to);
  if (to.is_bool()) return absl::StrCat("(", value, " != 0)");
  if (node.saturate && to.is_integer()) {
    return absl::StrCat("convert_", name, from.is_float() ? "_sat_rte(" : "_sat(", value, ")");
  }
  return absl::StrCat("((", name, ")", value, ")");
}

std::string ExprWriter::Call(const ir::Call& node, int lane) {
  if (ir::IsReduceOf(node)) {
    const int group = node.args[0].type().lanes / node.type.lanes;
    const BinaryOp op = *ir::ReduceOp(node.name);
    std::string sum = Lane(node.args[0], lane * group);
    for (int i = 1; i < group; ++i) {
      const std::string next = Lane(node.args[0], lane * group + i);
      const bool is_infix = op == BinaryOp::kAdd || op == BinaryOp::kMul;
      const std::string f = node.type.is_float() ? "f" : "";
      sum = is_infix
                ? absl::StrCat("(", sum, " ", Sign(op), " ", next, ")")
                : absl::StrCat(f, op == BinaryOp::kMin ? "min(" : "max(", sum, ", ", next, ")");
    }
    return sum;
  }
  if (ir::IsRepeat(node)) return Lane(node.args[0], lane % node.args[0].type().lanes);
  if (ir::IsInterleave(node)) {
    const int count = static_cast<int>(node.args.size());
    return Lane(node.args[lane % count], lane / count);
  }
  const std::string a = node.args.empty() ? "" : Lane(node.args[0], lane);
  if (node.name == ir::kTf32) return a;
  if (node.name == "sigmoid") {
    const std::string one = Literal(node.type.Element(), 1);
    return absl::StrCat("(", one, " / (", one, " + exp(-", a, ")))");
  }
  if (node.name == "round") return absl::StrCat("rint(", a, ")");
  if (node.name == "abs") {
    if (node.type.is_float()) return absl::StrCat("fabs(", a, ")");
    return absl::StrCat("((", ValueName(node.type), ")abs(", a, "))");
  }
  if (node.name == "pow" && node.args.size() == 2) {
    return absl::StrCat("pow(", a, ", ", Lane(node.args[1], lane), ")");
  }
  for (const char* known : {"exp", "log", "sqrt", "rsqrt", "tanh", "erf", "floor", "ceil"}) {
    if (node.name == known) return absl::StrCat(known, "(", a, ")");
  }
  return Fail(absl::StrCat("function ", node.name));
}

}  // namespace tessera::codegen::gpu
