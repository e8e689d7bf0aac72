#pragma once

#include <compare>
#include <cstdint>
#include <string>

#include "absl/types/span.h"
#include "codesign/resources.h"
#include "compiler/ir/target.h"
#include "compiler/vta/config.h"
#include "compiler/vta/timing.h"

namespace tessera::codesign {

// A design of the accelerator: all that resources, times and programs depend on.
struct Variant {
  vta::Config config;
  int log_alu_narrowing = 0;  // as Widths
  int64_t bus_bits = 64;
  int64_t stages = 4;  // of the pipelines that multiply and operate
  int64_t megahertz = 100;

  friend bool operator==(const Variant&, const Variant&) = default;
};

// What was published to run on the device: VTA's default configuration at that device's clock.
Variant DefaultVariant(const Device& device);

Clock ClockOf(const Variant& variant);
Widths WidthsOf(const Variant& variant);
Resources ResourcesOf(const Variant& variant, const Device& device);

// What takes how many of its cycles (docs/codesign.md says why): that of vta::Timing's defaults for
// a Variant's.
vta::Timing TimingOf(const Variant& variant);
// What its programs are generated for.
ir::Target TargetOf(const Variant& variant);

// "1x16 uop15 inp15 wgt18 acc17 alu/1 bus64 st4 100MHz": logarithms of bytes.
std::string ToString(const Variant& variant);
// A file for `tessera worker --runner vta-sim --config`.
std::string ToWorkerConfig(const Variant& variant);

// In how many doublings two variants differ, those that decide which programs are fast counted in
// full, the others by half.
double Distance(const Variant& a, const Variant& b);

}  // namespace tessera::codesign
