#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/hash.h"
#include "tests/support/fake_worker.h"
#include "tests/support/temporary_directory.h"
#include "worker/agent/agent.h"

// A real agent whose building and running are scripted.

namespace tessera::server {

class ScriptedBuilder final : public agent::BuilderRole {
 public:
  int slots() const override { return 1; }
  agent::BuildOutput Build(const proto::BuildRequest& request, int) override {
    agent::BuildOutput output;
    output.bytes = absl::StrCat("artifact of ", request.trace);
    output.result = test::FakeBuild(request, "");
    if (fail_every > 0 && !request.is_reference && ++count % fail_every == 0) {
      output.result = {.outcome = db::Outcome::kBuildError, .reason = "scripted"};
    }
    return output;
  }
  agent::LibraryOutput BuildLibrary(const proto::LibraryRequest& request,
                                    const std::vector<std::string>&, int) override {
    return {.files = {{absl::StrCat("lib", request.name, ".so"), "elf"}}};
  }
  int fail_every = 0;
  int count = 0;
};

class ScriptedRunner final : public agent::RunnerRole {
 public:
  std::vector<db::Measurement> Run(const proto::RunPlan& plan,
                                   const std::vector<std::string>& artifacts,
                                   const std::string& reference,
                                   const std::vector<int>& cores) override {
    ++runs;
    right_bytes = right_bytes && artifacts.size() == plan.artifacts.size() &&
                  Sha256Hex(reference) == plan.reference.digest;
    for (size_t i = 0; i < artifacts.size() && right_bytes; ++i) {
      right_bytes = Sha256Hex(artifacts[i]) == plan.artifacts[i].digest;
    }
    right_cores = right_cores && cores.size() == 1;
    absl::SleepFor(pause);
    return test::FakeRun(plan).measurements;
  }
  std::vector<proto::ModelTiming> RunModels(const proto::ModelPlan&,
                                            const std::vector<std::string>& libraries,
                                            const std::vector<int>&) override {
    return std::vector<proto::ModelTiming>(libraries.size(), {test::FakeMeasurement(), {1e-3}});
  }
  std::atomic<int> runs = 0;
  bool right_bytes = true;
  bool right_cores = true;
  absl::Duration pause = absl::ZeroDuration();
};

struct Worker {
  explicit Worker(int port, const std::string& name = "w") {
    agent::AgentOptions options;
    options.server = absl::StrCat("127.0.0.1:", port);
    options.name = name;
    options.devices = {test::FakeDevice(name + "/cpu")};
    options.cores = {0, 1};
    options.cache_directory = directory.path;
    options.first_retry = absl::Milliseconds(20);
    options.longest_retry = absl::Milliseconds(100);
    agent = *agent::Agent::Create(options, &builder, &runner);
  }
  ~Worker() {
    agent->Stop();
    if (thread.joinable()) thread.join();
  }
  void Start() {
    thread = std::thread([this] { end = agent->Serve(); });
  }
  test::TemporaryDirectory directory;
  ScriptedBuilder builder;
  ScriptedRunner runner;
  std::unique_ptr<agent::Agent> agent;
  absl::Status end;
  std::thread thread;
};

}  // namespace tessera::server
