#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "db/record/store.h"

namespace tessera::server {

// A store that several servers may have one after the other; base of those that misbehave.
class SharedStore : public db::Store {
 public:
  explicit SharedStore(std::shared_ptr<db::Store> store) : store_(std::move(store)) {}
  absl::StatusOr<int64_t> CreateJob(const db::Job& job) override { return store_->CreateJob(job); }
  absl::Status SetJobState(int64_t id, db::JobState state, std::string_view message) override {
    return store_->SetJobState(id, state, message);
  }
  absl::StatusOr<db::Job> GetJob(int64_t id) override { return store_->GetJob(id); }
  absl::StatusOr<db::Job> FindJob(std::string_view key) override { return store_->FindJob(key); }
  absl::StatusOr<std::vector<db::Job>> ListJobs(int limit) override {
    return store_->ListJobs(limit);
  }
  absl::StatusOr<std::vector<int64_t>> Append(absl::Span<const db::Record> records,
                                              absl::Span<const db::Event> events) override {
    return store_->Append(records, events);
  }
  absl::StatusOr<std::vector<db::Event>> ReadEvents(int64_t job, int64_t after) override {
    return store_->ReadEvents(job, after);
  }
  absl::StatusOr<db::Event> FindProposal(int64_t job, int64_t trial) override {
    return store_->FindProposal(job, trial);
  }
  absl::StatusOr<std::vector<db::Record>> QueryRecords(const db::RecordFilter& filter) override {
    return store_->QueryRecords(filter);
  }
  absl::StatusOr<std::vector<db::Record>> Best(std::string_view task, std::string_view device,
                                               int count, std::string_view allowed = {}) override {
    return store_->Best(task, device, count, allowed);
  }
  absl::StatusOr<std::vector<std::string>> ListDeviceClasses() override {
    return store_->ListDeviceClasses();
  }
  absl::StatusOr<std::vector<std::string>> ListRankedDeviceClasses(std::string_view key) override {
    return store_->ListRankedDeviceClasses(key);
  }
  absl::StatusOr<std::vector<db::Task>> ListTasks() override { return store_->ListTasks(); }
  absl::Status PutDevice(const db::Device& device) override { return store_->PutDevice(device); }
  absl::StatusOr<std::vector<db::Device>> ListDevices() override { return store_->ListDevices(); }
  absl::StatusOr<int64_t> CreateSelection(const db::Selection& selection) override {
    return store_->CreateSelection(selection);
  }
  absl::StatusOr<db::Selection> GetSelection(int64_t id) override {
    return store_->GetSelection(id);
  }
  absl::StatusOr<db::Selection> FindInPlace(std::string_view key) override {
    return store_->FindInPlace(key);
  }
  absl::Status PutLibrary(std::string_view key, absl::Span<const db::LibraryFile> files) override {
    return store_->PutLibrary(key, files);
  }
  absl::StatusOr<std::vector<db::LibraryFile>> FindLibrary(std::string_view key) override {
    return store_->FindLibrary(key);
  }
  absl::Status PutModel(const db::ModelInfo& model) override { return store_->PutModel(model); }
  absl::StatusOr<db::ModelInfo> GetModelInfo(std::string_view name) override {
    return store_->GetModelInfo(name);
  }
  absl::StatusOr<std::vector<db::ModelInfo>> ListModels() override { return store_->ListModels(); }
  absl::StatusOr<int64_t> AppendComparison(const db::Comparison& comparison) override {
    return store_->AppendComparison(comparison);
  }
  absl::StatusOr<std::vector<db::Comparison>> ListComparisons(
      std::string_view task_key, std::string_view device_class,
      std::optional<db::ComparisonPurpose> purpose, int limit) override {
    return store_->ListComparisons(task_key, device_class, purpose, limit);
  }
  absl::StatusOr<std::string> PutBlob(std::string_view bytes) override {
    return store_->PutBlob(bytes);
  }
  absl::StatusOr<std::string> GetBlob(std::string_view digest) override {
    return store_->GetBlob(digest);
  }
  absl::Status DropBlob(std::string_view digest) override { return store_->DropBlob(digest); }

 private:
  std::shared_ptr<db::Store> store_;
};

}  // namespace tessera::server
