#include "compiler/ir/matrix_call.h"

#include <array>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/third_party.h"
#include "base/view.h"

namespace tessera::ir {
namespace {

constexpr size_t kNumbers = 8;
constexpr std::string_view kSuffix = "_gemm";

// Null where no library's products are called `name`.
const ThirdParty* ProviderOf(std::string_view name) {
  if (!name.ends_with(kSuffix)) return nullptr;
  return ThirdPartyNamed(name.substr(0, name.size() - kSuffix.size()));
}

}  // namespace

Expr MakeMatrixCall(const MatrixCall& call) {
  std::vector<Expr> arguments = {call.a, call.b, call.c};
  for (const int64_t number :
       {call.rows, call.columns, call.terms, int64_t{call.transposes_a}, int64_t{call.transposes_b},
        call.a_stride, call.b_stride, call.c_stride}) {
    arguments.emplace_back(number);
  }
  return MakeCall(call.c.type(), absl::StrCat(AbslView(call.provider), AbslView(kSuffix)),
                  std::move(arguments));
}

bool IsMatrixCallName(std::string_view name) { return ProviderOf(name) != nullptr; }

std::optional<MatrixCall> AsMatrixCall(const Expr& e) {
  const auto* call = e.As<Call>();
  if (call == nullptr || call->args.size() != 3 + kNumbers) return std::nullopt;
  const ThirdParty* provider = ProviderOf(call->name);
  if (provider == nullptr) return std::nullopt;
  std::array<int64_t, kNumbers> numbers;
  for (size_t i = 0; i < kNumbers; ++i) {
    const int64_t* number = AsConstInt(call->args[3 + i]);
    if (number == nullptr) return std::nullopt;
    numbers[i] = *number;
  }
  std::array<Type, 3> types;
  for (size_t i = 0; i < 3; ++i) {
    const auto* load = call->args[i].As<Load>();
    if (load == nullptr) return std::nullopt;
    types[i] = load->type;
  }
  if (!CheckMultiplies(provider->name, types[0], types[1], types[2]).ok()) return std::nullopt;
  return MatrixCall{provider->name,  numbers[0],      numbers[1],    numbers[2],
                    numbers[3] != 0, numbers[4] != 0, numbers[5],    numbers[6],
                    numbers[7],      call->args[0],   call->args[1], call->args[2]};
}

absl::Status CheckMultiplies(std::string_view provider, Type a, Type b, Type c) {
  if (a == Float(32) && b == Float(32) && c == Float(32)) return absl::OkStatus();
  const bool multiplies_integers = provider == "onednn";
  if (multiplies_integers && (a == Int(8) || a == UInt(8)) && b == Int(8) && c == Int(32)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("multiplies ", ToString(a), " and ", ToString(b), " for ", ToString(c), "; ",
                   AbslView(provider), " multiplies f32",
                   multiplies_integers ? ", and i8 or u8 with i8 for i32" : " alone"));
}

absl::Status CheckMultipliesOn(std::string_view provider, Type a, const Target& target) {
  if (!IsCpu(target.kind)) {
    return absl::InvalidArgumentError(
        absl::StrCat("libraries are for CPUs, not ", ToString(target)));
  }
  if (provider != "onednn") return absl::OkStatus();
  if (target.kind != TargetKind::kX86) {
    return absl::InvalidArgumentError(
        absl::StrCat("onednn is called on x86 alone, not ", ToString(target)));
  }
  // Without these instructions it adds pairs of products in 16 bits, which saturate.
  if (a.is_integer() && !target.Has("vnni")) {
    return absl::InvalidArgumentError(absl::StrCat("onednn's sums of integers are exact with ",
                                                   "x86/avx512,vnni alone, not ",
                                                   ToString(target)));
  }
  return absl::OkStatus();
}

}  // namespace tessera::ir
