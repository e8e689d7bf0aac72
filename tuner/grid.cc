#include <optional>
#include <utility>

#include "tuner/explorer.h"

namespace tessera::tuner {
namespace {

// Programs that are looked at: for a proposal, and after a result, where all of them may be known
// (from an earlier job, say). So neither takes long, and however many are known in a row, the grid
// goes on behind them.
constexpr int kLookedAt = 1024;
constexpr int kPassedOver = 256;

bool IsKnown(const TaskView& view, const Point& point) {
  if (view.known_points.contains(HashPoint(point))) return true;
  const absl::StatusOr<uint64_t> loop_hash = view.space.LoopHash(point);
  return loop_hash.ok() && view.known_programs.contains(*loop_hash);
}

class GridExplorer final : public Explorer {
 public:
  std::string_view Name() const override { return "grid"; }
  bool UsesModel() const override { return false; }

  void Observe(const TaskView& view, const Observation&, Rng) override {
    for (int passed = 0; passed < kPassedOver; ++passed) {
      std::optional<Point> next = view.space.Next(reached_);
      if (!next || !IsKnown(view, *next)) return;
      reached_ = *std::move(next);
    }
  }

  std::vector<Candidate> Explore(const TaskView& view, int count, Rng&) const override {
    std::vector<Candidate> found;
    Point point = reached_;
    for (int looked_at = 0; looked_at < kLookedAt; ++looked_at) {
      if (static_cast<int>(found.size()) == count) break;
      std::optional<Point> next = view.space.Next(point);
      if (!next) break;
      point = *std::move(next);
      if (!IsKnown(view, point)) found.push_back({point});
    }
    return found;
  }

 private:
  Point reached_;  // all up to it are known; empty before the first
};

}  // namespace

std::unique_ptr<Explorer> MakeGridExplorer() { return std::make_unique<GridExplorer>(); }

}  // namespace tessera::tuner
