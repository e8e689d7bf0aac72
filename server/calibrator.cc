#include "server/calibrator.h"

#include <algorithm>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/log.h"
#include "base/status.h"
#include "base/version.h"
#include "db/record/pace.h"
#include "server/tasks.h"
#include "tuner/store_trouble.h"

namespace tessera::server {
namespace {

constexpr absl::Duration kLookPause = absl::Seconds(1);
constexpr int kMaxGivenBack = 3;
// Among the newest records so many are looked at for a task to measure.
constexpr int kNewestRecords = 64;

bool SamePrograms(const db::Comparison& one, const db::Comparison& other) {
  return one.task_key == other.task_key && one.record_ids == other.record_ids;
}

}  // namespace

// What the measurer is done with. Shared with it, so that it may outlive the calibrator.
struct Calibrator::Mail {
  struct Letter {
    std::string device, device_class;
    std::string task_key;  // of the round
    std::vector<int64_t> record_ids;
    absl::StatusOr<tuner::ComparisonRun> run;
  };
  absl::Mutex mutex;
  std::vector<Letter> letters ABSL_GUARDED_BY(mutex);
};

Calibrator::Calibrator(db::Store& store, tuner::Measurer& measurer, DeviceRegistry& devices,
                       Clock& clock, const CalibrationOptions& options)
    : store_(store),
      measurer_(measurer),
      devices_(devices),
      clock_(clock),
      options_(options),
      mail_(std::make_shared<Mail>()) {}

Calibrator::~Calibrator() = default;

void Calibrator::Tend() {
  TakeMail();
  UpdatePaces();
  std::map<std::string, std::vector<std::string>> accepting;  // devices by class
  for (const db::Device& device : devices_.List()) {
    // Computed times are the same whichever device computes them.
    if (!device.runs || device.exact_times || !devices_.Accepts(device.id)) continue;
    accepting[device.device_class.name].push_back(device.id);
  }
  const absl::Time now = clock_.Now();
  for (const auto& [name, devices] : accepting) {
    Class& of = classes_[name];
    if (of.next_look > now) continue;
    of.next_look = now + kLookPause;
    const auto tend = [&]() -> absl::Status {
      if (!of.restored) TESSERA_RETURN_IF_ERROR(Restore(name, of));
      const bool under_way = of.round && !of.round->under_way.empty();
      return devices.size() > 1 && !under_way ? BeginRound(name, of) : absl::OkStatus();
    };
    const std::string about = absl::StrCat("device class ", name);
    if (const absl::Status status = tend(); !status.ok()) {
      WarnOnce(about, absl::StrCat("not calibrated: ", status.message()));
      continue;
    }
    warnings_.erase(about);
    if (!of.round) continue;
    for (const std::string& device : devices) {
      if (of.round->done.contains(device) || of.round->under_way.contains(device)) continue;
      StartOn(device, name, *of.round);
    }
  }
}

absl::StatusOr<std::vector<db::Comparison>> Calibrator::Recent(const std::string& name) {
  int known = 0;
  for (const db::Device& device : devices_.List()) known += device.device_class.name == name;
  return store_.ListComparisons("", name, db::ComparisonPurpose::kCalibration,
                                options_.rounds * std::max(1, known));
}

absl::Status Calibrator::Restore(const std::string& name, Class& of) {
  TESSERA_ASSIGN_OR_RETURN(const std::vector<db::Comparison> recent, Recent(name));
  Class restored;
  restored.restored = true;
  // From the oldest. The next round may have the same programs, but none has a device twice.
  for (size_t i = recent.size(); i-- > 0;) {
    const db::Comparison& calibration = recent[i];
    if (!restored.round || !SamePrograms(calibration, recent[i + 1]) ||
        restored.round->done.contains(calibration.device)) {
      restored.rounds = std::min(restored.rounds + 1, options_.rounds);
      restored.round = Round{.begun = calibration.created};
    }
    restored.round->done.insert(calibration.device);
  }
  if (restored.round) {
    Round& round = *restored.round;
    TESSERA_ASSIGN_OR_RETURN(round.task, FindTask(store_, recent[0].task_key));
    for (const int64_t id : recent[0].record_ids) {
      TESSERA_ASSIGN_OR_RETURN(db::Record record, db::GetRecord(store_, id));
      restored.newest_record = std::max(restored.newest_record, record.id);
      round.programs.push_back(std::move(record));
    }
  }
  restored.next_look = of.next_look;
  of = std::move(restored);
  return absl::OkStatus();
}

absl::Status Calibrator::BeginRound(const std::string& name, Class& of) {
  const absl::Time now = clock_.Now();
  if (of.round) {
    const absl::Duration pause =
        std::min(options_.longest_pause, options_.first_pause * (1 << (of.rounds - 1)));
    if (now < of.round->begun + pause) return absl::OkStatus();
  }
  db::RecordFilter newest;
  newest.device_class = name;
  newest.outcomes = {db::Outcome::kOk};
  newest.newest_first = true;
  newest.after_id = of.newest_record;
  newest.limit = kNewestRecords;
  TESSERA_ASSIGN_OR_RETURN(const std::vector<db::Record> records, store_.QueryRecords(newest));
  // The newest first, another one than that of the latest round before all.
  std::vector<std::string> keys;
  for (const db::Record& record : records) {
    if (std::ranges::find(keys, record.task_key) == keys.end()) keys.push_back(record.task_key);
  }
  const std::string latest = of.round ? of.round->task.Key() : "";
  std::ranges::stable_partition(keys, [&](const std::string& key) { return key != latest; });
  for (const std::string& key : keys) {
    TESSERA_ASSIGN_OR_RETURN(std::vector<db::Record> programs,
                             store_.Best(key, name, options_.programs));
    if (programs.size() < db::kMinPacePrograms) continue;
    Round round;
    TESSERA_ASSIGN_OR_RETURN(round.task, FindTask(store_, key));
    round.programs = std::move(programs);
    round.begun = now;
    of.rounds = std::min(of.rounds + 1, options_.rounds);
    of.newest_record = records[0].id;
    of.round = std::move(round);
    return absl::OkStatus();
  }
  return absl::OkStatus();
}

void Calibrator::StartOn(const std::string& device, const std::string& name, Round& round) {
  tuner::ComparisonRequest request;
  request.task = round.task;
  request.device_class = name;
  request.device = device;
  request.purpose = db::ComparisonPurpose::kCalibration;
  request.programs = round.programs;
  Mail::Letter letter = {device, name, round.task.Key(), {}, absl::UnknownError("not done")};
  for (const db::Record& program : round.programs) letter.record_ids.push_back(program.id);
  round.under_way.insert(device);
  measurer_.Compare(request, [mail = mail_, letter = std::move(letter)](auto run) {
    Mail::Letter done = letter;
    done.run = std::move(run);
    absl::MutexLock lock(&mail->mutex);
    mail->letters.push_back(std::move(done));
  });
}

void Calibrator::TakeMail() {
  std::vector<Mail::Letter> letters;
  {
    absl::MutexLock lock(&mail_->mutex);
    letters.swap(mail_->letters);
  }
  for (Mail::Letter& letter : letters) {
    // No other round begins while one is under way.
    Round& round = *classes_.find(letter.device_class)->second.round;
    round.under_way.erase(letter.device);
    const bool untried = absl::IsCancelled(letter.run.status());
    if (untried && ++round.given_back[letter.device] < kMaxGivenBack) continue;
    round.done.insert(letter.device);
    if (!letter.run.ok()) {
      LogWarning(absl::StrCat("device ", letter.device, ": not calibrated with programs of task ",
                              round.task.name, ": ", letter.run.status().message()));
      continue;
    }
    db::Comparison calibration;
    calibration.task_key = letter.task_key;
    calibration.device = letter.run->device;
    calibration.device_class = letter.run->device_class;
    calibration.purpose = db::ComparisonPurpose::kCalibration;
    calibration.record_ids = letter.record_ids;
    for (const db::Measurement& measured : letter.run->measurements) {
      calibration.sample_seconds.push_back(
          measured.outcome == db::Outcome::kOk ? measured.sample_seconds : std::vector<double>());
    }
    calibration.promoted = letter.record_ids[0];
    calibration.tessera_version = std::string(Version());
    calibration.created = clock_.Now();
    unstored_.push_back(std::move(calibration));
  }
  while (!unstored_.empty()) {
    const db::Comparison& calibration = unstored_.front();
    const absl::Status status = store_.AppendComparison(calibration).status();
    const std::string about = absl::StrCat("calibration of ", calibration.device);
    // What the store refuses for its content, it would refuse again.
    if (!status.ok() && tuner::MayPass(status)) {
      WarnOnce(about, absl::StrCat("waits for the server's database: ", status.message()));
      return;
    }
    if (status.ok()) {
      warnings_.erase(about);
      unestimated_.insert(calibration.device_class);
    } else {
      WarnOnce(about, std::string(status.message()));
    }
    unstored_.pop_front();
  }
}

void Calibrator::UpdatePaces() {
  if (unestimated_.empty()) return;
  std::erase_if(unestimated_, [&](const std::string& name) {
    const std::string about = absl::StrCat("paces of device class ", name);
    const absl::StatusOr<std::vector<db::Comparison>> recent = Recent(name);
    if (!recent.ok()) {
      WarnOnce(about, absl::StrCat("wait for the server's database: ", recent.status().message()));
      return false;
    }
    warnings_.erase(about);
    devices_.SetPaces(name, db::EstimatePaces(*recent));
    return true;
  });
  WarnOfSlow();
}

void Calibrator::WarnOfSlow() {
  const std::vector<db::Device> devices = devices_.List();
  for (const db::Device& device : devices) {
    const double slower = db::SlowerThanOthers(devices, device);
    if (slower <= db::kMuchSlower) {
      slow_.erase(device.id);
    } else if (slow_.insert(device.id).second) {
      LogWarning(db::SlowText(device, slower));
    }
  }
}

void Calibrator::WarnOnce(const std::string& about, std::string text) {
  std::string& latest = warnings_[about];
  if (text == latest) return;
  LogWarning(absl::StrCat(about, ": ", text));
  latest = std::move(text);
}

}  // namespace tessera::server
