#pragma once

#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "compiler/schedule/trace.h"

namespace tessera::schedule {

// InvalidArgument "primitive stage: why".
inline absl::Status Invalid(const Step& step, std::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat(std::string(ToString(step.primitive)), " ", step.stage, ": ", std::string(why)));
}

}  // namespace tessera::schedule
