#include "costmodel/random_model.h"

#include <bit>

#include "absl/strings/numbers.h"
#include "base/hash.h"
#include "base/status.h"

namespace tessera::costmodel {
namespace {

constexpr std::string_view kHeader = "tessera random model 1\n";

}  // namespace

std::vector<float> RandomModel::Predict(absl::Span<const float> rows, int columns) const {
  std::vector<float> scores(rows.size() / columns);
  for (size_t r = 0; r < scores.size(); ++r) {
    StableHasher hasher;
    hasher.Add(seed_);
    for (float value : rows.subspan(r * columns, columns))
      hasher.Add(std::bit_cast<uint32_t>(value));
    scores[r] = static_cast<float>(hasher.Finish() >> 40) / static_cast<float>(1 << 24);
  }
  return scores;
}

absl::StatusOr<std::string> RandomModel::Save() const {
  return absl::StrCat(std::string(kHeader), seed_);
}

absl::Status RandomModel::Load(std::string_view bytes) {
  uint64_t seed = 0;
  if (!bytes.starts_with(kHeader) ||
      !absl::SimpleAtoi(std::string(bytes.substr(kHeader.size())), &seed)) {
    return absl::DataLossError("random model: damaged");
  }
  seed_ = seed;
  return absl::OkStatus();
}

std::unique_ptr<CostModel> MakeRandomModel(uint64_t seed) {
  return std::make_unique<RandomModel>(seed);
}

}  // namespace tessera::costmodel
