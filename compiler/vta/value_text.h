#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "compiler/vta/code.h"

namespace tessera::vta {

// In one word: "-1+i0%14+16*i1/4%7" is -1 + turn of loop 0 % 14 + 16 × (turn of loop 1 / 4 % 7).
std::string Print(const Value& value);
// Allocation, copy and offset: "2[i0%2]@16*i1%4".
std::string Print(const Place& place);

// They read what the others write. InvalidArgument names the word; values have up to kMaxTerms.
absl::StatusOr<Value> ParseValue(std::string_view word);
absl::StatusOr<Place> ParsePlace(std::string_view word);

}  // namespace tessera::vta
