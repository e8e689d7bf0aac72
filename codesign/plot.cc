#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <utility>

#include "absl/strings/str_format.h"
#include "base/xml.h"
#include "codesign/report.h"

namespace tessera::codesign {
namespace {

constexpr double kWidth = 900, kHeight = 470;
constexpr double kTop = 74, kBottom = 56, kLeft = 66, kRight = 24, kBetween = 40;
constexpr double kMargin = 0.06;  // of an axis, around what is drawn
constexpr double kBelow = 0.06;   // the same below the fastest, whose name is there
// Told apart by readers who see few colours (Okabe and Ito 2008).
constexpr const char* kColours[] = {"#0072b2", "#d55e00", "#009e73",
                                    "#cc79a7", "#e69f00", "#56b4e9"};

struct Extent {
  double low, high;

  static Extent Of(const std::vector<double>& values) {
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    const double margin = kMargin * std::max(*high - *low, 1e-9 + 0.1 * std::abs(*high));
    return {*low - margin, *high + margin};
  }
  double Share(double value) const { return (value - low) / (high - low); }
};

// A round number of the next lower of 1, 2 and 5 times a power of ten.
double StepFor(double range, int steps) {
  const double rough = range / steps, power = std::pow(10, std::floor(std::log10(rough)));
  for (const double times : {1.0, 2.0, 5.0}) {
    if (times * power >= rough) return times * power;
  }
  return 10 * power;
}

class Drawing {
 public:
  Drawing(const Exploration& exploration, const Network& network)
      : exploration_(exploration), network_(network) {
    std::vector<double> octaves;
    for (const Evaluated& one : exploration.tuned) {
      octaves.push_back(std::log2(one.seconds));
      const vta::Config& config = one.tuned.variant.config;
      colours_.try_emplace({config.batch(), config.block()}, "");
    }
    size_t next = 0;
    for (auto& [tile, colour] : colours_) colour = kColours[next++ % std::size(kColours)];
    y_ = Extent::Of(octaves);
    y_.low -= kBelow * (y_.high - y_.low);
  }

  std::string Draw() {
    absl::StrAppendFormat(&out_,
                          "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%g\" height=\"%g\" "
                          "viewBox=\"0 0 %g %g\" font-family=\"sans-serif\">\n"
                          "<rect width=\"%g\" height=\"%g\" fill=\"#ffffff\"/>\n",
                          kWidth, kHeight, kWidth, kHeight, kWidth, kHeight);
    Text(kLeft, 24, absl::StrCat(network_.name, " on variants of VTA in an ", DeviceName()), 15,
         "start", "#111111");
    Legend();
    const double width = (kWidth - kLeft - kRight - kBetween) / 2;
    Panel(kLeft, width, "block RAMs of 18 Kb",
          [](const Evaluated& one) { return static_cast<double>(one.resources.bram18s); });
    Panel(kLeft + width + kBetween, width, "estimated energy, mJ",
          [](const Evaluated& one) { return 1e3 * one.joules; });
    return out_ + "</svg>\n";
  }

 private:
  std::string DeviceName() const { return std::string(exploration_.device.name); }

  double Y(double seconds) const {
    return kHeight - kBottom - (kHeight - kTop - kBottom) * y_.Share(std::log2(seconds));
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
  void Circle(double x, double y, double radius, const std::string& colour, bool is_filled,
              const std::string& title) {
    absl::StrAppendFormat(&out_,
                          "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%g\" stroke=\"%s\" fill=\"%s\" "
                          "fill-opacity=\"%s\"><title>%s</title></circle>\n",
                          x, y, radius, colour, is_filled ? colour : "#ffffff",
                          is_filled ? "0.85" : "0", XmlText(title));
  }

  void Legend() {
    double x = kLeft;
    const auto add = [&](const std::string& colour, bool is_filled, const std::string& words) {
      Circle(x + 5, 46, 4.5, colour, is_filled, words);
      Text(x + 15, 50, words, 11, "start", "#333333");
      x += 32 + 6.2 * static_cast<double>(words.size());
    };
    for (const auto& [tile, colour] : colours_) {
      add(colour, true,
          absl::StrCat(tile.first, " x ", tile.second, " by ", tile.second, " x ", tile.second));
    }
    add("#555555", true, "on the front");
    add("#555555", false, "dominated");
  }

  template <typename Value>
  void Panel(double left, double width, const std::string& title, const Value& value) {
    std::vector<double> values;
    for (const Evaluated& one : exploration_.tuned) values.push_back(value(one));
    const Extent x_extent = Extent::Of(values);
    const auto x = [&](double of) { return left + width * x_extent.Share(of); };
    const double bottom = kHeight - kBottom;
    const double least = std::exp2(y_.low), most = std::exp2(y_.high);
    for (double decade = 1e-6; decade < most; decade *= 10) {
      for (const double times : {1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0}) {
        const double seconds = decade * times;
        if (seconds < least || seconds > most) continue;
        Straight(left, Y(seconds), left + width, Y(seconds), "#e4e4e4");
        if (left == kLeft) {
          Text(left - 8, Y(seconds) + 4, absl::StrFormat("%g ms", 1e3 * seconds), 11, "end",
               "#555555");
        }
      }
    }
    const double step = StepFor(x_extent.high - x_extent.low, 6);
    for (double at = std::ceil(x_extent.low / step) * step; at <= x_extent.high; at += step) {
      Straight(x(at), bottom, x(at), bottom + 4, "#999999");
      Text(x(at), bottom + 17, absl::StrFormat("%g", std::round(at / step) * step), 11, "middle",
           "#555555");
    }
    Straight(left, bottom, left + width, bottom, "#999999");
    Text(left + width / 2, kHeight - 16, title, 12, "middle", "#333333");
    // What is on the front lies on top.
    for (const bool is_on_front : {false, true}) {
      for (const Evaluated& one : exploration_.tuned) {
        if ((one.front == 0) != is_on_front) continue;
        const vta::Config& config = one.tuned.variant.config;
        Circle(x(value(one)), Y(one.seconds), 4.5, colours_.at({config.batch(), config.block()}),
               is_on_front,
               absl::StrFormat("%s: %.2f ms, %.2f mJ estimated, %d DSPs, %d block RAMs, %d LUTs",
                               ToString(one.tuned.variant), 1e3 * one.seconds, 1e3 * one.joules,
                               one.resources.dsps, one.resources.bram18s, one.resources.luts));
      }
    }
    const auto mark = [&](const Evaluated& one, const std::string& name, double name_below) {
      const double at = x(value(one)), y = Y(one.seconds);
      Circle(at, y, 8.5, "#111111", false, name);
      const bool is_right = at > left + 0.5 * width;
      Text(is_right ? at + 8 : at - 8, y + name_below, name, 11, is_right ? "end" : "start",
           "#111111");
    };
    const Evaluated& base = exploration_.tuned.front();
    mark(base, absl::StrCat("default, ", absl::StrFormat("%.1f ms", 1e3 * base.seconds)), -14);
    const Evaluated& best = BestWithinDefault(exploration_, false);
    if (&best != &base) {
      mark(best, absl::StrFormat("within its resources, %.1f ms", 1e3 * best.seconds), 22);
    }
  }

  const Exploration& exploration_;
  const Network& network_;
  std::map<std::pair<int, int>, std::string> colours_;  // by batch and block
  Extent y_;
  std::string out_;
};

}  // namespace

std::string ToSvg(const Exploration& exploration, const Network& network) {
  return Drawing(exploration, network).Draw();
}

}  // namespace tessera::codesign
