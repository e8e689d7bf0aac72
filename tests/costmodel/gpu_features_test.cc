// What features tell of programs for GPUs.

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "compiler/ir/threads.h"
#include "costmodel/draft.h"
#include "costmodel/features.h"
#include "tests/costmodel/gpu_rows.h"
#include "tests/support/lower_schedule.h"
#include "tests/support/thread_traces.h"
#include "tests/support/workloads.h"

namespace tessera::costmodel {
namespace {

// Each row of the product is a block, each of its elements a thread's; the block copies so many
// rows of B at a time.
std::string RowsOfProduct(int chunk, std::string_view more = "") {
  return absl::StrCat(
      "trace 1\ncache_write matmul\ncache_read B matmul.local\n", std::string(more),
      "bind matmul m block.x\nbind matmul n thread.x\ncompute_at matmul.local matmul n\n"
      "split matmul.local k ",
      chunk,
      "\nreorder matmul.local k.0 k.1 m n\ncompute_at matmul.local.B matmul.local k.0\n"
      "fuse matmul.local.B d0 d1\nbind matmul.local.B d0+d1 thread.x\n");
}

TEST_CASE("rows of GPUs begin as those of CPUs and have more columns", "[features]") {
  const std::vector<FeatureColumn>&cpu = FeatureColumns(ir::TargetKind::kX86),
        &gpu = FeatureColumns(kGpu);
  REQUIRE(gpu.size() > cpu.size());
  for (size_t i = 0; i < cpu.size(); ++i) CHECK(cpu[i].name == gpu[i].name);
  CHECK(FeatureColumns(ir::TargetKind::kAArch64).size() == cpu.size());
  CHECK(FeatureColumns(ir::TargetKind::kCuda).size() == gpu.size());
}

TEST_CASE("what is loaded by constant memory or images has columns of its own", "[features]") {
  const std::string steps = "bind relu m block.x\nbind relu n thread.x\n";
  const Row plain(Map(4, 64), "trace 1\n" + steps);
  const Row constant(Map(4, 64), "trace 1\nread_through X constant\n" + steps);
  const Row image(Map(4, 64), "trace 1\nread_through X image\n" + steps);
  CHECK(plain.Count("gpu.constant_bytes") == 0);
  CHECK(plain.Count("gpu.image_bytes") == 0);
  CHECK(constant.Count("gpu.constant_bytes") == Approx(4 * 64 * 4));
  CHECK(constant.Count("gpu.image_bytes") == 0);
  CHECK(image.Count("gpu.constant_bytes") == 0);
  CHECK(image.Count("gpu.image_bytes") == Approx(4 * 64 * 4));
  for (const FeatureColumn& column : FeatureColumns(kGpu)) {
    CAPTURE(column.name);
    if (column.name == "gpu.constant_bytes" || column.name == "gpu.image_bytes") continue;
    CHECK(plain[column.name] == constant[column.name]);
    CHECK(plain[column.name] == image[column.name]);
  }
}

TEST_CASE("threads that read side by side are coalesced, others are not", "[features]") {
  const Row side_by_side(Map(4, 64), "trace 1\nbind relu m block.x\nbind relu n thread.x\n");
  CHECK(side_by_side.Count("gpu.blocks") == Approx(4));
  CHECK(side_by_side.Count("gpu.block_threads") == Approx(64));
  CHECK(side_by_side.Count("parallel.extent") == Approx(256));
  CHECK(side_by_side.Count("parallel.grain") == Approx(1));
  CHECK(side_by_side.Count("gpu.load_bytes") == Approx(4 * 64 * 4));
  CHECK(side_by_side.Count("gpu.store_bytes") == Approx(4 * 64 * 4));
  CHECK(side_by_side["gpu.load_coalescing"] == 1);
  CHECK(side_by_side["gpu.store_coalescing"] == 1);
  CHECK(side_by_side["gpu.kernels"] == 1);
  // One operation for each element, which is loaded and stored.
  CHECK(side_by_side.Count("gpu.intensity") == Approx(1 / 8.0));
  CHECK(side_by_side.Count("gpu.shared_bytes") == 0);
  CHECK(side_by_side.Count("gpu.barriers") == 0);

  // Down a column: of each sector one of eight elements is wanted.
  const Row apart(Map(64, 4),
                  "trace 1\nreorder relu n m\nbind relu n block.x\nbind relu m thread.x\n");
  CHECK(apart.Count("gpu.load_bytes") == Approx(4 * 64 * 16 * 4 / 8 * 2).epsilon(0.01));
  CHECK(apart["gpu.load_coalescing"] == 0.25);  // rows of 16 bytes: two of them in a sector
  const Row far(Map(64, 32),
                "trace 1\nreorder relu n m\nbind relu n block.x\nbind relu m thread.x\n");
  CHECK(far.Count("gpu.load_bytes") == Approx(32 * 64 * kSectorBytes));
  CHECK(far["gpu.load_coalescing"] == 0.125);
  CHECK(far["gpu.store_coalescing"] == 0.125);

  // Vectors lie side by side, too.
  const Row vectors(Map(4, 256),
                    "trace 1\nsplit relu n 4\nbind relu m block.x\n"
                    "bind relu n.0 thread.x\nvectorize relu n.1\n");
  CHECK(vectors.Count("gpu.load_bytes") == Approx(4 * 256 * 4));
  CHECK(vectors["gpu.load_coalescing"] == 1);
  // But not what each thread goes through by itself.
  const Row by_itself(Map(4, 256),
                      "trace 1\nsplit relu n 8\nbind relu m block.x\n"
                      "bind relu n.0 thread.x\nunroll relu n.1\n");
  CHECK(by_itself["gpu.load_coalescing"] == 0.125);
  CHECK(by_itself.Count("gpu.load_bytes") == Approx(8 * 4 * 256 * 4));
}

TEST_CASE("shared memory is free of conflicts along rows, and 32 ways down columns", "[features]") {
  const Row free(Product(4, 32, 64), RowsOfProduct(32));
  CHECK(free.Count("gpu.shared_bytes") == Approx(32 * 32 * 4));
  CHECK(free["gpu.bank_conflicts"] == 1);
  // B is stored once and read once by the one wave of each block.
  CHECK(free.Count("gpu.shared_cycles") == Approx(4 * (64 + 64)));
  const Row conflicts(Product(4, 32, 64), RowsOfProduct(32, "layout matmul.local.B 1 0\n"));
  CHECK(conflicts["gpu.bank_conflicts"] == 32);
  CHECK(conflicts.Count("gpu.shared_cycles") == Approx(32 * 4 * (64 + 64)));
  // Both read global memory alike: B by rows, A one element for all, and C.
  for (const Row& row : {free, conflicts}) {
    CHECK(row["gpu.load_coalescing"] == 1);
    CHECK(row.Count("gpu.load_bytes") == Approx(4 * (64 * 32 * 4 + 64 * kSectorBytes)));
    CHECK(row.Count("gpu.store_bytes") == Approx(4 * 32 * 4));
  }
  CHECK(free.Count("gpu.work_per_shared_cycle") ==
        Approx(32 * conflicts.Count("gpu.work_per_shared_cycle")));
}

TEST_CASE("blocks pass a barrier after what they share and one before it is written anew",
          "[features]") {
  const Row turns(Product(4, 32, 64), RowsOfProduct(16));
  CHECK(turns.Count("gpu.barriers") == Approx(2 * 4));
  const Row once(Product(4, 32, 64), RowsOfProduct(64));
  CHECK(once.Count("gpu.barriers") == Approx(1));
  // 64 products and sums of a thread, and what it copies counts half an operation an element.
  CHECK(once.Count("gpu.work_per_barrier") == Approx(64 * 2 + 64 * 0.5 + 0.5));
  CHECK(turns.Count("gpu.work_per_barrier") == Approx((64 * 2 + 64 * 0.5 + 0.5) / 8));
}

TEST_CASE("a block's last wave may be partly empty", "[features]") {
  constexpr std::string_view kTrace = "trace 1\nbind relu m block.x\nbind relu n thread.x\n";
  CHECK(Row(Map(4, 64), kTrace)["gpu.wave_fill"] == 1);
  CHECK(Row(Map(4, 48), kTrace)["gpu.wave_fill"] == 0.75);
  CHECK(Row(Map(4, 1), kTrace)["gpu.wave_fill"] == 1 / 32.0F);
  CHECK(Row(Map(4, 48), kTrace, "opencl wave=16")["gpu.wave_fill"] == 1);
}

TEST_CASE("occupancy is limited by blocks, shared memory and registers", "[features]") {
  constexpr std::string_view kTrace = "trace 1\nbind relu m block.x\nbind relu n thread.x\n";
  CHECK(Row(Map(4, 256), kTrace)["gpu.occupancy"] == 1);
  CHECK(Row(Map(4, 32), kTrace)["gpu.occupancy"] == 0.5);  // 32 blocks of one wave each
  // Four blocks of 64 threads share 8 KiB each; of a target that has twice the memory, eight.
  const Row shared(Product(4, 64, 64), RowsOfProduct(32));
  CHECK(shared.Count("gpu.shared_bytes") == Approx(32 * 64 * 4));
  CHECK(shared["gpu.occupancy"] == 4 * 64 / 2048.0F);
  CHECK(Row(Product(4, 64, 64), RowsOfProduct(32), "opencl shared=65536")["gpu.occupancy"] ==
        8 * 64 / 2048.0F);
  // 256 accumulators of a thread are a kilobyte.
  const Row registers(Product(256, 256, 4),
                      "trace 1\ncache_write matmul\nsplit matmul m 256\nbind matmul m.0 block.x\n"
                      "bind matmul n thread.x\nreorder matmul m.0 n m.1\n"
                      "compute_at matmul.local matmul n\n");
  CHECK(registers.Count("gpu.registers") >= 256);
  CHECK(registers["gpu.occupancy"] < 0.2);
}

TEST_CASE("a thread wants registers for what it loads ahead, and may have what its target says",
          "[features]") {
  const std::string ahead = RowsOfProduct(32) + "double_buffer matmul.local.B\n";
  const Row once(Product(4, 32, 64), RowsOfProduct(32)), doubled(Product(4, 32, 64), ahead);
  // A wave copies 32 rows of 32 elements.
  const double surplus = 1.25;  // of what is held
  CHECK(doubled.Count("gpu.registers") == Approx(once.Count("gpu.registers") + surplus * 32));
  CHECK(doubled["gpu.register_use"] == 0);
  CHECK(doubled.Count("target.block_registers") == 0);

  const Row cuda(Product(4, 32, 64), ahead, "cuda");
  CHECK(cuda.Count("target.block_registers") == Approx(65536));
  CHECK(cuda["gpu.register_use"] == Approx(cuda.Count("gpu.registers") / 255));
  const std::string wide = RowsOfProduct(2);
  const Row few(Product(4, 1024, 64), wide, "cuda registers=16384");
  CHECK(few["gpu.register_use"] == Approx(few.Count("gpu.registers") / 16));
  CHECK(few["gpu.register_use"] > 1);
}

TEST_CASE("of products by waves the share that multiplies matrices is told", "[features]") {
  const te::Workload workload =
      *te::MakeWorkload({"p", "matmul", {{"m", "64"}, {"n", "64"}, {"k", "64"}, {"dtype", "f16"}}});
  int by_waves = 0;
  for (const std::string level : {"cuda/sm_80", "cuda/sm_75"}) {
    const space::ConfigSpace space = *space::BuildSpace(workload, *ir::ParseTarget(level), 1);
    const uint64_t seed = 3;
    Rng rng(seed);
    for (int i = 0; i < 40; ++i) {
      const space::Config config = space.Sample(rng);
      const std::vector<float> row = *ConfigFeatures(space, 1, {config});
      const bool is_by_waves = absl::StrContains(space.ToJson(config), "\"waves\"");
      CAPTURE(level, seed, space.ToJson(config));
      const float share = row[ColumnOf(kGpu, "gpu.matrix_share")];
      // Beside it there are copies, and sums that are rounded.
      CHECK(share <= 1);
      CHECK((share > 0.5F) == is_by_waves);
      if (!is_by_waves) CHECK(share == 0);
      by_waves += is_by_waves ? 1 : 0;
    }
  }
  CHECK(by_waves > 5);
}

TEST_CASE("virtual threads are counted, and what a block copies is not theirs", "[features]") {
  const te::OpSpec spec = {
      "p", "matmul", {{"m", "40"}, {"n", "36"}, {"k", "20"}, {"b", "input"}, {"relu", "true"}}};
  const Row row(spec, kSharedProduct);
  CHECK(row.Count("gpu.blocks") == Approx(3 * 2));
  CHECK(row.Count("gpu.block_threads") == Approx(32));
  CHECK(row.Count("gpu.virtual_threads") == Approx(4));
  CHECK(row.Count("gpu.shared_bytes") == Approx(16 * 4 * 4 + 4 * 32 * 4));
  CHECK(row.Count("gpu.barriers") == Approx(2 * 5));
  // Tiles of 2 × 2 for each virtual thread; one output, two and two operands of a step.
  const double others = 20, surplus = 1.25;  // that addresses and the like take
  CHECK(row.Count("gpu.registers") == Approx(surplus * 4 * 4 + 2 + 2 + others));
  // 6 blocks copy 5 chunks: 16 rows of 4 elements, each a sector where rows of 20 begin at one or
  // go over two, and 4 rows of 32.
  const double of_b = 6 * 5 * 4 * 32 * 4;
  CHECK(row.Count("gpu.load_bytes") > of_b);
  CHECK(row.Count("gpu.load_bytes") < 4 * of_b);
}

// What a lowered kernel does.
struct Facts {
  int64_t blocks = 1, threads = 1, shared_bytes = 0, barriers = 0;
  auto operator<=>(const Facts&) const = default;
};

class KernelReader final : public ir::Visitor {
 public:
  std::vector<Facts> kernels;

 private:
  void VisitFor(const ir::For& loop) override {
    const bool is_block = ir::IsBlockAxis(loop.thread_axis);
    if ((is_block || ir::IsThreadAxis(loop.thread_axis)) && !inside_) {
      inside_ = true;
      kernels.emplace_back();
      VisitFor(loop);
      inside_ = false;
      return;
    }
    if (is_block) {
      kernels.back().blocks *= loop.extent;
    } else if (ir::IsThreadAxis(loop.thread_axis)) {
      kernels.back().threads *= loop.extent;
    } else {
      turns_ *= loop.extent;
    }
    ir::Visitor::VisitFor(loop);
    if (loop.thread_axis == ir::ThreadAxis::kNone) turns_ /= loop.extent;
  }
  void VisitAllocate(const ir::Allocate& node) override {
    // Where loops are cut the parts have the same memory.
    if (node.buffer->scope == ir::Scope::kShared && shared_.insert(node.buffer.get()).second) {
      const int64_t bytes = node.buffer->StoredBytes();
      kernels.back().shared_bytes += (bytes + 15) / 16 * 16;
    }
    ir::Visitor::VisitAllocate(node);
  }
  void VisitBarrier(const ir::Barrier& node) override {
    kernels.back().barriers += turns_;
    ir::Visitor::VisitBarrier(node);
  }

  bool inside_ = false;
  int64_t turns_ = 1;
  std::set<const ir::BufferNode*> shared_;
};

TEST_CASE("features of sampled configs are those of the kernels that lowering makes",
          "[features]") {
  int kernels = 0, barriers = 0;
  for (const te::OpSpec& spec : te::TestWorkloads()) {
    const te::Workload workload = *te::MakeWorkload(spec);
    const ir::Target target = *ir::ParseTarget(kTarget);
    const absl::StatusOr<space::ConfigSpace> space = space::BuildSpace(workload, target, 1);
    REQUIRE(space.ok());
    const uint64_t seed = 43;
    Rng rng(seed);
    for (int i = 0; i < 6; ++i) {
      const space::Config config = space->Sample(rng);
      const std::string trace = schedule::Print(*space->ToTrace(config));
      CAPTURE(spec.name, seed, i, trace);
      const std::vector<float> values = *ConfigFeatures(*space, 1, {config});
      CHECK(std::ranges::all_of(values,
                                [](float x) { return std::isfinite(x) && x >= 0 && x < 100; }));
      CHECK(values == *TraceFeatures(workload.dag, target, 1, trace));
      const double seconds = DraftSeconds(values);
      CHECK((std::isfinite(seconds) && seconds > 0 && seconds < 1));

      const absl::StatusOr<te::Candidate> lowered =
          passes::LowerSchedule(*space->ToSchedule(config));
      REQUIRE(lowered.ok());
      KernelReader reader;
      reader.Visit(lowered->program.body);
      if (reader.kernels.empty()) continue;  // one thread
      const auto count = [&](std::string_view name) {
        return std::llround(std::exp2(double{values[ColumnOf(kGpu, name)]}) - 1);
      };
      const Facts said = {count("gpu.blocks"), count("gpu.block_threads"),
                          count("gpu.shared_bytes"), count("gpu.barriers")};
      CAPTURE(said.blocks, said.threads, said.shared_bytes, said.barriers);
      for (const Facts& f : reader.kernels)
        UNSCOPED_INFO(f.blocks << " blocks of " << f.threads << " share " << f.shared_bytes
                               << ", barriers " << f.barriers);
      CHECK(std::ranges::count(reader.kernels, said) > 0);
      ++kernels;
      barriers += said.barriers > 0 ? 1 : 0;
    }
  }
  CHECK(kernels > 100);
  CHECK(barriers > 50);
}

}  // namespace
}  // namespace tessera::costmodel
