#include "tuner/config_search_space.h"

#include <type_traits>
#include <utility>

#include "base/status.h"
#include "compiler/schedule/loop_structure.h"

namespace tessera::tuner {

static_assert(std::is_same_v<Point, space::Config>);

ConfigSearchSpace::ConfigSearchSpace(std::shared_ptr<const space::ConfigSpace> space,
                                     FeatureSource features)
    : space_(std::move(space)), features_(std::move(features)) {}

absl::StatusOr<uint64_t> ConfigSearchSpace::LoopHash(const Point& point) const {
  TESSERA_ASSIGN_OR_RETURN(const schedule::Schedule schedule, space_->ToSchedule(point));
  TESSERA_ASSIGN_OR_RETURN(const schedule::LoopStructure loops, schedule::InferBounds(schedule));
  return schedule::LoopHash(schedule, loops);
}

absl::StatusOr<std::string> ConfigSearchSpace::Trace(const Point& point) const {
  TESSERA_ASSIGN_OR_RETURN(const schedule::Trace trace, space_->ToTrace(point));
  return schedule::Print(trace);
}

}  // namespace tessera::tuner
