#include "costmodel/model_format.h"

#include <iterator>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "base/view.h"
#include "costmodel/features.h"

namespace tessera::costmodel {
namespace {

constexpr std::string_view kMagic = "tessera model ";

// A number of each kind of row.
template <typename Number>
std::string ListOf(const Number& number) {
  std::string list;
  for (const RowKind& kind : kRowKinds) {
    const bool is_last = &kind == std::end(kRowKinds) - 1;
    const char* const between = list.empty() ? "" : is_last ? " or " : ", ";
    absl::StrAppend(&list, between, number(kind), " (", AbslView(kind.of), ")");
  }
  return list;
}

}  // namespace

std::string ModelHead(std::string_view name, int columns) {
  return absl::StrCat(AbslView(kMagic), kModelFormat, " ", AbslView(name), " features ",
                      FeatureVersionOfRows(columns), " columns ", columns, "\n");
}

absl::StatusOr<ModelBody> ReadModelHead(std::string_view name, std::string_view bytes) {
  const absl::Status damaged = absl::DataLossError("cost model: damaged");
  if (bytes.starts_with("tessera xgboost model ")) {
    return absl::FailedPreconditionError(absl::StrCat("cost model: of a format before ",
                                                      kModelFormat,
                                                      ", which this build reads; train it anew"));
  }
  const size_t end = bytes.find('\n');
  if (!bytes.starts_with(kMagic) || end == std::string_view::npos) return damaged;
  const std::vector<std::string> words =
      absl::StrSplit(AbslView(bytes.substr(kMagic.size(), end - kMagic.size())), ' ');
  int format = 0, version = 0, columns = 0;
  if (!absl::SimpleAtoi(words[0], &format)) return damaged;
  if (format != kModelFormat) {
    return absl::FailedPreconditionError(absl::StrCat(
        "cost model: of format ", format, "; this build reads ", kModelFormat, "; train it anew"));
  }
  if (words.size() != 6 || !absl::SimpleAtoi(words[3], &version) ||
      !absl::SimpleAtoi(words[5], &columns) || columns < 1) {
    return damaged;
  }
  if (words[1] != name) {
    return absl::FailedPreconditionError(
        absl::StrCat("cost model: it is '", words[1], "', not '", AbslView(name), "'"));
  }
  if (version != FeatureVersionOfRows(columns)) {
    return absl::FailedPreconditionError(absl::StrCat(
        "cost model: of feature version ", version, " and ", columns, " columns; this build has ",
        ProgramFeatures(), ", of ", ProgramColumns(), " columns; train it anew"));
  }
  return ModelBody{columns, bytes.substr(end + 1)};
}

std::string ProgramColumns() {
  return ListOf([](const RowKind& kind) { return FeatureCount(kind.example); });
}

std::string ProgramFeatures() {
  return ListOf([](const RowKind& kind) { return kind.version; });
}

absl::Status LoadOfPrograms(CostModel& model, int feature_version, std::string_view bytes) {
  // A kind without a head has no columns.
  if (!bytes.starts_with(kMagic)) return model.Load(bytes);
  TESSERA_ASSIGN_OR_RETURN(const ModelBody body, ReadModelHead(model.name(), bytes));
  const int version = FeatureVersionOfRows(body.columns);
  if (version == 0) {
    return absl::FailedPreconditionError(absl::StrCat("cost model: of rows of ", body.columns,
                                                      " columns; those of programs have ",
                                                      ProgramColumns(), ", train it on records"));
  }
  if (version != feature_version) {
    return absl::FailedPreconditionError(
        absl::StrCat("cost model: of feature version ", version, ", not ", feature_version));
  }
  return model.Load(bytes);
}

}  // namespace tessera::costmodel
