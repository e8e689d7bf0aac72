#include "codesign/explore.h"

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <cmath>
#include <fstream>
#include <set>
#include <sstream>

#include "codesign/estimate.h"
#include "codesign/report.h"
#include "codesign/select.h"
#include "tests/codesign/networks.h"
#include "tests/support/temporary_directory.h"

namespace tessera::codesign {
namespace {

const Device kDevice = FindDevice("XC7Z020").value();

ExploreOptions SmallOptions() {
  ExploreOptions options;
  options.axes = {.log_batch = {0, 1},
                  .log_block = {3, 4},
                  .log_uop_bytes = {13, 15},
                  .log_inp_bytes = {13, 15},
                  .log_wgt_bytes = {16, 18},
                  .log_acc_bytes = {15, 17},
                  .log_alu_narrowing = {0, 1},
                  .bus_bits = {32, 64},
                  .stages = {4, 9},
                  .megahertz = {100, 200}};
  options.variants = 10;
  options.trials = 12;
  return options;
}

struct Found {
  Exploration exploration;
  std::string csv, json;
};

Found Run(const ExploreOptions& options, MeasurementLog& log) {
  const std::atomic<bool> stop = false;
  const Network network = SmallNetwork();
  auto exploration = Explore(network, kDevice, options, log, stop, [](const Progress&) {});
  INFO(exploration.status());
  REQUIRE(exploration.ok());
  Found found = {*std::move(exploration), "", ""};
  found.csv = ToCsv(found.exploration);
  found.json = ToJson(found.exploration, network, options);
  return found;
}

TEST_CASE("what is found is possible, and better than the default", "[codesign]") {
  MeasurementLog log;
  const Found found = Run(SmallOptions(), log);
  const Exploration& exploration = found.exploration;
  REQUIRE(exploration.tuned.size() == 10);
  const Evaluated& base = exploration.tuned.front();
  CHECK(base.tuned.variant == Variant());
  CHECK(base.trials == 12);
  const Network network = SmallNetwork();
  for (const Evaluated& one : exploration.tuned) {
    const Variant& variant = one.tuned.variant;
    CAPTURE(ToString(variant));
    CHECK(CheckFits(variant.config, ClockOf(variant), kDevice, WidthsOf(variant)).ok());
    CHECK(std::isfinite(one.seconds));
    CHECK(one.seconds == one.tuned.SecondsAfter(network, 1000));
    CHECK(one.joules > 0);
    // What the network has to do at least: twice the one, once the other.
    const double macs = 64 * 32 * 32 * (2 * 9 + 1), block = variant.config.block();
    CHECK(one.activity.products == macs / (block * block));
    CHECK(one.activity.cycles >= one.activity.products);
    for (size_t i = 0; i < network.layers.size(); ++i) {
      const TunedLayer& layer = one.tuned.layers[i];
      CHECK(static_cast<int>(layer.tried.size()) <= one.trials);
      // The best of what was tried, simulated again.
      const LayerSpace space = MakeLayerSpace(network.layers[i], TargetOf(variant)).value();
      CHECK(SimulateConfig(*space.configs, space.configs->FromJson(layer.best_config).value(),
                           TimingOf(variant))
                .value() == layer.best);
      for (const Tried& tried : layer.tried) CHECK(tried.cycles >= layer.best.cycles);
    }
  }
  const Evaluated& best = BestWithinDefault(exploration, false);
  CHECK(IsWithin(best.resources, base.resources));
  CHECK(best.seconds < base.seconds);  // at twice the clock
  CHECK(best.tuned.variant.megahertz == 200);
  CHECK(BestWithinDefault(exploration, true).tuned.variant.megahertz == 100);
}

TEST_CASE("no number of threads changes what is found", "[codesign]") {
  MeasurementLog one_log, other_log;
  ExploreOptions options = SmallOptions();
  const Found one = Run(options, one_log);
  options.threads = 3;
  CHECK(Run(options, other_log).json == one.json);
  options.seed = 1;
  CHECK(Run(options, other_log).json != one.json);
}

TEST_CASE("a run that was killed anywhere ends with the same result", "[codesign]") {
  const test::TemporaryDirectory folder;
  const std::string path = folder.path + "/log";
  ExploreOptions options = SmallOptions();
  options.variants = 4;
  options.trials = 8;
  std::string json, whole;
  size_t measurements = 0;
  {
    const auto log = MeasurementLog::Open(path, "1").value();
    json = Run(options, *log).json;
    measurements = log->size();
  }
  {
    std::ifstream in(path, std::ios::binary);
    std::stringstream text;
    text << in.rdbuf();
    whole = text.str();
  }
  CHECK(measurements > 20);
  for (const double share : {0.0, 0.3, 0.77, 1.0}) {
    CAPTURE(share);
    {
      std::ofstream out(path, std::ios::binary | std::ios::trunc);
      out << whole.substr(0, static_cast<size_t>(share * static_cast<double>(whole.size())));
    }
    const auto log = MeasurementLog::Open(path, "1").value();
    CHECK(Run(options, *log).json == json);
    CHECK(log->size() == measurements);
  }
}

TEST_CASE("variants learn from each other unless they shall not", "[codesign]") {
  MeasurementLog log;
  const Network network = SmallNetwork();
  const std::atomic<bool> stop = false;
  TunedVariant fresh = {.variant = {}};
  const TunedVariant base = TuneVariant(network, fresh, {}, 16, 1, log, stop).value();
  const Variant near = {.stages = 5, .megahertz = 111};
  const tuner::SavedModel model = FitModel({base}, 1).value();
  CHECK_FALSE(model.bytes.empty());
  const Transfer transfer = MakeTransfer(network, {base}, near, model);
  REQUIRE(transfer.first_configs.size() == 2);
  CHECK(transfer.first_configs[0] == std::vector<std::string>{base.layers[0].best_config});
  CHECK(MakeTransfer(network, {base}, base.variant, model).first_configs[0].empty());
  // The best of the other one is tried before anything else.
  fresh.variant = near;
  const TunedVariant with = TuneVariant(network, fresh, transfer, 4, 1, log, stop).value();
  CHECK(with.layers[0].tried[0].config == base.layers[0].best_config);
  // Going on tries nothing twice.
  const TunedVariant more = TuneVariant(network, with, transfer, 4, 2, log, stop).value();
  REQUIRE(more.layers[0].tried.size() == 8);
  for (size_t i = 0; i < 8; ++i) {
    for (size_t j = 0; j < i; ++j) {
      CHECK(more.layers[0].tried[i].loop_hash != more.layers[0].tried[j].loop_hash);
    }
  }
  CHECK(FitModel({}, 1)->bytes.empty());
}

TEST_CASE("memories that serve short pipelines only are estimated with these", "[codesign]") {
  constexpr int64_t kShort = 4, kLong = 9;
  const Network network = SmallNetwork();
  const auto has_programs = [&](const vta::Config& config, int64_t stages) {
    return EstimatedPrograms::Make(network, config, stages, 0).ok();
  };
  vta::Config config;
  config.log_acc_bytes = 8;
  while (!has_programs(config, kShort)) ++config.log_acc_bytes;
  REQUIRE_FALSE(has_programs(config, kLong));
  ExploreOptions options;
  options.axes = {.log_batch = {0},
                  .log_block = {config.log_block},
                  .log_uop_bytes = {config.log_uop_bytes},
                  .log_inp_bytes = {config.log_inp_bytes},
                  .log_wgt_bytes = {config.log_wgt_bytes},
                  .log_acc_bytes = {config.log_acc_bytes},
                  .log_alu_narrowing = {0},
                  .bus_bits = {64},
                  .stages = {kShort, kLong},
                  .megahertz = {100, 200}};
  options.variants = 4;
  options.trials = 4;
  MeasurementLog log;
  const Exploration found = Run(options, log).exploration;
  CHECK(found.no_memory == 1);  // long, at the clock that wants it
  REQUIRE(found.tuned.size() == 2);
  CHECK(found.tuned[1].tuned.variant.config == config);
  CHECK(found.tuned[1].tuned.variant.stages == kShort);
}

TEST_CASE("a run ends when it is told to", "[codesign]") {
  MeasurementLog log;
  std::atomic<bool> stop = false;
  const auto exploration =
      Explore(SmallNetwork(), kDevice, SmallOptions(), log, stop, [&](const Progress& progress) {
        if (progress.phase == Progress::Phase::kTuning) stop = true;
      });
  CHECK(absl::IsCancelled(exploration.status()));
}

TEST_CASE("a network that the default can't run is refused", "[codesign]") {
  const Network odd = MakeNetwork("odd",
                                  {{"odd",
                                    "conv2d",
                                    {{"ic", "24"},
                                     {"oc", "24"},
                                     {"size", "8"},
                                     {"k", "1"},
                                     {"dtype", "i8"},
                                     {"shift", "5"},
                                     {"layout", "any"}}}},
                                  {1})
                          .value();
  MeasurementLog log;
  const std::atomic<bool> stop = false;
  const auto exploration = Explore(odd, kDevice, SmallOptions(), log, stop, [](const Progress&) {});
  CHECK(absl::IsInvalidArgument(exploration.status()));
  CHECK_THAT(std::string(exploration.status().message()), Catch::Contains("odd: "));
}

Candidate Made(double seconds, int64_t rams, int64_t megahertz, int log_wgt_bytes) {
  Candidate candidate;
  candidate.variant.megahertz = megahertz;
  candidate.variant.config.log_wgt_bytes = log_wgt_bytes;
  candidate.resources.bram18s = rams;
  candidate.seconds = seconds;
  return candidate;
}

TEST_CASE("what is tuned is spread over the front and near the default", "[codesign]") {
  // The default, 20 of a front, 40 that others dominate.
  std::vector<Candidate> all = {Made(10, 100, 100, 18)};
  for (int i = 0; i < 20; ++i) all.push_back(Made(5 + i, 110 - 3 * i, 200, 10 + i));
  for (int i = 0; i < 40; ++i) all.push_back(Made(9 + i, 130, 100 + 100 * (i % 2), 40 + i));
  for (int i = 0; i < 4; ++i) all.push_back(Made(40 + i, 90, 100, 100 + i));
  for (const size_t count : {1u, 2u, 8u, 16u, 65u, 100u}) {
    CAPTURE(count);
    const std::vector<size_t> taken = SelectCandidates(all, 0, count);
    CHECK(taken.size() == std::min(count, all.size()));
    CHECK(taken[0] == 0);
    CHECK(std::set<size_t>(taken.begin(), taken.end()).size() == taken.size());
  }
  const std::vector<size_t> taken = SelectCandidates(all, 0, 16);
  const auto has = [&](size_t place) { return std::ranges::count(taken, place) == 1; };
  CHECK(has(1));  // both ends of the front
  CHECK(has(20));
  CHECK(has(61));  // the fastest that is as small, at the same clock
}

std::vector<std::string> LinesOf(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// Makes failures of the measurements that `are_kept` has not, in all of which a run finds.
size_t MakeFail(const std::string& path, const std::set<std::string>& are_kept) {
  std::vector<std::string> lines = LinesOf(path);
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  size_t failures = 0;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i > 0 && !are_kept.contains(lines[i])) {
      const std::string key = R"({"key":")";
      lines[i] = lines[i].substr(0, key.size() + 16) + R"(","failure":"no room"})";
      ++failures;
    }
    out << lines[i] << '\n';
  }
  return failures;
}

TEST_CASE("a variant without a program that ran is counted and left out", "[codesign]") {
  const test::TemporaryDirectory folder;
  const std::string path = folder.path + "/log";
  ExploreOptions options = SmallOptions();
  options.transfer = false;  // so that the default's programs are the same beside any others
  options.trials = 4;
  options.variants = 1;
  Run(options, *MeasurementLog::Open(path, "1").value());
  const std::vector<std::string> lines = LinesOf(path);
  const std::set<std::string> of_default(lines.begin(), lines.end());

  // Whatever else is tried failed.
  options.variants = 5;
  size_t measurements = 0, failures = 0;
  Found found;
  do {
    failures = MakeFail(path, of_default);
    const auto log = MeasurementLog::Open(path, "1").value();
    measurements = log->size();
    found = Run(options, *log);
    if (log->size() == measurements) break;
  } while (true);
  CHECK(failures > 4);
  CHECK(found.exploration.no_program == 4);
  REQUIRE(found.exploration.tuned.size() == 1);
  CHECK(found.exploration.tuned[0].front == 0);
  CHECK(std::isfinite(found.exploration.tuned[0].joules));
  const std::string svg = ToSvg(found.exploration, SmallNetwork());
  for (const std::string& report : {found.csv, svg, found.json}) {
    CHECK(report.find("inf") == std::string::npos);
    CHECK(report.find("nan") == std::string::npos);
    CHECK(report.find("null") == std::string::npos);
  }

  // Nor has the default one.
  MakeFail(path, {});
  std::atomic<bool> stop = false;
  options.variants = 1;
  const auto log = MeasurementLog::Open(path, "1").value();
  const auto none = Explore(SmallNetwork(), kDevice, options, *log, stop, [](const Progress&) {});
  CHECK(absl::IsInvalidArgument(none.status()));
  CHECK_THAT(std::string(none.status().message()), Catch::Contains("more trials"));
}

TEST_CASE("reports have all that was tuned", "[codesign]") {
  MeasurementLog log;
  ExploreOptions options = SmallOptions();
  options.variants = 5;
  options.trials = 4;
  const Found found = Run(options, log);
  CHECK(std::ranges::count(found.csv, '\n') == 1 + 5);
  const std::string header = found.csv.substr(0, found.csv.find('\n'));
  const std::string second = found.csv.substr(header.size() + 1);
  CHECK(std::ranges::count(header, ',') ==
        std::ranges::count(second.substr(0, second.find('\n')), ','));
  CHECK(second.starts_with("1,"));
  const std::string svg = ToSvg(found.exploration, SmallNetwork());
  CHECK(svg.starts_with("<svg "));
  CHECK(svg.ends_with("</svg>\n"));
  for (const Evaluated& one : found.exploration.tuned) {
    const std::string title = "<title>" + ToString(one.tuned.variant) + ": ";
    size_t count = 0;
    for (size_t at = svg.find(title); at != std::string::npos; at = svg.find(title, at + 1)) {
      ++count;
    }
    CHECK(count == 2);  // in each of the two panels
  }
  CHECK(svg.find("nan") == std::string::npos);
  const auto has = [&](const std::string& member, const Evaluated& one) {
    return found.json.find("\"" + member + "\": \"" + ToString(one.tuned.variant) + "\"") !=
           std::string::npos;
  };
  CHECK(has("best_within_default", BestWithinDefault(found.exploration, false)));
  CHECK(has("leanest_at_its_clock", LeanestAtItsClock(found.exploration, kAsFast)));
}

TEST_CASE("a drawing of a network of any name is text, its labels above the axis", "[codesign]") {
  Evaluated base, best;
  base.seconds = 0.08;
  best.seconds = 0.04;
  best.tuned.variant.megahertz = 200;
  Exploration exploration;
  exploration.device = kDevice;
  exploration.tuned = {base, best};
  Network network = SmallNetwork();
  network.name = "r\xe9seau <1>";  // Latin-1
  const std::string svg = ToSvg(exploration, network);
  CHECK_THAT(svg, Catch::Contains(">r\xef\xbf\xbdseau &lt;1&gt; on variants"));
  const auto number_before = [&](size_t end, const std::string& attribute) {
    const size_t at = svg.rfind(attribute + "=\"", end) + attribute.size() + 2;
    return std::stod(svg.substr(at, svg.find('"', at) - at));
  };
  const size_t label = svg.find(">within its resources, 40.0 ms</text>");
  REQUIRE(label != std::string::npos);
  const size_t axis = svg.find("stroke=\"#999999\"", svg.find("#999999") - 200);
  // Letters reach a quarter of their size below the line they stand on.
  CHECK(number_before(label, " y") + 0.25 * number_before(label, "font-size") <
        number_before(axis, " y1"));
}

TEST_CASE("progress is told one by one, to the end", "[codesign]") {
  MeasurementLog log;
  ExploreOptions options = SmallOptions();
  options.variants = 4;
  options.trials = 4;
  options.threads = 4;
  const std::atomic<bool> stop = false;
  Progress last = {.phase = Progress::Phase::kScreened};
  std::set<int> rounds;
  const auto exploration =
      Explore(SmallNetwork(), kDevice, options, log, stop, [&](const Progress& progress) {
        if (progress.phase == Progress::Phase::kScreened) return;
        const bool goes_on = progress.phase == last.phase && progress.round == last.round;
        if (!goes_on) CHECK(last.done == last.all);
        CHECK(progress.done == (goes_on ? last.done : 0) + 1);
        if (last.best_seconds) CHECK(*progress.best_seconds <= *last.best_seconds);
        last = progress;
        rounds.insert(progress.round);
      });
  CHECK(exploration.ok());
  CHECK(last.done == last.all);
  CHECK(rounds == std::set<int>{0, 1, 2, 3});
}

}  // namespace
}  // namespace tessera::codesign
