#include "cli/operator_source.h"

#include "absl/strings/str_cat.h"
#include "base/interrupt.h"
#include "base/status.h"
#include "cli/model_source.h"
#include "compiler/te/c_names.h"
#include "proto/convert.h"

namespace tessera::cli {

absl::Status CheckIsOfNoModel(const OperatorSource& source) {
  const bool has_options = !source.dimensions.empty() || !source.shapes.empty() ||
                           !source.values.empty() || source.backward || !source.layouts.empty() ||
                           !source.int8.samples.empty();
  if (!has_options) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "--dim, --shape, --value, --layouts, --backward and --int8 are for models; name an ONNX "
      "file");
}

absl::StatusOr<JobFile> ReadSource(const OperatorSource& source, const graph::Executor& executor) {
  if (source.file.empty() == source.words.empty()) {
    return absl::InvalidArgumentError(
        "name a job file or a model or, with --op, one operator and its attributes");
  }
  if (IsModelFile(source.file)) return ModelJob(source, executor);
  TESSERA_RETURN_IF_ERROR(CheckIsOfNoModel(source));
  if (!source.file.empty()) return ReadJobFile(source.file);
  JobFile file;
  te::OpSpec spec;
  spec.op = source.words[0];
  spec.name = te::DefaultName(spec.op);
  for (size_t i = 1; i < source.words.size(); ++i) {
    const std::string& word = source.words[i];
    const size_t sign = word.find('=');
    if (sign == std::string::npos) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", word, "\" is no attribute; write name=value"));
    }
    const std::string key = word.substr(0, sign), value = word.substr(sign + 1);
    if (key == "name") {
      spec.name = value;
    } else if (!spec.attributes.emplace(key, value).second) {
      return absl::InvalidArgumentError(absl::StrCat(key, " is given twice"));
    }
  }
  TESSERA_ASSIGN_OR_RETURN(te::Workload workload, te::MakeWorkload(spec));
  TESSERA_RETURN_IF_ERROR(proto::CheckIdentifier("name", spec.name));
  if (const absl::Status named = te::CheckOpName(spec.name); !named.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(named.message(), " (name=…)"));
  }
  file.name = spec.name;
  file.operators.push_back({std::move(spec), std::move(workload)});
  return file;
}

absl::StatusOr<JobFile> ReadSourceInterruptibly(const OperatorSource& source,
                                                const graph::Executor& executor) {
  const InterruptHandler handler(ExitInterrupted);
  return ReadSource(source, executor);
}

}  // namespace tessera::cli
