#include "compiler/graph/buckets.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "base/view.h"
#include "compiler/te/c_names.h"

namespace tessera::graph {
namespace {

// No line of a graph begins so.
constexpr std::string_view kWord = "@bucket ";

absl::StatusOr<std::vector<std::pair<std::string, int64_t>>> ParseExtents(std::string_view line) {
  std::vector<std::pair<std::string, int64_t>> extents;
  for (const absl::string_view word : absl::StrSplit(AbslView(line), ' ')) {
    const std::pair<std::string, std::string> parts = absl::StrSplit(word, absl::MaxSplits('=', 1));
    int64_t extent = 0;
    if (!te::IsCIdentifier(parts.first) || !absl::SimpleAtoi(parts.second, &extent) || extent < 1) {
      return absl::InvalidArgumentError(
          absl::StrCat("bucket: \"", word, "\" is no name of C, \"=\" and a number from 1 on"));
    }
    extents.emplace_back(parts.first, extent);
  }
  return extents;
}

}  // namespace

std::string PrintBuckets(absl::Span<const Bucket> buckets, Blobs* named) {
  std::string text;
  for (const Bucket& bucket : buckets) {
    if (!bucket.extents.empty()) {
      text += "@bucket";
      for (const auto& [name, extent] : bucket.extents)
        absl::StrAppend(&text, " ", name, "=", extent);
      text += "\n";
    }
    text += Print(bucket.graph, named);
  }
  return text;
}

absl::StatusOr<std::vector<Bucket>> ParseBuckets(std::string_view text, const BlobSource& blobs) {
  std::vector<Bucket> buckets;
  SharedConstants constants;
  do {
    if (buckets.size() == kMaxBuckets) {
      return absl::InvalidArgumentError(
          absl::StrCat("the model has more than ", kMaxBuckets, " buckets, which are the most"));
    }
    Bucket& bucket = buckets.emplace_back();
    if (text.starts_with(kWord)) {
      const size_t end = std::min(text.find('\n'), text.size());
      TESSERA_ASSIGN_OR_RETURN(bucket.extents,
                               ParseExtents(text.substr(kWord.size(), end - kWord.size())));
      text.remove_prefix(std::min(end + 1, text.size()));
    }
    const size_t line = text.find(absl::StrCat("\n", AbslView(kWord)));
    const std::string_view own = text.substr(0, std::min(line, text.size() - 1) + 1);
    TESSERA_ASSIGN_OR_RETURN(bucket.graph, ParseGraph(own, blobs));
    constants.Share(bucket.graph);
    text.remove_prefix(own.size());
  } while (!text.empty());
  return buckets;
}

void SharedConstants::Share(Graph& graph) {
  for (Node& node : graph.nodes) {
    if (!node.is_constant()) continue;
    const std::string key = absl::StrCat(ToString(node.type), " ", DigestOf(*node.constant));
    node.constant = tensors_.try_emplace(key, node.constant).first->second;
  }
}

}  // namespace tessera::graph
