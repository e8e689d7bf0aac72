#include "tuner/replay/plot.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>

#include "absl/strings/str_format.h"
#include "base/xml.h"

namespace tessera::replay {
namespace {

constexpr double kWidth = 860, kHeight = 440;
constexpr double kLeft = 62, kRight = 210, kTop = 62, kBottom = 48;
constexpr double kLegendStep = 18;
constexpr double kBandOpacity = 0.5;  // of all bands, where they lie on each other
constexpr char kGrey[] = "#555555";
// The lines across, the lowest of which is the bottom.
constexpr double kShares[] = {0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99, 1};
constexpr double kHighestFloor = 0.95;
// Heights are octaves of what is missing to 1 and a bit more than that, which is about the noise of
// measurements: from 97 to 99 % is as far as from there to 100 %.
constexpr double kNearest = 0.01;
double Octaves(double share) { return -std::log2(1 - share + kNearest); }
// Told apart by readers who see few colours (Okabe and Ito 2008); then again, dashed.
constexpr const char* kColours[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                    "#e69f00", "#56b4e9", "#000000"};
constexpr const char* kDashes[] = {"none", "6 3", "2 3", "8 3 2 3"};

// Of the first line, which is grey, or of the one at `index`.
std::string ColourOf(size_t index) {
  return index == 0 ? kGrey : kColours[(index - 1) % std::size(kColours)];
}
std::string DashOf(size_t index) {
  const size_t round = index == 0 ? 0 : (index - 1) / std::size(kColours);
  return kDashes[std::min(round, std::size(kDashes) - 1)];
}

class Drawing {
 public:
  explicit Drawing(const Plot& plot) : plot_(plot) {
    double low = kHighestFloor;
    for (const PlotLine& line : plot.lines) {
      if (!line.low.empty()) low = std::min(low, line.low.front());
    }
    for (const double share : kShares) {
      if (share <= low) floor_ = share;
    }
    octaves_ = std::max(1.0, std::log2(std::max(plot.trials, 2)));
  }

  std::string Draw() {
    absl::StrAppendFormat(&out_,
                          "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%g\" height=\"%g\" "
                          "viewBox=\"0 0 %g %g\" font-family=\"sans-serif\">\n"
                          "<rect width=\"%g\" height=\"%g\" fill=\"#ffffff\"/>\n",
                          kWidth, Height(), kWidth, Height(), kWidth, Height());
    Text(kLeft, 24, plot_.title, 15, "start", "#111111");
    Text(kLeft, 43, plot_.subtitle, 11, "start", "#555555");
    Axes();
    for (size_t i = 1; i < plot_.lines.size(); ++i) Band(i);
    for (size_t i = 1; i < plot_.lines.size(); ++i) Line(i);
    if (!plot_.lines.empty()) {
      Band(0);
      Line(0);
    }
    Legend();
    return out_ + "</svg>\n";
  }

 private:
  double Height() const {
    return std::max(kHeight, kTop + kLegendStep * static_cast<double>(plot_.lines.size()) + 20);
  }
  double X(double trial) const {
    return kLeft + (kWidth - kLeft - kRight) * std::log2(trial) / octaves_;
  }
  double Y(double share) const {
    const double inside = (Octaves(std::clamp(share, floor_, 1.0)) - Octaves(floor_)) /
                          (Octaves(1) - Octaves(floor_));
    return kHeight - kBottom - (kHeight - kTop - kBottom) * inside;
  }

  void Text(double x, double y, const std::string& words, int size, const char* anchor,
            const char* colour) {
    absl::StrAppendFormat(&out_,
                          "<text x=\"%.1f\" y=\"%.1f\" font-size=\"%d\" text-anchor=\"%s\" "
                          "fill=\"%s\">%s</text>\n",
                          x, y, size, anchor, colour, XmlText(words));
  }
  void Straight(double x1, double y1, double x2, double y2, const char* colour) {
    absl::StrAppendFormat(&out_,
                          "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\"/>\n",
                          x1, y1, x2, y2, colour);
  }

  void Axes() {
    const double right = kWidth - kRight, bottom = kHeight - kBottom;
    for (const double share : kShares) {
      if (share < floor_) continue;
      Straight(kLeft, Y(share), right, Y(share), "#e4e4e4");
      Text(kLeft - 8, Y(share) + 4, absl::StrFormat("%.0f %%", 100 * share), 11, "end", "#555555");
    }
    for (int trial = 1; trial <= plot_.trials && trial > 0; trial *= 2) {
      Straight(X(trial), bottom, X(trial), bottom + 4, "#999999");
      Text(X(trial), bottom + 17, absl::StrFormat("%d", trial), 11, "middle", "#555555");
    }
    Straight(kLeft, bottom, right, bottom, "#999999");
    Text((kLeft + right) / 2, kHeight - 10, "trials", 12, "middle", "#333333");
    absl::StrAppendFormat(&out_,
                          "<text transform=\"translate(16 %.1f) rotate(-90)\" font-size=\"12\" "
                          "text-anchor=\"middle\" fill=\"#333333\">share of the best</text>\n",
                          (kTop + bottom) / 2);
  }

  // Steps: a best stands until the next one. Of points that change nothing, none is drawn.
  std::string Steps(const std::vector<double>& values, bool backwards) const {
    std::vector<std::pair<double, double>> points;
    for (size_t i = 0; i < values.size(); ++i) {
      const bool is_last = i + 1 == values.size();
      if (i > 0 && values[i] == values[i - 1] && !is_last) continue;
      const double x = X(static_cast<double>(i + 1));
      if (i > 0) points.push_back({x, Y(values[i - 1])});
      points.push_back({x, Y(values[i])});
    }
    if (backwards) std::reverse(points.begin(), points.end());
    std::string text;
    for (const auto& [x, y] : points) absl::StrAppendFormat(&text, "%.1f,%.1f ", x, y);
    return text;
  }
  void Band(size_t index) {
    const PlotLine& line = plot_.lines[index];
    absl::StrAppendFormat(&out_, "<polygon points=\"%s%s\" fill=\"%s\" fill-opacity=\"%.3f\"/>\n",
                          Steps(line.high, false), Steps(line.low, true), ColourOf(index),
                          kBandOpacity / std::max<double>(4, plot_.lines.size()));
  }
  void Line(size_t index) {
    absl::StrAppendFormat(
        &out_,
        "<polyline points=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"1.8\" "
        "stroke-dasharray=\"%s\"/>\n",
        Steps(plot_.lines[index].middle, false), ColourOf(index), DashOf(index));
  }
  void Legend() {
    const double x = kWidth - kRight + 16;
    for (size_t i = 0; i < plot_.lines.size(); ++i) {
      const double y = kTop + 6 + kLegendStep * static_cast<double>(i);
      absl::StrAppendFormat(&out_,
                            "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" "
                            "stroke-width=\"2.4\" stroke-dasharray=\"%s\"/>\n",
                            x, y, x + 22, y, ColourOf(i), DashOf(i));
      Text(x + 29, y + 4, plot_.lines[i].name, 11, "start", "#333333");
    }
  }

  const Plot& plot_;
  std::string out_;
  double floor_ = 0;    // the lowest share shown
  double octaves_ = 1;  // of trials
};

}  // namespace

std::string ToSvg(const Plot& plot) { return Drawing(plot).Draw(); }

}  // namespace tessera::replay
