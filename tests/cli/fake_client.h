#pragma once

#include <string>
#include <vector>

#include "cli/client.h"

namespace tessera::cli {

// A server that answers nothing; base of those of which a part answers.
class FakeClient : public Client {
 public:
  absl::Status QueryRecords(const db::RecordFilter&,
                            const std::function<void(const db::Record&)>&) override {
    return None();
  }
  absl::StatusOr<int64_t> CreateJob(const db::Job&) override { return None(); }
  absl::StatusOr<db::Job> GetJob(int64_t) override { return None(); }
  absl::StatusOr<std::optional<db::Job>> FindJob(const std::string&) override { return None(); }
  absl::StatusOr<std::vector<db::Job>> ListJobs(int) override { return None(); }
  absl::Status CancelJob(int64_t) override { return None(); }
  absl::Status WatchJob(int64_t, const std::function<void(const proto::JobProgress&)>&) override {
    return None();
  }
  void Interrupt() override {}
  absl::StatusOr<std::vector<db::Record>> Best(const std::string&, const std::string&, int,
                                               const std::string&) override {
    return None();
  }
  absl::StatusOr<std::vector<db::Task>> ListTasks() override { return None(); }
  absl::StatusOr<std::vector<RecordedClass>> ListDeviceClasses(
      const std::vector<std::string>&) override {
    return None();
  }
  absl::StatusOr<std::vector<db::ModelInfo>> ListModels() override { return None(); }
  absl::StatusOr<tuner::ModelFile> GetModel(const std::string&) override { return None(); }
  absl::Status PutModel(const tuner::ModelFile&) override { return None(); }
  absl::StatusOr<std::vector<db::Device>> ListDevices() override { return None(); }
  absl::Status DrainDevice(const std::string&, const std::string&) override { return None(); }
  absl::Status ResumeDevice(const std::string&) override { return None(); }
  absl::StatusOr<std::vector<db::Comparison>> ListComparisons(const std::string&,
                                                              const std::string&,
                                                              db::ComparisonPurpose) override {
    return None();
  }
  absl::StatusOr<db::Comparison> CompareWithItself(int64_t) override { return None(); }
  absl::StatusOr<std::vector<std::string>> FindMissing(const std::vector<std::string>&) override {
    return None();
  }
  absl::Status Upload(const std::string&, const std::string&) override { return None(); }
  absl::StatusOr<db::Selection> CreateSelection(const db::Selection&, const std::string&) override {
    return None();
  }
  absl::StatusOr<db::Selection> ChooseInPlace(
      int64_t, const std::string&, const std::function<void(const std::string&)>&) override {
    return None();
  }
  absl::StatusOr<std::vector<BuiltFile>> BuildLibrary(const LibraryOrder&) override {
    return None();
  }

 private:
  static absl::Status None() { return absl::UnavailableError("this part does not answer"); }
};

}  // namespace tessera::cli
