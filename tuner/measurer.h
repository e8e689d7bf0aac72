#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "db/record/record.h"
#include "db/record/runner_time.h"

namespace tessera::tuner {

// A trial to build and measure.
struct TrialRequest {
  int64_t job_id = 0;
  int64_t trial = 0;  // unique within the job
  int task_index = 0;
  db::Task task;
  std::string device_class;  // whose devices measure it; empty: of any
  std::string trace;
  std::string loop_hash;
  std::string config;
  std::string explorer;
};

// Programs of one task that are to be measured side by side, the incumbent first.
struct ComparisonRequest {
  int64_t job_id = 0;  // 0: of none
  int task_index = 0;
  db::Task task;
  std::string device_class;
  std::string device;  // that is to do it; empty: any of the class
  db::ComparisonPurpose purpose = db::ComparisonPurpose::kPromotion;
  std::vector<db::Record> programs;  // at least two
};

// What came of it: samples at one place of several programs are of one turn.
struct ComparisonRun {
  std::string device, device_class;
  std::vector<db::Measurement> measurements;  // one a program
};

// Builds and measures trials somewhere else, and tries again what is worth it. The tuner's only way
// to a device. Thread-safe.
class Measurer {
 public:
  virtual ~Measurer() = default;
  // How many more trials of `task` should be handed over now so that nothing idles: what devices of
  // `device_class` (empty: of any) can take beyond what they hold. 0 = none, also when no device
  // matches.
  virtual int Appetite(const db::Task& task, std::string_view device_class) = 0;
  // Why devices of the class can never take `task`, InvalidArgument with what they are; OK where
  // they can, or none is known.
  virtual absl::Status CheckCanRun(const db::Task& task, std::string_view device_class) {
    static_cast<void>(task);
    static_cast<void>(device_class);
    return absl::OkStatus();
  }
  // Why no connected device takes trials of `task`, busy or not, and what to do, in words for
  // people: "no connected device …; …". Empty when one does.
  virtual std::string Missing(const db::Task& task, std::string_view device_class) {
    static_cast<void>(task);
    static_cast<void>(device_class);
    return "";
  }
  // Whether times of the class are computed rather than measured: what one trial says is so, and
  // measuring again tells nothing. False as long as no device of it is known.
  virtual bool HasExactTimes(std::string_view device_class) {
    static_cast<void>(device_class);
    return false;
  }
  // What is known of how fast devices of the class (empty: of any) are beside each other: by device
  // db::Pace::ratio. It may change at any time.
  virtual std::map<std::string, double> Paces(std::string_view device_class) {
    static_cast<void>(device_class);
    return {};
  }
  // Starts a trial. `done` is called once, from any thread, with the record to be stored (task,
  // trace, outcome, samples, device; id 0), or with kInfrastructure when no device could do it, or
  // with kCancelled when it was given back untried (nothing is stored then; it is handed out
  // again). May be called before Start returns, and after the caller is gone.
  virtual void Start(const TrialRequest& request, std::function<void(db::Record)> done) = 0;
  // Starts a comparison: all programs are built again, whatever became of their artifacts, and run
  // by turns on one device of the class. `done` is called as of Start, once; Cancelled when it was
  // given back untried (it is worth asking again then), another error when no device could do it.
  virtual void Compare(const ComparisonRequest& request,
                       std::function<void(absl::StatusOr<ComparisonRun>)> done) {
    static_cast<void>(request);
    done(absl::UnimplementedError("this measurer compares nothing"));
  }
  // `record` is on disk now: whoever measured it may be told and may forget it.
  virtual void Stored(const db::Record& record) { static_cast<void>(record); }
  // The job wants no more results, of comparisons neither: what it has in the queue need not be
  // begun.
  virtual void Abandon(int64_t job_id) { static_cast<void>(job_id); }
  // What the time of the devices went to that had trials of the job, which may have ended. Empty
  // where nobody knows.
  virtual std::vector<db::RunnerTime> RunnerTimes(int64_t job_id) {
    static_cast<void>(job_id);
    return {};
  }
};

}  // namespace tessera::tuner
