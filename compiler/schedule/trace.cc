#include "compiler/schedule/trace.h"

#include <algorithm>
#include <array>

#include "absl/strings/numbers.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "base/view.h"

namespace tessera::schedule {
namespace {

constexpr size_t kMaxTraceBytes = 1 << 20;
constexpr size_t kMaxSteps = 8192;
constexpr std::string_view kHeader = "trace 1";

constexpr std::array<std::string_view, 20> kNames = {
    "layout",   "inline",   "cache_write", "cache_read",    "rfactor",      "compute_at", "split",
    "fuse",     "reorder",  "vectorize",   "unroll",        "parallel",     "bind",       "stream",
    "winograd", "prefetch", "tensorize",   "double_buffer", "read_through", "external"};

absl::Status BadLine(int number, std::string_view line, std::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(
      "trace line ", number, ": \"", std::string(line.substr(0, 200)), "\": ", std::string(why)));
}

std::string KnownNames() {
  std::string names;
  for (std::string_view name : kNames)
    absl::StrAppend(&names, names.empty() ? "" : ", ", AbslView(name));
  return names;
}

// How many words follow the stage: {at least, at most}.
struct Arity {
  size_t min, max;
};
Arity OperandArity(Primitive primitive) {
  switch (primitive) {
    case Primitive::kInline:
    case Primitive::kCacheWrite:
    case Primitive::kStream:
    case Primitive::kDoubleBuffer:
      return {0, 0};
    case Primitive::kCacheRead:
    case Primitive::kRfactor:
    case Primitive::kVectorize:
    case Primitive::kUnroll:
    case Primitive::kParallel:
    case Primitive::kWinograd:
    case Primitive::kPrefetch:
    case Primitive::kTensorize:
    case Primitive::kReadThrough:
    case Primitive::kExternal:
      return {1, 1};
    case Primitive::kComputeAt:
    case Primitive::kBind:
      return {2, 2};
    case Primitive::kSplit:
    case Primitive::kFuse:
      return {2, 32};
    case Primitive::kLayout:
    case Primitive::kReorder:
      return {1, 64};
  }
  return {0, 0};
}

absl::StatusOr<Step> ParseStep(std::string_view line, int number) {
  std::vector<std::string> words = absl::StrSplit(AbslView(line), ' ', absl::SkipEmpty());
  const auto name = std::find(kNames.begin(), kNames.end(), words[0]);
  if (name == kNames.end()) {
    return BadLine(number, line, absl::StrCat("unknown primitive; known are ", KnownNames()));
  }
  if (words.size() < 2) return BadLine(number, line, "the stage is missing");
  Step step;
  step.primitive = static_cast<Primitive>(name - kNames.begin());
  step.stage = words[1];
  words.erase(words.begin(), words.begin() + 2);
  const Arity arity = OperandArity(step.primitive);
  if (words.size() < arity.min || words.size() > arity.max) {
    return BadLine(
        number, line,
        absl::StrCat(words.size(), " operands; expected ", arity.min, " to ", arity.max));
  }
  if (step.primitive == Primitive::kLayout) {
    step.layout = absl::StrJoin(words, " ");
    return step;
  }
  size_t names = words.size();
  if (step.primitive == Primitive::kSplit || step.primitive == Primitive::kWinograd ||
      step.primitive == Primitive::kPrefetch) {
    names = step.primitive == Primitive::kSplit ? 1 : 0;
    for (const std::string& word : absl::MakeSpan(words).subspan(names)) {
      int64_t factor = 0;
      if (!absl::SimpleAtoi(word, &factor) || factor < 1) {
        return BadLine(number, line, absl::StrCat("factor \"", word, "\" is not a number above 0"));
      }
      step.factors.push_back(factor);
    }
  }
  for (size_t i = 0; i < names; ++i) step.names.push_back(words[i]);
  return step;
}

}  // namespace

std::string_view ToString(Primitive primitive) { return kNames[static_cast<size_t>(primitive)]; }

std::string Print(const Trace& trace) {
  std::string text(kHeader);
  text += '\n';
  for (const Step& step : trace) {
    absl::StrAppend(&text, std::string(ToString(step.primitive)), " ", step.stage);
    if (!step.layout.empty()) absl::StrAppend(&text, " ", step.layout);
    for (const std::string& name : step.names) absl::StrAppend(&text, " ", name);
    for (int64_t factor : step.factors) absl::StrAppend(&text, " ", factor);
    text += '\n';
  }
  return text;
}

absl::StatusOr<Trace> ParseTrace(std::string_view text) {
  if (text.size() > kMaxTraceBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("trace of ", text.size(), " bytes; the limit is ", kMaxTraceBytes));
  }
  Trace trace;
  int number = 0;
  for (const absl::string_view text_line : absl::StrSplit(AbslView(text), '\n')) {
    const std::string_view line = StdView(text_line);
    ++number;
    if (number == 1) {
      if (line != kHeader) return BadLine(1, line, "expected \"trace 1\"");
      continue;
    }
    if (line.empty()) continue;
    if (trace.size() == kMaxSteps) {
      return BadLine(number, line, absl::StrCat("more than ", kMaxSteps, " steps"));
    }
    TESSERA_ASSIGN_OR_RETURN(Step step, ParseStep(line, number));
    trace.push_back(std::move(step));
  }
  return trace;
}

}  // namespace tessera::schedule
