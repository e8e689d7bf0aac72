#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/types/span.h"

namespace tessera::tuner {

// What the times of a job's devices are worth beside each other, as its log says (kPaced). Times
// become those of the job's first device, whatever the class as a whole is taken to be: what is
// known of another device than the two in question changes nothing. With one device, and before
// anything is known, they stay what they are, to the bit. Thread-compatible.
class Paces {
 public:
  // A number for the device, from 0 in the order of asking.
  int NumberOf(std::string_view device);
  // From here on. Returns for each numbered device by how much its times cost more than before;
  // empty where nothing changes.
  std::vector<double> Set(std::string_view device, double ratio);
  // As it was set; 1 before that.
  double Of(std::string_view device) const;
  // Seconds of the numbered device as those of the first one.
  double Comparable(int number, double seconds) const { return seconds * Factor(number); }

 private:
  double Factor(int number) const { return Of(devices_[0]) / Of(devices_[number]); }

  std::vector<std::string> devices_;  // by number
  std::map<std::string, double, std::less<>> ratios_;
};

// The fastest of what each device measured, of which one is the fastest of all. Exact whatever
// their paces turn out to be, as a pace does not change the order of one device's programs.
struct Fastest {
  double seconds;  // comparable; infinity: none
  int64_t trial = -1, record_id = 0;
};
class FastestOfDevices {
 public:
  void Add(int device, const Fastest& program);  // the first of equals stays
  void Scale(absl::Span<const double> factors);
  Fastest Best() const;

 private:
  std::vector<Fastest> by_device_;
};

}  // namespace tessera::tuner
