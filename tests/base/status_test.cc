#include "base/status.h"

#include <catch2/catch.hpp>
#include <memory>

namespace tessera {
namespace {

absl::Status Twice(const absl::Status& first, int& reached) {
  TESSERA_RETURN_IF_ERROR(first);
  ++reached;
  return absl::OkStatus();
}

absl::StatusOr<int> PlusOne(absl::StatusOr<std::unique_ptr<int>> value) {
  TESSERA_ASSIGN_OR_RETURN(const std::unique_ptr<int> owned, std::move(value));
  return *owned + 1;
}

TEST_CASE("RETURN_IF_ERROR returns the error and passes success", "[status]") {
  int reached = 0;
  CHECK(Twice(absl::OkStatus(), reached).ok());
  CHECK(reached == 1);
  const absl::Status failed = Twice(absl::NotFoundError("tile_x"), reached);
  CHECK(failed == absl::NotFoundError("tile_x"));
  CHECK(reached == 1);
}

TEST_CASE("ASSIGN_OR_RETURN moves the value out or returns the error", "[status]") {
  CHECK(*PlusOne(std::make_unique<int>(41)) == 42);
  CHECK(PlusOne(absl::AbortedError("gone")).status() == absl::AbortedError("gone"));
}

TEST_CASE("Annotate keeps the code and puts the context first", "[status]") {
  const absl::Status status = Annotate(absl::OutOfRangeError("factor 7"), "tile_x");
  CHECK(status.code() == absl::StatusCode::kOutOfRange);
  CHECK(status.message() == "tile_x: factor 7");
  CHECK(Annotate(absl::OkStatus(), "tile_x").ok());
}

}  // namespace
}  // namespace tessera
