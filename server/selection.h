#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "db/record/record.h"
#include "db/record/store.h"

namespace tessera::server {

// Versions of a library. No kind of CPU has more sets of features.
inline constexpr size_t kMaxVersions = 8;

// `wanted` with the schedule of each item filled in and nothing appended yet. Of an operator with
// one item: the record of its task that was promoted on its device class (tuner/promotion.h), or
// the fastest where none was or where one that was not compared with it is clearly faster. Of one
// with several, which are the versions of one library, all store inputs and outputs in the layouts
// with the smallest mean slowdown, or, where one is for a device that has records, in its own; each
// item gets its promoted or fastest record in them, or the default schedule in them. An accelerator
// without records has its default schedule's layouts, or no say where it can't run the operator or
// has no memory for that schedule; its item stays without a trace.
//
// Where layouts are free, it reads and parses up to 500 records of each version of each operator,
// once for operators that are equal: many seconds at the limits of CheckTasks. `is_cancelled` is
// asked between operators.
//
// Records that call libraries of others are left out, but for those that are `allowed`
// (db::JobOptions::allow).
//
// InvalidArgument past kMaxVersions, where CheckTasks refuses the operators, where items of one
// operator differ in their workload, where an operator lacks a version that another one has, or
// where one library can't have all versions (ir::WhyNotTogether). Cancelled when `is_cancelled`
// says so.
absl::StatusOr<db::Selection> ChooseRecords(
    db::Store& store, db::Selection wanted,
    const std::function<bool()>& is_cancelled = [] { return false; },
    std::string_view allowed = {});

// Records of other programs that a chosen item may be built from instead, the fastest first: at
// most `count`, none that calls what isn't allowed (as of ChooseRecords) or was measured to take
// more than `slowdown` times as long as the item's. None for an item without a record.
absl::StatusOr<std::vector<db::Record>> Rivals(db::Store& store, const db::SelectionItem& item,
                                               int count, double slowdown,
                                               std::string_view allowed);

}  // namespace tessera::server
