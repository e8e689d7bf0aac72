#include "schedule_space/knob.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "absl/strings/str_cat.h"

namespace tessera::space {

int FindOption(const Knob& knob, const Option& option) {
  const auto found = std::find(knob.options.begin(), knob.options.end(), option);
  return found == knob.options.end() ? -1 : static_cast<int>(found - knob.options.begin());
}

namespace {

double Distance(const Option& x, const Option& y, bool is_order) {
  double distance = 0;
  if (is_order) {
    absl::InlinedVector<int64_t, 8> place(x.size());
    for (size_t i = 0; i < y.size(); ++i) place[y[i]] = static_cast<int64_t>(i);
    for (size_t i = 0; i < x.size(); ++i) {
      for (size_t j = i + 1; j < x.size(); ++j) distance += place[x[i]] > place[x[j]] ? 1 : 0;
    }
    return distance;
  }
  for (size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
    if (x[i] == y[i] || y[i] == kAnyValue) continue;
    distance +=
        std::abs(std::log2((static_cast<double>(x[i]) + 0.5) / (static_cast<double>(y[i]) + 0.5)));
  }
  return distance;
}

}  // namespace

double Distance(const Knob& knob, int a, int b) {
  return Distance(knob.options[a], knob.options[b], knob.is_order);
}

absl::InlinedVector<NearOption, 32> NearOptions(const Knob& knob, absl::Span<const int> domain,
                                                int current) {
  constexpr double kNear = 2.0;
  absl::InlinedVector<NearOption, 32> near;
  NearOption nearest = {current, std::numeric_limits<double>::infinity()};
  for (int option : domain) {
    if (option == current) continue;
    const double distance = Distance(knob, current, option);
    if (distance < nearest.distance) nearest = {option, distance};
    if (distance <= kNear) near.push_back({option, distance});
  }
  if (near.empty() && nearest.option != current) near.push_back(nearest);
  return near;
}

int NearestOption(const Knob& knob, absl::Span<const int> domain, const Option& option) {
  return *std::min_element(domain.begin(), domain.end(), [&](int a, int b) {
    return Distance(knob.options[a], option, knob.is_order) <
           Distance(knob.options[b], option, knob.is_order);
  });
}

Knob FreeKnob(std::string name, std::vector<std::string> parts, std::vector<Option> options) {
  Knob knob;
  knob.name = std::move(name);
  knob.parts = std::move(parts);
  knob.options = std::move(options);
  std::vector<int> all(knob.options.size());
  std::iota(all.begin(), all.end(), 0);
  knob.domains[1] = std::move(all);
  return knob;
}

Knob OrderKnob(std::string name, int count) {
  std::vector<Option> options;
  Option order(count);
  std::iota(order.begin(), order.end(), 0);
  do {
    options.push_back(order);
  } while (std::next_permutation(order.begin(), order.end()));
  std::vector<std::string> parts;
  for (int i = 0; i < count; ++i) parts.push_back(absl::StrCat(i));
  Knob knob = FreeKnob(std::move(name), std::move(parts), std::move(options));
  knob.is_order = true;
  return knob;
}

int RankOfOrder(absl::Span<const int> order) {
  int rank = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    int smaller_after = 0;
    for (size_t j = i + 1; j < order.size(); ++j) smaller_after += order[j] < order[i] ? 1 : 0;
    rank = rank * static_cast<int>(order.size() - i) + smaller_after;
  }
  return rank;
}

}  // namespace tessera::space
