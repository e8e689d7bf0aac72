#include "compiler/vta/code.h"

#include <catch2/catch.hpp>
#include <functional>
#include <string>

#include "base/rng.h"
#include "compiler/vta/ranges.h"
#include "tests/compiler/vta/code_examples.h"

namespace tessera::vta {
namespace {

constexpr int kBuffers = 3;

// Of ProductCode, its nodes in the order in which they are numbered.
struct Parts {
  Repeat *columns, *rows;
  Move *weights, *inputs, *store;
  Product *reset, *product;
  Elementwise* shift;
};
Parts PartsOf(Code& code) {
  auto* columns = &std::get<Repeat>(code.body[0].what);
  auto* rows = &std::get<Repeat>(columns->body[1].what);
  return {columns,
          rows,
          &std::get<Move>(columns->body[0].what),
          &std::get<Move>(rows->body[0].what),
          &std::get<Move>(rows->body.back().what),
          &std::get<Product>(rows->body[1].what),
          &std::get<Product>(rows->body[2].what),
          &std::get<Elementwise>(rows->body[3].what)};
}

// Why the changed program of 6 × 4 results of 8 products is refused.
std::string Refusal(const std::function<void(Code&, const Parts&)>& change) {
  Code code = ProductCode(6, 4, 8, 2);
  REQUIRE(Check(code, kBuffers).ok());
  change(code, PartsOf(code));
  const absl::Status status = Check(code, kBuffers);
  CHECK(status.code() == absl::StatusCode::kInvalidArgument);
  return std::string(status.message());
}

using Catch::Contains;

TEST_CASE("programs that can't be placed are refused by allocation and limit", "[vta]") {
  CHECK_THAT(Refusal([](Code& code, const Parts&) { code.config.log_inp_bytes = 3; }),
             Contains("a tile of inp has 2^4 bytes"));
  CHECK_THAT(Refusal([](Code& code, const Parts&) {
               code.config = {.log_block = 7, .log_wgt_bytes = 16};
             }),
             Contains("the bytes of a tile of wgt is 14, not of 0 to 12"));
  CHECK_THAT(Refusal([](Code& code, const Parts&) { code.allocations[0].memory = Memory::kUop; }),
             Contains("allocation 0: it is of none of inp, wgt and acc"));
  CHECK_THAT(Refusal([](Code& code, const Parts&) { code.allocations[0].first_tile = 2033; }),
             Contains("allocation 0: the end is 2049, not of 1 to 2048"));
  CHECK_THAT(Refusal([](Code& code, const Parts&) { code.allocations[1].copies = 0; }),
             Contains("allocation 1: the number of copies is 0"));
  CHECK_THAT(Refusal([](Code& code, const Parts&) { code.allocations[2].tiles = 1 << 20; }),
             Contains("allocation 2: the number of tiles is 1048576"));
  CHECK_THAT(Refusal([](Code& code, const Parts&) {
               code.allocations.push_back({Memory::kInp, 15, 1, 1});
             }),
             Contains("allocations 0 and 3 share tiles of inp"));
  CHECK_THAT(Refusal([](Code& code, const Parts&) {
               code.allocations.push_back({Memory::kInp, 100, 1, 252});
             }),
             Contains("copies of all allocations is 257, not of 0 to 256"));
}

TEST_CASE("constants that can't be placed, or are stored to, are refused", "[vta]") {
  const auto with = [](size_t bytes, bool is_store, int64_t tile) {
    return Refusal([&](Code& code, const Parts& of) {
      code.constants = {std::vector<uint8_t>(256), std::vector<uint8_t>(bytes)};
      Move& move = is_store ? *of.store : *of.inputs;
      move.buffer = BufferOfConstant(1);
      move.tile.constant = tile;
    });
  };
  CHECK_THAT(with(0, false, 0), Contains("constant 1: its size is 0, not of 4 to 16384"));
  CHECK_THAT(with(1 << 15, false, 0), Contains("constant 1: its size is 32768"));
  CHECK_THAT(with(6, false, 0), Contains("constant 1: its 6 bytes are no multiple of 4"));
  // 6 × 8 tiles of 16 bytes.
  CHECK_THAT(with(768, false, 1), Contains("a tile of the buffer is 48, not of 0 to 47"));
  CHECK_THAT(with(768, true, 0), Contains("constants are not stored to"));
  CHECK_THAT(Refusal([](Code& code, const Parts& of) {
               code.constants = {std::vector<uint8_t>(768)};
               of.inputs->buffer = BufferOfConstant(1);
             }),
             Contains("the constant is 1, not of 0 to 0"));
  CHECK_THAT(Refusal([](Code& code, const Parts&) {
               code.constants.assign(kMaxConstants + 1, std::vector<uint8_t>(4));
             }),
             Contains("the number of constants is 9, not of 0 to 8"));
}

TEST_CASE("transfers that no instruction can do are refused by node and limit", "[vta]") {
  CHECK_THAT(Refusal([](Code&, const Parts& of) { of.inputs->buffer = 3; }),
             Contains("node 3: the buffer is 3, not of 0 to 2"));
  CHECK_THAT(Refusal([](Code&, const Parts& of) { of.inputs->place.allocation = 3; }),
             Contains("node 3: place: there is no allocation 3"));
  CHECK_THAT(Refusal([](Code&, const Parts& of) { of.inputs->place.copy.terms[0].extent = 3; }),
             Contains("place: the copy is 2, not of 0 to 1"));
  CHECK_THAT(Refusal([](Code&, const Parts& of) { of.inputs->place.copy.terms[0].loop = 2; }),
             Contains("loop 2 is used within 2"));
  CHECK_THAT(Refusal([](Code&, const Parts& of) { of.inputs->place.copy.terms[0].divisor = 0; }),
             Contains("a divisor is 0"));
  CHECK_THAT(Refusal([](Code&, const Parts& of) { of.inputs->place.offset.constant = 1; }),
             Contains("place: a tile of the copy is 8, not of 0 to 7"));
  CHECK_THAT(Refusal([](Code&, const Parts& of) { of.inputs->place.offset.constant = -1; }),
             Contains("place: the offset is -1"));
  CHECK_THAT(Refusal([](Code&, const Parts& of) { of.inputs->rows.first.constant = -1; }),
             Contains("padding before rows is 1, not of 0 to 0"));
  CHECK_THAT(Refusal([](Code&, const Parts& of) { of.inputs->rows.limit = 5; }),
             Contains("padding behind rows is 1, not of 0 to 0"));
  CHECK_THAT(Refusal([](Code& code, const Parts& of) {
               code.allocations[0].tiles = 20;
               of.inputs->columns = {{.constant = -16}, 20, 8};
             }),
             Contains("padding before columns is 16, not of 0 to 15"));
  CHECK_THAT(Refusal([](Code& code, const Parts& of) {
               code.allocations[0].tiles = 28;
               of.inputs->columns = {{.constant = -4}, 28, 8};
             }),
             Contains("padding behind columns is 16, not of 0 to 15"));
  CHECK_THAT(Refusal([](Code&, const Parts& of) { of.inputs->columns = {{}, 70000, 70000}; }),
             Contains("the most columns that are moved is 70000, not of 1 to 65535"));
  CHECK_THAT(Refusal([](Code&, const Parts& of) {
               of.inputs->rows.count = 2;
               of.inputs->stride = 65536;
             }),
             Contains("the stride of rows is 65536, not of 0 to 65535"));
  CHECK_THAT(Refusal([](Code&, const Parts& of) { of.inputs->stride = kMaxExtent + 1; }),
             Contains("the stride is 1073741825"));
  CHECK_THAT(Refusal([](Code&, const Parts& of) { of.inputs->tile.constant = -1; }),
             Contains("a tile of the buffer is -1, not of 0 to 268435455"));
  CHECK_THAT(Refusal([](Code&, const Parts& of) { of.weights->tile.constant = 1 << 24; }),
             Contains("a tile of the buffer is 16777216, not of 0 to 16777215"));
  CHECK_THAT(Refusal([](Code&, const Parts& of) { of.weights->tile.constant = kMaxNumber + 1; }),
             Contains("a constant is 4294967297"));
  CHECK_THAT(Refusal([](Code&, const Parts& of) { of.store->place.allocation = 0; }),
             Contains("node 9: place: allocation 0 is of inp, not of acc"));
}

TEST_CASE("steps that no instruction can do are refused by node and limit", "[vta]") {
  CHECK_THAT(Refusal([](Code&, const Parts& of) { of.product->src.allocation = 1; }),
             Contains("node 5: src: allocation 1 is of wgt, not of inp"));
  CHECK_THAT(Refusal([](Code&, const Parts& of) { of.product->loops[0].turns = 9; }),
             Contains("node 5: src: a tile of the copy is 8, not of 0 to 7"));
  CHECK_THAT(Refusal([](Code&, const Parts& of) { of.product->loops[0].turns = 16384; }),
             Contains("turns of its loop is 16384, not of 1 to 16383"));
  CHECK_THAT(Refusal([](Code&, const Parts& of) { of.product->loops[0].src_step = -1; }),
             Contains("a step of src is -1, not of 0 to 2047"));
  CHECK_THAT(Refusal([](Code&, const Parts& of) { of.product->loops[0].wgt_step = 1024; }),
             Contains("a step of wgt is 1024, not of 0 to 1023"));
  CHECK_THAT(Refusal([](Code&, const Parts& of) {
               of.product->loops.push_back({});
               of.product->loops.push_back({.turns = 8, .src_step = -1});
             }),
             Contains("src: a tile of the copy is -7"));
  CHECK_THAT(Refusal([](Code&, const Parts& of) {
               of.product->loops.insert(of.product->loops.end(), 3, {.turns = 128});
             }),
             Contains("the number of its micro-ops is 16384, not of 1 to 8192"));
  CHECK_THAT(Refusal([](Code&, const Parts& of) {
               of.product->loops.push_back({});
               of.product->loops.resize(8, {.turns = 1 << 22});
             }),
             Contains("the number of its micro-ops is 4194305"));
  CHECK_THAT(Refusal([](Code&, const Parts& of) { of.product->loops.resize(9); }),
             Contains("the number of its loops is 9, not of 0 to 8"));
  CHECK_THAT(Refusal([](Code&, const Parts& of) { of.reset->src = of.product->src; }),
             Contains("node 4: a reset has no src and no wgt"));
  CHECK_THAT(Refusal([](Code&, const Parts& of) { of.reset->loops = {{.src_step = 1}}; }),
             Contains("the step of src, which isn't used, is 1"));
  CHECK_THAT(Refusal([](Code&, const Parts& of) { of.shift->immediate = 32768; }),
             Contains("node 6: the immediate is 32768, not of -32768 to 32767"));
  CHECK_THAT(Refusal([](Code&, const Parts& of) { of.shift->src = of.shift->dst; }),
             Contains("with an immediate there is no src"));
  CHECK_THAT(Refusal([](Code&, const Parts& of) { of.shift->uses_immediate = false; }),
             Contains("the immediate, which isn't used, is 4"));
  CHECK_THAT(Refusal([](Code&, const Parts& of) { of.shift->loops = {{.wgt_step = 1}}; }),
             Contains("the step of wgt, which isn't used, is 1"));
  CHECK_THAT(Refusal([](Code&, const Parts& of) { of.shift->op = static_cast<AluOp>(4); }),
             Contains("the operation is 4"));
}

TEST_CASE("programs that never end are refused", "[vta]") {
  CHECK_THAT(Refusal([](Code&, const Parts& of) { of.rows->turns = 0; }),
             Contains("node 2: turns is 0"));
  CHECK_THAT(Refusal([](Code&, const Parts& of) { of.rows->body.clear(); }),
             Contains("node 2: there is nothing in the loop"));
  CHECK_THAT(Refusal([](Code&, const Parts& of) { of.rows->turns = 1 << 21; }),
             Contains("node 2: 4 × 2097152 turns are more than 4194304 instructions"));
  CHECK_THAT(Refusal([](Code&, const Parts& of) {
               of.rows->turns = 1 << 20;
               of.weights->rows.limit = kMaxExtent;
             }),
             Contains("more than 4194304 instructions and turns"));
  // A store that is cut becomes as many as it has rows.
  CHECK_THAT(Refusal([](Code& code, const Parts& of) {
               code.allocations[2].tiles = 1000;
               of.columns->turns = of.rows->turns = 70;
               for (Span* span : {&of.weights->rows, &of.inputs->rows, &of.store->columns}) {
                 span->limit = 100;
               }
               of.store->rows = {{}, 1000, 1000};
               of.store->columns.first = {.constant = -1};
             }),
             Contains("node 9: up to here there are more than 4194304 instructions"));
  // Each turn has micro-ops of its own.
  CHECK_THAT(Refusal([](Code& code, const Parts& of) {
               code.allocations[2] = {Memory::kAcc, 0, 2048, 1};
               code.body = {{Repeat{.turns = 2048, .body = {{*of.reset}}}}};
               auto& reset = std::get<Product>(std::get<Repeat>(code.body[0].what).body[0].what);
               reset.dst = {.allocation = 2, .offset = {.terms = {TurnOf(0, 2048)}}};
               reset.loops = {{}, {}, {.turns = 4096}};
             }),
             Contains("the number of micro-ops up to here is 4194305"));
  Code deep = ProductCode(6, 4, 8, 2);
  for (int i = 0; i < kMaxLoops; ++i) deep.body = {{Repeat{.turns = 1, .body = deep.body}}};
  CHECK_THAT(std::string(Check(deep, kBuffers).message()), Contains("loops around it is 16"));
}

TEST_CASE("micro-ops are counted once for each place that they may have", "[vta]") {
  CHECK(MostWords(ProductCode(6, 4, 8, 1)) == 5);
  CHECK(MostWords(ProductCode(6, 4, 8, 2)) == 5 * 2);
  Code constants = ProductCode(6, 4, 8, 1);
  constants.constants = {std::vector<uint8_t>(8), std::vector<uint8_t>(12)};
  CHECK(MostWords(constants) == 1024 + 3 + 5);
  const Value digits = {.terms = {TurnOf(0, 4), TurnOf(0, 100, 1, 4), TurnOf(1, 3)}};
  CHECK(DistinctValues({&digits}, {12, 7}, 1000) == 36);
  const Value others = {.terms = {TurnOf(0, 4, -5), TurnOf(1, 4)}};
  CHECK(DistinctValues({&digits, &others}, {12, 7}, 1000) == 12 * 7);
  CHECK(DistinctValues({&digits}, {12, 7}, 20) == 20);
}

TEST_CASE("ranges of values are those that their turns give", "[vta]") {
  const uint64_t seed = 1;
  CAPTURE(seed);
  Rng rng(seed);
  for (int i = 0; i < 500; ++i) {
    const std::vector<int64_t> turns = {rng.Between(1, 9), rng.Between(1, 9)};
    const Value value = {rng.Between(-5, 5),
                         {TurnOf(0, rng.Between(1, 9), rng.Between(-3, 3), rng.Between(1, 4)),
                          TurnOf(1, rng.Between(1, 9), rng.Between(-3, 3), rng.Between(1, 4))}};
    int64_t low = INT64_MAX, high = INT64_MIN;
    for (int64_t a = 0; a < turns[0]; ++a) {
      for (int64_t b = 0; b < turns[1]; ++b) {
        const Term &x = value.terms[0], &y = value.terms[1];
        const int64_t found = value.constant + x.coefficient * (a / x.divisor % x.extent) +
                              y.coefficient * (b / y.divisor % y.extent);
        low = std::min(low, found);
        high = std::max(high, found);
      }
    }
    const Range range = RangeOf(value, turns);
    CHECK(range.low == low);
    CHECK(range.high == high);
  }
}

}  // namespace
}  // namespace tessera::vta
