#pragma once

#include <string>

#include "codesign/explore.h"
#include "codesign/network.h"

namespace tessera::codesign {

// A row for each variant that was tuned, as they are ordered; units are in the columns' names.
std::string ToCsv(const Exploration& exploration);

// One object: what was screened, and each tuned variant with its layers' programs and a
// configuration for `tessera worker --runner vta-sim --config`. Ends with a line's end.
std::string ToJson(const Exploration& exploration, const Network& network,
                   const ExploreOptions& options);

// Time against block RAMs and against estimated energy; variants of the front are filled, their
// colour tells the tile. SVG 1.1 without scripts or fonts of its own.
std::string ToSvg(const Exploration& exploration, const Network& network);

}  // namespace tessera::codesign
