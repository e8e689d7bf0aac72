#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "db/record/record.h"
#include "proto/session.h"

// What a worker does, without saying how: the agent depends on neither compiler nor runner.

namespace tessera::agent {

struct BuildOutput {
  proto::BuildResult result;  // the agent fills in the artifact's digest and size, and the fence
  std::string bytes;          // the shared object, when kOk
};

struct LibraryOutput {
  std::string error;                                       // empty: built
  std::vector<std::pair<std::string, std::string>> files;  // name, bytes
};

// Compiles. Calls come from as many threads as there are slots.
class BuilderRole {
 public:
  virtual ~BuilderRole() = default;
  virtual int slots() const = 0;
  // On `core`. Whatever goes wrong is in the result: kBuildError when it is the candidate's fault,
  // kInfrastructure when it is not.
  virtual BuildOutput Build(const proto::BuildRequest& request, int core) = 0;
  // `artifacts`: of the selection's model, its graph and then its constants, verified.
  virtual LibraryOutput BuildLibrary(const proto::LibraryRequest& request,
                                     const std::vector<std::string>& artifacts, int core) = 0;
  // Cuts short the call whose request has this fence, if there is one: it returns soon, with
  // anything. From any thread. A role whose calls are always short need not heed it.
  virtual void Cancel(uint64_t fence) { static_cast<void>(fence); }
};

// Verifies and times. Called from one thread, with `cores` to itself.
class RunnerRole {
 public:
  virtual ~RunnerRole() = default;
  // One measurement an artifact of the plan, in its order. `artifacts` and `reference` are the
  // plan's shared objects, verified against their digests.
  virtual std::vector<db::Measurement> Run(const proto::RunPlan& plan,
                                           const std::vector<std::string>& artifacts,
                                           const std::string& reference,
                                           const std::vector<int>& cores) = 0;
  // One timing a library of the plan, in its order. `libraries`: its shared objects, verified.
  virtual std::vector<proto::ModelTiming> RunModels(const proto::ModelPlan& plan,
                                                    const std::vector<std::string>& libraries,
                                                    const std::vector<int>& cores) = 0;
  // As BuilderRole::Cancel, by the fence of the plan or of its lease.
  virtual void Cancel(uint64_t fence) { static_cast<void>(fence); }
};

}  // namespace tessera::agent
