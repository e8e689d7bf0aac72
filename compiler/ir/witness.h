#pragma once

#include <optional>
#include <string>
#include <vector>

#include "compiler/ir/expr.h"

namespace tessera::ir {

// Loops and conditions around a place of a program, outermost first. Internal to this folder.
struct Place {
  struct Loop {
    const Var* var;
    int64_t min, extent;
  };
  struct Condition {
    Expr condition;
    bool holds;
  };
  std::vector<Loop> loops;
  std::vector<Condition> conditions;
};

// An assignment "i=3, j=0" under which the place is reached and `index` (in some lane) is outside
// 0..last. All assignments are tried where there are few, else corners and samples, so nothing
// found is no proof. Conditions that read memory can't be decided: then nothing is returned.
std::optional<std::string> FindOutside(const Place& place, const Expr& index, int64_t last);

}  // namespace tessera::ir
