// What a candidate costs to compile: milliseconds of CPU time from its schedule to a shared object,
// as a builder spends them, over configs drawn from the spaces of ResNet-18's 3 × 3 convolutions.
//   build/bin/bench_compile [--samples N] [--workload NAME] [--sketch PREFIX] [--out FILE]

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "absl/status/statusor.h"
#include "base/rng.h"
#include "compiler/codegen/codegen.h"
#include "compiler/codegen/link.h"
#include "compiler/passes/lower.h"
#include "compiler/schedule/loop_structure.h"
#include "compiler/te/operators.h"
#include "schedule_space/config_space.h"

namespace {

using tessera::Rng;
namespace codegen = tessera::codegen;
namespace passes = tessera::passes;
namespace schedule = tessera::schedule;
namespace space = tessera::space;

constexpr uint64_t kSeed = 1;

template <typename T>
T OrFail(absl::StatusOr<T> value) {
  if (!value.ok()) {
    std::cerr << "bench_compile: " << value.status() << '\n';
    std::exit(1);
  }
  return *std::move(value);
}

// The parts of one build, milliseconds.
struct Cost {
  double lowering = 0, code = 0, linking = 0;
  double Total() const { return lowering + code + linking; }
};

template <typename Work>
auto Timed(double& milliseconds, const Work& work) {
  const std::clock_t begin = std::clock();
  auto result = OrFail(work());
  milliseconds += 1e3 * static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
  return result;
}

Cost Build(const space::ConfigSpace& configs, const space::Config& config,
           const tessera::ir::Target& target) {
  const schedule::Schedule made = OrFail(configs.ToSchedule(config));
  Cost cost;
  const auto loops = Timed(cost.lowering, [&] { return schedule::InferBounds(made); });
  std::vector<tessera::ir::Program> programs = {
      Timed(cost.lowering, [&] { return passes::Lower(made, loops, "tessera_kernel"); })};
  const auto preparation = Timed(
      cost.lowering, [&] { return passes::LowerPreparation(made, loops, "tessera_prepare"); });
  if (preparation.has_value()) programs.push_back(*preparation);
  const auto code = Timed(cost.code, [&] { return codegen::GenerateObject(programs, target); });
  codegen::LinkOptions options;
  for (const codegen::Kernel& kernel : code.kernels) options.exported.push_back(kernel.symbol);
  Timed(cost.linking, [&] { return codegen::LinkSharedObject({code.bytes}, options); });
  return cost;
}

double Quantile(std::vector<double> values, double q) {
  const auto at = values.begin() + static_cast<int64_t>(q * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

nlohmann::ordered_json Measure(const tessera::te::OpSpec& spec, const std::string& prefix,
                               int samples, const tessera::ir::Target& target) {
  const auto workload = OrFail(tessera::te::MakeWorkload(spec));
  const auto configs = OrFail(space::BuildSpace(workload, target, 1));
  Rng rng(kSeed);
  std::vector<Cost> costs;
  for (int drawn = 0; drawn < samples;) {
    const space::Config config = configs.Sample(rng);
    const std::string& sketch = configs.sketches()[config[0]].name;
    if (!sketch.starts_with(prefix)) continue;
    // The first one starts LLVM.
    if (costs.empty() && drawn == 0) Build(configs, config, target);
    costs.push_back(Build(configs, config, target));
    ++drawn;
  }
  nlohmann::ordered_json row = {{"workload", spec.name}, {"sketch", prefix}, {"samples", samples}};
  const auto add = [&](const char* name, const auto& part) {
    std::vector<double> values;
    for (const Cost& cost : costs) values.push_back(part(cost));
    row[name] = {{"median_ms", Quantile(values, 0.5)}, {"p95_ms", Quantile(values, 0.95)}};
  };
  add("total", [](const Cost& cost) { return cost.Total(); });
  add("lowering", [](const Cost& cost) { return cost.lowering; });
  add("code_generation", [](const Cost& cost) { return cost.code; });
  add("linking", [](const Cost& cost) { return cost.linking; });
  return row;
}

tessera::te::OpSpec Convolution(std::string name, const char* size, const char* channels) {
  return {std::move(name),
          "conv2d",
          {{"size", size},
           {"ic", channels},
           {"oc", channels},
           {"k", "3"},
           {"pad", "1"},
           {"bias", "true"},
           {"relu", "true"},
           {"layout", "any"}}};
}

}  // namespace

int main(int argc, char** argv) {
  int samples = 60;
  std::string only, out = "build/bench/compile.json";
  std::vector<std::string> sketches = {"direct", "winograd"};
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string flag = argv[i], value = argv[i + 1];
    if (flag == "--samples") {
      samples = std::atoi(value.c_str());
    } else if (flag == "--workload") {
      only = value;
    } else if (flag == "--sketch") {
      sketches = {value};
    } else if (flag == "--out") {
      out = value;
    } else {
      std::cerr << "bench_compile: unknown argument " << flag
                << "; known: --samples, --workload, --sketch, --out\n";
      return 2;
    }
  }
  const auto target = OrFail(tessera::ir::X86Target("avx512"));
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const tessera::te::OpSpec& spec :
       {Convolution("C2", "56", "64"), Convolution("C6", "28", "128"),
        Convolution("C9", "14", "256"), Convolution("C12", "7", "512")}) {
    if (!only.empty() && spec.name != only) continue;
    for (const std::string& sketch : sketches) {
      all.push_back(Measure(spec, sketch, samples, target));
      std::cout << all.back().dump() << std::endl;
    }
  }
  std::filesystem::create_directories(std::filesystem::path(out).parent_path());
  std::ofstream(out) << all.dump(2) << '\n';
}
