#include "compiler/te/instructions.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"
#include "base/status.h"

namespace tessera::te {
namespace {

// One row of the table: a sum of `group` products of elements of types a and b for each of `lanes`
// accumulators.
struct Row {
  const char* name;
  ir::TargetKind kind;
  const char* feature;
  int lanes, group;
  const char *a, *b, *sum;
};

constexpr Row kRows[] = {
    {"vpdpbusd_512", ir::TargetKind::kX86, "vnni", 16, 4, "u8", "i8", "i32"},
    {"vpdpbusd_256", ir::TargetKind::kX86, "vnni", 8, 4, "u8", "i8", "i32"},
    {"vpdpbusd_128", ir::TargetKind::kX86, "vnni", 4, 4, "u8", "i8", "i32"},
    {"vdpbf16ps_512", ir::TargetKind::kX86, "bf16", 16, 2, "bf16", "bf16", "f32"},
    {"vdpbf16ps_256", ir::TargetKind::kX86, "bf16", 8, 2, "bf16", "bf16", "f32"},
    {"vdpbf16ps_128", ir::TargetKind::kX86, "bf16", 4, 2, "bf16", "bf16", "f32"},
    {"vpmaddwd_512", ir::TargetKind::kX86, "avx512", 16, 2, "i16", "i16", "i32"},
    {"vpmaddwd_256", ir::TargetKind::kX86, "avx2", 8, 2, "i16", "i16", "i32"},
    {"pmaddwd_128", ir::TargetKind::kX86, "sse4.2", 4, 2, "i16", "i16", "i32"},
    {"sdot_128", ir::TargetKind::kAArch64, "dotprod", 4, 4, "i8", "i8", "i32"},
};

Instruction Parse(const Row& row) {
  const std::string text = absl::StrFormat(
      "workload %s\n"
      "input A: %s[%d,%d]\n"
      "input B: %s[%d,%d]\n"
      "stage out: %s[i:%d] = sum[j:%d] (cast(%s, A[i, j]) * cast(%s, B[i, j]))\n"
      "output out\n",
      row.name, row.a, row.lanes, row.group, row.b, row.lanes, row.group, row.sum, row.lanes,
      row.group, row.sum, row.sum);
  absl::StatusOr<Workload> workload = ParseWorkload(text);
  TESSERA_CHECK(workload.ok());
  return {row.name, row.kind, row.feature, row.lanes, row.group, *std::move(workload)};
}

// x86 features that imply others are named alone.
bool Implies(const ir::Target& target, std::string_view feature) {
  if (target.Has(feature)) return true;
  if (target.kind != ir::TargetKind::kX86) return false;
  if (feature == "sse4.2") return true;
  return feature == "avx2" && target.Has("avx512");
}

class Unifier {
 public:
  Unifier(const Instruction& instruction, bool convert)
      : a_(instruction.definition.dag.inputs[0].buffer),
        b_(instruction.definition.dag.inputs[1].buffer),
        convert_(convert) {}

  std::vector<Operands> Run(const ir::Expr& pattern, const ir::Expr& value) {
    return Extend({}, pattern, value);
  }

 private:
  // All that `bound` can become so that `value` is `pattern`.
  std::vector<Operands> Extend(const Operands& bound, const ir::Expr& pattern,
                               const ir::Expr& value) const {
    if (const auto* load = pattern.As<ir::Load>()) return Bind(bound, *load, value);
    if (pattern->kind != value->kind || pattern.type().Element() != value.type().Element()) {
      return {};
    }
    if (const auto* cast = pattern.As<ir::Cast>()) {
      const auto* given = value.As<ir::Cast>();
      if (cast->saturate != given->saturate) return {};
      return Extend(bound, cast->value, given->value);
    }
    const auto* node = pattern.As<ir::Binary>();
    const auto* given = value.As<ir::Binary>();
    if (node == nullptr || node->op != given->op) return {};
    std::vector<Operands> all;
    const auto add = [&](const ir::Expr& first, const ir::Expr& second) {
      for (const Operands& left : Extend(bound, node->a, first)) {
        std::vector<Operands> both = Extend(left, node->b, second);
        all.insert(all.end(), both.begin(), both.end());
      }
    };
    add(given->a, given->b);
    const bool commutes = node->op == ir::BinaryOp::kMul || node->op == ir::BinaryOp::kAdd;
    if (commutes) add(given->b, given->a);
    return all;
  }

  std::vector<Operands> Bind(Operands bound, const ir::Load& pattern, const ir::Expr& value) const {
    const ir::Type wanted = pattern.buffer->type, given = value.type().Element();
    const bool fits = wanted == given || (convert_ && ConversionTo(wanted, given));
    if (!fits) return {};
    ir::Expr& operand = pattern.buffer == a_ ? bound.a : bound.b;
    if (operand) return {};
    operand = value;
    return {std::move(bound)};
  }

  ir::Buffer a_, b_;
  bool convert_;
};

}  // namespace

absl::Span<const Instruction> Instructions() {
  static const auto& all = *[] {
    auto* instructions = new std::vector<Instruction>;
    for (const Row& row : kRows) instructions->push_back(Parse(row));
    return instructions;
  }();
  return all;
}

Instruction TileProduct(const ir::Target& target) {
  TESSERA_CHECK(target.kind == ir::TargetKind::kVta);
  return Parse(
      {"vta_gemm", target.kind, "", target.tile_block, target.tile_block, "i8", "i8", "i32"});
}

const Instruction* InstructionNamed(std::string_view name) {
  for (const Instruction& instruction : Instructions()) {
    if (instruction.name == name) return &instruction;
  }
  return nullptr;
}

bool Offers(const ir::Target& target, const Instruction& instruction) {
  return target.kind == instruction.kind && Implies(target, instruction.feature);
}

std::optional<Conversion> ConversionTo(ir::Type wanted, ir::Type given) {
  if (wanted == given) return Conversion::kNone;
  if (!wanted.is_integer() || !given.is_integer()) return std::nullopt;
  const bool to_signed = wanted.code == ir::TypeCode::kInt;
  const bool from_signed = given.code == ir::TypeCode::kInt;
  if (wanted == ir::UInt(8) && given == ir::Int(8)) return Conversion::kOffset;
  const bool holds = wanted.bits > given.bits && (to_signed || !from_signed);
  return holds ? std::optional(Conversion::kWiden) : std::nullopt;
}

std::vector<Operands> Unify(const Instruction& instruction, const ir::Expr& value, bool convert) {
  return Unifier(instruction, convert).Run(instruction.stage().bodies[0], value);
}

}  // namespace tessera::te
