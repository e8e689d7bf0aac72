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

// Shares (0 to 100 %) over trials, which lie on a scale of powers of two.
struct Plot {
  std::string title, subtitle;
  int trials = 0;
  std::vector<PlotLine> lines;  // the first is drawn last of all, in grey: what others are held to
};

// As SVG 1.1 without scripts or fonts of its own.
std::string ToSvg(const Plot& plot);

}  // namespace tessera::replay
