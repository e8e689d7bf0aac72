#include "cli/dataset.h"

#include <catch2/catch.hpp>

#include "tests/cli/measured_client.h"
#include "tuner/replay/dataset_maker.h"

namespace tessera::cli {
namespace {

DatasetOptions Options() {
  DatasetOptions options;
  options.task = "mm";
  options.commit = "0123abc";
  return options;
}

TEST_CASE("a data set holds the log's programs of a task and where they are from", "[cli]") {
  MeasuredClient client(60);
  db::Device device;
  device.device_class = {"x86/test", "a CPU\nwith two lines"};
  client.devices = {device};
  client.Append("trace 1\n", db::Outcome::kOk, 1e-6, "{\"sketch\":\"gone\"}", HashToHex(1));
  const auto made = MakeDataset(client, Options());
  REQUIRE(made.ok());
  CHECK(made->left_out == 1);
  const replay::Dataset& dataset = made->dataset;
  CHECK(dataset.rows.size() > 50);  // of 60 draws, some may be the same
  CHECK(dataset.task == client.task);
  CHECK(dataset.kind == replay::DatasetKind::kSampled);
  CHECK(dataset.device_class == "x86/test");
  CHECK(dataset.cpu == "a CPU with two lines");
  CHECK(dataset.commit == "0123abc");
  CHECK(dataset.command == "tessera dataset --task mm --kind sampled");
  CHECK(dataset.space == *replay::SpaceDigest(client.task));
  CHECK(replay::ParseDataset(replay::Print(dataset))->rows == dataset.rows);
}

TEST_CASE("a data set is of one task that has measurements", "[cli]") {
  MeasuredClient client(0);
  CHECK(MakeDataset(client, Options()).status().code() == absl::StatusCode::kNotFound);
  DatasetOptions options = Options();
  options.task = "conv";
  CHECK(MakeDataset(client, options).status().code() == absl::StatusCode::kNotFound);
  options = Options();
  options.kind = "some";
  CHECK(MakeDataset(client, options).status().code() == absl::StatusCode::kInvalidArgument);
}

TEST_CASE("a data set of jobs is within the pins of the first", "[cli]") {
  MeasuredClient client(60);
  client.job.options.pins = R"({"sketch":["direct"]})";
  client.job.tasks = {client.task};
  DatasetOptions options = Options();
  options.jobs = {0};  // which those records are of
  options.remark = "quiet\nenough";
  const auto made = MakeDataset(client, options);
  INFO(made.status());
  REQUIRE(made.ok());
  CHECK(made->dataset.pins == client.job.options.pins);
  CHECK(made->dataset.remark == "quiet enough");
  CHECK(made->dataset.command == "tessera dataset --task mm --job 0 --kind sampled");
  CHECK(made->left_out > 0);
  CHECK_FALSE(made->has_more);
  for (const replay::Row& row : made->dataset.rows) {
    CHECK(row.config.find(R"("sketch":"direct")") != std::string::npos);
  }
  options.kind = "enumerated";
  CHECK(MakeDataset(client, options).status().code() == absl::StatusCode::kFailedPrecondition);

  options.task = "conv";
  const absl::Status other = MakeDataset(client, options).status();
  CHECK(other.code() == absl::StatusCode::kNotFound);
  CHECK_THAT(std::string(other.message()),
             Catch::StartsWith("job 0: none of 1 tasks is named conv"));
}

TEST_CASE("of tasks that share a name the measured one is meant", "[cli]") {
  MeasuredClient client(8);
  db::Task other = client.task;
  other.threads = 2;
  client.tasks.push_back(other);
  CHECK(MakeDataset(client, Options()).status().code() == absl::StatusCode::kInvalidArgument);
  client.unmeasured = {other.Key()};
  const auto made = MakeDataset(client, Options());
  REQUIRE(made.ok());
  CHECK(made->dataset.task == client.task);
}

}  // namespace
}  // namespace tessera::cli
