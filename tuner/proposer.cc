#include "tuner/proposer.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/status.h"
#include "tuner/batch.h"

namespace tessera::tuner {
namespace {

constexpr size_t kElites = 16;
// Of the explorer's proposals, while a sketch contends; the best of so many samples of it.
constexpr double kContenderShare = 0.2;
constexpr size_t kContenderPoints = 32;
constexpr int kContenderDraws = 1024;

// Promising new points of one sketch, best first.
std::vector<Candidate> PointsOf(const ProposalView& view, int sketch, Rng& rng) {
  std::vector<Point> points;
  for (int draw = 0; draw < kContenderDraws && points.size() < kContenderPoints; ++draw) {
    Point point = view.space.Sample(rng);
    if (point[0] == sketch && !view.points.contains(HashPoint(point))) {
      points.push_back(std::move(point));
    }
  }
  const absl::StatusOr<std::vector<float>> rows = view.space.Features(points);
  if (points.empty() || !rows.ok()) return {};
  const std::vector<float> scores = view.ranker->Score(*rows);
  std::vector<Candidate> candidates;
  for (size_t i = 0; i < points.size(); ++i)
    candidates.push_back({std::move(points[i]), scores[i]});
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const Candidate& a, const Candidate& b) { return a.score > b.score; });
  return candidates;
}

// The proposals of one call, each of a new program.
class Batch {
 public:
  Batch(const ProposalView& view, int count) : view_(view), count_(count) {}

  int left() const { return count_ - static_cast<int>(proposals_.size()); }
  std::vector<Proposal> Take() && { return std::move(proposals_); }

  void AddBaseline() {
    std::optional<FixedProgram> baseline = view_.space.Baseline();
    if (!baseline || left() <= 0) return;
    loop_hashes_.insert(baseline->loop_hash);
    proposals_.push_back({"", std::move(baseline->trace), baseline->loop_hash, "default"});
  }

  bool IsNew(uint64_t loop_hash) const {
    return !view_.loop_hashes.contains(loop_hash) && !loop_hashes_.contains(loop_hash);
  }

  // Whether it was added: not if its program is known.
  absl::StatusOr<bool> Add(const Point& point, std::string_view explorer) {
    TESSERA_ASSIGN_OR_RETURN(const uint64_t loop_hash, view_.space.LoopHash(point));
    if (!IsNew(loop_hash)) return false;
    TESSERA_ASSIGN_OR_RETURN(std::string trace, view_.space.Trace(point));
    loop_hashes_.insert(loop_hash);
    proposals_.push_back(
        {view_.space.Config(point), std::move(trace), loop_hash, std::string(explorer)});
    return true;
  }

  // The explorer's, up to `count`.
  absl::Status Explore(int count, const ProposalOptions& options, Rng& rng) {
    const std::vector<Point> elites = view_.examples.Fastest(kElites);
    const int wanted = count * options.pool_factor;
    std::vector<Candidate> pool;
    absl::flat_hash_set<uint64_t> in_pool;
    for (Candidate& candidate : view_.explorer.Explore(
             {view_.space, view_.ranker, elites, view_.points}, 2 * wanted, rng)) {
      if (static_cast<int>(pool.size()) >= wanted) break;
      TESSERA_ASSIGN_OR_RETURN(const uint64_t loop_hash, view_.space.LoopHash(candidate.point));
      if (IsNew(loop_hash) && in_pool.insert(loop_hash).second)
        pool.push_back(std::move(candidate));
    }
    for (int index : SelectBatch(pool, count, view_.in_flight, options.diversity)) {
      TESSERA_RETURN_IF_ERROR(Add(pool[index].point, view_.explorer.Name()).status());
    }
    return absl::OkStatus();
  }

  absl::Status FillWithSamples(Rng& rng) {
    const int max_draws = 64 + 32 * count_;
    for (int draw = 0; draw < max_draws && left() > 0; ++draw) {
      const Point point = view_.space.Sample(rng);
      if (view_.points.contains(HashPoint(point))) continue;
      TESSERA_RETURN_IF_ERROR(Add(point, "random").status());
    }
    return absl::OkStatus();
  }

 private:
  const ProposalView& view_;
  const int count_;
  std::vector<Proposal> proposals_;
  absl::flat_hash_set<uint64_t> loop_hashes_;
};

}  // namespace

absl::StatusOr<std::vector<Proposal>> ProposeBatch(const ProposalView& view, int count,
                                                   const ProposalOptions& options, Rng& rng) {
  Batch batch(view, count);
  if (view.is_first) batch.AddBaseline();

  int explored = 0;  // slots that are the explorer's, not ε's
  for (int slot = batch.left(); slot > 0; --slot) explored += !rng.Chance(options.epsilon);
  if (view.explorer.UsesModel() && view.ranker != nullptr) {
    const int contender = view.contenders.Next();
    int contended = 0;
    for (int slot = 0; contender >= 0 && slot < explored; ++slot) {
      contended += rng.Chance(kContenderShare);
    }
    if (contended > 0) {
      for (const Candidate& candidate : PointsOf(view, contender, rng)) {
        TESSERA_ASSIGN_OR_RETURN(const bool added,
                                 batch.Add(candidate.point, view.explorer.Name()));
        explored -= added;
        contended -= added;
        if (contended == 0) break;
      }
    }
    if (explored > 0) TESSERA_RETURN_IF_ERROR(batch.Explore(explored, options, rng));
  }
  TESSERA_RETURN_IF_ERROR(batch.FillWithSamples(rng));
  return std::move(batch).Take();
}

}  // namespace tessera::tuner
