#include "frontend/onnx/converters.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "base/status.h"

namespace tessera::frontend {
namespace {

const absl::flat_hash_map<std::string_view, Converter>& Table() {
  static const auto* const table = [] {
    auto* all = new absl::flat_hash_map<std::string_view, Converter>;
    for (auto* family : {ElementwiseRows, TrigonometryRows, ShapeRows, IndexingRows, ReductionRows,
                         NormalizationRows, ProductRows, ConvolutionRows, PoolingRows, ResizeRows,
                         RecurrentRows, QuantizedRows}) {
      for (Row& row : family()) {
        TESSERA_CHECK(all->emplace(row.op, std::move(row.convert)).second);
      }
    }
    return all;
  }();
  return *table;
}

constexpr const char* kControl =
    "which nodes run is not known when the model is compiled; export without control flow";
constexpr const char* kExtents =
    "how many results there are depends on values; graphs have fixed shapes, so run it outside";
constexpr const char* kScatter = "graphs write each element once; use Where or Concat";
constexpr const char* kSorting = "nothing in graphs sorts; run it outside, on the output";
constexpr const char* kRandom = "results would differ from run to run; make them inputs";
constexpr const char* kSequences = "only tensors are supported, no sequences and optional values";

constexpr std::pair<std::string_view, const char*> kReasons[] = {
    {"Loop", kControl},
    {"Scan", kControl},
    {"NonZero", kExtents},
    {"Unique", kExtents},
    {"NonMaxSuppression", kExtents},
    {"TopK", kSorting},
    {"Scatter", kScatter},
    {"ScatterElements", kScatter},
    {"ScatterND", kScatter},
    {"RandomNormal", kRandom},
    {"RandomNormalLike", kRandom},
    {"RandomUniform", kRandom},
    {"RandomUniformLike", kRandom},
    {"Multinomial", kRandom},
    {"Bernoulli", kRandom},
    {"SequenceConstruct", kSequences},
    {"SequenceEmpty", kSequences},
    {"SequenceInsert", kSequences},
    {"SequenceAt", kSequences},
    {"SequenceLength", kSequences},
    {"SequenceMap", kSequences},
    {"ConcatFromSequence", kSequences},
    {"SplitToSequence", kSequences},
    {"Optional", kSequences},
    {"OptionalGetElement", kSequences},
    {"OptionalHasElement", kSequences},
};

}  // namespace

const Converter* FindConverter(std::string_view op) {
  const auto found = Table().find(op);
  return found == Table().end() ? nullptr : &found->second;
}

std::vector<std::string_view> ConverterNames() {
  std::vector<std::string_view> names;
  for (const auto& [name, convert] : Table()) names.push_back(name);
  std::ranges::sort(names);
  return names;
}

std::string WhyNot(std::string_view op) {
  for (const auto& [name, reason] : kReasons) {
    if (name == op) return reason;
  }
  return "export the model without it; docs/onnx.md lists what is supported";
}

}  // namespace tessera::frontend
