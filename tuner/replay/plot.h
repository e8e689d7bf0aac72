#pragma once

#include <string>
#include <vector>

namespace tessera::replay {

// A line with a band around it: one value a trial, from the first on, as shares of 1. May end
// early.
struct PlotLine {
  std::string name;
  std::vector<double> middle, low, high;
};

// Shares over trials, both on logarithmic scales: trials by powers of two, shares by how much is
// missing to 100 %, so that what distinguishes good searches is to be seen.
struct Plot {
  std::string title, subtitle;
  int trials = 0;
  std::vector<PlotLine> lines;  // the first is drawn last of all, in grey: what others are held to
};

// As SVG 1.1 without scripts or fonts of its own.
std::string ToSvg(const Plot& plot);

}  // namespace tessera::replay
