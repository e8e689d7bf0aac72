#include "cli/model_process.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "cli/library_call.h"

namespace tessera::cli {
namespace {

constexpr size_t kAlignment = 64;
constexpr std::string_view kRun = "run";

// A message of the child: a status, and where it is OK what goes with it.
std::string MessageOf(const absl::StatusOr<std::string>& answer) {
  std::string message(1, static_cast<char>(answer.status().code()));
  return message + (answer.ok() ? *answer : std::string(answer.status().message().substr(0, 2000)));
}

// The model with its workspace, in the child.
class CreatedModel {
 public:
  static absl::StatusOr<CreatedModel> Create(LoadedLibrary library, const ReferenceRun& run,
                                             std::vector<void*> tensors) {
    CreatedModel made(std::move(library), run.model + "_run_timed", std::move(tensors));
    TESSERA_ASSIGN_OR_RETURN(const size_t bytes,
                             made.library_.Size(run.model + "_workspace_bytes"));
    const std::string& creator = run.creator.empty() ? run.model : run.creator;
    TESSERA_RETURN_IF_ERROR(made.library_.Call(creator + "_create", {&made.model_}));
    made.workspace_.emplace(bytes);
    if (made.workspace_->data() == nullptr) {
      return absl::ResourceExhaustedError(
          absl::StrCat("there is no memory for its workspace of ", bytes, " bytes"));
    }
    return made;
  }
  const std::string& isa() const { return library_.isa(); }

  absl::Status Run() {
    return library_.Call(run_, {model_, tensors_.data(), workspace_->data(), nullptr});
  }

 private:
  CreatedModel(LoadedLibrary library, std::string run, std::vector<void*> tensors)
      : library_(std::move(library)), run_(std::move(run)), tensors_(std::move(tensors)) {}

  LoadedLibrary library_;
  std::string run_;
  std::vector<void*> tensors_;
  void* model_ = nullptr;
  std::optional<CallMemory> workspace_;
};

void Serve(const std::string& path, int channel, const ReferenceRun& run,
           std::vector<void*> tensors) {
  absl::StatusOr<LoadedLibrary> library = LoadedLibrary::Load(path, run.library);
  absl::StatusOr<CreatedModel> model =
      library.ok() ? CreatedModel::Create(*std::move(library), run, std::move(tensors))
                   : library.status();
  SendMessage(channel,
              MessageOf(model.ok() ? absl::StatusOr<std::string>(model->isa()) : model.status()));
  while (model.ok() && !ReceiveMessage(channel).empty()) {
    const absl::Status done = model->Run();
    SendMessage(channel, MessageOf(done.ok() ? absl::StatusOr<std::string>("") : done));
  }
}

}  // namespace

void ModelProcess::Unmap::operator()(std::byte* memory) const { munmap(memory, bytes); }

absl::StatusOr<ModelProcess> ModelProcess::Start(std::string_view shared_object,
                                                 const ReferenceRun& run, absl::Time deadline) {
  std::vector<size_t> sizes;
  for (const ir::BufferNode& input : run.inputs) {
    sizes.push_back(static_cast<size_t>(input.StoredBytes()));
  }
  for (const ReferenceRun::Output& output : run.outputs) {
    sizes.push_back(static_cast<size_t>(output.buffer.StoredBytes()));
  }
  size_t bytes = kAlignment;
  for (const size_t size : sizes) bytes += (size / kAlignment + 1) * kAlignment;
  void* const mapped = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) {
    return absl::ResourceExhaustedError(absl::StrCat("there is no memory for ", sizes.size(),
                                                     " tensors of ", bytes,
                                                     " bytes: ", std::strerror(errno)));
  }
  Memory memory(static_cast<std::byte*>(mapped), {bytes});
  std::vector<absl::Span<std::byte>> spans;
  std::vector<void*> tensors;
  size_t at = 0;
  for (const size_t size : sizes) {
    tensors.push_back(memory.get() + at);
    spans.emplace_back(memory.get() + at, size);
    at += (size / kAlignment + 1) * kAlignment;
  }
  TESSERA_ASSIGN_OR_RETURN(
      LibraryChild child,
      LibraryChild::Start(shared_object, [&](const std::string& path, int channel) {
        Serve(path, channel, run, tensors);
      }));
  ModelProcess process(std::move(child), std::move(memory));
  const auto first_output = spans.begin() + static_cast<ptrdiff_t>(run.inputs.size());
  process.inputs_.assign(spans.begin(), first_output);
  process.outputs_.assign(first_output, spans.end());
  for (const ir::BufferNode& input : run.inputs) process.input_names_.push_back(input.name);
  TESSERA_ASSIGN_OR_RETURN(process.isa_, process.Answer(deadline));
  return process;
}

absl::Status ModelProcess::Run(absl::Span<const absl::Span<const std::byte>> inputs,
                               absl::Time deadline) {
  if (inputs.size() != inputs_.size()) {
    return absl::AbortedError(
        absl::StrCat("it has ", inputs_.size(), " inputs, a sample ", inputs.size()));
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].size() != inputs_[i].size()) {
      return absl::AbortedError(absl::StrCat(input_names_[i], " has ", inputs_[i].size(),
                                             " bytes, of a sample ", inputs[i].size()));
    }
    std::ranges::copy(inputs[i], inputs_[i].begin());
  }
  child_.Send(kRun);
  return Answer(deadline).status();
}

absl::StatusOr<std::string> ModelProcess::Answer(absl::Time deadline) {
  TESSERA_ASSIGN_OR_RETURN(const std::string message, child_.Receive(deadline));
  const auto code = static_cast<absl::StatusCode>(message[0]);
  std::string text = message.substr(1);
  switch (code) {
    case absl::StatusCode::kOk:
      return text;
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kResourceExhausted:
      return absl::Status(code, text);
    default:  // what a library may have sent itself
      return absl::AbortedError(text);
  }
}

}  // namespace tessera::cli
