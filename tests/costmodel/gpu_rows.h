#pragma once

#include <catch2/catch.hpp>
#include <cmath>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "compiler/te/operators.h"
#include "costmodel/features.h"

// Rows of programs for GPUs, by their traces.

namespace tessera::costmodel {

inline constexpr ir::TargetKind kGpu = ir::TargetKind::kOpenCl;
inline constexpr std::string_view kTarget = "opencl block=256 wave=32 shared=32768";

// The row of an operator under a trace.
class Row {
 public:
  Row(const te::OpSpec& spec, std::string_view trace, std::string_view target = kTarget) {
    const te::Workload workload = *te::MakeWorkload(spec);
    const absl::StatusOr<std::vector<float>> row =
        TraceFeatures(workload.dag, *ir::ParseTarget(target), 1, trace);
    INFO(row.status());
    REQUIRE(row.ok());
    row_ = *row;
  }

  // A ratio or number as it is.
  double operator[](std::string_view name) const { return row_[ColumnOf(kGpu, name)]; }
  // What is kept as log2(1 + n).
  double Count(std::string_view name) const { return std::exp2((*this)[name]) - 1; }
  absl::Span<const float> values() const { return row_; }

 private:
  std::vector<float> row_;
};

inline te::OpSpec Map(int m, int n) {
  return {"r", "relu", {{"m", absl::StrCat(m)}, {"n", absl::StrCat(n)}}};
}

inline te::OpSpec Product(int m, int n, int k) {
  return {"p",
          "matmul",
          {{"m", absl::StrCat(m)}, {"n", absl::StrCat(n)}, {"k", absl::StrCat(k)}, {"b", "input"}}};
}

}  // namespace tessera::costmodel
