#pragma once

#include <string>

#include "codesign/explore.h"

namespace tessera::cli {

// "6,998,400 variants screened: …": how many could not be, by why, and how many were tuned.
std::string ScreeningText(const codesign::Exploration& exploration);

// The default, the fastest within its resources, and the front by time.
std::string CodesignTable(const codesign::Exploration& exploration);

// How the fastest within the default's resources compare with it, and the smallest that is as fast,
// a line each.
std::string ComparisonText(const codesign::Exploration& exploration);

}  // namespace tessera::cli
