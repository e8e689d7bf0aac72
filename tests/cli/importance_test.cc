#include "cli/importance.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "tests/cli/measured_client.h"

namespace tessera::cli {
namespace {

TEST_CASE("importance is that of the log's programs, as a table and as JSON", "[cli]") {
  MeasuredClient client(120);
  // Of another version, and no fault of the program: neither counts.
  client.Append("trace 1\nsplit nothing i 3\n", db::Outcome::kOk, 1e-6);
  client.Append("", db::Outcome::kInfrastructure, 0);
  const auto report = MakeImportance(client, "mm", "");
  REQUIRE(report.ok());
  CHECK(report->device_class == "x86/test");
  CHECK(report->programs == 120);
  CHECK(report->left_out == 1);
  REQUIRE(report->explanation.held_out);
  CHECK(report->explanation.held_out->pairwise > 0.7);

  const std::string table = ToTable(*report, 3);
  CHECK(table.starts_with("mm on x86/test, 120 programs (1 more have traces"));
  CHECK(table.find("feature  ") != std::string::npos);
  CHECK(std::ranges::count(table, '\n') == 2 + 3);
  const nlohmann::json json = nlohmann::json::parse(ToJson(*report, 5));
  CHECK(json["task_key"] == client.task.Key());
  CHECK(json["features"].size() == 5);
  CHECK(json["features"][0]["mean_abs_shap"] >= json["features"][1]["mean_abs_shap"]);
  CHECK(json["held_out"]["programs"] == report->explanation.held_out->programs);
}

TEST_CASE("importance says what it can't choose or find", "[cli]") {
  MeasuredClient client(8);
  CHECK_FALSE(MakeImportance(client, "mm", "")->explanation.held_out);
  CHECK(nlohmann::json::parse(ToJson(*MakeImportance(client, "mm", ""), 5))["held_out"].is_null());
  CHECK(MakeImportance(client, "conv", "").status().code() == absl::StatusCode::kNotFound);
  CHECK(MakeImportance(client, "mm", "arm").status().code() == absl::StatusCode::kNotFound);

  client.classes = {{"x86/a", 1}, {"x86/b", 1}};
  const absl::Status classes = MakeImportance(client, "mm", "").status();
  CHECK(classes.code() == absl::StatusCode::kInvalidArgument);
  CHECK(std::string(classes.message()).find("x86/a, x86/b") != std::string::npos);
  client.classes = {};
  CHECK(MakeImportance(client, "mm", "").status().code() == absl::StatusCode::kNotFound);

  db::Task other = client.task;
  other.threads = 2;
  client.tasks.push_back(other);
  const absl::Status tasks = MakeImportance(client, "mm", "").status();
  CHECK(tasks.code() == absl::StatusCode::kInvalidArgument);
  const std::string label = absl::StrCat("\"mm ", other.Key().substr(0, 8), "\"");
  CHECK_THAT(std::string(tasks.message()),
             Catch::Contains(absl::StrCat(label, " (2 threads on ", other.target, ")")));
}

TEST_CASE("importance needs a program with a time", "[cli]") {
  MeasuredClient client(0);
  client.Append("trace 1\n", db::Outcome::kRunError, 0);
  const absl::Status status = MakeImportance(client, "mm", "").status();
  CHECK(status.code() == absl::StatusCode::kNotFound);
  CHECK(std::string(status.message()).find("tessera log") != std::string::npos);
}

}  // namespace
}  // namespace tessera::cli
