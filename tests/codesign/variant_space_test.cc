#include "codesign/variant_space.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <set>
#include <string>

namespace tessera::codesign {
namespace {

bool Fits(const Variant& variant, const Device& device) {
  return CheckFits(variant.config, ClockOf(variant), device, WidthsOf(variant)).ok();
}

std::vector<Variant> All(const VariantAxes& axes) {
  std::vector<Variant> all = {Variant()};
  const auto vary = [&all](const auto& values, const auto& set) {
    std::vector<Variant> varied;
    for (const Variant& variant : all) {
      for (const auto value : values) {
        set(varied.emplace_back(variant), value);
      }
    }
    all = varied;
  };
  vary(axes.log_batch, [](Variant& v, int x) { v.config.log_batch = x; });
  vary(axes.log_block, [](Variant& v, int x) { v.config.log_block = x; });
  vary(axes.log_uop_bytes, [](Variant& v, int x) { v.config.log_uop_bytes = x; });
  vary(axes.log_inp_bytes, [](Variant& v, int x) { v.config.log_inp_bytes = x; });
  vary(axes.log_wgt_bytes, [](Variant& v, int x) { v.config.log_wgt_bytes = x; });
  vary(axes.log_acc_bytes, [](Variant& v, int x) { v.config.log_acc_bytes = x; });
  vary(axes.log_alu_narrowing, [](Variant& v, int x) { v.log_alu_narrowing = x; });
  vary(axes.bus_bits, [](Variant& v, int64_t x) { v.bus_bits = x; });
  vary(axes.stages, [](Variant& v, int64_t x) { v.stages = x; });
  vary(axes.megahertz, [](Variant& v, int64_t x) { v.megahertz = x; });
  return all;
}

constexpr int kMostLogBlock = 4;
bool Serves(const vta::Config& config) { return config.log_block <= kMostLogBlock; }

VariantAxes SmallAxes() {
  return {.log_batch = {0, 1, 2},
          .log_block = {3, 4, 5},
          .log_uop_bytes = {15},
          .log_inp_bytes = {15, 18},
          .log_wgt_bytes = {18, 20},
          .log_acc_bytes = {17, 19},
          .log_alu_narrowing = {0, 4},
          .bus_bits = {64, 128},
          .stages = {4, 9, 10},
          .megahertz = {50, 100, 200, 300}};
}

// Same but for the clock.
bool IsSameDesign(Variant a, const Variant& b) {
  a.stages = b.stages;
  a.megahertz = b.megahertz;
  return a == b;
}

TEST_CASE("screening counts as CheckFits does, one by one", "[codesign]") {
  for (const Device& device : Devices()) {
    CAPTURE(device.name);
    const Screening screening = Screen(SmallAxes(), device, Serves);
    const std::vector<Variant> all = All(SmallAxes());
    CHECK(screening.screened == std::ssize(all));
    int64_t encodable = 0, possible = 0;
    for (const Variant& variant : all) {
      encodable += vta::CheckEncodable(variant.config).ok();
      possible += Fits(variant, device) && Serves(variant.config);
    }
    CHECK(screening.not_encodable == std::ssize(all) - encodable);
    CHECK(screening.possible() == possible);
    CHECK(screening.screened == screening.not_encodable + screening.not_served + screening.widths +
                                    screening.block_rams + screening.luts + screening.clock +
                                    screening.possible());
    CHECK(screening.not_served > 0);
    CHECK(screening.block_rams > 0);
    CHECK(screening.luts > 0);
    CHECK(screening.clock > 0);
    CHECK((screening.widths > 0) == (device.bus_bits < 128));
  }
}

TEST_CASE("what is left is possible, and as good as what is left out", "[codesign]") {
  for (const Device& device : Devices()) {
    const Screening screening = Screen(SmallAxes(), device, Serves);
    REQUIRE(!screening.variants.empty());
    std::set<std::string> names;
    for (const Variant& variant : screening.variants) {
      CHECK(Fits(variant, device));
      names.insert(ToString(variant));
    }
    CHECK(names.size() == screening.variants.size());
    for (const Variant& variant : All(SmallAxes())) {
      if (!Fits(variant, device) || !Serves(variant.config)) continue;
      CAPTURE(ToString(variant), device.name);
      CHECK(std::ranges::any_of(screening.variants, [&](const Variant& left) {
        return IsSameDesign(left, variant) && left.megahertz >= variant.megahertz &&
               left.stages <= variant.stages;
      }));
    }
  }
}

TEST_CASE("the axes have the defaults of all devices, and thousands of variants", "[codesign]") {
  for (const Device& device : Devices()) {
    const Screening screening = Screen(DefaultAxes(), device, [](const auto&) { return true; });
    CHECK(screening.screened > 1'000'000);
    CHECK(screening.variants.size() > 1'000);
    Variant base = DefaultVariant(device);
    CHECK(std::ranges::count(screening.variants, base) == 1);
  }
}

}  // namespace
}  // namespace tessera::codesign
