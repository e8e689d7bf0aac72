// What rows and the draft tell of programs for a VTA, against the programs themselves.

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <map>
#include <string>

#include "base/rng.h"
#include "compiler/codegen/vta/generate.h"
#include "compiler/passes/build_loops.h"
#include "compiler/te/operators.h"
#include "costmodel/draft.h"
#include "costmodel/features.h"
#include "costmodel/metrics.h"
#include "costmodel/vta_cycles.h"
#include "costmodel/vta_profile.h"
#include "tests/support/run_vta.h"
#include "tests/support/workloads.h"

namespace tessera::costmodel {
namespace {

constexpr ir::TargetKind kVta = ir::TargetKind::kVta;
constexpr uint64_t kSeed = 5;

using Attributes = std::map<std::string, std::string>;

struct Layer {
  std::string op;
  Attributes attributes;
  std::string target = "vta";

  te::Workload Workload() const {
    Attributes all = attributes;
    all.insert({"dtype", "i8"});
    if (op != "add" && op != "max_pool2d") all.insert({"shift", "5"});
    return te::MakeWorkload({"w", op, all}).value();
  }
};

// A convolution of 3 × 3 as ResNet-18 has them.
Layer Resnet(const std::string& channels, const std::string& size, Attributes more = {}) {
  more.insert({{"ic", channels},
               {"oc", channels},
               {"size", size},
               {"k", "3"},
               {"pad", "1"},
               {"layout", "nchwc16"}});
  return {"conv2d", more};
}

const Layer kSmallLayers[] = {
    Resnet("64", "14", {{"bias", "true"}, {"relu", "true"}}),
    Resnet("64", "15", {{"stride", "2"}}),
    {"conv2d",
     {{"ic", "64"}, {"oc", "128"}, {"size", "8"}, {"k", "1"}, {"bias", "true"}, {"layout", "any"}},
     "vta inp=8192 wgt=32768 acc=16384 uop=1024"},
    {"dense", {{"m", "6"}, {"n", "256"}, {"k", "128"}, {"bias", "true"}}},
    {"conv2d",
     {{"n", "4"}, {"ic", "32"}, {"oc", "32"}, {"size", "6"}, {"k", "3"}, {"layout", "any"}},
     "vta block=8 inp=8192 wgt=32768 acc=32768"},
    Resnet("64", "14", {{"bias", "true"}, {"add", "true"}, {"relu", "true"}}),
    {"conv2d",
     {{"n", "4"},
      {"ic", "32"},
      {"oc", "64"},
      {"size", "6"},
      {"k", "3"},
      {"bias", "true"},
      {"layout", "any"}},
     "vta batch=2 inp=8192 acc=32768"},
    {"depthwise_conv2d",
     {{"c", "64"}, {"size", "14"}, {"k", "3"}, {"pad", "1"}, {"bias", "true"}, {"layout", "any"}}},
    {"add", {{"m", "24"}, {"n", "512"}, {"relu", "true"}}},
    {"max_pool2d",
     {{"c", "32"}, {"size", "14"}, {"k", "3"}, {"stride", "2"}, {"pad", "1"}, {"layout", "any"}}},
    {"max_pool2d", {{"c", "64"}, {"size", "16"}, {"k", "2"}, {"layout", "any"}}},
};

struct Sampled {
  space::Config config;
  std::string json;
  std::vector<float> row;
  VtaRun run;

  double operator[](std::string_view name) const { return row[ColumnOf(kVta, name)]; }
  // What is kept as log2(1 + n).
  double Count(std::string_view name) const { return std::exp2((*this)[name]) - 1; }
};

// A program of one kernel.
VtaRun Simulated(const schedule::Schedule& schedule, const schedule::LoopStructure& loops,
                 const ir::Target& target, const vta::Timing& timing = {}) {
  const auto kernels = codegen::vta::Generate(schedule, loops, target);
  REQUIRE(kernels.status() == absl::OkStatus());
  REQUIRE(kernels->size() == 1);
  std::vector<std::vector<std::byte>> storage;
  for (const ir::Buffer& buffer : passes::MakeParameters(schedule)) {
    storage.emplace_back(buffer->StoredBytes());
  }
  std::vector<absl::Span<std::byte>> spans;
  for (auto& bytes : storage) spans.push_back(absl::MakeSpan(bytes));
  return RunVta(*kernels, spans, timing).value();
}

// Programs of one kernel, with their rows and what the simulator makes of them.
std::vector<Sampled> Sample(const Layer& layer, int count) {
  const ir::Target target = ir::ParseTarget(layer.target).value();
  const auto space = space::BuildSpace(layer.Workload(), target, 1);
  REQUIRE(space.status() == absl::OkStatus());
  Rng rng(kSeed);
  std::vector<Sampled> samples;
  for (int i = 0; i < count; ++i) {
    const space::Config config = space->Sample(rng);
    const schedule::Schedule schedule = space->ToSchedule(config).value();
    const schedule::LoopStructure loops = schedule::InferBounds(schedule).value();
    samples.push_back({config, space->ToJson(config), ConfigFeatures(*space, 1, {config}).value(),
                       Simulated(schedule, loops, target)});
  }
  return samples;
}

// What a program's instructions do, by the columns that tell the same.
std::map<std::string, double> FactsOf(const VtaRun& run) {
  std::map<std::string, double> facts = {{"vta.steps", 0}, {"vta.resets", 0}};
  facts["vta.alu_steps"] = static_cast<double>(run.reports[0].alu_steps);
  for (const vta::Instruction& instruction : run.instructions[0]) {
    if (const auto* move = std::get_if<vta::Transfer>(&instruction.operation)) {
      if (move->memory == vta::Memory::kUop) continue;
      constexpr const char* kNames[] = {"", "wgt", "inp", "added", "out"};
      const std::string name = kNames[static_cast<size_t>(move->memory)];
      const int64_t rows = move->y_size + move->y_pad_before + move->y_pad_after;
      const int64_t columns = move->x_size + move->x_pad_before + move->x_pad_after;
      facts[name + ".instructions"] += 1;
      facts[name + ".rows"] += static_cast<double>(move->y_size);
      const auto zeros = static_cast<double>(rows * columns - move->y_size * move->x_size);
      if (name == "inp") {
        facts["inp.zeros"] += zeros;
      } else {
        CHECK(zeros == 0);
      }
    }
    if (const auto* gemm = std::get_if<vta::Gemm>(&instruction.operation)) {
      const auto turns = static_cast<double>(gemm->outer.turns * gemm->inner.turns);
      const double steps = turns * static_cast<double>(gemm->uop_end - gemm->uop_begin);
      facts[gemm->resets ? "vta.resets" : "vta.steps"] += steps;
      if (gemm->resets || steps == 0) continue;  // without steps it passes on tokens
      facts["vta.turns"] += turns;
      facts["vta.products"] += 1;
    }
  }
  return facts;
}

TEST_CASE("a VTA's rows count what its programs' instructions do", "[features]") {
  for (const Layer& layer : kSmallLayers) {
    for (const Sampled& sample : Sample(layer, 30)) {
      CAPTURE(layer.op, layer.attributes, layer.target, sample.json);
      for (const auto& [name, count] : FactsOf(sample.run)) {
        CAPTURE(name);
        // Both are in the memory of inputs.
        const bool is_moved = name == "inp.instructions" || name == "inp.rows";
        const double residuals = is_moved ? sample.Count("residual" + name.substr(3)) : 0;
        CHECK(sample.Count(name) + residuals == Approx(count).epsilon(1e-4).margin(1e-4));
      }
      const vta::Report& report = sample.run.reports[0];
      CHECK(sample.Count("out.bytes") == Approx(report.dram_bytes_written).epsilon(1e-4));
      const double idle = 0.1;  // instructions that pass on tokens
      const auto instructions = static_cast<double>(sample.run.instructions[0].size());
      CHECK(sample.Count("vta.instructions") == Approx(instructions).epsilon(idle));
      // What the engines wait for on the bus is theirs, too.
      const auto busy = [&](vta::Engine engine) {
        return static_cast<double>(report.of(engine).busy - report.of(engine).bus);
      };
      CHECK(sample.Count("vta.load_cycles") == Approx(busy(vta::Engine::kLoad)).epsilon(0.01));
      CHECK(sample.Count("vta.compute_cycles") == Approx(busy(vta::Engine::kCompute)).epsilon(0.1));
      CHECK(sample.Count("vta.store_cycles") == Approx(busy(vta::Engine::kStore)).epsilon(1e-4));
    }
  }
}

TEST_CASE("steps of the ALU take what the timing says, with constants and with tensors",
          "[costmodel]") {
  const vta::Timing slow_tensors = {.alu_interval = 5, .alu_immediate_interval = 1},
                    slow_constants = {.alu_interval = 1, .alu_immediate_interval = 5};
  for (const Layer& layer : kSmallLayers) {
    const ir::Target target = ir::ParseTarget(layer.target).value();
    const auto space = space::BuildSpace(layer.Workload(), target, 1);
    REQUIRE(space.status() == absl::OkStatus());
    Rng rng(kSeed);
    for (int i = 0; i < 4; ++i) {
      const space::Config config = space->Sample(rng);
      CAPTURE(layer.op, layer.attributes, layer.target, space->ToJson(config));
      const schedule::Schedule schedule = space->ToSchedule(config).value();
      const schedule::LoopStructure loops = schedule::InferBounds(schedule).value();
      const VtaProfile profile = VtaProfiler(target).Profile(schedule, loops);
      const auto counted = [&](const vta::Timing& timing) {
        const VtaProfile timed = WithTiming(profile, timing);
        return timed.operations.cycles + timed.windows.cycles;
      };
      const auto simulated = [&](const vta::Timing& timing) {
        const vta::Report report = Simulated(schedule, loops, target, timing).reports[0];
        const vta::EngineReport& compute = report.of(vta::Engine::kCompute);
        return static_cast<double>(compute.busy - compute.bus);
      };
      CHECK(counted(slow_tensors) - counted(slow_constants) ==
            Approx(simulated(slow_tensors) - simulated(slow_constants)));
    }
  }
}

TEST_CASE("a VTA's rows are finite, and those of their traces bit for bit", "[features]") {
  for (const Layer& layer : kSmallLayers) {
    const te::Workload workload = layer.Workload();
    const ir::Target target = ir::ParseTarget(layer.target).value();
    const auto space = space::BuildSpace(workload, target, 1);
    REQUIRE(space.ok());
    Rng rng(kSeed);
    for (int i = 0; i < 40; ++i) {
      const space::Config config = space->Sample(rng);
      const std::string trace = schedule::Print(*space->ToTrace(config));
      CAPTURE(layer.op, kSeed, i, trace);
      const std::vector<float> row = *ConfigFeatures(*space, 1, {config});
      CHECK(
          std::ranges::all_of(row, [](float x) { return std::isfinite(x) && x >= 0 && x < 100; }));
      CHECK(row == *TraceFeatures(workload.dag, target, 1, trace));
      const double seconds = DraftSeconds(row);
      CHECK((std::isfinite(seconds) && seconds > 0 && seconds < 1));
      for (const char* use : {"uop.use", "inp.use", "wgt.use", "acc.use"}) {
        CAPTURE(use);
        const float share = row[ColumnOf(kVta, use)];
        CHECK(share > 0);
        if (std::string_view(use) != "uop.use") CHECK(share <= 1);
      }
    }
  }
}

TEST_CASE("programs that no VTA can run have rows without steps", "[features]") {
  const ir::Target target = ir::ParseTarget("vta").value();
  for (const te::OpSpec& spec : te::TestWorkloads()) {
    CAPTURE(spec.name);
    const te::Workload workload = te::MakeWorkload(spec).value();
    const std::vector<float> row =
        TraceFeatures(workload.dag, target, 1, schedule::Trace{}).value();
    CHECK(std::ranges::all_of(row, [](float x) { return std::isfinite(x) && x >= 0; }));
    CHECK(row[ColumnOf(kVta, "vta.steps")] == 0);
    CHECK(DraftSeconds(row) > 0);
  }
}

TEST_CASE("the draft of a VTA is between its busiest engine and all one after the other",
          "[costmodel]") {
  for (const Layer& layer : kSmallLayers) {
    for (const Sampled& sample : Sample(layer, 30)) {
      CAPTURE(layer.op, sample.json);
      const double load = sample.Count("vta.load_cycles"), store = sample.Count("vta.store_cycles"),
                   compute = sample.Count("vta.compute_cycles"),
                   fetch = sample.Count("vta.fetch_cycles"), all = sample.Count("vta.cycles");
      CHECK(all >= 0.999 * std::max({fetch, load, compute, store}));
      CHECK(all <= 1.001 * std::max(fetch, load + compute + store));
      // The same of cycles that were simulated, but for the first instructions.
      CHECK(DraftSeconds(sample.row) * 100e6 == Approx(1 + all).epsilon(1e-3));
    }
  }
}

TEST_CASE("the draft ranks a VTA's programs nearly as the simulator does", "[costmodel]") {
  const Layer layers[] = {Resnet("128", "28"), Resnet("256", "14", {{"bias", "true"}}),
                          Resnet("512", "7")};
  for (const Layer& layer : layers) {
    std::vector<float> drafts, throughput;
    for (const Sampled& sample : Sample(layer, 60)) {
      const auto cycles = static_cast<double>(sample.run.reports[0].cycles);
      drafts.push_back(static_cast<float>(1 / DraftSeconds(sample.row)));
      throughput.push_back(static_cast<float>(1 / cycles));
      CAPTURE(layer.attributes, sample.json, cycles);
      CHECK(DraftSeconds(sample.row) * 100e6 / cycles > 0.5);
      CHECK(DraftSeconds(sample.row) * 100e6 / cycles < 2);
    }
    const double pairs = PairwiseAccuracy(drafts, throughput);
    CAPTURE(layer.attributes, pairs);
    CHECK(pairs > 0.9);
  }
}

}  // namespace
}  // namespace tessera::costmodel
