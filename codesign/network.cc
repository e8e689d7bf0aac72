#include "codesign/network.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "compiler/codegen/vta/generate.h"
#include "compiler/passes/build_loops.h"
#include "compiler/runtime/vta.h"
#include "compiler/schedule/accelerator.h"
#include "compiler/schedule/loop_structure.h"
#include "compiler/vta/bytecode.h"
#include "compiler/vta/encoding.h"
#include "compiler/vta/simulator.h"
#include "costmodel/draft.h"
#include "costmodel/features.h"
#include "tuner/config_search_space.h"

namespace tessera::codesign {
namespace {

constexpr int64_t kPage = 4096;
constexpr int64_t kDramBytes = int64_t{1} << 32;  // that addresses of 32 bits reach

struct Stream {
  tessera_vta_stream stream = {};
  Stream() = default;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() { tessera_vta_stream_free(&stream); }
};

int64_t Paged(int64_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

// DRAM with a tensor behind the other; the first page is nobody's.
struct Placement {
  std::vector<tessera_vta_buffer> buffers;
  int64_t end = kPage;

  void Place(int64_t bytes) {
    // Where the end is past DRAM, CheckDram refuses all of them.
    buffers.push_back({static_cast<uint32_t>(end), bytes});
    end += Paged(bytes);
  }
};

absl::Status CheckDram(int64_t end) {
  if (end <= kDramBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "its tensors and micro-ops take ", end, " bytes of DRAM, of which a VTA reaches ", kDramBytes,
      "; choose smaller shapes, or split the operator"));
}

// Before anything is generated, so without micro-ops.
absl::Status CheckTensors(const te::Dag& dag) {
  Placement placement;
  for (const te::Input& input : dag.inputs) placement.Place(input.buffer->StoredBytes());
  for (const ir::Buffer& output : dag.outputs) placement.Place(output->StoredBytes());
  return CheckDram(placement.end);
}

absl::StatusOr<Activity> SimulateKernel(const codegen::vta::Kernel& kernel,
                                        const Placement& placement, const vta::Timing& timing) {
  const std::vector<int64_t> words = vta::Assemble(kernel.code);
  const tessera_vta_program program = {words.data(), std::ssize(words)};
  std::vector<tessera_vta_buffer> arguments;
  for (const int argument : kernel.arguments) arguments.push_back(placement.buffers[argument]);
  // A page at least for micro-ops.
  TESSERA_RETURN_IF_ERROR(CheckDram(placement.end + kPage));
  Stream of;
  const int expanded = tessera_vta_expand(&program, arguments.data(), std::ssize(arguments),
                                          static_cast<uint32_t>(placement.end), &of.stream);
  if (expanded == TESSERA_VTA_OUT_OF_MEMORY) {
    return absl::ResourceExhaustedError("no memory for the instructions of a program");
  }
  TESSERA_CHECK(expanded == TESSERA_VTA_OK);  // Assemble's words
  constexpr int64_t kUopBytes = sizeof(uint32_t);
  const int64_t dram_bytes = placement.end + Paged(of.stream.uop_count * kUopBytes);
  TESSERA_RETURN_IF_ERROR(CheckDram(dram_bytes));
  std::vector<uint8_t> dram(static_cast<size_t>(dram_bytes), 0);
  if (of.stream.uop_count > 0) {
    std::memcpy(&dram[static_cast<size_t>(placement.end)], of.stream.uops,
                static_cast<size_t>(of.stream.uop_count * kUopBytes));
  }
  std::vector<vta::Instruction> instructions;
  instructions.reserve(static_cast<size_t>(of.stream.instruction_count));
  for (int64_t i = 0; i < of.stream.instruction_count; ++i) {
    const vta::Word word = {of.stream.instructions[2 * i], of.stream.instructions[2 * i + 1]};
    TESSERA_ASSIGN_OR_RETURN(instructions.emplace_back(), vta::Decode(word, kernel.code.config));
  }
  TESSERA_ASSIGN_OR_RETURN(const vta::Report report, vta::Simulate(instructions, kernel.code.config,
                                                                   timing, absl::MakeSpan(dram)));
  Activity activity = ActivityOf(instructions);
  activity.cycles = static_cast<double>(report.cycles);
  activity.dram_bytes = static_cast<double>(report.dram_bytes_read + report.dram_bytes_written);
  return activity;
}

}  // namespace

absl::StatusOr<Network> MakeNetwork(std::string name, absl::Span<const te::OpSpec> operators,
                                    absl::Span<const double> counts) {
  TESSERA_CHECK(operators.size() == counts.size());
  Network network = {std::move(name), {}};
  for (size_t i = 0; i < operators.size(); ++i) {
    te::OpSpec spec = operators[i];
    if (const auto layout = spec.attributes.find("layout");
        layout != spec.attributes.end() && absl::StartsWith(layout->second, "nchwc")) {
      layout->second = "any";
    }
    TESSERA_ASSIGN_OR_RETURN(te::Workload workload, te::MakeWorkload(spec));
    if (absl::Status fits = CheckTensors(workload.dag); !fits.ok()) {
      return Annotate(fits, workload.name);
    }
    network.layers.push_back({std::move(workload), counts[i]});
  }
  return network;
}

absl::Status CheckServes(const Network& network, const vta::Config& config) {
  const ir::Target target = TargetOf({.config = config});
  for (const Layer& layer : network.layers) {
    const absl::Status drafted = schedule::DraftForAccelerator(layer.workload.dag, target).status();
    if (!drafted.ok()) return Annotate(drafted, layer.workload.name);
  }
  return absl::OkStatus();
}

absl::StatusOr<LayerSpace> MakeLayerSpace(const Layer& layer, const ir::Target& target) {
  constexpr int kThreads = 1;
  auto built = space::BuildSpace(layer.workload, target, kThreads);
  if (!built.ok()) return Annotate(built.status(), layer.workload.name);
  auto configs = std::make_shared<const space::ConfigSpace>(*std::move(built));
  // The default schedule, which no variant is judged by, is left out: it takes as long to simulate
  // as ten others.
  auto search = std::make_shared<const tuner::ConfigSearchSpace>(
      configs, tuner::FeatureSource{costmodel::FeatureCount(target.kind),
                                    [configs](absl::Span<const space::Config> of) {
                                      return costmodel::ConfigFeatures(*configs, kThreads, of);
                                    },
                                    costmodel::DraftSeconds});
  return LayerSpace{std::move(configs), std::move(search)};
}

absl::StatusOr<Activity> SimulateConfig(const space::ConfigSpace& space,
                                        const space::Config& config, const vta::Timing& timing) {
  TESSERA_ASSIGN_OR_RETURN(const schedule::Schedule schedule, space.ToSchedule(config));
  TESSERA_ASSIGN_OR_RETURN(const schedule::LoopStructure loops, schedule::InferBounds(schedule));
  TESSERA_ASSIGN_OR_RETURN(const std::vector<codegen::vta::Kernel> kernels,
                           codegen::vta::Generate(schedule, loops, space.target()));
  Placement placement;
  for (const ir::Buffer& buffer : passes::MakeParameters(schedule)) {
    placement.Place(buffer->StoredBytes());
  }
  Activity activity;
  for (const codegen::vta::Kernel& kernel : kernels) {
    TESSERA_ASSIGN_OR_RETURN(const Activity of, SimulateKernel(kernel, placement, timing));
    activity.Add(of);
  }
  return activity;
}

}  // namespace tessera::codesign
