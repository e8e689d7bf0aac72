#include "server/selection.h"

#include <catch2/catch.hpp>

#include <map>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/hash.h"
#include "compiler/schedule/default_trace.h"
#include "compiler/schedule/loop_structure.h"
#include "compiler/schedule/schedule.h"
#include "compiler/te/operators.h"
#include "db/record/memory_store.h"
#include "tests/server/shared_store.h"

namespace tessera::server {
namespace {

constexpr char kAvx512[] = "x86/avx512,vnni l1=32768 l2=1048576 threads=1";
constexpr char kAvx2[] = "x86/avx2 l1=32768 l2=1048576 threads=1";
constexpr char kSse[] = "x86/sse4.2 l1=32768 l2=1048576 threads=1";

db::Task ConvolutionFor(const std::string& target, const std::string& layout = "any") {
  const auto workload = te::MakeWorkload(
      {"conv",
       "conv2d",
       {{"ic", "16"}, {"oc", "16"}, {"size", "7"}, {"k", "3"}, {"layout", layout}}});
  REQUIRE(workload.ok());
  return {.name = "conv",
          .workload_hash = HashToHex(te::StructuralHash(workload->dag)),
          .workload = te::Print(*workload),
          .target = target};
}

std::string Blocks(int input, int output) {
  const te::Workload conv = te::ParseWorkload(ConvolutionFor(kSse).workload).value();
  const auto layout = [](int block) { return absl::StrCat("0 1/", block, " 2 3 1%", block, "\n"); };
  return absl::StrCat("trace 1\nlayout ", conv.dag.inputs[0].buffer->name, " ", layout(input),
                      "layout ", conv.dag.outputs[0]->name, " ", layout(output));
}

// Nobody looks at what a trace does to loops here.
std::string Other(const std::string& trace) { return trace + "unroll conv n\n"; }

struct Rig {
  int64_t Measure(const db::Task& task, const std::string& trace, double seconds) {
    db::Record record;
    record.task_key = task.Key();
    record.attempt_key = absl::StrCat("attempt ", ++records);
    record.trace = trace;
    record.device_class = absl::StrCat("class of ", task.target);
    record.measurement.outcome = db::Outcome::kOk;
    record.measurement.sample_seconds = {seconds};
    return store.Append({record}, {}).value().at(0);
  }
  void Promote(const db::Task& task, std::vector<int64_t> compared, int64_t promoted) {
    db::Comparison comparison;
    comparison.task_key = task.Key();
    comparison.device = "w/cpu";
    comparison.device_class = absl::StrCat("class of ", task.target);
    comparison.sample_seconds.assign(compared.size(), {1e-6});
    comparison.record_ids = std::move(compared);
    comparison.promoted = promoted;
    comparison.ratio_low = comparison.ratio = comparison.ratio_high = 1;
    const auto id = store.AppendComparison(comparison);
    INFO(id.status());
    REQUIRE(id.ok());
  }
  static db::Selection Wanted(const std::vector<db::Task>& tasks) {
    db::Selection selection;
    for (const db::Task& task : tasks) {
      selection.items.push_back(
          {task.name, task, "", 0, 0, absl::StrCat("class of ", task.target)});
    }
    return selection;
  }

  db::MemoryStore store{Clock::Real()};
  int records = 0;
};

TEST_CASE("an operator of one version gets its fastest record", "[server]") {
  Rig rig;
  const db::Task task = ConvolutionFor(kAvx2);
  rig.Measure(task, Blocks(4, 4), 2e-6);
  const int64_t best = rig.Measure(task, Blocks(8, 8), 1e-6);
  const auto chosen = ChooseRecords(rig.store, Rig::Wanted({task}));
  INFO(chosen.status());
  REQUIRE(chosen.ok());
  CHECK(chosen->items[0].record_id == best);
  CHECK(chosen->items[0].trace == Blocks(8, 8));
  CHECK(chosen->items[0].seconds == 1e-6);
}

TEST_CASE("records that call a library are chosen where that is allowed alone", "[server]") {
  Rig rig;
  const db::Task task = ConvolutionFor(kAvx2);
  const int64_t loops = rig.Measure(task, Blocks(4, 4), 2e-6);
  const int64_t called = rig.Measure(task, "trace 1\nexternal conv openblas\n", 1e-6);
  const auto chosen = [&](std::string_view allowed) {
    const auto selection =
        ChooseRecords(rig.store, Rig::Wanted({task}), [] { return false; }, allowed);
    REQUIRE(selection.ok());
    return selection->items[0].record_id;
  };
  CHECK(chosen("") == loops);
  CHECK(chosen("openblas") == called);
  rig.Promote(task, {called, loops}, called);
  CHECK(chosen("") == loops);
  CHECK(chosen("openblas") == called);
}

TEST_CASE("a promoted record is chosen before one that was only lucky", "[server]") {
  Rig rig;
  const db::Task task = ConvolutionFor(kAvx2);
  const int64_t lucky = rig.Measure(task, Blocks(4, 4), 1e-6);
  const int64_t good = rig.Measure(task, Blocks(8, 8), 1.03e-6);
  const auto chosen = [&] {
    const auto selection = ChooseRecords(rig.store, Rig::Wanted({task}));
    INFO(selection.status());
    REQUIRE(selection.ok());
    return selection->items[0].record_id;
  };
  CHECK(chosen() == lucky);
  rig.Promote(task, {lucky, good}, good);
  CHECK(chosen() == good);
  // Not compared, and not clearly faster.
  const int64_t fresh = rig.Measure(task, Blocks(4, 8), 0.99e-6);
  CHECK(chosen() == good);
  const int64_t faster = rig.Measure(task, Blocks(8, 4), 0.97e-6);
  CHECK(chosen() == faster);
  // It lost when they were side by side.
  rig.Promote(task, {good, faster, fresh}, good);
  CHECK(chosen() == good);
  // The latest comparison counts.
  rig.Promote(task, {good, fresh}, fresh);
  CHECK(chosen() == fresh);
}

TEST_CASE("a program that lost is measured again, faster, and has still lost", "[server]") {
  Rig rig;
  const db::Task task = ConvolutionFor(kAvx2);
  const int64_t lucky = rig.Measure(task, Blocks(4, 4), 1e-6);
  const int64_t good = rig.Measure(task, Blocks(8, 8), 1.03e-6);
  rig.Promote(task, {lucky, good}, good);
  rig.Measure(task, Blocks(4, 4), 0.9e-6);
  const auto chosen = [&] {
    const auto selection = ChooseRecords(rig.store, Rig::Wanted({task}));
    INFO(selection.status());
    REQUIRE(selection.ok());
    return selection->items[0].record_id;
  };
  CHECK(chosen() == good);
  rig.Measure(task, Blocks(8, 8), 0.8e-6);  // the promoted one, too
  CHECK(chosen() == good);
  rig.Measure(task, Blocks(4, 8), 0.79e-6);  // not clearly faster than that
  CHECK(chosen() == good);
}

TEST_CASE("versions get their promoted records where they store activations alike", "[server]") {
  Rig rig;
  const db::Task wide = ConvolutionFor(kAvx512), narrow = ConvolutionFor(kAvx2);
  const int64_t lucky = rig.Measure(wide, Blocks(16, 16), 1e-6);
  const int64_t good = rig.Measure(wide, Other(Blocks(16, 16)), 1.01e-6);
  const int64_t narrow_16 = rig.Measure(narrow, Blocks(16, 16), 2e-6);
  rig.Promote(wide, {lucky, good}, good);
  const auto chosen = ChooseRecords(rig.store, Rig::Wanted({wide, narrow}));
  REQUIRE(chosen.ok());
  CHECK(chosen->items[0].record_id == good);
  CHECK(chosen->items[1].record_id == narrow_16);
}

TEST_CASE("versions get the fastest records that store activations alike", "[server]") {
  Rig rig;
  const db::Task wide = ConvolutionFor(kAvx512), narrow = ConvolutionFor(kAvx2);
  rig.Measure(wide, Blocks(8, 8), 1.5e-6);
  const int64_t wide_16 = rig.Measure(wide, Blocks(16, 16), 1e-6);
  rig.Measure(wide, Blocks(16, 8), 0.9e-6);  // which the other has not
  rig.Measure(narrow, Blocks(8, 8), 2e-6);   // the fastest of its version
  const int64_t narrow_16 = rig.Measure(narrow, Blocks(16, 16), 2.2e-6);
  rig.Measure(narrow, Other(Blocks(16, 16)), 2.3e-6);
  const auto chosen = ChooseRecords(rig.store, Rig::Wanted({wide, narrow}));
  REQUIRE(chosen.ok());
  CHECK(chosen->items[0].record_id == wide_16);
  CHECK(chosen->items[1].record_id == narrow_16);
}

TEST_CASE("a version without records in the common layouts gets the default schedule in them",
          "[server]") {
  Rig rig;
  const db::Task wide = ConvolutionFor(kAvx512), none = ConvolutionFor(kSse);
  const int64_t best = rig.Measure(wide, Blocks(16, 8), 1e-6);
  rig.Measure(wide, "trace 1\n", 9e-6);
  const auto chosen = ChooseRecords(rig.store, Rig::Wanted({wide, none}));
  REQUIRE(chosen.ok());
  CHECK(chosen->items[0].record_id == best);
  CHECK(chosen->items[1].record_id == 0);
  CHECK(chosen->items[1].seconds == 0);
  const auto trace = schedule::ParseTrace(chosen->items[1].trace);
  REQUIRE(trace.ok());
  const te::Workload conv = te::ParseWorkload(none.workload).value();
  const auto schedule = schedule::ApplyTrace(conv.dag, *trace);
  INFO(schedule.status());
  REQUIRE(schedule.ok());
  CHECK(schedule::InferBounds(*schedule).ok());
  const auto stored = [&](const ir::Buffer& buffer) {
    return ir::LayoutToString(schedule->LayoutOf(buffer), buffer->shape);
  };
  CHECK(stored(schedule->inputs()[0].buffer) == "0 1/16 2 3 1%16");
  CHECK(stored(schedule->outputs()[0]) == "0 1/8 2 3 1%8");
}

TEST_CASE("one default measurement of a version does not cost the others their layout",
          "[server]") {
  Rig rig;
  const db::Task wide = ConvolutionFor(kAvx512), narrow = ConvolutionFor(kSse);
  const int64_t best = rig.Measure(wide, Blocks(16, 16), 1e-6);
  rig.Measure(wide, "trace 1\n", 9e-6);
  const int64_t only = rig.Measure(narrow, "trace 1\n", 20e-6);
  auto chosen = ChooseRecords(rig.store, Rig::Wanted({wide, narrow}));
  REQUIRE(chosen.ok());
  CHECK(chosen->items[0].record_id == best);
  CHECK(chosen->items[1].record_id == 0);
  // But what one wins has to be worth what the other loses.
  const int64_t plain = rig.Measure(wide, Other("trace 1\n"), 1.1e-6);
  chosen = ChooseRecords(rig.store, Rig::Wanted({wide, narrow}));
  REQUIRE(chosen.ok());
  CHECK(chosen->items[0].record_id == plain);
  CHECK(chosen->items[1].record_id == only);
}

TEST_CASE("where layouts are fixed each version gets its fastest record", "[server]") {
  Rig rig;
  const db::Task wide = ConvolutionFor(kAvx512, "nchw"), narrow = ConvolutionFor(kAvx2, "nchw");
  const int64_t a = rig.Measure(wide, "trace 1\n", 1e-6);
  const int64_t b = rig.Measure(narrow, Other("trace 1\n"), 2e-6);
  rig.Measure(narrow, "trace 1\n", 3e-6);
  const auto chosen = ChooseRecords(rig.store, Rig::Wanted({wide, narrow}));
  REQUIRE(chosen.ok());
  CHECK(chosen->items[0].record_id == a);
  CHECK(chosen->items[1].record_id == b);
}

TEST_CASE("versions of an operator that differ in more than the target are refused", "[server]") {
  Rig rig;
  const db::Selection mixed = Rig::Wanted({ConvolutionFor(kAvx2), ConvolutionFor(kSse, "nchw")});
  CHECK_THAT(std::string(ChooseRecords(rig.store, mixed).status().message()),
             Catch::Contains("operator conv has another workload for x86/sse4.2"));
  db::Selection partial = Rig::Wanted({ConvolutionFor(kAvx2), ConvolutionFor(kSse)});
  partial.items.push_back(partial.items[0]);
  partial.items.back().op = "other";
  CHECK_THAT(std::string(ChooseRecords(rig.store, partial).status().message()),
             Catch::Contains("operator other has no version for x86/sse4.2"));
  db::Selection threads = Rig::Wanted({ConvolutionFor(kAvx2), ConvolutionFor(kSse)});
  threads.items[1].task.threads = 2;
  CHECK_THAT(std::string(ChooseRecords(rig.store, threads).status().message()),
             Catch::Contains("threads: 2 are more than the target's 1"));
}

TEST_CASE("versions that no library can have together are refused", "[server]") {
  Rig rig;
  const db::Task small = ConvolutionFor(kAvx2);
  const auto refusal = [&](const std::string& target) {
    const auto chosen = ChooseRecords(rig.store, Rig::Wanted({small, ConvolutionFor(target)}));
    CHECK(absl::IsInvalidArgument(chosen.status()));
    return std::string(chosen.status().message());
  };
  CHECK(refusal("x86/avx2 l1=32768 l2=2097152 threads=1") ==
        "selection: x86/avx2 l1=32768 l2=1048576 threads=1 of device class \"class of x86/avx2 "
        "l1=32768 l2=1048576 threads=1\" and x86/avx2 l1=32768 l2=2097152 threads=1 of \"class of "
        "x86/avx2 l1=32768 l2=2097152 threads=1\" have the same instruction set, avx2, by which a "
        "library chooses its version");
  CHECK_THAT(refusal("aarch64/neon l1=32768 l2=1048576 threads=1"),
             Catch::Contains("are machines of different kinds, which need a library each"));
}

TEST_CASE("a device chooses the layouts of its library where it has records", "[server]") {
  constexpr char kGpu[] = "opencl l2=1048576 block=256 wave=32 shared=32768";
  Rig rig;
  const db::Task cpu = ConvolutionFor(kAvx2), gpu = ConvolutionFor(kGpu);
  const auto layouts_of = [&] {
    const auto chosen = ChooseRecords(rig.store, Rig::Wanted({cpu, gpu}));
    INFO(chosen.status());
    REQUIRE(chosen.ok());
    return std::pair(chosen->items[0].trace, chosen->items[1].trace);
  };
  // By the mean of both the CPU would have its way.
  rig.Measure(cpu, Blocks(4, 4), 1e-6);
  const int64_t slow = rig.Measure(cpu, Blocks(8, 8), 9e-6);
  CHECK(layouts_of().first == Blocks(4, 4));
  CHECK_THAT(layouts_of().second, Catch::StartsWith(Blocks(4, 4)));
  rig.Measure(gpu, Blocks(4, 4), 1.1e-6);
  const int64_t best = rig.Measure(gpu, Blocks(8, 8), 1e-6);
  const auto chosen = ChooseRecords(rig.store, Rig::Wanted({cpu, gpu}));
  REQUIRE(chosen.ok());
  CHECK(chosen->items[0].record_id == slow);
  CHECK(chosen->items[1].record_id == best);
}

TEST_CASE("an accelerator decides on layouts with or without records, where it runs the operator",
          "[server]") {
  constexpr char kVta[] = "vta";
  const auto convolution = [](const char* target, const char* ic, const char* bias = "false") {
    const auto workload = te::MakeWorkload({"conv",
                                            "conv2d",
                                            {{"ic", ic},
                                             {"oc", "16"},
                                             {"size", "7"},
                                             {"k", "3"},
                                             {"layout", "any"},
                                             {"dtype", "i8"},
                                             {"bias", bias},
                                             {"shift", "8"}}});
    REQUIRE(workload.ok());
    return db::Task{.name = "conv",
                    .workload_hash = HashToHex(te::StructuralHash(workload->dag)),
                    .workload = te::Print(*workload),
                    .target = ir::ToString(ir::ParseTarget(target).value())};
  };
  Rig rig;
  const db::Task cpu = convolution(kAvx2, "16"), accelerator = convolution(kVta, "16");
  rig.Measure(cpu, Blocks(8, 8), 1e-6);
  const auto chosen = ChooseRecords(rig.store, Rig::Wanted({accelerator, cpu}));
  INFO(chosen.status());
  REQUIRE(chosen.ok());
  // Its default schedule says by itself how it stores; the CPU's record doesn't do.
  CHECK(chosen->items[0].trace.empty());
  CHECK(chosen->items[1].record_id == 0);
  const te::Workload workload = te::ParseWorkload(cpu.workload).value();
  const auto layouts_of = [&](const schedule::Trace& trace) {
    const schedule::Schedule schedule = schedule::ApplyTrace(workload.dag, trace).value();
    return std::pair(schedule.LayoutOf(workload.dag.inputs[0].buffer),
                     schedule.LayoutOf(workload.dag.outputs[0]));
  };
  const schedule::Trace own =
      schedule::DefaultTrace(workload.dag, ir::ParseTarget(kVta).value()).value();
  CHECK(layouts_of(schedule::ParseTrace(chosen->items[1].trace).value()) == layouts_of(own));

  // What it can't run is the CPU's alone.
  const db::Task thin = convolution(kAvx2, "3");
  const int64_t fast = rig.Measure(thin, Blocks(1, 4), 1e-6);
  const auto left = ChooseRecords(rig.store, Rig::Wanted({convolution(kVta, "3"), thin}));
  INFO(left.status());
  REQUIRE(left.ok());
  CHECK(left->items[0].trace.empty());
  CHECK(left->items[1].record_id == fast);

  // So is what it has a schedule for, but no memory: of one tile of accumulators and a bias.
  const db::Task biased = convolution(kAvx2, "16", "true");
  const int64_t own_way = rig.Measure(biased, Blocks(8, 8), 1e-6);
  const auto small =
      ChooseRecords(rig.store, Rig::Wanted({convolution("vta acc=64", "16", "true"), biased}));
  INFO(small.status());
  REQUIRE(small.ok());
  CHECK(small->items[0].trace.empty());
  CHECK(small->items[1].record_id == own_way);
  const auto large =
      ChooseRecords(rig.store, Rig::Wanted({convolution(kVta, "16", "true"), biased}));
  INFO(large.status());
  REQUIRE(large.ok());
  CHECK(large->items[1].record_id == 0);
}

// Counts how often it is asked for the best.
struct CountingStore final : public SharedStore {
  explicit CountingStore(db::Store& store)
      : SharedStore(std::shared_ptr<db::Store>(&store, [](db::Store*) {})) {}
  absl::StatusOr<std::vector<db::Record>> Best(std::string_view task, std::string_view device,
                                               int count, std::string_view allowed) override {
    ++asked;
    return SharedStore::Best(task, device, count, allowed);
  }
  int asked = 0;
};

// `copies` of each of the operators, under names of their own.
db::Selection Copies(const db::Selection& operators, int copies) {
  db::Selection selection;
  for (int i = 0; i < copies; ++i) {
    for (db::SelectionItem item : operators.items) {
      item.op = absl::StrCat(item.op, i);
      selection.items.push_back(std::move(item));
    }
  }
  return selection;
}

TEST_CASE("of equal operators the log is asked once", "[server]") {
  Rig rig;
  const db::Task wide = ConvolutionFor(kAvx512), narrow = ConvolutionFor(kAvx2);
  const int64_t wide_16 = rig.Measure(wide, Blocks(16, 16), 1e-6);
  const int64_t narrow_16 = rig.Measure(narrow, Blocks(16, 16), 2e-6);
  CountingStore store(rig.store);
  const auto chosen = ChooseRecords(store, Copies(Rig::Wanted({wide, narrow}), 100));
  REQUIRE(chosen.ok());
  REQUIRE(chosen->items.size() == 200);
  CHECK(store.asked == 2);
  for (size_t i = 0; i < chosen->items.size(); i += 2) {
    CHECK(chosen->items[i].record_id == wide_16);
    CHECK(chosen->items[i + 1].record_id == narrow_16);
    CHECK(chosen->items[i + 1].trace == Blocks(16, 16));
    CHECK(chosen->items[i + 1].seconds == 2e-6);
  }
}

TEST_CASE("choosing ends when whoever asked has gone", "[server]") {
  Rig rig;
  db::Selection wanted = Rig::Wanted({ConvolutionFor(kAvx2)});
  wanted.items.push_back(wanted.items[0]);
  wanted.items.back().op = "other";
  wanted.items.back().task = ConvolutionFor(kAvx2, "nchw");
  CountingStore store(rig.store);
  const auto chosen = ChooseRecords(store, wanted, [&] { return store.asked > 0; });
  CHECK(absl::IsCancelled(chosen.status()));
  CHECK(store.asked == 1);
}

}  // namespace
}  // namespace tessera::server
