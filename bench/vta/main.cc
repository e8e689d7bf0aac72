// ResNet-18's convolutions on the simulated VTA: tuned layers beside roofs and published figures,
// with and without latency hiding and bias, by other timings, and how many trials searches need.
// Prints tables, writes them to build/bench/vta/figures.json and a timeline of each layer beside
// it. Arguments choose from the measures; none: all. Cycles are exact, so runs are the same.

#include <filesystem>
#include <iostream>
#include <set>
#include <string>

#include "absl/strings/str_format.h"
#include "base/durable_file.h"
#include "base/status.h"
#include "bench/vta/measures.h"
#include "compiler/vta/timeline.h"

namespace tessera::bench {
namespace {

constexpr char kFolder[] = "build/bench/vta";
constexpr int kTrials = 128;     // of tuned layers
constexpr int kRaceTrials = 64;  // of searches that are compared
constexpr int kSeeds = 5;

std::string Cell(const Rows& value) {
  if (value.is_number_float()) return absl::StrFormat("%.3f", value.get<double>());
  if (value.is_null()) return "fails";
  return value.is_string() ? value.get<std::string>() : value.dump();
}

void PrintTable(const std::string& title, const Rows& rows) {
  std::cout << "\n" << title << "\n\n|";
  for (const auto& [name, value] : rows[0].items()) std::cout << ' ' << name << " |";
  std::cout << "\n|";
  for (size_t i = 0; i < rows[0].size(); ++i) std::cout << "---|";
  for (const Rows& row : rows) {
    std::cout << "\n|";
    for (const auto& [name, value] : row.items()) std::cout << ' ' << Cell(value) << " |";
  }
  std::cout << std::endl;
}

absl::Status Write(const std::string& path, const std::string& text) {
  return WriteFileDurably(path, path + ".part", text, /*sync=*/false);
}

absl::Status DrawTimelines(const std::vector<TunedLayer>& tuned) {
  for (const TunedLayer& of : tuned) {
    TESSERA_ASSIGN_OR_RETURN(const SimulatedProgram best, of.layer->Simulate(of.search.best_trace));
    const std::string path = absl::StrFormat("%s/%s", kFolder, of.layer->layer().name);
    TESSERA_RETURN_IF_ERROR(Write(path + ".svg", vta::TimelineSvg(best.instructions, best.report)));
    TESSERA_RETURN_IF_ERROR(Write(path + ".trace", of.search.best_trace));
  }
  return absl::OkStatus();
}

absl::Status Measure(const std::set<std::string>& chosen) {
  std::filesystem::create_directories(kFolder);
  Rows figures;
  const auto measure = [&](const std::string& name, const auto& rows) -> absl::Status {
    if (!chosen.empty() && !chosen.contains(name)) return absl::OkStatus();
    TESSERA_ASSIGN_OR_RETURN(figures[name], rows());
    PrintTable(name, figures[name]);
    return Write(absl::StrFormat("%s/figures.json", kFolder), figures.dump(2) + "\n");
  };
  SearchOptions options;
  options.trials = kTrials;
  const Epilogue with_bias, without_bias = {.bias = false};
  TESSERA_ASSIGN_OR_RETURN(const std::vector<TunedLayer> tuned, Tune(with_bias, options));
  TESSERA_RETURN_IF_ERROR(DrawTimelines(tuned));
  TESSERA_RETURN_IF_ERROR(measure("layers", [&] { return MeasureLayers(tuned, with_bias); }));
  TESSERA_RETURN_IF_ERROR(measure("without_bias", [&]() -> absl::StatusOr<Rows> {
    TESSERA_ASSIGN_OR_RETURN(const auto of_board, Tune(without_bias, options));
    return MeasureLayers(of_board, without_bias);
  }));
  TESSERA_RETURN_IF_ERROR(measure("hiding", [&] { return MeasureHiding(tuned, options); }));
  TESSERA_RETURN_IF_ERROR(measure("chisel", [&] { return MeasureChisel(tuned); }));
  TESSERA_RETURN_IF_ERROR(measure("sensitivity", [&] { return MeasureSensitivity(tuned); }));
  return measure("trials", [&] { return MeasureTrials(tuned, kRaceTrials, kSeeds); });
}

}  // namespace
}  // namespace tessera::bench

int main(int argc, char** argv) {
  const std::set<std::string> known = {"layers", "without_bias", "hiding",
                                       "chisel", "sensitivity",  "trials"};
  const std::set<std::string> chosen(argv + 1, argv + argc);
  for (const std::string& name : chosen) {
    if (known.contains(name)) continue;
    std::cerr << "bench_vta: " << name
              << " is none of layers, without_bias, hiding, chisel, sensitivity, trials\n";
    return 1;
  }
  const absl::Status status = tessera::bench::Measure(chosen);
  if (!status.ok()) std::cerr << "bench_vta: " << status << '\n';
  return status.ok() ? 0 : 1;
}
