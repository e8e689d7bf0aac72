#include "cli/model_layouts.h"

#include <functional>
#include <map>
#include <random>
#include <set>

#include "base/interrupt.h"
#include "cli/tune_job.h"
#include "tests/cli/fake_client.h"
#include "tests/compiler/graph/random_net.h"
#include "tests/compiler/graph/run.h"

namespace tessera::cli {
namespace {

constexpr char kTarget[] = "x86/avx2 threads=2";
constexpr char kClass[] = "x86/test";

// Three convolutions: what lies between them is in blocks by estimate.
JobFile Net(const std::string& suffix = "", int64_t channels_in = 8) {
  graph::GraphBuilder builder("net");
  using Ints = std::vector<int64_t>;
  const graph::Attributes padded{{"before", Ints{1, 1}}, {"behind", Ints{1, 1}}};
  int x = *builder.Input("image", {ir::Float(32), {1, channels_in, 32, 32}, {}});
  for (const char* name : {"first", "second", "third"}) {
    const int64_t channels = builder.type(x).shape[1];
    const int w = *builder.Constant("w", graph::SomeTensor({2 * channels, channels, 3, 3}, 1));
    x = *builder.Add("conv", {x, w}, padded, name + suffix);
  }
  x = *builder.Add("reduce_mean", {x}, {{"axes", Ints{2, 3}}}, "mean" + suffix);
  JobFile file;
  file.name = "net" + suffix;
  file.options.scheduler = "gradient";
  file.model.push_back({{}, std::move(builder).Finish({x})});
  return file;
}

ir::Target Target() { return ir::ParseTarget(kTarget).value(); }

// A device and the log of what jobs measured on it, when somebody watches them.
class FarmClient final : public FakeClient {
 public:
  FarmClient() {
    BlockInterrupts();  // as commands do that watch jobs
    db::Device& device = devices_.emplace_back();
    device.id = "host/cpu";
    device.device_class.name = kClass;
    device.target = kTarget;
    device.runs = true;
    device.state = "online";
  }

  absl::StatusOr<std::vector<db::Device>> ListDevices() override { return devices_; }
  absl::StatusOr<std::vector<RecordedClass>> ListDeviceClasses(
      const std::vector<std::string>&) override {
    if (tasks.empty()) return std::vector<RecordedClass>();
    return std::vector<RecordedClass>{{kClass, 0}};
  }
  absl::StatusOr<std::vector<db::Task>> ListTasks() override { return tasks; }
  absl::StatusOr<std::vector<db::Record>> Best(const std::string& key,
                                               const std::string& device_class, int,
                                               const std::string& allowed) override {
    CHECK(device_class == kClass);
    CHECK(allowed == expected_allowed);
    if (best_fails) return absl::UnavailableError("gone");
    const auto found = seconds_.find(key);
    if (found == seconds_.end()) return std::vector<db::Record>();
    db::Record record;
    record.measurement.outcome = db::Outcome::kOk;
    record.measurement.sample_seconds = {found->second};
    return std::vector<db::Record>{record};
  }
  absl::StatusOr<int64_t> CreateJob(const db::Job& job) override {
    for (const db::Job& known : jobs) {
      const std::string& key = known.options.idempotency_key;
      if (key.empty() || key != job.options.idempotency_key) continue;
      if (known.tasks == job.tasks && known.options == job.options) return known.id;
      return absl::AlreadyExistsError("the key is taken");
    }
    for (const db::Task& task : job.tasks) {  // as it comes to the server
      if (!te::ParseWorkload(task.workload).ok()) return absl::InvalidArgumentError(task.workload);
    }
    jobs.push_back(job);
    jobs.back().id = static_cast<int64_t>(jobs.size());
    return jobs.back().id;
  }
  absl::StatusOr<std::optional<db::Job>> FindJob(const std::string& key) override {
    REQUIRE(!key.empty());
    for (const db::Job& job : jobs) {
      if (job.options.idempotency_key == key) return job;
    }
    return std::nullopt;
  }
  absl::StatusOr<db::Job> GetJob(int64_t id) override { return jobs.at(id - 1); }
  absl::Status WatchJob(int64_t id,
                        const std::function<void(const proto::JobProgress&)>&) override {
    db::Job& job = jobs.at(id - 1);
    job.state = end;
    if (end != db::JobState::kDone) return absl::OkStatus();
    for (const db::Task& task : job.tasks) Measure(task);
    return absl::OkStatus();
  }

  void Measure(const db::Task& task) {
    const te::Workload workload = te::ParseWorkload(task.workload).value();
    const bool in_blocks = !workload.dag.outputs[0]->layout.empty();
    const bool is_new = seconds_.emplace(task.Key(), in_blocks ? block_seconds : 1e-3).second;
    if (is_new) tasks.push_back(task);
  }
  void MeasureAs(const db::Task& task, double seconds) {
    Measure(task);
    seconds_[task.Key()] = seconds;
  }

  db::JobState end = db::JobState::kDone;  // of jobs that are watched
  double block_seconds = 0.8e-3;
  bool best_fails = false;
  std::string expected_allowed;
  std::vector<db::Job> jobs;
  std::vector<db::Task> tasks;

 private:
  std::vector<db::Device> devices_;
  std::map<std::string, double> seconds_;  // by key of the task
};

ModelLayouts Planned(FarmClient& client, JobFile& file,
                     graph::Unmeasured unmeasured = graph::Unmeasured::kTuned) {
  const auto layouts = PlanByLog(client, file, {Target(), kClass, 1, ""}, unmeasured);
  INFO(layouts.status());
  REQUIRE(layouts.ok());
  return *layouts;
}

KernelPlace Place() { return {Target(), kClass, 1, ""}; }

TuneOptions Budget(int64_t trials) {
  TuneOptions options;
  options.as_request = true;
  options.budget = trials;
  return options;
}

std::vector<db::Task> TasksOf(const JobFile& file) { return MakeTasks(file, kTarget, 1).value(); }

std::set<std::string> HashesOf(const std::vector<db::Task>& tasks) {
  std::set<std::string> hashes;
  for (const db::Task& task : tasks) hashes.insert(task.workload_hash);
  return hashes;
}

}  // namespace

TEST_CASE("a tenth of a model's budget goes to layouts that may be faster", "[cli]") {
  FarmClient client;
  JobFile file = Net();
  REQUIRE(PlanFor(file, Target()).ok());
  for (const int64_t budget : {31, 79, 80, 160, 320, 1000}) {
    CAPTURE(budget);
    const auto spent = SpendOnRivals(client, file, Place(), budget);
    REQUIRE(spent.ok());
    std::set<uint64_t> chosen, kernels;
    for (const JobOperator& op : file.operators) {
      chosen.insert(te::StructuralHash(op.workload.dag));
    }
    int64_t rivals = 0;
    for (const JobOperator& op : spent->operators) {
      const uint64_t hash = te::StructuralHash(op.workload.dag);
      CHECK(kernels.insert(hash).second);
      rivals += chosen.contains(hash) ? 0 : 1;
    }
    CHECK(rivals * spent->trials * 10 <= budget);
    CHECK((rivals > 0) == (budget >= 160));
    CHECK((spent->rivals > 0) == (rivals > 0));
    CHECK(spent->budget_left ==
          budget - static_cast<int64_t>(spent->operators.size()) * spent->trials);
  }
  file.model.clear();
  CHECK(SpendOnRivals(client, file, Place(), 1000)->operators.empty());
}

TEST_CASE("layouts that were measured to be faster are tuned and built", "[cli]") {
  FarmClient client;
  client.block_seconds = 1.3e-3;
  JobFile estimated = Net();
  const auto by_estimate = PlanFor(estimated, Target());
  REQUIRE(by_estimate.ok());
  REQUIRE(by_estimate->blocked == 3);
  CHECK(LayoutsText(*by_estimate) == "layouts: 3 of 3 values in blocks of channels, as estimated");

  JobFile file = Net();
  const auto planned = PlanJob(client, file, Budget(1000));
  INFO(planned.status());
  REQUIRE(planned.ok());
  REQUIRE(client.jobs.size() == 1);
  CHECK(client.jobs[0].name == "net layouts");
  CHECK(client.jobs[0].options.trials_per_task == 8);
  CHECK(planned->layouts.find("otherwise than estimated, as measured: their kernels take ") !=
        std::string::npos);
  const std::vector<db::Task> tasks = MakeTasks(estimated, kTarget, 1).value();
  CHECK(HashesOf(planned->job.tasks) != HashesOf(tasks));
  // What of the budget is left is for all kernels.
  const auto trials = static_cast<int64_t>(client.jobs[0].tasks.size()) * 8;
  CHECK(planned->job.Trials() == 1000 - trials);

  // When they are tuned, they are built, and an equal request finds its job.
  const auto job = FindOrCreate(client, planned->job, file);
  REQUIRE(job.ok());
  REQUIRE(client.WatchJob(job->id, nullptr).ok());
  JobFile built = Net();
  CHECK(Planned(client, built, graph::Unmeasured::kAsTheyAre).changed > 0);
  CHECK(MakeTasks(built, kTarget, 1).value() == planned->job.tasks);
  JobFile again = Net();
  const auto repeated = PlanJob(client, again, Budget(1000));
  REQUIRE(repeated.ok());
  REQUIRE(repeated->earlier.has_value());
  CHECK(repeated->earlier->id == job->id);
  CHECK(client.jobs.size() == 2);
  // Other requests measure what is not decided, until there is nothing left.
  size_t before = 0;
  for (int64_t budget = 1100; before != client.jobs.size(); budget += 100) {
    REQUIRE(budget < 2000);
    before = client.jobs.size();
    JobFile other = Net();
    REQUIRE(PlanJob(client, other, Budget(budget)).ok());
  }
  CHECK(client.jobs.size() > 2);
  JobFile last = Net();
  const auto whole = PlanJob(client, last, Budget(2000));
  REQUIRE(whole.ok());
  CHECK(whole->job.options.trials_per_task == 2000 / static_cast<int64_t>(whole->job.tasks.size()));
}

TEST_CASE("what an interrupted request has measured of layouts is waited for", "[cli]") {
  FarmClient client;
  client.block_seconds = 1.3e-3;
  JobFile file = Net();
  const auto planned = PlanJob(client, file, Budget(1000));
  REQUIRE(planned.ok());
  REQUIRE(client.jobs.size() == 1);
  // The same job, of which nobody has waited for the end.
  FarmClient other;
  other.block_seconds = client.block_seconds;
  db::Job unfinished = client.jobs[0];
  unfinished.state = db::JobState::kRunning;
  other.jobs.push_back(unfinished);
  // Others of its name are none of this request's.
  JobFile namesake = Net("", 12);
  namesake.name = file.name;
  const auto unrelated = PlanJob(other, namesake, Budget(1000));
  REQUIRE(unrelated.ok());
  CHECK(other.jobs[0].state == db::JobState::kRunning);
  JobFile again = Net();
  const auto repeated = PlanJob(other, again, Budget(1000));
  REQUIRE(repeated.ok());
  CHECK(other.jobs[0].state == db::JobState::kDone);
  CHECK(repeated->job == planned->job);
  CHECK(other.jobs.size() == 2);
  CHECK_THAT(repeated->layouts, Catch::Contains("as measured: their kernels take"));
}

TEST_CASE("the estimate's layouts stay where nothing was measured to be faster", "[cli]") {
  FarmClient client;
  JobFile estimated = Net();
  REQUIRE(PlanFor(estimated, Target()).ok());
  const std::vector<db::Task> tasks = MakeTasks(estimated, kTarget, 1).value();
  // Nobody waits, or the budget is too small.
  TuneOptions detached = Budget(1000);
  detached.detach = true;
  for (const TuneOptions& options : {detached, Budget(40), TuneOptions()}) {
    JobFile file = Net();
    const auto planned = PlanJob(client, file, options);
    REQUIRE(planned.ok());
    CHECK(client.jobs.empty());
    CHECK(planned->job.tasks == tasks);
  }
  // Blocks are measured to be faster.
  JobFile file = Net();
  const auto planned = PlanJob(client, file, Budget(1000));
  REQUIRE(planned.ok());
  CHECK(client.jobs.size() == 1);
  CHECK(planned->job.tasks == tasks);
  CHECK(planned->layouts == "layouts: 3 of 3 values in blocks of channels, as estimated");
  // Another class is another machine.
  client.block_seconds = 5;
  JobFile other = Net();
  const auto layouts =
      PlanByLog(client, other, {Target(), "x86/other", 1, ""}, graph::Unmeasured::kAsTheyAre);
  REQUIRE(layouts.ok());
  CHECK(layouts->changed == 0);
}

TEST_CASE("records of the same kernels by other names count", "[cli]") {
  FarmClient client;
  JobFile known = Net("_of_another"), file = Net();
  REQUIRE(PlanFor(known, Target()).ok());
  REQUIRE(PlanFor(file, Target()).ok());
  const std::vector<db::Task> of_another = MakeTasks(known, kTarget, 1).value();
  const std::vector<db::Task> own = MakeTasks(file, kTarget, 1).value();
  client.Measure(of_another[0]);
  client.Measure(of_another[1]);
  client.Measure(own[1]);
  Planned(client, file);
  const std::vector<db::Task> tasks = MakeTasks(file, kTarget, 1).value();
  CHECK(tasks[0].Key() == of_another[0].Key());
  CHECK(tasks[0].name == own[0].name);
  CHECK(tasks[1].Key() == own[1].Key());
  CHECK(tasks[2].Key() == own[2].Key());
  // What the records may call is asked for, and a server that is gone is no empty log.
  client.expected_allowed = "openblas";
  const KernelPlace allowing{Target(), kClass, 1, "openblas"};
  CHECK(PlanByLog(client, file, allowing, graph::Unmeasured::kTuned).ok());
  client.best_fails = true;
  CHECK(absl::IsUnavailable(PlanByLog(client, file, allowing, graph::Unmeasured::kTuned).status()));
}

TEST_CASE("what measures layouts ends within its share of the time, well or not", "[cli]") {
  FarmClient client;
  client.end = db::JobState::kFailed;
  TuneOptions options = Budget(1000);
  options.max_seconds = 100;
  for (int repetition = 0; repetition < 2; ++repetition) {
    JobFile file = Net();
    const auto planned = PlanJob(client, file, options);
    INFO(planned.status());
    REQUIRE(planned.ok());
    REQUIRE(client.jobs.size() == 1);
    CHECK(client.jobs[0].options.max_seconds == 20);
    CHECK(planned->job.options.max_seconds == 80);
    CHECK_THAT(planned->layouts, Catch::EndsWith("as estimated"));
  }
}

TEST_CASE("kernels of models that name values in capitals are measured in other layouts", "[cli]") {
  FarmClient client;
  JobFile file = Net("/Conv_1_output_0");
  const auto planned = PlanJob(client, file, Budget(1000));
  INFO(planned.status());
  REQUIRE(planned.ok());
  REQUIRE(client.jobs.size() == 1);
  CHECK(FindOrCreate(client, planned->job, file).ok());
}

TEST_CASE("an equal request finds its job whatever the log has learned since", "[cli]") {
  FarmClient client;
  JobFile a = Net("_a"), b = Net("_b"), file = Net();
  REQUIRE(PlanFor(a, Target()).ok());
  REQUIRE(PlanFor(b, Target()).ok());
  for (const db::Task& task : TasksOf(a)) client.MeasureAs(task, 2e-3);
  for (const db::Task& task : TasksOf(b)) client.MeasureAs(task, 3e-3);
  const auto planned = PlanJob(client, file, Budget(40));
  REQUIRE(planned.ok());
  const auto job = FindOrCreate(client, planned->job, file);
  REQUIRE(job.ok());
  CHECK(job->tasks[0].Key() == TasksOf(a)[0].Key());
  // The other name's are faster now, and thousands of jobs newer.
  for (const db::Task& task : TasksOf(b)) client.MeasureAs(task, 1e-3);
  JobFile again = Net();
  const auto repeated = PlanJob(client, again, Budget(40));
  REQUIRE(repeated.ok());
  REQUIRE(repeated->earlier.has_value());
  CHECK(repeated->earlier->id == job->id);
  // What came to nothing is tried again, and of the budget, pins and names each has its own.
  client.jobs[0].state = db::JobState::kFailed;
  JobFile third = Net();
  const auto anew = PlanJob(client, third, Budget(40));
  REQUIRE(anew.ok());
  CHECK(!anew->earlier.has_value());
  CHECK(FindOrCreate(client, anew->job, third)->id != job->id);
  JobFile renamed = Net("_c"), pinned = Net(), other = Net();
  pinned.options.pins = R"({"sketch":["direct"]})";
  CHECK(!PlanJob(client, renamed, Budget(40))->earlier.has_value());
  CHECK(!PlanJob(client, pinned, Budget(40))->earlier.has_value());
  CHECK(!PlanJob(client, other, Budget(41))->earlier.has_value());
}

TEST_CASE("two equal requests at once are one job", "[cli]") {
  FarmClient client;
  JobFile file = Net(), same = Net();
  const auto first = PlanJob(client, file, Budget(40));
  REQUIRE(first.ok());
  JobFile known = Net("_b");
  REQUIRE(PlanFor(known, Target()).ok());
  for (const db::Task& task : TasksOf(known)) client.Measure(task);
  const auto second = PlanJob(client, same, Budget(40));
  REQUIRE(second.ok());
  CHECK(second->job.tasks[0].Key() != first->job.tasks[0].Key());
  const auto made = FindOrCreate(client, first->job, file);
  REQUIRE(made.ok());
  CHECK(FindOrCreate(client, second->job, same)->id == made->id);
}

TEST_CASE("a model's key gives the job that has it, or refuses", "[cli]") {
  FarmClient client;
  client.block_seconds = 1.3e-3;
  TuneOptions options = Budget(1000);
  options.as_request = false;
  options.key = "nightly";
  options.max_seconds = 100;
  JobFile file = Net();
  const auto planned = PlanJob(client, file, options);
  REQUIRE(planned.ok());
  REQUIRE(client.jobs.size() == 1);
  const absl::StatusOr<int64_t> job = client.CreateJob(planned->job);
  REQUIRE(job.ok());
  REQUIRE(client.WatchJob(*job, nullptr).ok());
  // Other layouts and names are faster now.
  JobFile of_another = Net("_b");
  REQUIRE(PlanFor(of_another, Target()).ok());
  for (const db::Task& task : TasksOf(of_another)) {
    client.MeasureAs(task, 1e-6);
  }
  const auto create = [&](TuneOptions asked, int64_t channels = 8) {
    JobFile again = Net("", channels);
    const auto repeated = PlanJob(client, again, asked);
    INFO(repeated.status());
    REQUIRE(repeated.ok());
    return client.CreateJob(repeated->job);
  };
  CHECK(*create(options) == *job);
  options.detach = true;
  CHECK(*create(options) == *job);
  CHECK(absl::IsAlreadyExists(create(options, 12).status()));
  TuneOptions other = options;
  other.budget = 1100;
  CHECK(absl::IsAlreadyExists(create(other).status()));
  other = options;
  other.max_seconds = 90;
  CHECK(absl::IsAlreadyExists(create(other).status()));
  other = options;
  other.seed = 7;
  CHECK(absl::IsAlreadyExists(create(other).status()));
  CHECK(client.jobs.size() == 2);
  other.key = "weekly";
  CHECK(*create(other) == 3);
}

TEST_CASE("tasks of a model are the same in whatever layouts", "[cli]") {
  std::mt19937_64 random(7);
  const auto tasks = [](const graph::Graph& graph, bool in_blocks) {
    JobFile file;
    file.model.push_back({{}, graph});
    const graph::KnownSeconds known = [&](const te::Workload& workload) -> std::optional<double> {
      return workload.dag.outputs[0]->layout.empty() == in_blocks ? 1.0 : 1e-6;
    };
    REQUIRE(PlanFor(file, Target(), known).ok());
    return MakeTasks(file, kTarget, 1).value();
  };
  int different = 0;
  for (int i = 0; i < 30; ++i) {
    const graph::Graph graph = graph::RandomNet(random, 12);
    const std::vector<db::Task> rows = tasks(graph, false), blocks = tasks(graph, true);
    different += rows != blocks ? 1 : 0;
    CHECK(AreSameButForLayouts(rows, blocks).value());
    std::vector<db::Task> more = rows;
    more[0].weight += 1;
    if (te::ExecutedOperations(te::ParseWorkload(more[0].workload)->dag) > 0) {
      CHECK(!AreSameButForLayouts(more, blocks).value());
    }
  }
  CHECK(different > 15);
}

TEST_CASE("layouts of a target that is named are by estimate, and another job's", "[cli]") {
  FarmClient client;
  client.block_seconds = 1.3e-3;
  TuneOptions options = Budget(1000);
  options.as_request = false;
  options.key = "nightly";
  const auto job_of = [&](const char* layouts) {
    JobFile file = Net("", 16);
    file.layouts = ir::ParseTarget(layouts).value();
    const auto planned = PlanJob(client, file, options);
    INFO(planned.status());
    REQUIRE(planned.ok());
    CHECK_THAT(planned->layouts, Catch::EndsWith("as estimated") || Catch::Equals(""));
    return planned->job;
  };
  const db::Job wide = job_of("x86/avx512");
  CHECK(client.jobs.empty());  // no rivals are measured
  CHECK(wide.options.trials_per_task * static_cast<int>(wide.tasks.size()) > 900);
  REQUIRE(client.CreateJob(wide).ok());
  // What is known since is no reason.
  for (const db::Task& task : wide.tasks) client.MeasureAs(task, 1);
  CHECK(client.CreateJob(job_of("x86/avx512")).ok());
  options.key = "weekly";
  CHECK(job_of("x86/avx512").tasks == wide.tasks);
  options.key = "nightly";
  CHECK(absl::IsAlreadyExists(client.CreateJob(job_of("x86/sse4.2")).status()));
}

}  // namespace tessera::cli
