#include "base/third_party.h"

#include <catch2/catch.hpp>

namespace tessera {
namespace {

TEST_CASE("libraries of others are allowed by name", "[base]") {
  CHECK(ParseAllowed("").value().empty());
  CHECK(ParseAllowed("openblas").value() == "openblas");
  const auto message = [](std::string_view text) {
    return std::string(ParseAllowed(text).status().message());
  };
  CHECK(message("blis") == "allow: no library \"blis\"; known are openblas");
  CHECK(message("openblas,") == "allow: no library \"\"; known are openblas");
  CHECK(message("openblas,openblas") == "allow: openblas is named twice");
  CHECK(IsAllowed("openblas", "openblas"));
  CHECK_FALSE(IsAllowed("", "openblas"));
  CHECK_FALSE(IsAllowed("", ""));
  CHECK_FALSE(IsAllowed("openblas2", "openblas"));
}

}  // namespace
}  // namespace tessera
