#pragma once

#include <cmath>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status.h"
#include "compiler/ir/evaluate.h"
#include "compiler/te/reference.h"
#include "tests/support/stored_data.h"

namespace tessera::te {

// Runs a program on parameter bytes in their stored layouts.
using ProgramRunner =
    std::function<absl::Status(const ir::Program&, absl::Span<const absl::Span<std::byte>>)>;

// The oracle's outputs for seeded inputs, row-major, as doubles; made once a workload.
struct Expected {
  std::vector<std::vector<std::byte>> inputs;  // row-major
  std::vector<std::vector<double>> outputs;
};

inline absl::StatusOr<Expected> ComputeExpected(const Workload& workload, uint64_t seed) {
  Expected expected;
  std::vector<std::vector<std::byte>> storage;
  for (size_t i = 0; i < workload.dag.inputs.size(); ++i) {
    expected.inputs.push_back(TestInput(*workload.dag.inputs[i].buffer, static_cast<int>(i), seed));
    storage.push_back(expected.inputs.back());
  }
  const ir::Program program = ReferenceProgram(workload);
  for (size_t i = storage.size(); i < program.params.size(); ++i) {
    storage.emplace_back(program.params[i]->StoredBytes());
  }
  std::vector<absl::Span<std::byte>> spans;
  for (auto& bytes : storage) spans.push_back(absl::MakeSpan(bytes));
  TESSERA_RETURN_IF_ERROR(ir::Evaluate(program, spans));
  for (size_t i = expected.inputs.size(); i < program.params.size(); ++i) {
    expected.outputs.push_back(ir::FromStored(*program.params[i], storage[i]));
  }
  return expected;
}

// What a schedule of a workload became.
struct Candidate {
  ir::Program program;
  std::optional<ir::Program> preparation = std::nullopt;  // runs before
  ErrorFactors error_factors = {};
};

// Runs the candidate and compares with the oracle element by element.
inline absl::Status CheckAgainst(const Workload& workload, const Expected& expected,
                                 const Candidate& candidate, const ProgramRunner& run) {
  const ir::Program& program = candidate.program;
  std::vector<std::vector<std::byte>> storage;
  for (size_t i = 0; i < program.params.size(); ++i) {
    storage.push_back(
        i < expected.inputs.size()
            ? ir::ToStored(*program.params[i], expected.inputs[i])
            : std::vector<std::byte>(program.params[i]->StoredBytes(), std::byte{0xa5}));
  }
  std::vector<absl::Span<std::byte>> spans;
  for (auto& bytes : storage) spans.push_back(absl::MakeSpan(bytes));
  if (candidate.preparation) TESSERA_RETURN_IF_ERROR(run(*candidate.preparation, spans));
  TESSERA_RETURN_IF_ERROR(run(program, spans));
  for (size_t o = 0; o < expected.outputs.size(); ++o) {
    const size_t param = expected.inputs.size() + o;
    const std::vector<double> actual = ir::FromStored(*program.params[param], storage[param]);
    const Tolerance tolerance =
        OutputTolerance(workload.dag, static_cast<int>(o), candidate.error_factors);
    for (size_t i = 0; i < actual.size(); ++i) {
      const double want = expected.outputs[o][i];
      const double limit = tolerance.absolute + tolerance.relative * std::abs(want);
      if (actual[i] == want || std::abs(actual[i] - want) <= limit) continue;
      return absl::InternalError(absl::StrFormat(
          "output %d element %d is %g, expected %g within %g", o, i, actual[i], want, limit));
    }
  }
  return absl::OkStatus();
}

}  // namespace tessera::te
