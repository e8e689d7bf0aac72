// The server's program with its database, killed without warning.
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <set>

#include "absl/strings/numbers.h"
#include "base/rng.h"
#include "compiler/te/operators.h"
#include "db/sqlite/sqlite_store.h"
#include "tests/server/rig.h"
#include "tests/server/scripted_worker.h"

extern char** environ;

namespace tessera::server {
namespace {

// tessera-server as a process of its own.
class ServerProcess {
 public:
  ServerProcess(const std::string& data, int port) {
    int pipe_ends[2];
    REQUIRE(pipe2(pipe_ends, O_CLOEXEC) == 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pipe_ends[1], STDOUT_FILENO);
    const std::string listen = absl::StrCat("127.0.0.1:", port);
    std::vector<std::string> arguments = {TESSERA_SERVER, "--listen",    listen,   "--data",
                                          data,           "--log-level", "warning"};
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    REQUIRE(posix_spawn(&process_, TESSERA_SERVER, &actions, nullptr, argv.data(), environ) == 0);
    posix_spawn_file_actions_destroy(&actions);
    close(pipe_ends[1]);
    std::string line;
    for (char c; read(pipe_ends[0], &c, 1) == 1 && c != '\n';) line.push_back(c);
    close(pipe_ends[0]);
    INFO(line);
    REQUIRE(line.rfind("listening on 127.0.0.1:", 0) == 0);
    REQUIRE(absl::SimpleAtoi(line.substr(line.rfind(':') + 1), &port_));
  }
  ~ServerProcess() { End(SIGKILL); }

  // Sends the signal and returns the exit status that waitpid gives.
  int End(int signal) {
    if (process_ < 0) return 0;
    kill(process_, signal);
    int status = 0;
    waitpid(process_, &status, 0);
    process_ = -1;
    return status;
  }
  int port() const { return port_; }

 private:
  pid_t process_ = -1;
  int port_ = 0;
};

v1::CreateJobRequest Matmul(int trials) {
  const auto workload = te::MakeWorkload(
      {.name = "mm", .op = "matmul", .attributes = {{"m", "64"}, {"n", "64"}, {"k", "64"}}});
  INFO(workload.status());
  REQUIRE(workload.ok());
  db::Task task{.name = "mm",
                .workload_hash = HashToHex(te::StructuralHash(workload->dag)),
                .workload = te::Print(*workload),
                .target = test::kFakeTarget};
  v1::CreateJobRequest request;
  request.set_name("killed");
  *request.add_tasks() = proto::ToProto(task);
  *request.mutable_options() =
      proto::ToProto(db::JobOptions{.trials_per_task = trials, .cost_model = "random"});
  return request;
}

TEST_CASE("a killed server loses no acknowledged result and measures none again", "[server]") {
  constexpr int kTrials = 60;
  const uint64_t seed = 1;
  CAPTURE(seed);
  Rng rng(seed);
  test::TemporaryDirectory data;
  auto server = std::make_unique<ServerProcess>(data.path, 0);
  const int port = server->port();
  const auto channel =
      grpc::CreateChannel(absl::StrCat("127.0.0.1:", port), grpc::InsecureChannelCredentials());
  const auto jobs = v1::JobService::NewStub(channel);
  Worker worker(port);
  // Longer than a proposal takes the server, so that results don't wait for it.
  worker.runner.pause = absl::Milliseconds(15);
  worker.Start();
  v1::CreateJobReply created;
  {
    grpc::ClientContext context;
    const grpc::Status status = jobs->CreateJob(&context, Matmul(kTrials), &created);
    INFO(status.error_message());
    REQUIRE(status.ok());
  }
  const std::string path = absl::StrCat(data.path, "/tessera.db");
  const auto records = [&] {
    const auto store = db::SqliteStore::Open(path, Clock::Real());
    REQUIRE(store.ok());
    return *(*store)->QueryRecords({.job_id = created.job_id()});
  };
  int kills = 0, unacknowledged = 0;
  for (int runs : {8, 20, 40}) {
    REQUIRE(Eventually([&] { return worker.runner.runs >= runs; }));
    absl::SleepFor(absl::Milliseconds(rng.Between(0, 20)));
    const int status = server->End(SIGKILL);
    REQUIRE(WIFSIGNALED(status));
    ++kills;
    unacknowledged = worker.runner.runs - static_cast<int>(records().size());
    server = std::make_unique<ServerProcess>(data.path, port);
  }
  v1::Job job;
  REQUIRE(Eventually([&] {
    grpc::ClientContext context;
    context.set_wait_for_ready(true);
    v1::GetJobRequest request;
    request.set_job_id(created.job_id());
    return jobs->GetJob(&context, request, &job).ok() && job.state() == v1::JOB_STATE_DONE;
  }));
  const int status = server->End(SIGTERM);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);

  std::set<int64_t> measured;
  for (const db::Record& record : records()) {
    if (!record.stale && record.measurement.outcome == db::Outcome::kOk) {
      CHECK(measured.insert(record.trial).second);
    }
  }
  CHECK(measured.size() == kTrials);
  // Only what was not on disk when the server died is done again, and what was on its way then: the
  // runner's queue.
  CHECK(worker.runner.runs <= kTrials + unacknowledged + kills * 4);
}

}  // namespace
}  // namespace tessera::server
