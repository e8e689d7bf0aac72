#include "tuner/replay/plot.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <regex>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace tessera::replay {
namespace {

Plot SomePlot(int lines) {
  Plot plot;
  plot.title = "c9 <b> & more";
  plot.subtitle = "text";
  plot.trials = 256;
  for (int i = 0; i < lines; ++i) {
    PlotLine line = {"search " + std::to_string(i)};
    for (int trial = 0; trial < 256; ++trial) {
      const double share = 1 - 0.5 / (1 + (trial + i) / 16);
      line.middle.push_back(share);
      line.low.push_back(share * 0.9);
      line.high.push_back(1);
    }
    plot.lines.push_back(line);
  }
  return plot;
}

TEST_CASE("a plot is well formed and everything lies inside of it", "[replay]") {
  for (const int lines : {0, 1, 3, 40}) {
    const std::string svg = ToSvg(SomePlot(lines));
    CAPTURE(lines);
    CHECK(svg.starts_with("<svg xmlns="));
    CHECK(svg.ends_with("</svg>\n"));
    CHECK(svg.find("c9 &lt;b&gt; &amp; more") != std::string::npos);
    CHECK(svg.find("nan") == std::string::npos);
    CHECK(svg.find("inf") == std::string::npos);
    std::smatch size;
    REQUIRE(std::regex_search(svg, size, std::regex("width=\"(\\d+)\" height=\"(\\d+)\"")));
    const double width = std::stod(size[1]), height = std::stod(size[2]);
    const std::regex points("points=\"([^\"]*)\"");
    int shapes = 0;
    for (std::sregex_iterator it(svg.begin(), svg.end(), points), end; it != end; ++it, ++shapes) {
      const std::string list = (*it)[1];
      for (const absl::string_view point : absl::StrSplit(list, ' ', absl::SkipEmpty())) {
        const std::pair<std::string, std::string> xy = absl::StrSplit(point, ',');
        double x = -1, y = -1;
        REQUIRE(absl::SimpleAtod(xy.first, &x));
        REQUIRE(absl::SimpleAtod(xy.second, &y));
        REQUIRE((x >= 0 && x <= width && y >= 0 && y <= height));
      }
    }
    CHECK(shapes == 2 * lines);
    // Names in the legend lie inside as well.
    const std::regex texts("<text x=\"([0-9.]+)\" y=\"([0-9.]+)\"");
    for (std::sregex_iterator it(svg.begin(), svg.end(), texts), end; it != end; ++it) {
      REQUIRE(std::stod((*it)[2]) <= height);
    }
  }
}

TEST_CASE("a higher share lies higher, a later trial more to the right", "[replay]") {
  Plot plot;
  plot.trials = 4;
  plot.lines = {{"a", {0.5, 0.5, 1, 1}, {0.5, 0.5, 1, 1}, {0.5, 0.5, 1, 1}}};
  const std::string svg = ToSvg(plot);
  std::smatch line;
  REQUIRE(std::regex_search(svg, line, std::regex("<polyline points=\"([^\"]*)\"")));
  std::vector<double> x, y;
  for (const std::string& point :
       std::vector<std::string>(absl::StrSplit(line[1].str(), ' ', absl::SkipEmpty()))) {
    const std::pair<std::string, std::string> xy = absl::StrSplit(point, ',');
    x.push_back(std::stod(xy.first));
    y.push_back(std::stod(xy.second));
  }
  REQUIRE(x.size() >= 3);
  CHECK(std::ranges::is_sorted(x));
  CHECK(y.front() > y.back());
}

}  // namespace
}  // namespace tessera::replay
