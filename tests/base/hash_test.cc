#include "base/hash.h"

#include <catch2/catch.hpp>
#include <set>

namespace tessera {
namespace {

TEST_CASE("the stable hash is the same in every release", "[hash]") {
  CHECK(StableHash("") == StableHash(""));
  CHECK(HashToHex(StableHash("tessera")) == "119c6a027cab90f0");
}

TEST_CASE("the stable hash depends on order and on where words end", "[hash]") {
  CHECK(StableHasher().Add("ab").Add("c").Finish() != StableHasher().Add("a").Add("bc").Finish());
  CHECK(StableHasher().Add(1).Add(2).Finish() != StableHasher().Add(2).Add(1).Finish());
  CHECK(StableHasher().Add(0).Finish() != StableHasher().Finish());
}

TEST_CASE("the stable hash of small numbers does not collide", "[hash]") {
  std::set<uint64_t> seen;
  for (uint64_t i = 0; i < 100000; ++i) seen.insert(StableHasher().Add(i).Add(i / 7).Finish());
  CHECK(seen.size() == 100000);
}

TEST_CASE("SHA-256 matches the standard's vectors", "[hash]") {
  CHECK(Sha256Hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(Sha256Hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_CASE("a hash goes to hexadecimal and back", "[hash]") {
  for (const uint64_t hash :
       {uint64_t{0}, uint64_t{1}, ~uint64_t{0}, uint64_t{0x0123456789abcdef}}) {
    REQUIRE(HashFromHex(HashToHex(hash)).ok());
    CHECK(*HashFromHex(HashToHex(hash)) == hash);
  }
  CHECK(HashToHex(255) == "00000000000000ff");
}

TEST_CASE("what is no hash is refused and named", "[hash]") {
  for (const char* text : {"", "12", "00000000000000fg", "00000000000000ff0", "-000000000000001"}) {
    CAPTURE(text);
    const auto hash = HashFromHex(text);
    REQUIRE(!hash.ok());
    CHECK(hash.status().code() == absl::StatusCode::kInvalidArgument);
    CHECK(std::string(hash.status().message()).find(text) != std::string::npos);
  }
}

}  // namespace
}  // namespace tessera
