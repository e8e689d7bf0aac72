#include "cli/report.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace tessera::cli {

TEST_CASE("a report says what a run of its model takes, where that was measured", "[cli]") {
  Report report;
  CHECK(nlohmann::json::parse(ToJson(report))["in_place"].is_null());
  report.in_place = {.device = "lab/cpu", .seconds = 0.02, .alone_seconds = 0.03};
  CHECK(nlohmann::json::parse(ToJson(report))["in_place"] ==
        nlohmann::json({{"device", "lab/cpu"},
                        {"seconds", 0.02},
                        {"alone_seconds", 0.03},
                        {"default_seconds", nullptr}}));
}

}  // namespace tessera::cli
