#include "worker/runner/device_host.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "proto/device_code.h"
#include "worker/runner/kernel_host.h"
#include "worker/runner/program_cache.h"
#include "worker/sandbox/program_spawner.h"

namespace tessera::runner {
namespace {

// Not a number in every float type: what reads before it writes shows.
constexpr uint8_t kSpoilt = 0xff;
// Drivers for CPUs keep what the threads of a block hold across barriers on the stack of the thread
// that runs the block. Only what is touched takes memory.
constexpr size_t kStackBytes = size_t{128} << 20;

absl::StatusOr<std::string> ReadLibrary() {
  struct stat file = {};
  if (fstat(sandbox::kLibraryDescriptor, &file) != 0) return absl::InternalError("no device code");
  std::string text(static_cast<size_t>(file.st_size), '\0');
  if (pread(sandbox::kLibraryDescriptor, text.data(), text.size(), 0) !=
      static_cast<ssize_t>(text.size())) {
    return absl::InternalError("the device code can't be read");
  }
  return text;
}

// Has threads that the driver starts get such stacks.
void GrowStacks() {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStackBytes);
  pthread_setattr_default_np(&attributes);
  pthread_attr_destroy(&attributes);
}

// Ends this process when the worker is gone, whatever the driver is at.
void EndWithWorker() {
  std::thread([] {
    pollfd wait_for = {sandbox::kChannelDescriptor, 0, 0};
    while (poll(&wait_for, 1, -1) < 0 && errno == EINTR) {
    }
    _exit(122);
  }).detach();
}

class Host {
 public:
  // `program`: the memory for the binary; null without.
  Host(const DeviceKind& kind, const HostArgument& argument, std::byte* image, char* program)
      : kind_(kind), argument_(argument), image_(image), program_(program) {}

  absl::Status Load(std::string_view name) {
    TESSERA_ASSIGN_OR_RETURN(const std::string text, ReadLibrary());
    const int buffers = argument_.buffer_count + argument_.prepared_count;
    TESSERA_ASSIGN_OR_RETURN(const proto::DeviceCode code, proto::ParseDeviceCode(text, buffers));
    if (code.kind != kind_.code) {
      return absl::InvalidArgumentError(
          absl::StrCat("this runner is of ", kind_.code, ", not of ", code.kind));
    }
    int64_t bytes = code.workspace_bytes;
    for (int i = 0; i < argument_.prepared_count; ++i) bytes += argument_.prepared_bytes[i];
    if (bytes > argument_.memory_bytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat("the kernels want ", bytes,
                       " bytes beside inputs and outputs; the limit is ", argument_.memory_bytes));
    }
    TESSERA_ASSIGN_OR_RETURN(device_, kind_.open(name));
    for (int i = 0; i < argument_.buffer_count; ++i) {
      TESSERA_RETURN_IF_ERROR(device_->AddBuffer(argument_.slots[i].bytes));
    }
    for (int i = 0; i < argument_.prepared_count; ++i) {
      TESSERA_RETURN_IF_ERROR(device_->AddBuffer(argument_.prepared_bytes[i]));
    }
    // The driver may be another one than when the worker began.
    if (program_ != nullptr) {
      TESSERA_ASSIGN_OR_RETURN(const std::string compiler, kind_.compiler(name));
      if (ProgramKey(compiler, text) != argument_.program_key) program_ = nullptr;
    }
    const int64_t binary_bytes = program_ == nullptr ? 0 : argument_.program_bytes;
    return device_->Load(code, {program_, static_cast<size_t>(binary_bytes)});
  }

  // Puts what was compiled where the worker takes it before it has any kernel run. Returns its
  // size.
  int64_t HandOverProgram() {
    if (program_ == nullptr || argument_.wants_program == 0) return 0;
    const std::string binary = device_->Binary();
    if (std::ssize(binary) > kMaxProgramBytes) return 0;
    std::ranges::copy(binary, program_);
    return std::ssize(binary);
  }

  // Seconds, for calls.
  absl::StatusOr<double> Obey(const HostCommand& command) {
    switch (command.kind) {
      case HostCommandKind::kPrepare:
        placement_ = command.placement;
        TESSERA_RETURN_IF_ERROR(Prepare());
        return 0;
      case HostCommandKind::kCall:
        return device_->Call(command.calls);
      case HostCommandKind::kCollect:
        for (int i = 0; i < argument_.buffer_count; ++i) {
          TESSERA_RETURN_IF_ERROR(device_->Read(i, -kGuardBytes, Image(i)));
        }
        return 0;
      case HostCommandKind::kEvict:
        TESSERA_RETURN_IF_ERROR(device_->Evict());
        return 0;
    }
    return absl::InvalidArgumentError("an unknown command");
  }

 private:
  // A buffer with its guards.
  absl::Span<std::byte> Image(int buffer) const {
    const Slot& slot = argument_.slots[buffer];
    const int64_t bytes = kGuardBytes + slot.bytes + slot.BackGuard(placement_);
    return {image_ + slot.offset - kGuardBytes, static_cast<size_t>(bytes)};
  }

  absl::Status Prepare() {
    for (int i = 0; i < argument_.buffer_count; ++i) {
      TESSERA_RETURN_IF_ERROR(device_->Write(i, -kGuardBytes, Image(i)));
    }
    for (int i = 0; i < argument_.prepared_count; ++i) {
      TESSERA_RETURN_IF_ERROR(device_->Fill(argument_.buffer_count + i, kSpoilt));
    }
    TESSERA_RETURN_IF_ERROR(device_->Fill(proto::kWorkspaceArgument, kSpoilt));
    TESSERA_RETURN_IF_ERROR(device_->Prepare());
    return device_->Fill(proto::kWorkspaceArgument, kSpoilt);
  }

  const DeviceKind& kind_;
  const HostArgument& argument_;
  std::byte* const image_;
  char* program_;
  Placement placement_ = Placement::kStrict;
  std::unique_ptr<Device> device_;
};

void SetError(HostReply& reply, const absl::Status& status) {
  if (status.ok()) return;
  const std::string text(status.message());
  strncpy(reply.error, text.c_str(), sizeof(reply.error) - 1);
}

}  // namespace

int DeviceHostMain(const DeviceKind& kind, std::string_view device) {
  sandbox::ConfineProgram();
  auto argument = std::make_unique<HostArgument>();
  if (read(sandbox::kChannelDescriptor, argument.get(), sizeof(HostArgument)) !=
      sizeof(HostArgument)) {
    return 119;
  }
  void* image = mmap(nullptr, static_cast<size_t>(argument->exchange_bytes), PROT_READ | PROT_WRITE,
                     MAP_SHARED, sandbox::kTaskDescriptor, 0);
  if (image == MAP_FAILED) return 120;
  void* program = nullptr;
  if (argument->program_key[0] != 0) {
    program = mmap(nullptr, kMaxProgramBytes, PROT_READ | PROT_WRITE, MAP_SHARED,
                   sandbox::kTaskDescriptor + 1, 0);
    if (program == MAP_FAILED) return 120;
  }
  EndWithWorker();
  GrowStacks();
  Host host(kind, *argument, static_cast<std::byte*>(image), static_cast<char*>(program));
  HostReply reply = {};
  SetError(reply, host.Load(device));
  if (reply.error[0] == 0) reply.program_bytes = host.HandOverProgram();
  HostCommand command;
  for (;;) {
    if (write(sandbox::kChannelDescriptor, &reply, sizeof(reply)) != sizeof(reply)) return 121;
    if (reply.error[0] != 0) return 0;
    if (read(sandbox::kChannelDescriptor, &command, sizeof(command)) != sizeof(command)) return 0;
    const absl::StatusOr<double> seconds = host.Obey(command);
    SetError(reply, seconds.status());
    reply.seconds = seconds.ok() ? *seconds : 0;
    reply.sequence = command.sequence;
  }
}

}  // namespace tessera::runner
