#include "worker/runner/model_host.h"

#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>

#include "compiler/runtime/ops.h"
#include "worker/runner/cores.h"
#include "worker/runner/unloaded.h"

namespace tessera::runner {
namespace {

double Now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

class ModelHost {
 public:
  ModelHost(const ModelHostArgument& argument, std::byte* image)
      : argument_(argument),
        step_seconds_(reinterpret_cast<double*>(image + argument.step_seconds)) {
    for (int i = 0; i < argument.tensor_count; ++i) tensors_[i] = image + argument.tensors[i];
  }

  // What is wrong; empty: nothing.
  std::string Load(const char* path) {
    // Threads of the library inherit the cores.
    if (argument_.pinned != 0 &&
        !PinThisThread(absl::MakeConstSpan(argument_.cores, argument_.threads))) {
      return "its cores can't be used";
    }
    library_ = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library_ == nullptr) return WhyNotLoaded(dlerror());
    using SetThreads = int (*)(int);
    using Create = int (*)(void**);
    using WorkspaceBytes = size_t (*)();
    const std::string name = argument_.name, bucket = argument_.bucket;
    const auto set_threads = Find<SetThreads>("tessera_" + name + "_set_threads");
    const auto create = Find<Create>(name + "_create");
    const auto workspace_bytes = Find<WorkspaceBytes>(bucket + "_workspace_bytes");
    run_ = Find<Run>(bucket + "_run_timed");
    if (!missing_.empty()) return "the library has no function " + missing_;
    if (const int code = set_threads(argument_.threads); code != 0) {
      return "setting its threads failed with code " + std::to_string(code);
    }
    if (const int code = create(&model_); code != 0) {
      return "creating the model failed with code " + std::to_string(code);
    }
    const size_t bytes = workspace_bytes() / TESSERA_OP_ALIGNMENT * TESSERA_OP_ALIGNMENT;
    workspace_ = std::aligned_alloc(TESSERA_OP_ALIGNMENT, bytes + TESSERA_OP_ALIGNMENT);
    if (workspace_ == nullptr) return "no memory for the workspace";
    memset(workspace_, 0xff, bytes);
    return "";
  }

  ModelReply Obey(const ModelCommand& command) {
    ModelReply reply = {.sequence = command.sequence, .seconds = 0, .error = {}};
    double* const seconds = command.is_timed != 0 ? step_seconds_ : nullptr;
    const double start = Now();
    for (int64_t i = 0; i < command.runs; ++i) {
      const int code = run_(model_, tensors_, workspace_, seconds);
      if (code == 0) continue;
      const std::string error = "running the model failed with code " + std::to_string(code);
      strncpy(reply.error, error.c_str(), sizeof(reply.error) - 1);
      break;
    }
    reply.seconds = Now() - start;
    return reply;
  }

 private:
  using Run = int (*)(const void*, void* const*, void*, double*);

  template <typename Function>
  Function Find(const std::string& name) {
    void* const found = dlsym(library_, name.c_str());
    if (found == nullptr && missing_.empty()) missing_ = name;
    return reinterpret_cast<Function>(found);
  }

  const ModelHostArgument argument_;
  double* const step_seconds_;
  void* tensors_[kMaxBuffers] = {};
  void* library_ = nullptr;
  std::string missing_;
  void* model_ = nullptr;
  void* workspace_ = nullptr;
  Run run_ = nullptr;
};

}  // namespace

int ModelHostMain(const sandbox::ChildContext& context) {
  ModelHostArgument argument;
  memcpy(&argument, context.argument.data(), sizeof(argument));
  void* image = mmap(nullptr, static_cast<size_t>(argument.image_bytes), PROT_READ | PROT_WRITE,
                     MAP_SHARED, context.descriptors[0], 0);
  if (image == MAP_FAILED) return 120;
  ModelHost host(argument, static_cast<std::byte*>(image));
  ModelReply reply = {};
  const std::string error = host.Load(context.library);
  strncpy(reply.error, error.c_str(), sizeof(reply.error) - 1);
  ModelCommand command;
  do {
    if (write(context.channel, &reply, sizeof(reply)) != sizeof(reply)) return 121;
    if (reply.error[0] != 0) return 0;
    if (read(context.channel, &command, sizeof(command)) != sizeof(command)) return 0;
    reply = host.Obey(command);
  } while (true);
}

}  // namespace tessera::runner
