#include "tests/compiler/te/run.h"

#include <catch2/catch.hpp>

#include "compiler/ir/evaluate.h"
#include "compiler/te/reference.h"

namespace tessera::te {
namespace {

Tensor ReadAll(const ir::BufferNode& buffer, absl::Span<const std::byte> bytes) {
  Tensor tensor;
  for (int64_t i = 0; i < buffer.ElementCount(); ++i) {
    tensor.push_back(ir::ReadElement(buffer.type, bytes, i));
  }
  return tensor;
}

}  // namespace

Workload Make(const OpSpec& spec) {
  absl::StatusOr<Workload> workload = MakeWorkload(spec);
  INFO(workload.status().ToString());
  REQUIRE(workload.ok());
  return *std::move(workload);
}

Run RunReference(const Workload& workload, uint64_t seed) {
  const ir::Program program = ReferenceProgram(workload);
  const size_t inputs = workload.dag.inputs.size();
  std::vector<std::vector<std::byte>> storage;
  std::vector<absl::Span<std::byte>> spans;
  for (size_t i = 0; i < program.params.size(); ++i) {
    storage.push_back(TestInput(*program.params[i], static_cast<int>(i), seed));
    if (i >= inputs) std::fill(storage[i].begin(), storage[i].end(), std::byte{0x5a});
  }
  for (auto& bytes : storage) spans.push_back(absl::MakeSpan(bytes));
  const absl::Status status = ir::Evaluate(program, spans);
  INFO(status.ToString());
  REQUIRE(status.ok());
  Run run;
  for (size_t i = 0; i < program.params.size(); ++i) {
    (i < inputs ? run.inputs : run.outputs).push_back(ReadAll(*program.params[i], storage[i]));
  }
  return run;
}

}  // namespace tessera::te
