#include "tuner/proposer.h"

#include <numeric>
#include <optional>
#include <utility>

#include "base/status.h"
#include "tuner/families.h"
#include "tuner/walk.h"

namespace tessera::tuner {
namespace {

// Of the explorer's proposals, while a sketch contends; the best of so many samples of it.
constexpr double kContenderShare = 0.2;
constexpr int kContenderPoints = 32;
constexpr int kContenderDraws = 1024;
// Samples of which those of little tried families are chosen.
constexpr int kFamilyDraws = 256;
// Of the samples by the estimate so many are plain, so that the first model learns of programs,
// too, that the estimate thinks little of.
constexpr double kPlainShare = 0.3;
// Programs, the default schedule among them, before a model of other tasks ranks.
constexpr size_t kFirstDrafts = 4;
// Points that are looked at before a space is said to have no more programs.
constexpr int kLookedAt = 16384;

// Promising new points of one sketch, best first.
std::vector<Candidate> PointsOf(const TaskView& view, int sketch, Rng& rng) {
  std::vector<Point> points;
  for (int draw = 0; draw < kContenderDraws && points.size() < kContenderPoints; ++draw) {
    Point point = view.space.Sample(rng);
    if (point[0] == sketch && !view.known_points.contains(HashPoint(point))) {
      points.push_back(std::move(point));
    }
  }
  Visited visited(view);
  visited.Add(points, ScorePoints(view, points));
  return std::move(visited).Best(kContenderPoints);
}

// Whether batches are chosen from what the explorer finds, and other programs mixed in.
bool IsSteered(const Explorer& explorer) {
  return explorer.UsesModel() && explorer.PlanSize() == 0;
}

// The proposals of one call, each of a new program.
class Batch {
 public:
  Batch(const ProposalView& view, int count)
      : view_(view), count_(count), in_flight_(view.in_flight.begin(), view.in_flight.end()) {}

  int left() const { return count_ - static_cast<int>(proposals_.size()); }
  std::vector<Proposal> Take() && { return std::move(proposals_); }

  void AddBaseline() {
    std::optional<FixedProgram> baseline = view_.task.space.Baseline();
    if (!baseline || left() <= 0 || !IsNew(baseline->loop_hash)) return;
    loop_hashes_.insert(baseline->loop_hash);
    proposals_.push_back({"", std::move(baseline->trace), baseline->loop_hash, "default"});
  }

  // Those that libraries of others compute, under their names.
  void AddExternal() {
    for (const FixedProgram& program : view_.task.space.External()) {
      if (left() <= 0 || !IsNew(program.loop_hash)) continue;
      loop_hashes_.insert(program.loop_hash);
      proposals_.push_back({"", program.trace, program.loop_hash, program.provider});
    }
  }

  // Whether it was added: not if its program is known.
  absl::StatusOr<bool> AddIfNew(const Point& point, std::string_view explorer) {
    TESSERA_ASSIGN_OR_RETURN(const uint64_t loop_hash, view_.task.space.LoopHash(point));
    if (!IsNew(loop_hash)) return false;
    TESSERA_RETURN_IF_ERROR(Add(point, loop_hash, explorer));
    return true;
  }

  absl::Status AddOfNearTasks() {
    for (const Point& point : view_.of_near_tasks) {
      if (left() <= 0) break;
      TESSERA_RETURN_IF_ERROR(AddIfNew(point, kNearTask).status());
    }
    return absl::OkStatus();
  }

  // The explorer's, up to `count`. What one of its parts does not find the others may.
  absl::Status Explore(int count, const ProposalOptions& options, Rng& rng) {
    const std::vector<Share> shares = view_.explorer.Shares(count, rng);
    int owed = 0;
    for (const bool is_first_round : {true, false}) {
      for (const Share& share : shares) {
        owed += is_first_round ? share.count : 0;
        if (owed == 0) continue;
        const int before = left();
        TESSERA_RETURN_IF_ERROR(ExploreWith(share.explorer, owed, options, rng));
        owed -= before - left();
      }
      if (shares.size() == 1) break;
    }
    return absl::OkStatus();
  }

  // The most promising samples, family by family: by the space's estimate, with a share left to
  // plain ones, or by the ranker. None where there is no estimate.
  absl::Status FillByFamily(bool by_draft, Rng& rng) {
    if (left() <= 0) return absl::OkStatus();
    std::vector<Point> points;
    for (int draw = 0; draw < kFamilyDraws; ++draw) {
      Point point = view_.task.space.Sample(rng);
      if (!view_.task.known_points.contains(HashPoint(point))) points.push_back(std::move(point));
    }
    std::vector<double> costs;
    if (by_draft) {
      costs = view_.task.space.DraftSeconds(points);
    } else {
      for (const float score : ScorePoints(view_.task, points)) costs.push_back(-score);
    }
    if (costs.empty()) return absl::OkStatus();
    int plain = 0;
    for (int slot = left(); by_draft && slot > 0; --slot) plain += rng.Chance(kPlainShare);
    std::vector<Point> tried(view_.in_flight.begin(), view_.in_flight.end());
    for (const Example* example : view_.task.examples.All()) tried.push_back(example->point);
    for (const int index : OrderByFamily(points, costs, tried)) {
      if (left() <= plain) break;
      TESSERA_RETURN_IF_ERROR(AddIfNew(points[index], by_draft ? kDraft : kFamily).status());
    }
    return absl::OkStatus();
  }

  absl::Status FillWithSamples(Rng& rng) {
    const int max_draws = 64 + 32 * count_;
    for (int draw = 0; draw < max_draws && left() > 0; ++draw) {
      const Point point = view_.task.space.Sample(rng);
      if (view_.task.known_points.contains(HashPoint(point))) continue;
      TESSERA_RETURN_IF_ERROR(AddIfNew(point, kRandom).status());
    }
    return absl::OkStatus();
  }

  // For a batch that would be empty, because draws hit known programs only: the next new ones in
  // the space's order, from a random point on and round.
  absl::Status FillInOrder(Rng& rng) {
    if (!proposals_.empty()) return absl::OkStatus();
    const Point start = view_.task.space.Sample(rng);
    Point point = start;
    for (int looked_at = 0; looked_at < kLookedAt && left() > 0; ++looked_at) {
      std::optional<Point> next = view_.task.space.Next(point);
      if (!next) next = view_.task.space.Next({});
      if (!next) break;
      point = *std::move(next);
      if (looked_at > 0 && point == start) break;
      if (view_.task.known_points.contains(HashPoint(point))) continue;
      TESSERA_RETURN_IF_ERROR(AddIfNew(point, kRandom).status());
    }
    return absl::OkStatus();
  }

 private:
  absl::Status ExploreWith(const Explorer& explorer, int count, const ProposalOptions& options,
                           Rng& rng) {
    const bool steered = IsSteered(explorer);
    const int wanted = steered ? count * options.pool_factor : count;
    std::vector<Candidate> pool;
    std::vector<uint64_t> loop_hashes;  // of the pool
    absl::flat_hash_set<uint64_t> in_pool;
    for (Candidate& candidate :
         explorer.Explore(view_.task, 2 * options.pool_factor * count, rng)) {
      if (static_cast<int>(pool.size()) >= wanted) break;
      TESSERA_ASSIGN_OR_RETURN(const uint64_t loop_hash,
                               view_.task.space.LoopHash(candidate.point));
      if (!IsNew(loop_hash) || !in_pool.insert(loop_hash).second) continue;
      pool.push_back(std::move(candidate));
      loop_hashes.push_back(loop_hash);
    }
    std::vector<int> chosen(pool.size());
    std::iota(chosen.begin(), chosen.end(), 0);
    if (steered) {
      chosen = SelectBatch(pool, in_flight_, Expect(view_.task, pool, in_flight_), count,
                           options.batch, rng);
    }
    for (int index : chosen) {
      in_flight_.push_back(pool[index].point);
      TESSERA_RETURN_IF_ERROR(Add(pool[index].point, loop_hashes[index], explorer.Name()));
    }
    return absl::OkStatus();
  }

  bool IsNew(uint64_t loop_hash) const {
    return !view_.task.known_programs.contains(loop_hash) && !loop_hashes_.contains(loop_hash);
  }

  // Of a new program.
  absl::Status Add(const Point& point, uint64_t loop_hash, std::string_view explorer) {
    TESSERA_ASSIGN_OR_RETURN(std::string trace, view_.task.space.Trace(point));
    loop_hashes_.insert(loop_hash);
    proposals_.push_back(
        {view_.task.space.Config(point), std::move(trace), loop_hash, std::string(explorer)});
    return absl::OkStatus();
  }

  const ProposalView& view_;
  const int count_;
  std::vector<Point> in_flight_;  // the view's, and what explorers of this batch found
  std::vector<Proposal> proposals_;
  absl::flat_hash_set<uint64_t> loop_hashes_;
};

}  // namespace

absl::StatusOr<std::vector<Proposal>> ProposeBatch(const ProposalView& view, int count,
                                                   const ProposalOptions& options, Rng& rng) {
  Batch batch(view, count);
  if (view.proposed == 0) batch.AddBaseline();
  batch.AddExternal();
  TESSERA_RETURN_IF_ERROR(batch.AddOfNearTasks());

  const bool steered = IsSteered(view.explorer);
  const bool awaits_model = view.explorer.UsesModel() && view.task.ranker == nullptr;
  int explored = batch.left();  // slots that are the explorer's
  for (int slot = explored; steered && slot > 0; --slot) explored -= rng.Chance(options.epsilon);
  // The first programs are the draft's though a model of other tasks could rank: where either errs,
  // the other one seldom does.
  const size_t draft_until = kFirstDrafts + view.of_near_tasks.size();
  const bool is_drafts =
      steered && view.ranks_by_prior && static_cast<size_t>(view.proposed) < draft_until;
  if (awaits_model || is_drafts) explored = 0;
  const int contender = steered && explored > 0 ? view.contenders.Next() : -1;
  int contended = 0;
  for (int slot = 0; contender >= 0 && slot < explored; ++slot) {
    contended += rng.Chance(kContenderShare);
  }
  if (contended > 0) {
    for (const Candidate& candidate : PointsOf(view.task, contender, rng)) {
      TESSERA_ASSIGN_OR_RETURN(const bool added,
                               batch.AddIfNew(candidate.point, view.explorer.Name()));
      explored -= added;
      contended -= added;
      if (contended == 0) break;
    }
  }
  if (explored > 0) TESSERA_RETURN_IF_ERROR(batch.Explore(explored, options, rng));
  if (steered) {
    TESSERA_RETURN_IF_ERROR(batch.FillByFamily(awaits_model || view.ranks_by_prior, rng));
  }
  TESSERA_RETURN_IF_ERROR(batch.FillWithSamples(rng));
  TESSERA_RETURN_IF_ERROR(batch.FillInOrder(rng));
  return std::move(batch).Take();
}

}  // namespace tessera::tuner
