#include "tuner/listed_space.h"

#include "base/status.h"

namespace tessera::tuner {

absl::StatusOr<std::shared_ptr<const ListedSpace>> ListedSpace::Make(
    std::shared_ptr<const SearchSpace> space, const std::vector<std::string>& configs) {
  TESSERA_CHECK(!configs.empty());
  std::shared_ptr<ListedSpace> listed(new ListedSpace(std::move(space)));
  for (size_t i = 0; i < configs.size(); ++i) {
    absl::StatusOr<Point> point = listed->space_->Parse(configs[i]);
    if (!point.ok()) {
      return Annotate(point.status(), absl::StrCat("pins: number ", i + 1, " of configs"));
    }
    if (listed->index_.emplace(*point, listed->points_.size()).second) {
      listed->points_.push_back(*std::move(point));
    }
  }
  return listed;
}

std::optional<Point> ListedSpace::Next(const Point& point) const {
  size_t next = 0;
  if (!point.empty()) {
    const auto found = index_.find(point);
    next = found == index_.end() ? points_.size() : found->second + 1;
  }
  return next < points_.size() ? std::make_optional(points_[next]) : std::nullopt;
}

absl::StatusOr<Point> ListedSpace::Parse(std::string_view config) const {
  TESSERA_ASSIGN_OR_RETURN(Point point, space_->Parse(config));
  if (index_.contains(point)) return point;
  return absl::InvalidArgumentError("config: the job's pins don't list it");
}

}  // namespace tessera::tuner
