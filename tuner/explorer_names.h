#pragma once

#include <iterator>
#include <string>
#include <string_view>

namespace tessera::tuner {

struct ExplorerName {
  std::string_view name;
  std::string_view what;
};

// Those that a job may ask for. docs/search.md has the same table.
inline constexpr ExplorerName kExplorers[] = {
    {"annealing", "walks from the fastest programs, by simulated annealing"},
    {"descent", "the best program's neighbours, one knob moved, until none is better"},
    {"evolution", "generations that are crossed and mutated"},
    {"grid", "every program in order, without a model"},
    {"portfolio", "annealing, descent and evolution, each as often as it earns"},
    {"random", "random programs, without a model"},
};

// "annealing, …, portfolio or random".
inline std::string ExplorerNames() {
  std::string names;
  for (size_t i = 0; i < std::size(kExplorers); ++i) {
    if (i > 0) names += i + 1 < std::size(kExplorers) ? ", " : " or ";
    names += kExplorers[i].name;
  }
  return names;
}

}  // namespace tessera::tuner
