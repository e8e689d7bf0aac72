#pragma once

#include <string>

#include "absl/types/span.h"
#include "compiler/vta/instruction.h"
#include "compiler/vta/simulator.h"

namespace tessera::vta {

// What Simulate reported of a program, to be looked at: one row an engine, what it executed, and
// what it waited for in between. The same text for the same report.

// JSON for chrome://tracing and Perfetto, one event a line. A cycle is shown as a microsecond; an
// instruction's arguments are its place, its text, and what it waited for.
std::string ChromeTrace(absl::Span<const Instruction> program, const Report& report);

// A drawing with an axis in cycles, 1280 points wide. Bars that are narrower than a point share its
// column by their cycles, one kind on top of the other: the text stays below 2 MiB however long the
// program is.
std::string TimelineSvg(absl::Span<const Instruction> program, const Report& report);

}  // namespace tessera::vta
