#include "server/in_place.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "base/status.h"
#include "base/time_text.h"
#include "base/version.h"
#include "base/view.h"
#include "server/model_measurer.h"
#include "server/selection.h"

namespace tessera::server {
namespace {

constexpr int kRivals = 2;              // of an operator
constexpr double kRivalSlowdown = 1.3;  // measured alone, of programs that are tried in the model
// Of programs that were measured in one process the median of some turns varies by less.
constexpr double kFasterInPlace = 0.98;

// What an operator may be built from: its record, its rivals, its default schedule.
std::vector<db::SelectionItem> CandidatesOf(const db::SelectionItem& item,
                                            const std::vector<db::Record>& rivals) {
  std::vector<db::SelectionItem> candidates{item};
  if (item.record_id == 0) return candidates;
  for (const db::Record& rival : rivals) {
    db::SelectionItem& made = candidates.emplace_back(item);
    made.trace = rival.trace;
    made.record_id = rival.id;
    made.seconds = rival.CostSeconds();
    made.device = rival.device;
  }
  db::SelectionItem& made = candidates.emplace_back(item);
  made.trace.clear();
  made.record_id = 0;
  made.seconds = 0;
  made.device.clear();
  return candidates;
}

// All that there is to choose from.
class Choice {
 public:
  static absl::StatusOr<Choice> Of(db::Store& store, const db::Selection& selection,
                                   std::string_view allowed) {
    if (!selection.model) {
      return absl::InvalidArgumentError(absl::StrCat("selection ", selection.id,
                                                     " is of no model; only models are measured as "
                                                     "a whole"));
    }
    Choice choice(selection);
    for (const db::SelectionItem& item : selection.items) {
      if (item.task.target != selection.items[0].task.target ||
          item.device_class != selection.items[0].device_class) {
        return absl::InvalidArgumentError(
            absl::StrCat("selection ", selection.id,
                         " is of several versions; those are not measured as a "
                         "whole, select for one device class"));
      }
      TESSERA_ASSIGN_OR_RETURN(const std::vector<db::Record> rivals,
                               Rivals(store, item, kRivals, kRivalSlowdown, allowed));
      choice.candidates_.push_back(CandidatesOf(item, rivals));
    }
    return choice;
  }

  // Ways to build the model: as selected, with the rivals of each rank, with defaults.
  size_t ways() const {
    size_t most = 1;
    for (const auto& candidates : candidates_) most = std::max(most, candidates.size());
    return most;
  }
  // Which of its candidates an operator has in a way: as selected where there are fewer rivals.
  size_t CandidateIn(size_t way, size_t op) const {
    if (way + 1 == ways()) return candidates_[op].size() - 1;
    return way + 1 < candidates_[op].size() ? way : 0;
  }
  db::Selection Way(size_t way) const {
    return With([&](size_t op) { return CandidateIn(way, op); });
  }
  // By a function of the operator's number.
  template <typename Pick>
  db::Selection With(Pick pick) const {
    db::Selection made = selection_;
    for (size_t op = 0; op < candidates_.size(); ++op) made.items[op] = candidates_[op][pick(op)];
    return made;
  }
  const std::vector<db::SelectionItem>& candidates(size_t op) const { return candidates_[op]; }
  size_t ops() const { return candidates_.size(); }

  std::string Key() const {
    std::string text = absl::StrCat(AbslView(Version()), "\n", selection_.name, "\n",
                                    selection_.model->graph, "\n");
    for (const auto& candidates : candidates_) {
      absl::StrAppend(&text, candidates[0].op, " ", candidates[0].task.Key(), " ",
                      candidates[0].device_class);
      for (const db::SelectionItem& item : candidates) absl::StrAppend(&text, " ", item.record_id);
      absl::StrAppend(&text, "\n");
    }
    return Sha256Hex(text);
  }

 private:
  explicit Choice(db::Selection selection) : selection_(std::move(selection)) {}

  db::Selection selection_;
  std::vector<std::vector<db::SelectionItem>> candidates_;  // by operator
};

double SecondsOf(const Timed& timed, const std::string& op) {
  const auto found = timed.op_seconds.find(op);
  return found == timed.op_seconds.end() ? HUGE_VAL : found->second;
}

// The candidate of an operator that takes least in the model.
size_t FastestOf(const Choice& choice, size_t op, const std::vector<Timed>& times) {
  const std::string& name = choice.candidates(op)[0].op;
  // A candidate that is in several ways counts by its fastest.
  std::vector<double> seconds(choice.candidates(op).size(), HUGE_VAL);
  for (size_t way = 0; way < times.size(); ++way) {
    double& least = seconds[choice.CandidateIn(way, op)];
    least = std::min(least, SecondsOf(times[way], name));
  }
  size_t fastest = 0;
  for (size_t i = 1; i < seconds.size(); ++i) {
    const double limit = fastest == 0 ? kFasterInPlace * seconds[0] : seconds[fastest];
    if (seconds[i] < limit) fastest = i;
  }
  return fastest;
}

// Whether another attempt would tell the same: what failed is wrong, not late or lost.
bool IsSettled(const std::vector<Timed>& times) {
  return std::ranges::all_of(
      times, [](const Timed& timed) { return std::isfinite(timed.seconds) || timed.is_wrong; });
}

// "13.5 ms in the model, 22.1 ms with default schedules; its kernels take 7.79 ms alone", of the
// ways as selected and with defaults; of several extents all runs together.
std::string MeasuredText(const db::Selection& selected, const std::vector<Timed>& times) {
  const auto text = [](const Timed& timed) {
    return std::isfinite(timed.seconds) ? TimeText(timed.seconds) : "not measured";
  };
  const std::string in_model = absl::StrCat(text(times.front()), " in the model, ",
                                            text(times.back()), " with default schedules");
  double alone = 0;
  for (const db::SelectionItem& item : selected.items) {
    if (item.seconds == 0) return in_model;  // nobody knows what it takes
    alone += item.task.weight * item.seconds;
  }
  return absl::StrCat(in_model, "; its kernels take ", TimeText(alone), " alone");
}

}  // namespace

absl::StatusOr<db::Selection> ChooseInPlace(LibraryRoom room, const db::Selection& selection,
                                            std::string_view allowed,
                                            const std::function<void(std::string_view)>& doing,
                                            const std::function<bool()>& is_cancelled) {
  TESSERA_ASSIGN_OR_RETURN(const Choice choice, Choice::Of(room.store, selection, allowed));
  const std::string key = choice.Key();
  absl::StatusOr<db::Selection> known = room.store.FindInPlace(key);
  if (!absl::IsNotFound(known.status())) return known;
  if (choice.ways() == 1) return selection;  // there are default schedules only

  ModelMeasurer measurer(room, doing, is_cancelled);
  std::vector<db::Selection> ways;
  for (size_t way = 0; way < choice.ways(); ++way) ways.push_back(choice.Way(way));
  TESSERA_ASSIGN_OR_RETURN(const std::vector<Timed> times, measurer.Measure(ways));
  doing(MeasuredText(selection, times));
  std::vector<size_t> picked;
  for (size_t op = 0; op < choice.ops(); ++op) picked.push_back(FastestOf(choice, op, times));

  // What is fastest kernel by kernel, beside the others as a whole: nothing falls behind them.
  std::vector<db::Selection> finalists = {ways.front(), ways.back()};
  if (std::ranges::any_of(picked, [](size_t candidate) { return candidate != 0; })) {
    finalists.insert(finalists.begin(), choice.With([&](size_t op) { return picked[op]; }));
  }
  TESSERA_ASSIGN_OR_RETURN(const std::vector<Timed> finals, measurer.Measure(finalists));
  const auto best =
      static_cast<size_t>(std::ranges::min_element(finals, {}, &Timed::seconds) - finals.begin());
  db::Selection chosen = finalists[best];
  for (db::SelectionItem& item : chosen.items) {
    const double seconds = SecondsOf(finals[best], item.op);
    item.in_place_seconds = std::isfinite(seconds) ? seconds : 0;
  }
  const auto known_seconds = [](double seconds) { return std::isfinite(seconds) ? seconds : 0; };
  chosen.in_place = {.key = IsSettled(times) && IsSettled(finals) ? key : "unsettled " + key,
                     .device = measurer.device(),
                     .seconds = finals[best].seconds,
                     .alone_seconds = known_seconds(finals[finals.size() - 2].seconds),
                     .default_seconds = known_seconds(finals.back().seconds)};
  TESSERA_ASSIGN_OR_RETURN(const int64_t id, room.store.CreateSelection(chosen));
  return room.store.GetSelection(id);
}

}  // namespace tessera::server
