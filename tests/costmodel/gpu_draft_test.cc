// What the draft makes of programs for GPUs.

#include <catch2/catch.hpp>
#include <cmath>

#include "costmodel/draft.h"
#include "tests/costmodel/gpu_rows.h"

namespace tessera::costmodel {
namespace {

// Blocks of 64 × 64 by 256 threads of 4 × 4 each, which share what they read.
std::string Tiled(std::string_view more) {
  return absl::StrCat(
      "trace 1\ncache_write matmul\ncache_read A matmul.local\ncache_read B matmul.local\n"
      "split matmul m 16 4\nsplit matmul n 16 4\nreorder matmul m.0 n.0 m.1 n.1 m.2 n.2\n"
      "fuse matmul m.0 n.0\nfuse matmul m.1 n.1\nunroll matmul m.2\nunroll matmul n.2\n"
      "bind matmul m.0+n.0 block.x\n",
      std::string(more),
      "compute_at matmul.local matmul m.1+n.1\nsplit matmul.local k 16\n"
      "reorder matmul.local k.0 k.1 m n\nunroll matmul.local m\nunroll matmul.local n\n");
}

constexpr char kThreads[] = "bind matmul m.1+n.1 thread.x\n";
// Four elements of a row to each thread, to store vectors.
constexpr char kShared[] =
    "compute_at matmul.local.A matmul.local k.0\nfuse matmul.local.A d0 d1\n"
    "bind matmul.local.A d0+d1 thread.x\ncompute_at matmul.local.B matmul.local k.0\n"
    "fuse matmul.local.B d0 d1\nbind matmul.local.B d0+d1 thread.x\n";
constexpr char kUnshared[] = "inline matmul.local.A\ninline matmul.local.B\n";

double Seconds(const Row& row) { return DraftSeconds(row.values()); }

TEST_CASE("the draft puts bad programs of a GPU behind good ones", "[costmodel]") {
  const te::OpSpec spec = Product(512, 512, 512);
  const auto unshared = [](std::string_view threads) {
    std::string trace = Tiled(threads);
    const std::string head = "cache_read B matmul.local\n";
    return trace.insert(trace.find(head) + head.size(), kUnshared);
  };
  const double shared = Seconds(Row(spec, Tiled(kThreads) + kShared));
  const double reads_itself = Seconds(Row(spec, unshared(kThreads)));
  // An element each, with nothing reused.
  const double rows = Seconds(Row(spec,
                                  "trace 1\nsplit matmul n 256\nfuse matmul m n.0\n"
                                  "bind matmul m+n.0 block.x\nbind matmul n.1 thread.x\n"));
  // The same down the columns, where neighbours lie apart.
  const double columns =
      Seconds(Row(spec,
                  "trace 1\nsplit matmul m 256\nreorder matmul n m.0 m.1 k\nfuse matmul n m.0\n"
                  "bind matmul n+m.0 block.x\nbind matmul m.1 thread.x\n"));
  const double one_thread = Seconds(Row(spec, unshared("")));
  const double one_of_each =
      Seconds(Row(spec, "trace 1\nfuse matmul m n\nbind matmul m+n block.x\n"));
  CAPTURE(shared, reads_itself, rows, columns, one_thread, one_of_each);
  CHECK(shared * 1.2 < reads_itself);
  CHECK(reads_itself * 1.2 < rows);
  CHECK(rows * 1.5 < columns);
  CHECK(shared * 4 < one_thread);
  CHECK(rows * 4 < one_of_each);
}

TEST_CASE("conflicts, traffic, barriers and kernels cost time on a GPU", "[costmodel]") {
  const Row row(Product(512, 512, 512), Tiled(kThreads) + kShared);
  const auto with = [&](std::string_view column, double more) {
    std::vector<float> changed(row.values().begin(), row.values().end());
    changed[ColumnOf(kGpu, column)] += static_cast<float>(more);
    return DraftSeconds(changed);
  };
  const double seconds = Seconds(row);
  for (const char* column : {"gpu.shared_cycles", "gpu.load_bytes", "gpu.store_bytes",
                             "gpu.barriers", "gpu.kernels", "work", "stages.bodies"}) {
    CAPTURE(column);
    CHECK(with(column, 6) > 1.01 * seconds);  // 64 times
  }
  CHECK(with("gpu.occupancy", -0.9 * row["gpu.occupancy"]) > 1.01 * seconds);
  CHECK(with("gpu.wave_fill", -0.5) > 1.01 * seconds);
  // What matrices multiply is done sooner.
  CHECK(seconds > 1.01 * with("gpu.matrix_share", 1));
  // One block more than go round evenly: one unit has five to do, the others wait.
  const double blocks = row["gpu.blocks"];
  const double even = with("gpu.blocks", std::log2(1.0 + 4 * 32) - blocks);
  const double odd = with("gpu.blocks", std::log2(1.0 + 4 * 32 + 1) - blocks);
  CHECK(odd > 1.1 * even);
}

}  // namespace
}  // namespace tessera::costmodel
