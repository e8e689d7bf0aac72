#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "db/record/store.h"
#include "server/devices.h"
#include "tuner/measurer.h"

namespace tessera::server {

struct CalibrationOptions {
  int programs = 4;  // of a round
  int rounds = 8;    // that paces are estimated from
  // From one round's begin to the next one's; doubles with each round that there was.
  absl::Duration first_pause = absl::Seconds(30);
  absl::Duration longest_pause = absl::Minutes(10);
};

// Finds out how fast the devices of a class are beside each other (db/record/pace.h). In a round
// each of them measures the fastest programs of one task, by turns as programs are compared: a
// comparison on a named device, which is stored. The first round begins as soon as there are
// programs and two devices that take work, the next ones while trials come in. A device that
// connects later makes up for the latest round. What was done is known from the store, so that a
// restarted server goes on. Devices with exact times take no part.
//
// Thread-compatible. The measurer may be done with what it was given after this is gone.
class Calibrator {
 public:
  // References outlive the calibrator.
  Calibrator(db::Store& store, tuner::Measurer& measurer, DeviceRegistry& devices, Clock& clock,
             const CalibrationOptions& options = {});
  ~Calibrator();

  // Stores what came back, estimates paces, starts what is due. May wait for the store, whose
  // troubles it tries again. Call it a few times a second.
  void Tend();

 private:
  struct Mail;

  struct Round {
    db::Task task;
    std::vector<db::Record> programs;
    absl::Time begun;
    std::set<std::string> under_way;
    std::set<std::string> done;             // measured, or not worth another try
    std::map<std::string, int> given_back;  // untried, by device
  };

  struct Class {
    bool restored = false;
    std::optional<Round> round;  // the latest
    int rounds = 0;              // there were; counted up to those that paces are estimated from
    int64_t newest_record = 0;   // when the latest round began
    absl::Time next_look;
  };

  void TakeMail();
  // Of classes with new calibrations, once each. Those that fail are tried again at the next turn.
  void UpdatePaces();
  absl::Status Restore(const std::string& name, Class& of);
  // Begins a round if one is due and there is something new to measure.
  absl::Status BeginRound(const std::string& name, Class& of);
  void StartOn(const std::string& device, const std::string& name, Round& round);
  // Of a class, the newest first.
  absl::StatusOr<std::vector<db::Comparison>> Recent(const std::string& name);
  void WarnOfSlow();
  // Unless that was the latest warning about it, and what it is about has not succeeded since.
  void WarnOnce(const std::string& about, std::string text);

  db::Store& store_;
  tuner::Measurer& measurer_;
  DeviceRegistry& devices_;
  Clock& clock_;
  const CalibrationOptions options_;
  std::map<std::string, Class> classes_;
  std::shared_ptr<Mail> mail_;
  std::deque<db::Comparison> unstored_;
  std::set<std::string> unestimated_;  // classes whose new calibrations no pace counts yet
  std::set<std::string> slow_;         // devices that were warned of
  std::map<std::string, std::string> warnings_;  // the latest of what is wrong, by what it is about
};

}  // namespace tessera::server
