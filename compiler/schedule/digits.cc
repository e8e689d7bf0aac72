#include "compiler/schedule/digits.h"

#include <algorithm>

#include "base/status.h"

namespace tessera::schedule {
namespace {

// Longer than any axis, so that strides and spans stay far below 2^63.
constexpr int64_t kMaxStride = 2 * te::kMaxElements;

}  // namespace

std::optional<int64_t> DigitExtent(const StageState& state, const Digit& digit) {
  if (digit.extent != 0) return digit.extent;
  const te::Stage& stage = *state.stage;
  const int spatial = static_cast<int>(stage.axes.size());
  if (digit.axis < spatial && state.placement == Placement::kAt) return std::nullopt;
  const int64_t extent = digit.axis < spatial ? stage.axes[digit.axis].extent
                                              : stage.reduce_axes[digit.axis - spatial].extent;
  return (extent + digit.stride - 1) / digit.stride;
}

absl::StatusOr<DigitSplit> SplitDigits(const StageState& state, const Digits& digits,
                                       int64_t factor) {
  DigitSplit split;
  for (const Digit& digit : digits) {
    if (factor > kMaxStride / digit.stride) {
      return absl::InvalidArgumentError(absl::StrCat(
          "factor ", factor, " over stride ", digit.stride, " passes the limit of ", kMaxStride));
    }
  }
  for (size_t i = digits.size(); i-- > 0;) {
    const Digit& digit = digits[i];
    const std::optional<int64_t> extent = DigitExtent(state, digit);
    const bool inferred = digit.extent == 0;
    if (factor == 1 && i + 1 != digits.size()) {
      split.outer.push_back(digit);
    } else if (i > 0 && extent && factor % *extent == 0) {
      split.inner.push_back(digit);
      factor /= *extent;
    } else if (inferred || *extent % factor == 0) {
      split.inner.push_back({digit.axis, digit.stride, factor});
      split.outer.push_back({digit.axis, digit.stride * factor, inferred ? 0 : *extent / factor});
      factor = 1;
    } else {
      return absl::InvalidArgumentError(
          absl::StrCat("factor ", factor, " does not divide extent ", *extent));
    }
  }
  if (factor != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("factor is ", factor, " times larger than the loop"));
  }
  std::reverse(split.outer.begin(), split.outer.end());
  std::reverse(split.inner.begin(), split.inner.end());
  return split;
}

}  // namespace tessera::schedule
