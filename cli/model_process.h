#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "cli/library_child.h"
#include "cli/library_reference.h"

namespace tessera::cli {

// A model's library in a process of its own (library_child.h), which runs it as often as it is
// asked to. Inputs and outputs lie in memory that both processes have. What the library does wrong
// is Aborted, what takes too long DeadlineExceeded; after either it is of no more use. Not
// thread-safe.
class ModelProcess {
 public:
  // Loads the library of these bytes and creates the model that `run` describes.
  // FailedPrecondition where it can't run on this CPU, ResourceExhausted without memory for its
  // tensors.
  static absl::StatusOr<ModelProcess> Start(std::string_view shared_object, const ReferenceRun& run,
                                            absl::Time deadline);

  // The instruction sets that it uses.
  const std::string& isa() const { return isa_; }
  // Runs the model on inputs as they are stored; of other sizes they are Aborted.
  absl::Status Run(absl::Span<const absl::Span<const std::byte>> inputs, absl::Time deadline);
  size_t outputs() const { return outputs_.size(); }
  // As they are stored, of the last run.
  absl::Span<const std::byte> output(size_t number) const { return outputs_[number]; }

 private:
  struct Unmap {
    size_t bytes = 0;
    void operator()(std::byte* memory) const;
  };
  using Memory = std::unique_ptr<std::byte, Unmap>;

  ModelProcess(LibraryChild child, Memory memory)
      : child_(std::move(child)), memory_(std::move(memory)) {}
  absl::StatusOr<std::string> Answer(absl::Time deadline);

  LibraryChild child_;
  Memory memory_;
  std::vector<std::string> input_names_;
  std::vector<absl::Span<std::byte>> inputs_, outputs_;
  std::string isa_;
};

}  // namespace tessera::cli
