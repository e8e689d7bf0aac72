#include "worker/runner/vta/device.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/status.h"
#include "base/view.h"
#include "compiler/runtime/vta.h"
#include "compiler/vta/bytecode.h"
#include "compiler/vta/code_text.h"
#include "compiler/vta/kernels.h"
#include "proto/device_code.h"
#include "worker/runner/vta/register_board.h"
#include "worker/runner/vta/simulated_board.h"

namespace tessera::vta {
namespace {

constexpr int64_t kSimulatedDramBytes = int64_t{512} << 20;  // as of the Pynq board
// More than the caches of hosts beside accelerators, which share them.
constexpr size_t kEvictedBytes = size_t{8} << 20;
// Of a program. The runner gives up before.
constexpr absl::Duration kBoardTimeout = absl::Seconds(120);

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct FreeHeap {
  void operator()(tessera_vta_heap* heap) const { tessera_vta_heap_destroy(heap); }
};

class VtaDevice final : public runner::Device {
 public:
  VtaDevice(std::shared_ptr<Board> board, const Setup& setup)
      : board_(std::move(board)), setup_(setup), heap_(tessera_vta_heap_create(&driver())) {
    TESSERA_CHECK(heap_ != nullptr);
  }
  ~VtaDevice() override { tessera_vta_stream_free(&stream_); }

  absl::Status AddBuffer(int64_t bytes) override {
    TESSERA_ASSIGN_OR_RETURN(const Buffer buffer, MakeBuffer(bytes));
    buffers_.push_back(buffer);
    return absl::OkStatus();
  }

  absl::Status Load(const proto::DeviceCode& code, std::string_view) override {
    if (code.workspace_bytes > 0) {
      TESSERA_ASSIGN_OR_RETURN(workspace_, MakeBuffer(code.workspace_bytes));
    }
    TESSERA_ASSIGN_OR_RETURN(const KernelTexts kernels, SplitKernels(code.source));
    for (const auto& [launches, programs] :
         {std::pair(&code.preparation, &preparation_), std::pair(&code.launches, &programs_)}) {
      for (const proto::KernelLaunch& launch : *launches) {
        TESSERA_ASSIGN_OR_RETURN(Program program, MakeProgram(kernels, launch));
        programs->push_back(std::move(program));
      }
    }
    return absl::OkStatus();
  }

  absl::Status Write(int buffer, int64_t offset, absl::Span<const std::byte> from) override {
    const Buffer& into = buffers_[static_cast<size_t>(buffer)];
    CheckRange(into, offset, from.size());
    memcpy(HostOf(into, offset), from.data(), from.size());
    Flush(into, offset, from.size());
    return absl::OkStatus();
  }

  absl::Status Read(int buffer, int64_t offset, absl::Span<std::byte> into) override {
    const Buffer& from = buffers_[static_cast<size_t>(buffer)];
    CheckRange(from, offset, into.size());
    if (driver().invalidate != nullptr) {
      driver().invalidate(driver().self, AddressOf(from, offset), std::ssize(into));
    }
    memcpy(into.data(), HostOf(from, offset), into.size());
    return absl::OkStatus();
  }

  absl::Status Fill(int buffer, uint8_t value) override {
    const Buffer& filled =
        buffer == proto::kWorkspaceArgument ? workspace_ : buffers_[static_cast<size_t>(buffer)];
    if (filled.bytes == 0) return absl::OkStatus();
    memset(HostOf(filled, 0), value, static_cast<size_t>(filled.bytes));
    Flush(filled, 0, static_cast<size_t>(filled.bytes));
    return absl::OkStatus();
  }

  absl::Status Evict() override {
    evicting_.assign(kEvictedBytes, std::byte{++evictions_});
    return absl::OkStatus();
  }

  absl::Status Prepare() override {
    for (const Program& program : preparation_) {
      TESSERA_RETURN_IF_ERROR(Run(program).status());
    }
    return absl::OkStatus();
  }

  absl::StatusOr<double> Call(int64_t calls) override {
    const double start = Now();
    double cycles = 0;
    bool is_counted = true;
    for (int64_t call = 0; call < calls; ++call) {
      for (const Program& program : programs_) {
        TESSERA_ASSIGN_OR_RETURN(const uint64_t taken, Run(program));
        cycles += static_cast<double>(taken);
        is_counted &= taken > 0;
      }
    }
    if (!is_counted) return Now() - start;
    return cycles / (1e6 * static_cast<double>(setup_.clock_mhz));
  }

 private:
  using KernelTexts = std::map<std::string_view, std::string_view>;
  using Buffer = tessera_vta_buffer;  // between its margins
  struct Program {
    std::string kernel;
    std::vector<int64_t> words;
    std::vector<tessera_vta_buffer> buffers;
  };

  const tessera_vta_driver& driver() const { return board_->driver(); }

  absl::StatusOr<Buffer> MakeBuffer(int64_t bytes) {
    const int64_t wanted = std::max<int64_t>(bytes, 1);
    const uint32_t address = tessera_vta_allocate(heap_.get(), wanted + 2 * kMargin);
    if (address == 0) {
      return absl::ResourceExhaustedError(absl::StrCat("VTA: there is no room for a buffer of ",
                                                       bytes, " bytes in DRAM; it has ",
                                                       driver().dram_bytes));
    }
    return Buffer{address + static_cast<uint32_t>(kMargin), wanted};
  }

  static void CheckRange(const Buffer& buffer, int64_t offset, size_t size) {
    TESSERA_CHECK(offset >= -kMargin &&
                  offset + static_cast<int64_t>(size) <= buffer.bytes + kMargin);
  }
  static uint32_t AddressOf(const Buffer& buffer, int64_t offset) {
    return static_cast<uint32_t>(buffer.address + offset);
  }
  void* HostOf(const Buffer& buffer, int64_t offset) const {
    return tessera_vta_host(&driver(), AddressOf(buffer, offset));
  }
  void Flush(const Buffer& buffer, int64_t offset, size_t size) const {
    if (driver().flush == nullptr) return;
    driver().flush(driver().self, AddressOf(buffer, offset), static_cast<int64_t>(size));
  }

  absl::StatusOr<Program> MakeProgram(const KernelTexts& kernels,
                                      const proto::KernelLaunch& launch) const {
    const auto text = kernels.find(launch.kernel);
    if (text == kernels.end()) {
      return absl::InvalidArgumentError(absl::StrCat("VTA: there is no kernel ", launch.kernel));
    }
    const auto context = [&] { return absl::StrCat("kernel ", launch.kernel); };
    const absl::StatusOr<Code> code =
        ParseCode(text->second, static_cast<int>(launch.arguments.size()));
    if (!code.ok()) return Annotate(code.status(), context());
    if (code->config != setup_.config) {
      return absl::InvalidArgumentError(absl::StrCat(context(), ": is for the configuration ",
                                                     Print(code->config), "; this device has ",
                                                     Print(setup_.config)));
    }
    Program program{launch.kernel, Assemble(*code), {}};
    for (const proto::KernelArgument& argument : launch.arguments) {
      const bool is_workspace = argument.buffer == proto::kWorkspaceArgument;
      if (is_workspace ? workspace_.bytes == 0 : argument.buffer >= std::ssize(buffers_)) {
        return absl::InvalidArgumentError(
            absl::StrCat(context(), ": is passed a buffer that is not there"));
      }
      const Buffer& buffer =
          is_workspace ? workspace_ : buffers_[static_cast<size_t>(argument.buffer)];
      program.buffers.push_back(buffer);
    }
    return program;
  }

  // Cycles; 0: the board does not count them.
  absl::StatusOr<uint64_t> Run(const Program& program) {
    const tessera_vta_program words = {program.words.data(), std::ssize(program.words)};
    uint64_t cycles = 0;
    const int code = tessera_vta_run(&driver(), heap_.get(), &words, program.buffers.data(),
                                     std::ssize(program.buffers), &stream_, &cycles);
    switch (code) {
      case TESSERA_VTA_OK:
        return cycles;
      case TESSERA_VTA_TIMED_OUT:
      case TESSERA_VTA_DEVICE_FAILED:
        return Annotate(board_->last_run(), absl::StrCat("kernel ", program.kernel));
      case TESSERA_VTA_OUT_OF_MEMORY:
        return absl::ResourceExhaustedError(
            absl::StrCat("kernel ", program.kernel, ": no memory for its instructions"));
    }
    TESSERA_CHECK(code == TESSERA_VTA_BAD_PROGRAM);
    return absl::InvalidArgumentError(
        absl::StrCat("kernel ", program.kernel, ": it moves what lies outside of its buffers"));
  }

  const std::shared_ptr<Board> board_;
  const Setup setup_;
  const std::unique_ptr<tessera_vta_heap, FreeHeap> heap_;
  std::vector<Buffer> buffers_;
  Buffer workspace_ = {};
  std::vector<Program> preparation_, programs_;
  tessera_vta_stream stream_ = {};
  std::vector<std::byte> evicting_;
  uint8_t evictions_ = 0;
};

}  // namespace

std::unique_ptr<runner::Device> MakeDevice(std::shared_ptr<Board> board, const Setup& setup) {
  return std::make_unique<VtaDevice>(std::move(board), setup);
}

absl::StatusOr<std::unique_ptr<runner::Device>> OpenSimulator(std::string_view text) {
  TESSERA_ASSIGN_OR_RETURN(const Setup setup, ParseSetup(text));
  TESSERA_ASSIGN_OR_RETURN(std::shared_ptr<Board> board,
                           SimulatedBoard::Create(setup.config, setup.timing, kSimulatedDramBytes));
  return MakeDevice(std::move(board), setup);
}

absl::StatusOr<std::unique_ptr<runner::Device>> OpenBoard(std::string_view text) {
  TESSERA_ASSIGN_OR_RETURN(const Setup setup, ParseSetup(text));
  if (setup.registers_base == 0 && setup.registers_file == "/dev/mem") {
    return absl::InvalidArgumentError(
        absl::StrCat("VTA configuration: where the registers of TARGET ", setup.board,
                     " lie is not known, but those of pynq, ultra96 and zcu104; name a UIO device "
                     "as REGISTERS"));
  }
  TESSERA_ASSIGN_OR_RETURN(
      std::shared_ptr<Board> board,
      OpenMappedBoard(setup.registers_file, setup.registers_base, "/dev/" + setup.dram,
                      "/sys/class/u-dma-buf/" + setup.dram, kBoardTimeout));
  return MakeDevice(std::move(board), setup);
}

}  // namespace tessera::vta
