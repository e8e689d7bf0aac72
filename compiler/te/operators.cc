#include "compiler/te/operators.h"

#include <algorithm>
#include <cctype>
#include <functional>

#include "absl/strings/ascii.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "compiler/te/operator_families.h"

namespace tessera::te {
namespace {

using Table = std::vector<Attribute>;

struct Operator {
  std::string name;
  Table attributes;
  std::function<absl::StatusOr<Workload>(const Attributes&)> build;
};

constexpr int64_t kMaxExtent = int64_t{1} << 40;
constexpr int64_t kMaxWindow = int64_t{1} << 16;  // of kernels, strides, padding and dilation

Attribute Extent(std::string name, std::string default_value = "") {
  return {std::move(name), AttributeKind::kInt, std::move(default_value), 1, kMaxExtent};
}
Attribute Whole(std::string name, std::string default_value, int64_t min, int64_t max) {
  return {std::move(name), AttributeKind::kInt, std::move(default_value), min, max};
}
Attribute Flag(std::string name, std::string default_value = "false") {
  return {std::move(name), AttributeKind::kFlag, std::move(default_value), 0, 1};
}
Attribute Word(std::string name, std::string default_value, std::string choices) {
  return {std::move(name),   AttributeKind::kWord, std::move(default_value), 0, 0,
          std::move(choices)};
}
Attribute Layout() {
  return {"layout", AttributeKind::kWord, "nchw", 2, 256, "nchw|nhwc|nchwc<N>|any"};
}
Attribute FloatType() { return Word("dtype", "f32", "f32|f16|bf16"); }
Attribute Algorithm() { return Word("algorithm", "any", "any|direct"); }
Attribute AnyType() { return Word("dtype", "f32", "f32|f16|bf16|i8"); }

Attribute AllowsTf32() { return Flag("tf32"); }

Table operator+(Table left, const Table& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

Table Epilogue() {
  return {Flag("bias"), Flag("requantize"), Whole("shift", "0", 0, 31), Flag("add"), Flag("relu")};
}

// Extents and kernel extents of the last `rank` of d, h, w.
Table Sizes(int rank) {
  Table table;
  for (char letter : std::string_view("dhw").substr(3 - rank)) {
    table.push_back(Extent(std::string(1, letter), "=size"));
  }
  table.push_back(Extent("size", "-"));
  return table;
}
Table Kernels(int rank) {
  Table table;
  for (char letter : std::string_view("dhw").substr(3 - rank)) {
    table.push_back(Whole(std::string("k") + letter, "=k", 1, kMaxWindow));
  }
  table.push_back(Whole("k", "-", 1, kMaxWindow));
  return table;
}
Table Steps(std::string default_stride = "1") {
  return {Whole("stride", std::move(default_stride), 1, kMaxWindow),
          Whole("pad", "0", 0, kMaxWindow)};
}
Attribute Dilation() { return Whole("dilation", "1", 1, kMaxWindow); }

Table Convolution(int rank) {
  return Table{Extent("n", "1"), Extent("ic"), Extent("oc")} + Sizes(rank) + Kernels(rank) +
         Steps() + Table{Dilation(), Whole("groups", "1", 1, kMaxExtent)} + Epilogue() +
         Table{Layout(), AnyType(), AllowsTf32(), Algorithm()};
}
Table Matmul(Table leading, std::string default_b) {
  return std::move(leading) + Table{Extent("m"), Extent("n"), Extent("k")} +
         Table{Word("b", std::move(default_b), "const|input"), Flag("transpose_b")} + Epilogue() +
         Table{AnyType(), AllowsTf32()};
}
Table Image() { return Table{Extent("n", "1"), Extent("c")} + Sizes(2); }
Table RowsOf(Attribute type, int64_t max_n = kMaxExtent) {
  return {Extent("m", "1"), Whole("n", "", 1, max_n), std::move(type)};
}
Table Reduction() { return RowsOf(FloatType()) + Table{Whole("axis", "1", 0, 1)}; }

// Every operator: its attributes and its builder.
const std::vector<Operator>& Operators() {
  static const auto* const operators = new std::vector<Operator>{
      {"matmul", Matmul({}, "const"), BuildMatmul},
      {"batch_matmul", Matmul({Extent("batch")}, "input"), BuildMatmul},
      {"dense",
       Table{Extent("m", "1"), Extent("n"), Extent("k")} + Epilogue() +
           Table{AnyType(), AllowsTf32()},
       BuildMatmul},
      {"conv1d", Convolution(1), BuildConvolution},
      {"conv2d", Convolution(2), BuildConvolution},
      {"conv3d", Convolution(3), BuildConvolution},
      {"depthwise_conv2d",
       Image() + Kernels(2) + Steps() + Table{Dilation(), Whole("multiplier", "1", 1, 1024)} +
           Epilogue() + Table{Layout(), AnyType()},
       BuildDepthwise},
      {"t2d",
       Table{Extent("n", "1"), Extent("ic"), Extent("oc")} + Sizes(2) + Kernels(2) + Steps() +
           Epilogue() + Table{Layout(), AnyType(), Algorithm()},
       BuildTransposedConvolution},
      {"capsule_conv2d",
       Table{Extent("n", "1"), Extent("ic"), Extent("oc"), Whole("capsule", "4", 1, 64)} +
           Sizes(2) + Kernels(2) + Steps() + Epilogue() + Table{AnyType(), Algorithm()},
       BuildCapsuleConvolution},
      {"attention_scores",
       {Extent("n", "1"), Extent("seq"), Extent("heads"), Extent("dim"), FloatType()},
       BuildAttentionScores},
      {"lstm_cell",
       {Extent("m", "1"), Extent("input"), Extent("hidden"), FloatType()},
       BuildLstmCell},
      {"max_pool2d", Image() + Kernels(2) + Steps("=k") + Table{Layout(), AnyType()}, BuildPooling},
      {"avg_pool2d",
       Image() + Kernels(2) + Steps("=k") +
           Table{Flag("count_include_pad", "true"), Layout(), FloatType()},
       BuildPooling},
      {"global_avg_pool", Image() + Table{Layout(), FloatType()}, BuildGlobalPooling},
      {"softmax", RowsOf(FloatType()), BuildSoftmax},
      {"layer_norm", RowsOf(FloatType()), BuildLayerNorm},
      {"reduce_sum", Reduction(), BuildReduction},
      {"reduce_mean", Reduction(), BuildReduction},
      {"reduce_max", Reduction(), BuildReduction},
      {"reduce_min", Reduction(), BuildReduction},
      {"reduce_prod", Reduction(), BuildReduction},
      {"norm2", RowsOf(FloatType()), BuildNorm2},
      {"argmax", RowsOf(FloatType(), (int64_t{1} << 31) - 1), BuildArgument},
      {"argmin", RowsOf(FloatType(), (int64_t{1} << 31) - 1), BuildArgument},
      {"relu", RowsOf(FloatType()), BuildUnary},
      {"sigmoid", RowsOf(FloatType()), BuildUnary},
      {"tanh", RowsOf(FloatType()), BuildUnary},
      {"gelu", RowsOf(FloatType()), BuildUnary},
      {"add", RowsOf(AnyType()) + Table{Flag("relu")}, BuildAdd},
      {"mul", RowsOf(FloatType()), BuildBinary},
      {"bias_add", RowsOf(FloatType()), BuildBinary},
  };
  return *operators;
}

// [a-z0-9_]+ that can begin a C identifier.
std::string WorkloadName(std::string_view name) {
  std::string result;
  for (char c : name) {
    const char lower = absl::ascii_tolower(static_cast<unsigned char>(c));
    result += absl::ascii_isalnum(static_cast<unsigned char>(lower)) ? lower : '_';
  }
  if (result.empty() || absl::ascii_isdigit(static_cast<unsigned char>(result[0]))) {
    result.insert(0, "op_");
  }
  return result;
}

}  // namespace

std::string DefaultName(std::string_view op) { return op == "tanh" ? "tanh_op" : std::string(op); }

absl::StatusOr<Workload> MakeWorkload(const OpSpec& spec) {
  const auto found = std::ranges::find(Operators(), spec.op, &Operator::name);
  if (found == Operators().end()) {
    return absl::InvalidArgumentError(absl::StrCat(
        spec.name == spec.op ? "" : absl::StrCat("\"", spec.name.substr(0, 64), "\": "),
        "no operator \"", spec.op.substr(0, 64), "\"; there are ",
        absl::StrJoin(OperatorNames(), ", ")));
  }
  TESSERA_ASSIGN_OR_RETURN(const Attributes attributes,
                           Attributes::Resolve(spec, found->attributes));
  absl::StatusOr<Workload> workload = found->build(attributes);
  if (!workload.ok()) {
    return Annotate(workload.status(),
                    spec.name.empty()
                        ? spec.op
                        : absl::StrCat("\"", spec.name.substr(0, 64), "\" (", spec.op, ")"));
  }
  workload->name = WorkloadName(spec.name.empty() ? DefaultName(spec.op) : spec.name);
  return workload;
}

std::string OperatorHelp(std::string_view wanted) {
  std::string help;
  for (const Operator& op : Operators()) {
    if (!wanted.empty() && wanted != op.name) continue;
    absl::StrAppend(&help, op.name, ":");
    for (const Attribute& attribute : op.attributes) {
      const bool optional = attribute.default_value == "-";
      absl::StrAppend(&help, optional ? " [" : " ", attribute.name, optional ? "]" : "");
      if (!attribute.choices.empty()) absl::StrAppend(&help, "(", attribute.choices, ")");
      if (!optional && !attribute.default_value.empty()) {
        absl::StrAppend(&help, attribute.default_value.starts_with('=') ? "" : "=",
                        attribute.default_value);
      }
    }
    help += '\n';
  }
  return help;
}

std::vector<std::string> OperatorNames() {
  std::vector<std::string> names;
  for (const Operator& op : Operators()) names.push_back(op.name);
  return names;
}

}  // namespace tessera::te
