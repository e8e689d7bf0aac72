#include "compiler/te/instructions.h"

#include <catch2/catch.hpp>
#include <set>

#include "absl/strings/str_cat.h"

namespace tessera::te {
namespace {

ir::Expr Element(const char* name, ir::Type type) {
  return ir::MakeLoad(ir::MakeBuffer(name, type, {4}), {ir::Expr(0)});
}
ir::Expr Wide(const ir::Expr& e, ir::Type type = ir::Int(32)) { return ir::MakeCast(type, e); }

TEST_CASE("every instruction says what it computes in lanes and groups", "[te]") {
  std::set<std::string> names;
  for (const Instruction& instruction : Instructions()) {
    CAPTURE(instruction.name);
    CHECK(names.insert(instruction.name).second);
    CHECK(InstructionNamed(instruction.name) == &instruction);
    CHECK(Verify(instruction.definition.dag) == absl::OkStatus());
    CHECK(instruction.stage().axes[0].extent == instruction.lanes);
    CHECK(instruction.stage().reduce_axes[0].extent == instruction.group);
    // What it computes is of its own form.
    CHECK(!Unify(instruction, instruction.stage().bodies[0]).empty());
  }
  CHECK(InstructionNamed("vpdp") == nullptr);
}

TEST_CASE("operands of products are found in either order", "[te]") {
  const Instruction& dot = *InstructionNamed("vpdpbusd_512");
  const ir::Expr u = Element("u", ir::UInt(8)), s = Element("s", ir::Int(8));
  for (const ir::Expr& product : {Wide(u) * Wide(s), Wide(s) * Wide(u)}) {
    const std::vector<Operands> ways = Unify(dot, product);
    REQUIRE(ways.size() == 1);
    CHECK(ways[0].a.Same(u));
    CHECK(ways[0].b.Same(s));
  }
  // Both orders of operands of one type.
  CHECK(Unify(*InstructionNamed("sdot_128"), Wide(s) * Wide(s)).size() == 2);
}

TEST_CASE("what is no sum of products of its types is not unified", "[te]") {
  const Instruction& dot = *InstructionNamed("vpdpbusd_512");
  const ir::Expr u = Element("u", ir::UInt(8)), s = Element("s", ir::Int(8));
  CHECK(Unify(dot, Wide(s) * Wide(s)).empty());
  CHECK(Unify(dot, Wide(u) + Wide(s)).empty());
  CHECK(Unify(dot, Wide(u, ir::Int(64)) * Wide(s, ir::Int(64))).empty());
  CHECK(Unify(dot, ir::MakeCast(ir::Int(32), u, true) * Wide(s)).empty());
  CHECK(Unify(dot, u * u).empty());
}

TEST_CASE("operands are converted where no value is lost", "[te]") {
  CHECK(ConversionTo(ir::UInt(8), ir::UInt(8)) == Conversion::kNone);
  CHECK(ConversionTo(ir::UInt(8), ir::Int(8)) == Conversion::kOffset);
  CHECK(ConversionTo(ir::Int(16), ir::Int(8)) == Conversion::kWiden);
  CHECK(ConversionTo(ir::Int(16), ir::UInt(8)) == Conversion::kWiden);
  CHECK(ConversionTo(ir::Int(8), ir::UInt(8)) == std::nullopt);
  CHECK(ConversionTo(ir::UInt(16), ir::Int(8)) == std::nullopt);
  CHECK(ConversionTo(ir::Int(8), ir::Int(16)) == std::nullopt);
  CHECK(ConversionTo(ir::BFloat16(), ir::Float(32)) == std::nullopt);
  const ir::Expr s = Element("s", ir::Int(8)), t = Element("t", ir::Int(8));
  const Instruction& dot = *InstructionNamed("vpdpbusd_512");
  CHECK(Unify(dot, Wide(s) * Wide(t), /*convert=*/true).size() == 2);
}

TEST_CASE("targets offer the instructions of their features and of lower levels", "[te]") {
  const auto offered = [](const char* target) {
    std::set<std::string> names;
    for (const Instruction& instruction : Instructions()) {
      if (Offers(ir::ParseTarget(target).value(), instruction)) names.insert(instruction.name);
    }
    return names;
  };
  CHECK(offered("x86/sse4.2") == std::set<std::string>{"pmaddwd_128"});
  CHECK(offered("x86/avx2") == std::set<std::string>{"pmaddwd_128", "vpmaddwd_256"});
  CHECK(offered("x86/avx512").count("vpdpbusd_512") == 0);
  CHECK(offered("x86/avx512,vnni").count("vpdpbusd_256") == 1);
  CHECK(offered("x86/avx512,vnni").count("vdpbf16ps_512") == 0);
  CHECK(offered("aarch64/neon").empty());
  CHECK(offered("aarch64/neon,dotprod") == std::set<std::string>{"sdot_128"});
}

}  // namespace
}  // namespace tessera::te
