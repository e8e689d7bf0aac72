// The worker's agent against a real server: only building and running are scripted.
#include "worker/agent/agent.h"

#include <catch2/catch.hpp>
#include <set>

#include "tests/server/rig.h"
#include "tests/server/scripted_worker.h"

namespace tessera::server {
namespace {

TEST_CASE("an agent builds and runs a whole job", "[server]") {
  Rig rig;
  Worker worker(rig.server->port());
  worker.builder.fail_every = 5;
  worker.Start();
  const auto id = rig.Create(Rig::Request(30));
  REQUIRE(id.ok());
  const v1::JobProgress end = rig.WatchToEnd(*id);
  CHECK(end.state() == v1::JOB_STATE_DONE);
  CHECK(end.tasks(0).trials_done() == 30);
  REQUIRE(end.tasks(0).failures_size() == 1);
  CHECK(end.tasks(0).failures(0).outcome() == v1::OUTCOME_BUILD_ERROR);
  CHECK(worker.runner.right_bytes);
  CHECK(worker.runner.right_cores);
}

TEST_CASE("an agent that starts before its server finds it later", "[server]") {
  int port = 0;
  {
    port = Rig().server->port();
  }  // free again now
  Worker worker(port);
  worker.Start();
  absl::SleepFor(absl::Milliseconds(100));
  test::TemporaryDirectory directory;
  ServerOptions options;
  options.listen = absl::StrCat("127.0.0.1:", port);
  options.data_directory = directory.path;
  auto server = Server::Start(options, std::make_unique<db::MemoryStore>(Clock::Real()),
                              Clock::Real(), ToySearch());
  if (!server.ok()) return;  // somebody took the port meanwhile
  auto devices = v1::DeviceService::NewStub(
      grpc::CreateChannel(options.listen, grpc::InsecureChannelCredentials()));
  CHECK(Eventually([&] {
    grpc::ClientContext context;
    context.set_wait_for_ready(true);
    v1::ListDevicesReply reply;
    return devices->ListDevices(&context, {}, &reply).ok() && reply.devices_size() == 1;
  }));
}

TEST_CASE("a job survives the restart of its server while an agent stays", "[server]") {
  Rig rig;
  Worker worker(rig.server->port());
  worker.runner.pause = absl::Milliseconds(5);
  worker.Start();
  const auto id = rig.Create(Rig::Request(60));
  REQUIRE(id.ok());
  REQUIRE(Eventually([&] { return worker.runner.runs > 15; }));
  rig.RestartServer();  // on the same port
  const v1::JobProgress end = rig.WatchToEnd(*id);
  CHECK(end.state() == v1::JOB_STATE_DONE);
  const auto records = *rig.store->QueryRecords({.job_id = *id});
  std::set<int64_t> trials;
  for (const db::Record& record : records) {
    if (!record.stale) CHECK(trials.insert(record.trial).second);
  }
  CHECK(trials.size() == 60);
  // What was measured and not yet on disk when the server went is the only work done twice.
  CHECK(worker.runner.runs <= 60 + 4);
}

TEST_CASE("an agent of a name that is taken waits until it is free", "[server]") {
  Rig rig;
  std::optional<Worker> first;
  first.emplace(rig.server->port());
  first->Start();
  auto devices = v1::DeviceService::NewStub(rig.channel);
  REQUIRE(Eventually([&] {
    grpc::ClientContext context;
    v1::ListDevicesReply reply;
    return devices->ListDevices(&context, {}, &reply).ok() && reply.devices_size() == 1;
  }));
  Worker second(rig.server->port());
  second.Start();
  absl::SleepFor(absl::Milliseconds(150));
  CHECK(second.runner.runs == 0);
  first.reset();
  const auto id = rig.Create(Rig::Request(5));
  REQUIRE(id.ok());
  CHECK(rig.WatchToEnd(*id).state() == v1::JOB_STATE_DONE);
  CHECK(second.runner.runs >= 5);
}

TEST_CASE("an agent that the server refuses for good says why", "[server]") {
  Rig rig;
  agent::AgentOptions options;
  options.server = absl::StrCat("127.0.0.1:", rig.server->port());
  options.name = "w";
  options.devices = {test::FakeDevice("w/cpu")};
  options.devices[0].target = "z80";
  options.cores = {0};
  options.cache_directory = rig.directory.path + "/cache";
  ScriptedRunner runner;
  auto agent = *agent::Agent::Create(options, nullptr, &runner);
  const absl::Status end = agent->Serve();
  CHECK(absl::IsInvalidArgument(end));
  CHECK(end.message().find("z80") != absl::string_view::npos);
}

TEST_CASE("a library is built by an agent", "[server]") {
  Rig rig;
  Worker worker(rig.server->port());
  worker.Start();
  auto libraries = v1::LibraryService::NewStub(rig.channel);
  v1::CreateSelectionRequest select;
  select.set_name("ops");
  v1::LibraryOp* op = select.add_ops();
  op->set_op("rows");
  *op->mutable_task() = proto::ToProto(Rig::Task());
  v1::Selection selection;
  grpc::ClientContext select_context;
  REQUIRE(libraries->CreateSelection(&select_context, select, &selection).ok());
  v1::BuildLibraryRequest build;
  build.set_selection_id(selection.id());
  build.set_name("ops");
  CHECK(Eventually([&] {
    grpc::ClientContext context;
    auto reader = libraries->BuildLibrary(&context, build);
    v1::FileChunk chunk;
    const bool got = reader->Read(&chunk) && chunk.name() == "libops.so" && chunk.data() == "elf";
    return reader->Finish().ok() && got;
  }));
}

}  // namespace
}  // namespace tessera::server
