#include "cli/codesign_report.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/view.h"
#include "cli/tables.h"

namespace tessera::cli {
namespace {

using codesign::Evaluated;
using codesign::Exploration;

// "6,998,400".
std::string Grouped(int64_t number) {
  std::string text = absl::StrCat(number);
  for (size_t at = text.size(); at > 3; at -= 3) text.insert(at - 3, ",");
  return text;
}

std::string KiB(int log_bytes) {
  return absl::StrFormat("%g", static_cast<double>(int64_t{1} << log_bytes) / 1024);
}

std::string MarkOf(const Exploration& exploration, const Evaluated& one) {
  if (&one == &exploration.tuned.front()) return "default";
  if (&one == &codesign::BestWithinDefault(exploration, true)) return "as small, same clock";
  if (&one == &codesign::BestWithinDefault(exploration, false)) return "as small";
  if (&one == &codesign::LeanestAtItsClock(exploration, codesign::kAsFast))
    return "smaller, same clock";
  return "";
}

void AddRow(Table& table, const Exploration& exploration, const Evaluated& one) {
  const codesign::Variant& v = one.tuned.variant;
  const int lanes = v.config.batch() * v.config.block() >> v.log_alu_narrowing;
  table.Add({absl::StrCat(v.config.batch(), "x", v.config.block()), KiB(v.config.log_uop_bytes),
             KiB(v.config.log_inp_bytes), KiB(v.config.log_wgt_bytes), KiB(v.config.log_acc_bytes),
             absl::StrCat(lanes), absl::StrCat(v.bus_bits), absl::StrCat(v.stages),
             absl::StrCat(v.megahertz), absl::StrCat(one.resources.dsps),
             absl::StrCat(one.resources.bram18s), absl::StrCat(one.resources.luts),
             absl::StrFormat("%.2f", 1e3 * one.seconds), absl::StrFormat("%.2f", 1e3 * one.joules),
             one.front == 0 ? "yes" : "no", MarkOf(exploration, one)});
}

std::string Compared(const Exploration& exploration, bool at_its_clock) {
  const Evaluated& base = exploration.tuned.front();
  const Evaluated& best = codesign::BestWithinDefault(exploration, at_its_clock);
  const char* const where = at_its_clock ? "at its clock, stages and bus" : "at any clock";
  if (&best == &base) {
    return absl::StrCat("within the default's DSPs, block RAMs and LUTs ", where,
                        ": nothing faster than the default\n");
  }
  return absl::StrFormat(
      "within the default's DSPs, block RAMs and LUTs %s: %.2f ms instead of %.2f (%.3f times as "
      "fast), %s\n",
      where, 1e3 * best.seconds, 1e3 * base.seconds, base.seconds / best.seconds,
      codesign::ToString(best.tuned.variant));
}

}  // namespace

std::string ScreeningText(const Exploration& exploration) {
  const codesign::Screening& s = exploration.screening;
  const std::string left_out =
      exploration.no_program == 0
          ? ""
          : absl::StrCat(", and ", Grouped(exploration.no_program),
                         " more of which all that was tried of an operator failed");
  return absl::StrCat(
      Grouped(s.screened), " variants screened for an ", AbslView(exploration.device.name), ":\n  ",
      Grouped(s.not_encodable), " can't be encoded, ", Grouped(s.not_served),
      " have tiles that an operator can't be cut into, ", Grouped(s.widths),
      " a wider bus than the port,\n  ", Grouped(s.block_rams), " too many block RAMs, ",
      Grouped(s.luts), " too many LUTs, ", Grouped(s.clock), " a clock that is not reached;\n  ",
      Grouped(s.slower), " are like others but slower; ", Grouped(exploration.candidates),
      " are left, of ", Grouped(exploration.configurations), " configurations, ",
      Grouped(exploration.no_memory), " of them without memory for a program;\n  ",
      Grouped(std::ssize(exploration.tuned)), " were tuned", left_out, "\n");
}

std::string CodesignTable(const Exploration& exploration) {
  Table table({"tile", ">uop KiB", ">inp", ">wgt", ">acc", ">ALU", ">bus", ">stages", ">MHz",
               ">DSPs", ">RAMs", ">LUTs", ">ms", ">mJ (est.)", "front", ""});
  for (const Evaluated& one : exploration.tuned) {
    if (one.front == 0 || !MarkOf(exploration, one).empty()) AddRow(table, exploration, one);
  }
  return table.Text();
}

std::string ComparisonText(const Exploration& exploration) {
  const Evaluated& base = exploration.tuned.front();
  const Evaluated& leanest = codesign::LeanestAtItsClock(exploration, codesign::kAsFast);
  std::string text = Compared(exploration, true) + Compared(exploration, false);
  if (&leanest == &base) return text;
  return text + absl::StrFormat(
                    "as fast within %g %% at its clock, stages and bus: %d block RAMs instead of "
                    "%d, in %.2f ms, %s\n",
                    100 * codesign::kAsFast, leanest.resources.bram18s, base.resources.bram18s,
                    1e3 * leanest.seconds, codesign::ToString(leanest.tuned.variant));
}

}  // namespace tessera::cli
