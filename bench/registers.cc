// Registers of a thread: what features say of programs for a CUDA target and what the space's limit
// takes out, beside what NVIDIA's assembler does (ptxas, which has to be in the PATH). Programs are
// drawn from spaces without a limit of registers a block, so that there are some to take out; those
// of several kernels are passed over. Writes a line a program, then one an operator.
//   build/bin/bench_registers [DRAWS]

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <regex>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/rng.h"
#include "compiler/codegen/ptx.h"
#include "compiler/ir/visitor.h"
#include "compiler/passes/lower.h"
#include "compiler/schedule/loop_structure.h"
#include "compiler/schedule/thread_registers.h"
#include "compiler/te/operators.h"
#include "costmodel/features.h"
#include "schedule_space/config_space.h"

namespace tessera {
namespace {

constexpr char kTarget[] = "cuda/sm_80 shared=166912";
constexpr char kUnlimited[] = "cuda/sm_80 shared=166912 registers=1048576";
constexpr uint64_t kSeed = 1;

struct Assembled {
  int64_t registers = 0, spilled_bytes = 0;
};

// Of a source with one kernel.
std::optional<Assembled> Assemble(const std::string& source) {
  const std::string file =
      (std::filesystem::temp_directory_path() / "bench_registers.ptx").string();
  const std::string log = file + ".log";
  std::ofstream(file) << source;
  const std::string command = absl::StrCat("ptxas -v -arch=sm_80 ", file, " -o /dev/null 2> ", log);
  if (std::system(command.c_str()) != 0) return std::nullopt;
  std::ifstream stream(log);
  const std::string text(std::istreambuf_iterator<char>(stream), {});
  std::smatch spilled, used;
  if (!std::regex_search(text, spilled, std::regex("(\\d+) bytes spill stores")) ||
      !std::regex_search(text, used, std::regex("Used (\\d+) registers"))) {
    return std::nullopt;
  }
  return Assembled{std::stoll(used[1]), std::stoll(spilled[1])};
}

// Private memory that a thread has at the same time.
class PrivateMemory final : public ir::Visitor {
 public:
  int64_t most = 0;

 private:
  void VisitAllocate(const ir::Allocate& node) override {
    const int64_t bytes = node.buffer->scope == ir::Scope::kLocal ? node.buffer->StoredBytes() : 0;
    now_ += bytes;
    most = std::max(most, now_);
    ir::Visitor::VisitAllocate(node);
    now_ -= bytes;
  }
  int64_t now_ = 0;
};

struct Drawn {
  int64_t threads, held_bytes;
  double estimate;
  Assembled assembled;
  bool IsTakenOut(const ir::Target& target) const {
    return held_bytes > schedule::HoldableBytes(target, threads);
  }
};

std::vector<Drawn> Draw(const te::OpSpec& spec, int draws) {
  const te::Workload workload = te::MakeWorkload(spec).value();
  const ir::Target target = ir::ParseTarget(kUnlimited).value();
  const auto space = space::BuildSpace(workload, target, 1).value();
  Rng rng(kSeed);
  std::vector<Drawn> programs;
  while (draws-- > 0) {
    const space::Config config = space.Sample(rng);
    const std::vector<float> row = costmodel::ConfigFeatures(space, 1, {config}).value();
    const schedule::Schedule schedule = space.ToSchedule(config).value();
    const ir::Program program =
        passes::Lower(schedule, schedule::InferBounds(schedule).value(), "kernel").value();
    const auto code = codegen::GeneratePtx({program}, target).value();
    if (code.launches[0].size() > 1) continue;
    const std::optional<Assembled> assembled = Assemble(code.source);
    if (!assembled) {
      std::fprintf(stderr, "bench_registers: ptxas fails, or is not in the PATH\n");
      std::exit(1);
    }
    PrivateMemory memory;
    memory.Visit(program.body);
    const size_t column = costmodel::ColumnOf(target.kind, "gpu.registers");
    const double estimate = std::exp2(double{row[column]}) - 1;
    programs.push_back({code.launches[0][0].block_threads[0], memory.most, estimate, *assembled});
    const Drawn& last = programs.back();
    std::printf("%s: %ld threads hold %ld bytes, estimate %.0f, ptxas %ld, spilled %ld, %s\n",
                spec.name.c_str(), last.threads, last.held_bytes, estimate, assembled->registers,
                assembled->spilled_bytes, space.ToJson(config).c_str());
  }
  return programs;
}

double Quantile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(share * static_cast<double>(values.size() - 1))];
}

void SumUp(const std::string& name, const std::vector<Drawn>& programs) {
  const ir::Target target = ir::ParseTarget(kTarget).value();
  int out = 0, out_spill = 0, spill = 0;
  std::vector<double> ratios, out_bytes, bytes, others;
  for (const Drawn& one : programs) {
    const auto spilled = static_cast<double>(one.assembled.spilled_bytes);
    const bool is_out = one.IsTakenOut(target), spills = spilled > 0;
    out += is_out ? 1 : 0;
    out_spill += is_out && spills ? 1 : 0;
    spill += !is_out && spills ? 1 : 0;
    if (spills) (is_out ? out_bytes : bytes).push_back(spilled);
    if (spills) continue;
    const auto registers = static_cast<double>(one.assembled.registers);
    ratios.push_back(one.estimate / registers);
    others.push_back(registers - static_cast<double>(one.held_bytes) / 4);
  }
  std::printf(
      "= %s: %zu programs; %d taken out, of which %d spill (median %.0f bytes, least %.0f); %d of "
      "the others (median %.0f, most %.0f); without spills: estimate / ptxas %.2f (quartiles %.2f, "
      "%.2f), registers beside what is held at least %.0f, median %.0f\n",
      name.c_str(), programs.size(), out, out_spill, Quantile(out_bytes, 0.5),
      Quantile(out_bytes, 0), spill, Quantile(bytes, 0.5), Quantile(bytes, 1),
      Quantile(ratios, 0.5), Quantile(ratios, 0.25), Quantile(ratios, 0.75), Quantile(others, 0),
      Quantile(others, 0.5));
}

}  // namespace
}  // namespace tessera

int main(int argc, char** argv) {
  using tessera::te::OpSpec;
  const int draws = argc > 1 ? std::atoi(argv[1]) : 40;
  const std::map<std::string, std::string> product = {{"m", "1024"}, {"n", "1024"}, {"k", "1024"}},
                                           window = {{"size", "56"}, {"ic", "64"},
                                                     {"oc", "64"},   {"k", "3"},
                                                     {"pad", "1"},   {"relu", "true"}};
  const auto half = [](std::map<std::string, std::string> attributes) {
    attributes["dtype"] = "f16";
    return attributes;
  };
  for (const OpSpec& spec :
       {OpSpec{"product f32", "matmul", product}, OpSpec{"product f16", "matmul", half(product)},
        OpSpec{"convolution f32", "conv2d", window},
        OpSpec{"convolution f16", "conv2d", half(window)},
        OpSpec{"softmax", "softmax", {{"m", "1024"}, {"n", "1024"}}}}) {
    tessera::SumUp(spec.name, tessera::Draw(spec, draws));
  }
}
