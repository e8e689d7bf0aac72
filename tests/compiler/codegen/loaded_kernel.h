#pragma once

#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "compiler/codegen/codegen.h"
#include "compiler/codegen/link.h"
#include "compiler/runtime/thread_pool.h"

namespace tessera::codegen {

// 64-byte aligned memory with guard bytes on both sides.
class AlignedBytes {
 public:
  explicit AlignedBytes(size_t size) : size_(size) {
    const size_t whole = (size + 2 * kGuard + 63) / 64 * 64;
    memory_ = static_cast<std::byte*>(std::aligned_alloc(64, whole));
    std::memset(memory_, 0x5a, whole);
  }
  AlignedBytes(AlignedBytes&& other) noexcept
      : memory_(std::exchange(other.memory_, nullptr)), size_(other.size_) {}
  AlignedBytes(const AlignedBytes&) = delete;
  AlignedBytes& operator=(const AlignedBytes&) = delete;
  ~AlignedBytes() { std::free(memory_); }
  std::byte* data() const { return memory_ + kGuard; }
  size_t size() const { return size_; }
  bool GuardsIntact() const {
    for (size_t i = 0; i < kGuard; ++i) {
      if (memory_[i] != std::byte{0x5a} || data()[size_ + i] != std::byte{0x5a}) return false;
    }
    return true;
  }

 private:
  static constexpr size_t kGuard = 64;
  std::byte* memory_;
  size_t size_;
};

// A program compiled for this machine and loaded into this process.
class LoadedKernel {
 public:
  static absl::StatusOr<LoadedKernel> Load(const ir::Program& program, const ir::Target& target,
                                           Checks checks = Checks::kNone) {
    TESSERA_ASSIGN_OR_RETURN(ObjectCode code, GenerateObject({program}, target, checks));
    LinkOptions options;
    options.exported = {code.kernels[0].symbol};
    options.providers = code.providers;
    TESSERA_ASSIGN_OR_RETURN(const std::string library, LinkSharedObject({code.bytes}, options));
    LoadedKernel kernel;
    const int file = memfd_create("kernel", MFD_CLOEXEC);
    if (write(file, library.data(), library.size()) != static_cast<ssize_t>(library.size())) {
      return absl::InternalError("memfd");
    }
    kernel.handle_.reset(
        dlopen(absl::StrCat("/proc/self/fd/", file).c_str(), RTLD_NOW | RTLD_LOCAL));
    // A file of the same name would be taken for this one while it is loaded.
    kernel.file_.reset(new int(file));
    if (kernel.handle_ == nullptr) return absl::InternalError(dlerror());
    kernel.entry_ = reinterpret_cast<tessera_kernel>(
        dlsym(kernel.handle_.get(), code.kernels[0].symbol.c_str()));
    if (kernel.entry_ == nullptr) return absl::InternalError("no symbol");
    kernel.code_ = std::move(code);
    return kernel;
  }

  void Run(const std::vector<void*>& buffers, tessera_launcher* launcher) const {
    const AlignedBytes workspace(static_cast<size_t>(
        code().shared_workspace_bytes + launcher->threads * code().private_workspace_bytes));
    entry_(buffers.data(), workspace.data(), launcher);
    if (!workspace.GuardsIntact()) std::abort();
  }
  const Kernel& code() const { return code_.kernels[0]; }

 private:
  struct Close {
    void operator()(void* handle) const { dlclose(handle); }
    void operator()(const int* file) const {
      close(*file);
      delete file;
    }
  };
  std::unique_ptr<int, Close> file_;
  std::unique_ptr<void, Close> handle_;
  tessera_kernel entry_ = nullptr;
  ObjectCode code_;
};

// Runs all iterations in one slice, or, with several threads, in one slice a thread in turn.
inline void RunInOrder(tessera_launcher* self, int64_t count, tessera_parallel_body body,
                       void* context) {
  for (int64_t t = 0; t < self->threads; ++t) {
    body(count * t / self->threads, count * (t + 1) / self->threads, static_cast<int32_t>(t),
         context);
  }
}

// Runs the program, compiled, on copies of the buffers, in one slice a thread in turn.
inline absl::Status RunCompiled(const ir::Program& program, const ir::Target& target,
                                absl::Span<const absl::Span<std::byte>> buffers, Checks checks) {
  TESSERA_ASSIGN_OR_RETURN(const LoadedKernel kernel, LoadedKernel::Load(program, target, checks));
  std::vector<AlignedBytes> memory;
  std::vector<void*> pointers;
  for (const absl::Span<std::byte> buffer : buffers) {
    memory.emplace_back(buffer.size());
    std::memcpy(memory.back().data(), buffer.data(), buffer.size());
    pointers.push_back(memory.back().data());
  }
  tessera_launcher launcher{RunInOrder, target.max_threads};
  kernel.Run(pointers, &launcher);
  for (size_t i = 0; i < buffers.size(); ++i) {
    if (!memory[i].GuardsIntact()) {
      return absl::OutOfRangeError(absl::StrCat("wrote outside buffer ", i));
    }
    std::memcpy(buffers[i].data(), memory[i].data(), buffers[i].size());
  }
  return absl::OkStatus();
}

}  // namespace tessera::codegen
