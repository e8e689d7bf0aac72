// Drivers that fail, or take their time, below a library for the Versatile Tensor Accelerator.

#include <catch2/catch.hpp>
#include <chrono>
#include <cstdint>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "compiler/runtime/vta_ops.h"
#include "compiler/schedule/accelerator.h"
#include "tests/compiler/library/device_fixture.h"
#include "worker/runner/vta/simulated_board.h"

namespace tessera::library {
namespace {

using Create = int (*)(const tessera_vta_driver*, tessera_vta_ops**, char*, size_t);
using Destroy = void (*)(tessera_vta_ops*);
using Allocate = uint32_t (*)(tessera_vta_ops*, size_t);
using Host = void* (*)(tessera_vta_ops*, uint32_t);

const std::vector<te::OpSpec> kOps = {
    {"product", "matmul", {{"m", "4"}, {"n", "32"}, {"k", "48"}, {"dtype", "i8"}, {"shift", "7"}}}};

std::unique_ptr<vta::SimulatedBoard> Simulator() {
  auto board = vta::SimulatedBoard::Create(schedule::ConfigOf(ir::ParseTarget("vta").value()), {},
                                           int64_t{1} << 20);
  INFO(board.status());
  REQUIRE(board.ok());
  return *std::move(board);
}

tessera_vta_ops* CreateWith(const Library& library, const tessera_vta_driver& driver) {
  tessera_vta_ops* vta = nullptr;
  REQUIRE(library.Find<Create>("tessera_gpu_vta_create")(&driver, &vta, nullptr, 0) ==
          TESSERA_OPS_OK);
  return vta;
}

TEST_CASE("what an accelerator does wrong is the call's result", "[library]") {
  const LibrarySpec spec = SpecFor(kOps, "vta");
  const Library library(Build(spec).shared_object());
  const auto board = Simulator();
  tessera_vta_driver driver = board->driver();
  int returned = TESSERA_VTA_TIMED_OUT;
  driver.self = &returned;
  driver.run = [](void* self, uint32_t, int64_t, uint64_t*) -> int {
    return *static_cast<int*>(self);
  };
  tessera_vta_ops* vta = CreateWith(library, driver);
  const auto allocate = library.Find<Allocate>("tessera_gpu_vta_allocate");
  const auto pointer = [&](size_t bytes) {
    return reinterpret_cast<void*>(static_cast<uintptr_t>(allocate(vta, bytes)));
  };
  const std::vector<void*> arguments = {vta, pointer(4096), pointer(1 << 16), pointer(4096)};
  const auto run = [&] { return Call(library.Find<void*>("product_vta"), arguments); };
  CHECK(run() == -TESSERA_VTA_TIMED_OUT);
  // Others would be read as results that a driver knows nothing of.
  for (const int other : {-TESSERA_OPS_SMALL_BUFFER, +TESSERA_VTA_BAD_PROGRAM,
                          +TESSERA_VTA_OUT_OF_MEMORY, +TESSERA_VTA_DEVICE_FAILED, 1000}) {
    CAPTURE(other);
    returned = other;
    CHECK(run() == -TESSERA_VTA_DEVICE_FAILED);
  }
  CHECK(allocate(vta, size_t{1} << 30) == 0);
  const auto host = library.Find<Host>("tessera_gpu_vta_host");
  const auto end = driver.dram_address + static_cast<uint32_t>(driver.dram_bytes);
  CHECK(host(vta, end - 1) == static_cast<char*>(driver.dram) + driver.dram_bytes - 1);
  for (const uint32_t outside : {uint32_t{0}, driver.dram_address - 1, end, ~uint32_t{0}}) {
    if (outside >= driver.dram_address && outside < end) continue;  // DRAM from 0 on
    CHECK(host(vta, outside) == nullptr);
  }
  library.Find<Destroy>("tessera_gpu_vta_destroy")(vta);
  char log[100];
  driver.run = nullptr;
  CHECK(library.Find<Create>("tessera_gpu_vta_create")(&driver, &vta, log, sizeof(log)) ==
        TESSERA_OPS_NULL_POINTER);
  CHECK_THAT(log, Catch::Contains("has to have dram and run"));
  CHECK(vta == nullptr);
}

// A driver whose program ends when another thread has had memory, or after ten seconds without.
struct Slow {
  tessera_vta_ops* vta = nullptr;
  Allocate allocate = nullptr;
  std::thread other;
  static int Run(void* self, uint32_t, int64_t, uint64_t* cycles) {
    auto& me = *static_cast<Slow*>(self);
    *cycles = 0;
    std::promise<uint32_t> address;
    std::future<uint32_t> had = address.get_future();
    me.other = std::thread(
        [&me, made = std::move(address)]() mutable { made.set_value(me.allocate(me.vta, 64)); });
    const bool in_time = had.wait_for(std::chrono::seconds(10)) == std::future_status::ready;
    return in_time && had.get() != 0 ? TESSERA_VTA_OK : TESSERA_VTA_TIMED_OUT;
  }
};

TEST_CASE("memory is given out while a program runs", "[library]") {
  const LibrarySpec spec = SpecFor(kOps, "vta");
  const Library library(Build(spec).shared_object());
  const auto board = Simulator();
  Slow slow;
  tessera_vta_driver driver = board->driver();
  driver.self = &slow;
  driver.run = Slow::Run;
  slow.vta = CreateWith(library, driver);
  slow.allocate = library.Find<Allocate>("tessera_gpu_vta_allocate");
  const auto pointer = [&](size_t bytes) {
    return reinterpret_cast<void*>(static_cast<uintptr_t>(slow.allocate(slow.vta, bytes)));
  };
  CHECK(Call(library.Find<void*>("product_vta"),
             {slow.vta, pointer(4096), pointer(1 << 16), pointer(4096)}) == TESSERA_OPS_OK);
  slow.other.join();
  library.Find<Destroy>("tessera_gpu_vta_destroy")(slow.vta);
}

}  // namespace
}  // namespace tessera::library
