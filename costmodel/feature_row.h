#pragma once

#include <cmath>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "compiler/ir/target.h"
#include "compiler/schedule/schedule.h"
#include "costmodel/features.h"
#include "costmodel/nest.h"

namespace tessera::costmodel {

// Fills a row and, once, the list of its columns: one place says what a feature is called, what it
// means and what it is.
class RowWriter {
 public:
  explicit RowWriter(absl::Span<float> row) : row_(row) {}
  explicit RowWriter(std::vector<FeatureColumn>* columns) : columns_(columns) {}

  // Of the columns that follow.
  void SetGroup(std::string_view group) { group_ = group; }

  template <typename... Name>
  void Count(double value, std::string_view meaning, const Name&... name) {
    Put(Log2(value), "log2(1 + n)", meaning, name...);
  }
  template <typename... Name>
  void Bytes(double value, std::string_view meaning, const Name&... name) {
    Put(Log2(value), "log2(1 + bytes)", meaning, name...);
  }
  template <typename... Name>
  void Number(double value, std::string_view meaning, const Name&... name) {
    Put(static_cast<float>(value), "n", meaning, name...);
  }
  template <typename... Name>
  void Ratio(double value, std::string_view meaning, const Name&... name) {
    Put(static_cast<float>(value), "ratio", meaning, name...);
  }
  template <typename... Name>
  void Flag(bool value, std::string_view meaning, const Name&... name) {
    Put(value ? 1.0F : 0.0F, "0 or 1", meaning, name...);
  }

 private:
  static float Log2(double x) { return x > 0 ? std::log2(static_cast<float>(1 + x)) : 0; }

  template <typename... Name>
  void Put(float value, std::string_view unit, std::string_view meaning, const Name&... name) {
    if (columns_ != nullptr) {
      columns_->push_back({absl::StrCat(name...), group_, unit, meaning});
    } else {
      row_[next_++] = value;
    }
  }

  absl::Span<float> row_;
  size_t next_ = 0;
  std::vector<FeatureColumn>* columns_ = nullptr;
  std::string_view group_;
};

constexpr int kTargetColumns = 9;

// What is asked to run: the first kTargetColumns columns, equal for all programs of a task.
void WriteTarget(const ir::Target& target, int threads, RowWriter& row);

struct ProfiledProgram {
  const schedule::Schedule& schedule;
  absl::Span<const NestProfile> nests;  // NestProfiler::Profile of it
  const NestProfiler& profiler;         // that did
  const ir::Target& target;
  int threads;
};

// The columns that follow. Programs of GPUs have more of them.
void WriteProgram(const ProfiledProgram& program, RowWriter& row);

// Operations of all executions of a nest's body; a call of a mathematical function counts 8.
double WorkOf(const NestProfile& nest);

double OutputBytes(const NestProfile& nest);  // of the memory of its first output

// The innermost body, with unrolled and vector loops expanded.
struct Body {
  int begin;  // depth of the outermost expanded loop
  double lanes = 1;
  double copies = 1;        // vector operations
  double accumulators = 1;  // vectors
  double reductions = 1;    // unrolled
};
Body BodyOf(const NestProfile& nest);

}  // namespace tessera::costmodel
