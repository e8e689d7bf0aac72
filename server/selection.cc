#include "server/selection.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "compiler/ir/target.h"
#include "compiler/schedule/accelerator.h"
#include "compiler/schedule/accelerator_memory.h"
#include "compiler/schedule/default_trace.h"
#include "compiler/schedule/trace.h"
#include "compiler/te/dag.h"
#include "server/tasks.h"
#include "tuner/promotion.h"

namespace tessera::server {
namespace {

// Records of a task, fastest first, among which layouts are looked for.
constexpr int kLayoutCandidates = 500;
// … and among which rivals are.
constexpr int kRivalCandidates = 50;

using Items = std::vector<db::SelectionItem*>;
// How a trace stores inputs and outputs: the layout of each that isn't row-major, by name.
using Layouts = std::map<std::string, std::string>;
// A version's best record by layouts.
using Fastest = std::map<Layouts, db::Record>;

// A record that was not beside the promoted one must be that much faster by its own time to take
// its place: singly measured times vary by a few per cent, and the lucky ones are those that come
// first.
constexpr double kClearlyFaster = 0.95;

// The records that an item may be built from, the one to prefer first: the promoted one unless one
// that it was not compared with is clearly faster, then the fastest, as of Store::Best.
absl::StatusOr<std::vector<db::Record>> Preferred(db::Store& store, const db::SelectionItem& item,
                                                  int count, std::string_view allowed) {
  const std::string key = item.task.Key();
  TESSERA_ASSIGN_OR_RETURN(const std::optional<tuner::Promoted> promoted,
                           tuner::FindPromoted(store, key, item.device_class, allowed));
  if (!promoted) return store.Best(key, item.device_class, count, allowed);
  const int compared_count = static_cast<int>(promoted->traces.size());
  TESSERA_ASSIGN_OR_RETURN(
      std::vector<db::Record> records,
      store.Best(key, item.device_class, std::max(count, compared_count + 1), allowed));
  double seconds = promoted->record.CostSeconds();
  for (const db::Record& record : records) {
    if (record.trace != promoted->record.trace) continue;
    seconds = std::min(seconds, record.CostSeconds());
  }
  const double limit = kClearlyFaster * seconds;
  const bool stands = std::ranges::none_of(records, [&](const db::Record& record) {
    return record.CostSeconds() < limit && !promoted->HasCompared(record.trace);
  });
  if (stands) {
    // Also where it was measured again, faster.
    std::erase_if(records, [&](const db::Record& r) { return r.trace == promoted->record.trace; });
    records.insert(records.begin(), promoted->record);
  }
  if (static_cast<int>(records.size()) > count) records.resize(static_cast<size_t>(count));
  return records;
}

void Take(const db::Record& record, db::SelectionItem& item) {
  item.trace = record.trace;
  item.record_id = record.id;
  item.seconds = record.measurement.CostSeconds();
  item.device = record.device;
}

// The inputs and outputs whose storage is for a schedule to choose.
std::set<std::string> FreeTensors(const te::Dag& dag) {
  std::set<std::string> names;
  for (const te::Input& input : dag.inputs) {
    if (!input.is_constant && input.buffer->policy != ir::LayoutPolicy::kFixed) {
      names.insert(input.buffer->name);
    }
  }
  for (const ir::Buffer& output : dag.outputs) {
    if (output->policy != ir::LayoutPolicy::kFixed) names.insert(output->name);
  }
  return names;
}

Layouts LayoutsOf(const schedule::Trace& trace, const std::set<std::string>& tensors) {
  Layouts layouts;
  for (const schedule::Step& step : trace) {
    if (step.primitive == schedule::Primitive::kLayout && tensors.contains(step.stage)) {
      layouts[step.stage] = step.layout;
    }
  }
  return layouts;
}

absl::StatusOr<std::string> DefaultIn(const Layouts& layouts, const te::Dag& dag,
                                      const db::Task& task) {
  if (layouts.empty()) return std::string();
  TESSERA_ASSIGN_OR_RETURN(ir::Target target, ir::ParseTarget(task.target));
  target.max_threads = task.threads;
  schedule::Trace trace;
  for (const auto& [tensor, layout] : layouts) {
    trace.push_back({.primitive = schedule::Primitive::kLayout, .stage = tensor, .layout = layout});
  }
  TESSERA_ASSIGN_OR_RETURN(const schedule::Trace rest, schedule::DefaultTrace(dag, target));
  trace.insert(trace.end(), rest.begin(), rest.end());
  return schedule::Print(trace);
}

// The layouts with the smallest mean slowdown (geometric) against the fastest record of each
// version. `fastest`: of each version, its best record by layouts. A version without a record in a
// layout gets the default schedule there: counted as its slowest layout, but no less than
// kUntuned times its best. Versions without any record have no say.
Layouts CommonLayouts(const std::vector<Fastest>& fastest) {
  constexpr double kUntuned = 2;
  std::map<Layouts, double> log_slowdown;
  for (const auto& version : fastest) {
    for (const auto& [layouts, record] : version) log_slowdown[layouts] = 0;
  }
  for (const auto& version : fastest) {
    if (version.empty()) continue;
    double best = HUGE_VAL, worst = 0;
    for (const auto& [layouts, record] : version) {
      best = std::min(best, record.CostSeconds());
      worst = std::max(worst, record.CostSeconds());
    }
    for (auto& [layouts, sum] : log_slowdown) {
      const auto found = version.find(layouts);
      const double seconds =
          found != version.end() ? found->second.CostSeconds() : std::max(worst, kUntuned * best);
      sum += std::log(seconds / best);
    }
  }
  const auto chosen =
      std::min_element(log_slowdown.begin(), log_slowdown.end(),
                       [](const auto& a, const auto& b) { return a.second < b.second; });
  return chosen == log_slowdown.end() ? Layouts() : chosen->first;
}

// The target, if it is a device's.
std::optional<ir::Target> DeviceOf(const db::SelectionItem& item) {
  const absl::StatusOr<ir::Target> target = ir::ParseTarget(item.task.target);
  if (!target.ok() || ir::IsCpu(target->kind)) return std::nullopt;
  return *target;
}

// The layouts of an accelerator's default schedule; nothing where it can't run the operator, or has
// no memory for that schedule: the builder leaves both to the CPU.
std::optional<Layouts> AcceleratorLayouts(const te::Dag& dag, const ir::Target& target,
                                          const std::set<std::string>& tensors) {
  const absl::StatusOr<schedule::Trace> trace = schedule::DefaultTrace(dag, target);
  if (!trace.ok()) return std::nullopt;
  const absl::StatusOr<schedule::AcceleratorDraft> draft =
      schedule::DraftForAccelerator(dag, target);
  if (!draft.ok()) return std::nullopt;
  const schedule::AcceleratorTiles tiles = schedule::DefaultTiles(*draft, target);
  if (!schedule::Fits(schedule::UseOf(*draft, tiles, target), target)) return std::nullopt;
  return LayoutsOf(*trace, tensors);
}

// A device's decide on layouts alone where it has records, because those of CPUs only stand in for
// it; an accelerator's wherever it runs the operator, because it stores tiles and nothing else.
Layouts LayoutsFor(const Items& items, const std::vector<Fastest>& fastest, const te::Dag& dag,
                   const std::set<std::string>& tensors) {
  for (size_t i = 0; i < items.size(); ++i) {
    const std::optional<ir::Target> device = DeviceOf(*items[i]);
    if (!device) continue;
    if (!fastest[i].empty()) return CommonLayouts({fastest[i]});
    if (device->kind != ir::TargetKind::kVta) continue;
    if (auto layouts = AcceleratorLayouts(dag, *device, tensors)) return *std::move(layouts);
  }
  return CommonLayouts(fastest);
}

// Whether the item's own default schedule is to be had with no layouts before it.
bool TakesNoLayouts(const db::SelectionItem& item) {
  const std::optional<ir::Target> device = DeviceOf(item);
  return device && device->kind == ir::TargetKind::kVta;
}

absl::Status FillAlike(db::Store& store, const te::Dag& dag, const std::set<std::string>& tensors,
                       const Items& items, std::string_view allowed) {
  std::vector<Fastest> fastest;
  for (const db::SelectionItem* item : items) {
    TESSERA_ASSIGN_OR_RETURN(std::vector<db::Record> records,
                             Preferred(store, *item, kLayoutCandidates, allowed));
    Fastest& by_layouts = fastest.emplace_back();
    for (db::Record& record : records) {
      const absl::StatusOr<schedule::Trace> trace = schedule::ParseTrace(record.trace);
      if (trace.ok()) by_layouts.emplace(LayoutsOf(*trace, tensors), std::move(record));
    }
  }
  const Layouts layouts = LayoutsFor(items, fastest, dag, tensors);
  for (size_t i = 0; i < items.size(); ++i) {
    if (const auto found = fastest[i].find(layouts); found != fastest[i].end()) {
      Take(found->second, *items[i]);
    } else if (!TakesNoLayouts(*items[i])) {
      TESSERA_ASSIGN_OR_RETURN(items[i]->trace, DefaultIn(layouts, dag, items[i]->task));
    }
  }
  return absl::OkStatus();
}

absl::Status Fill(db::Store& store, const Items& items, std::string_view allowed) {
  if (items.size() > 1) {
    TESSERA_ASSIGN_OR_RETURN(const te::Workload workload,
                             te::ParseWorkload(items[0]->task.workload));
    const std::set<std::string> tensors = FreeTensors(workload.dag);
    if (!tensors.empty()) return FillAlike(store, workload.dag, tensors, items, allowed);
  }
  for (db::SelectionItem* item : items) {
    TESSERA_ASSIGN_OR_RETURN(const std::vector<db::Record> preferred,
                             Preferred(store, *item, 1, allowed));
    if (!preferred.empty()) Take(preferred[0], *item);
  }
  return absl::OkStatus();
}

// What an operator's schedules depend on besides the log: key and class of each version's task.
using Question = std::vector<std::pair<std::string, std::string>>;

Question QuestionOf(const Items& items) {
  Question question;
  for (const db::SelectionItem* item : items) {
    question.emplace_back(item->task.Key(), item->device_class);
  }
  return question;
}

void Copy(const Items& from, const Items& to) {
  for (size_t i = 0; i < to.size(); ++i) {
    to[i]->trace = from[i]->trace;
    to[i]->record_id = from[i]->record_id;
    to[i]->seconds = from[i]->seconds;
    to[i]->device = from[i]->device;
  }
}

// By target and device class.
using Versions = std::set<std::pair<std::string, std::string>>;

// Whether a library can choose between the versions by what a CPU has.
absl::Status CheckTogether(const Versions& versions) {
  std::vector<ir::Target> parsed;
  for (auto version = versions.begin(); version != versions.end(); ++version) {
    TESSERA_ASSIGN_OR_RETURN(parsed.emplace_back(), ir::ParseTarget(version->first));
    auto other = versions.begin();
    for (size_t i = 0; i + 1 < parsed.size(); ++i, ++other) {
      if (const auto why = ir::WhyNotTogether(parsed[i], parsed.back())) {
        return absl::InvalidArgumentError(
            absl::StrCat("selection: ", other->first, " of device class \"", other->second,
                         "\" and ", version->first, " of \"", version->second, "\" ", *why));
      }
    }
  }
  return absl::OkStatus();
}

absl::Status CheckVersions(const Items& items, const Versions& versions) {
  const db::SelectionItem& first = *items[0];
  Versions missing = versions;
  for (const db::SelectionItem* item : items) {
    missing.erase({item->task.target, item->device_class});
    if (item->task.workload != first.task.workload ||
        item->task.workload_hash != first.task.workload_hash) {
      return absl::InvalidArgumentError(absl::StrCat(
          "selection: operator ", item->op, " has another workload for ", item->task.target,
          " than for ", first.task.target, "; all versions of an operator compute the same"));
    }
    TESSERA_ASSIGN_OR_RETURN(const ir::Target target, ir::ParseTarget(item->task.target));
    if (item->task.threads > target.max_threads) {
      return absl::InvalidArgumentError(
          absl::StrCat("selection: operator ", item->op, ": threads: ", item->task.threads,
                       " are more than the target's ", target.max_threads));
    }
  }
  if (missing.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "selection: operator ", first.op, " has no version for ", missing.begin()->first,
      " of device class \"", missing.begin()->second, "\", which others have; name it for each"));
}

}  // namespace

absl::StatusOr<std::vector<db::Record>> Rivals(db::Store& store, const db::SelectionItem& item,
                                               int count, double slowdown,
                                               std::string_view allowed) {
  if (item.record_id == 0) return std::vector<db::Record>();
  // One program may have many records.
  TESSERA_ASSIGN_OR_RETURN(
      std::vector<db::Record> records,
      store.Best(item.task.Key(), item.device_class, kRivalCandidates, allowed));
  std::set<std::string> known{item.trace};
  std::vector<db::Record> rivals;
  for (db::Record& record : records) {
    if (static_cast<int>(rivals.size()) == count) break;
    if (record.CostSeconds() > slowdown * item.seconds) break;
    if (known.insert(record.trace).second) rivals.push_back(std::move(record));
  }
  return rivals;
}

absl::StatusOr<db::Selection> ChooseRecords(db::Store& store, db::Selection wanted,
                                            const std::function<bool()>& is_cancelled,
                                            std::string_view allowed) {
  std::vector<Items> operators;  // in the order of first naming
  std::map<std::string, size_t> place;
  Versions versions;
  for (db::SelectionItem& item : wanted.items) {
    const auto [found, is_new] = place.emplace(item.op, operators.size());
    if (is_new) operators.emplace_back();
    operators[found->second].push_back(&item);
    versions.emplace(item.task.target, item.device_class);
  }
  if (versions.size() > kMaxVersions) {
    return absl::InvalidArgumentError(absl::StrCat("selection: ", versions.size(),
                                                   " versions, the limit is ", kMaxVersions,
                                                   "; make several selections of it"));
  }
  std::vector<db::Task> tasks;
  for (const Items& items : operators) tasks.push_back(items[0]->task);
  TESSERA_RETURN_IF_ERROR(CheckTasks("selection", tasks));
  for (const Items& items : operators) TESSERA_RETURN_IF_ERROR(CheckVersions(items, versions));
  TESSERA_RETURN_IF_ERROR(CheckTogether(versions));
  std::map<Question, Items> answered;
  for (const Items& items : operators) {
    if (is_cancelled()) return absl::CancelledError("selection: whoever asked for it has gone");
    const auto [first, is_new] = answered.emplace(QuestionOf(items), items);
    if (is_new) {
      TESSERA_RETURN_IF_ERROR(Fill(store, items, allowed));
    } else {
      Copy(first->second, items);
    }
  }
  return wanted;
}

}  // namespace tessera::server
