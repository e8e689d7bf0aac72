#include "cli/model_training.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/hash.h"
#include "db/record/memory_store.h"
#include "tests/cli/fake_client.h"
#include "tests/tuner/measured_log.h"
#include "tuner/trained_model.h"

namespace tessera::cli {
namespace {

// A server with a log of four matrix products.
class LogClient final : public FakeClient {
 public:
  LogClient() { REQUIRE(store_.Append(log.records, {}).ok()); }
  void Append(const db::Record& record) { REQUIRE(store_.Append({record}, {}).ok()); }

  absl::Status QueryRecords(const db::RecordFilter& filter,
                            const std::function<void(const db::Record&)>& take) override {
    const auto records = store_.QueryRecords(filter);
    if (!records.ok()) return records.status();
    for (const db::Record& record : *records) take(record);
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<db::Task>> ListTasks() override { return log.tasks; }
  absl::StatusOr<std::vector<RecordedClass>> ListDeviceClasses(
      const std::vector<std::string>&) override {
    return std::vector<RecordedClass>{{"x86/test", 4}};
  }
  absl::StatusOr<std::vector<db::Device>> ListDevices() override {
    return std::vector<db::Device>();
  }
  absl::StatusOr<std::vector<db::ModelInfo>> ListModels() override { return models; }

  test::MeasuredLog log{4, 40};
  std::vector<db::ModelInfo> models;

 private:
  ManualClock clock_;
  db::MemoryStore store_{clock_};
};

ModelTrainOptions Options() {
  ModelTrainOptions options;
  options.name = "mine-1";
  options.cost_model = "regression";
  options.folds = 2;
  options.note = "a test's log";
  return options;
}

absl::StatusOr<ModelTraining> TrainOn(LogClient& client, const ModelTrainOptions& options) {
  return TrainModel(client, options, [](std::string_view) {});
}

TEST_CASE("a model is of devices of one kind", "[cli]") {
  LogClient client;
  for (db::Record other : client.log.records) {
    other.id = 0;
    other.attempt_key += " of another device";
    other.device_class = "opencl/test";
    client.Append(other);
  }
  const absl::Status status = TrainOn(client, Options()).status();
  CHECK(status.code() == absl::StatusCode::kInvalidArgument);
  CHECK_THAT(std::string(status.message()), Catch::Contains("opencl/test, x86/test"));
  ModelTrainOptions options = Options();
  options.device_classes = {"x86/test"};
  CHECK(TrainOn(client, options).ok());
}

TEST_CASE("a model of the log says what it was trained on and how it ranks", "[cli]") {
  LogClient client;
  std::vector<std::string> said;
  const auto training =
      TrainModel(client, Options(), [&](std::string_view step) { said.emplace_back(step); });
  INFO(training.status());
  REQUIRE(training.ok());
  CHECK(said.size() == 3);
  const db::ModelInfo& info = training->file.info;
  CHECK(info.name == "mine-1");
  CHECK(info.cost_model == "regression");
  CHECK(info.device_classes == std::vector<std::string>{"x86/test"});
  CHECK(info.tasks == 4);
  int64_t programs = 0;
  for (const tuner::ProgramGroup& group : training->groups) programs += group.programs;
  CHECK(info.records == programs);
  CHECK(info.origin ==
        "a test's log; records 1 to 160 of a log, 2023-11-14 to 2023-11-14, by Tessera 0.1.0");
  CHECK(info.pairwise_accuracy > 0.6);
  CHECK(tuner::ReadModel(info, training->file.bytes).ok());

  const std::string table = ToTable(*training);
  CHECK(table.starts_with("held-out task  device class"));
  CHECK(std::ranges::count(table, '\n') == 1 + 4 + 3);
  for (const db::Task& task : client.log.tasks) CHECK_THAT(table, Catch::Contains(task.name));
  const nlohmann::json json = nlohmann::json::parse(ToJson(*training));
  CHECK(json["model"]["name"] == "mine-1");
  CHECK(json["model"]["top5_score"] == info.top5);
  CHECK(json["held_out"].size() == 4);
  CHECK(json["held_out"][3]["task_key"] == client.log.tasks[3].Key());
}

TEST_CASE("a task's workload can be left out of a model", "[cli]") {
  LogClient client;
  ModelTrainOptions options = Options();
  options.without = {"mm1", client.log.tasks[2].Key().substr(0, 12)};
  const auto training = TrainOn(client, options);
  REQUIRE(training.ok());
  CHECK(training->file.info.tasks == 2);
  for (const tuner::ProgramGroup& group : training->groups) {
    CHECK(group.workload_hash != client.log.tasks[1].workload_hash);
    CHECK(group.workload_hash != client.log.tasks[2].workload_hash);
  }
  CHECK_THAT(training->file.info.origin, Catch::Contains("without the workloads of mm1, "));
  options.without = {"conv"};
  CHECK(absl::IsNotFound(TrainOn(client, options).status()));
}

TEST_CASE("what can't be trained is refused before the log is read", "[cli]") {
  LogClient client;
  client.models = {db::ModelInfo{.name = "taken"}};
  const auto code_after = [&](auto change) {
    ModelTrainOptions options = Options();
    change(options);
    return TrainOn(client, options).status().code();
  };
  using absl::StatusCode;
  CHECK(code_after([](auto& o) { o.name = "auto"; }) == StatusCode::kInvalidArgument);
  CHECK(code_after([](auto& o) { o.name = "Mine"; }) == StatusCode::kInvalidArgument);
  CHECK(code_after([](auto& o) { o.name = "taken"; }) == StatusCode::kAlreadyExists);
  CHECK(code_after([](auto& o) { o.cost_model = "tarot"; }) == StatusCode::kInvalidArgument);
  CHECK(code_after([](auto& o) { o.device_classes = {"arm"}; }) == StatusCode::kNotFound);
  client.log.tasks.clear();
  CHECK(code_after([](auto&) {}) == StatusCode::kInvalidArgument);
}

TEST_CASE("trained models are listed and shown, and what was not judged is not told", "[cli]") {
  db::ModelInfo judged{.name = "x86-1", .digest = Sha256Hex("1"), .cost_model = "regression"};
  judged.feature_version = 3;
  judged.device_classes = {"x86/a", "x86/b\x1b[31m"};
  judged.tasks = 31;
  judged.records = 12'345;
  judged.origin = "data of\na rig";
  judged.pairwise_accuracy = 0.862;
  judged.top1 = 0.9;
  judged.top5 = 0.95;
  db::ModelInfo young = judged;
  young.name = "young";
  young.pairwise_accuracy = young.top1 = young.top5 = -1;
  const std::string table = ModelsTable({judged, young});
  CHECK_THAT(table, Catch::Contains("x86-1"));
  CHECK_THAT(table, Catch::Contains("86.2"));
  CHECK(table.find('\x1b') == std::string::npos);
  CHECK(std::ranges::count(table, '\n') == 3);
  CHECK(ModelsTable({}).empty());
  CHECK_THAT(ModelText(judged), Catch::Contains("top-5 score 0.950"));
  CHECK_THAT(ModelText(judged), Catch::Contains("data of a rig"));
  CHECK_THAT(ModelText(young), Catch::Contains("not judged"));
  const nlohmann::json json = nlohmann::json::parse(ModelsJson({judged, young}));
  CHECK(json[0]["programs"] == 12'345);
  CHECK(json[1]["top1_score"].is_null());
  CHECK(nlohmann::json::parse(ModelJson(judged)) == json[0]);
}

}  // namespace
}  // namespace tessera::cli
