#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/types/span.h"

namespace tessera::space {

// One choice of a knob: its named parts' values (tile factors, a permutation, a block, …), of which
// none is negative.
using Option = absl::InlinedVector<int64_t, 8>;

// A free choice. Which options are open may depend on knobs before it: the product of one number
// per controlling option selects the domain, so that whatever is drawn from Domain() is valid
// together with what was drawn before.
struct Knob {
  struct Control {
    int knob;                     // index in the sketch, before this one
    std::vector<int64_t> factor;  // by option of that knob
  };

  std::string name;
  std::vector<std::string> parts;  // of an option
  std::vector<Option> options;
  std::vector<Control> controls;
  absl::flat_hash_map<int64_t, std::vector<int>> domains;  // key → options; key 1 if uncontrolled
  std::vector<double> weights;  // prior of each option when sampled; empty = all equal
  bool is_order = false;        // options are permutations, told apart by inversions

  // `choices`: the chosen option of each knob before this one, by index in the sketch.
  const std::vector<int>& Domain(absl::Span<const int> choices) const {
    int64_t key = 1;
    for (const Control& control : controls) key *= control.factor[choices[control.knob]];
    return domains.at(key);
  }
};

// Index of `option` in `knob.options`, or -1.
int FindOption(const Knob& knob, const Option& option);

// How far apart two options are: doublings of factors, inversions of orders.
double Distance(const Knob& knob, int a, int b);

struct NearOption {
  int option;
  double distance;
};
// The options of `domain` other than `current` that are two doublings or inversions away from it or
// less; the nearest where none is.
absl::InlinedVector<NearOption, 32> NearOptions(const Knob& knob, absl::Span<const int> domain,
                                                int current);

// A part that may have any value.
inline constexpr int64_t kAnyValue = std::numeric_limits<int64_t>::min();

// The option of `domain` nearest to `option`, the first of equals. `option` need not be one of the
// knob's but has its parts, of which those of kAnyValue don't count; of an order it has all.
int NearestOption(const Knob& knob, absl::Span<const int> domain, const Option& option);

// A knob whose options are all open whatever else is chosen.
Knob FreeKnob(std::string name, std::vector<std::string> parts, std::vector<Option> options);

// All orders of `count` things, in lexicographic order, as options; `parts` are numbered.
Knob OrderKnob(std::string name, int count);
// The index of `order` among the options of OrderKnob(order.size()).
int RankOfOrder(absl::Span<const int> order);

}  // namespace tessera::space
