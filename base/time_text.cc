#include "base/time_text.h"

#include <algorithm>

#include "absl/strings/str_format.h"

namespace tessera {

std::string TimeText(double seconds) {
  if (seconds <= 0) return "-";
  // What would be rounded to 1000 of a unit is 1 of the next.
  if (seconds * 1e6 < 999.5) return absl::StrFormat("%.3g us", seconds * 1e6);
  if (seconds * 1e3 < 999.5) return absl::StrFormat("%.3g ms", std::max(seconds * 1e3, 1.0));
  if (seconds < 999.5) return absl::StrFormat("%.3g s", std::max(seconds, 1.0));
  return absl::StrFormat("%.0f s", seconds);
}

}  // namespace tessera
