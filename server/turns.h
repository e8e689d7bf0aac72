#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "tuner/measurer.h"

namespace tessera::server {

// A measurer that says when a trial or comparison came back, and with it room for one more,
// whosever it is. Thread-safe.
class Turns final : public tuner::Measurer {
 public:
  // `freed` is called after each `done`, from any thread, until Close.
  Turns(tuner::Measurer& inner, std::function<void()> freed) : inner_(inner) {
    absl::MutexLock lock(&bell_->mutex);
    bell_->freed = std::move(freed);
  }

  int Appetite(const db::Task& task, std::string_view device_class) override {
    return inner_.Appetite(task, device_class);
  }
  absl::Status CheckCanRun(const db::Task& task, std::string_view device_class) override {
    return inner_.CheckCanRun(task, device_class);
  }
  std::string Missing(const db::Task& task, std::string_view device_class) override {
    return inner_.Missing(task, device_class);
  }
  bool HasExactTimes(std::string_view device_class) override {
    return inner_.HasExactTimes(device_class);
  }
  std::map<std::string, double> Paces(std::string_view device_class) override {
    return inner_.Paces(device_class);
  }
  void Start(const tuner::TrialRequest& request, std::function<void(db::Record)> done) override {
    inner_.Start(request, [bell = bell_, done = std::move(done)](db::Record record) {
      done(std::move(record));
      absl::MutexLock lock(&bell->mutex);
      if (bell->freed) bell->freed();
    });
  }
  void Compare(const tuner::ComparisonRequest& request,
               std::function<void(absl::StatusOr<tuner::ComparisonRun>)> done) override {
    inner_.Compare(request, [bell = bell_, done = std::move(done)](auto run) {
      done(std::move(run));
      absl::MutexLock lock(&bell->mutex);
      if (bell->freed) bell->freed();
    });
  }
  void Stored(const db::Record& record) override { inner_.Stored(record); }
  void Abandon(int64_t job_id) override { inner_.Abandon(job_id); }
  std::vector<db::RunnerTime> RunnerTimes(int64_t job_id) override {
    return inner_.RunnerTimes(job_id);
  }

  // `freed` is not called any more once this returns.
  void Close() {
    absl::MutexLock lock(&bell_->mutex);
    bell_->freed = nullptr;
  }

 private:
  // Outlives this: trials may come back later.
  struct Bell {
    absl::Mutex mutex;
    std::function<void()> freed ABSL_GUARDED_BY(mutex);
  };

  tuner::Measurer& inner_;
  const std::shared_ptr<Bell> bell_ = std::make_shared<Bell>();
};

}  // namespace tessera::server
