#pragma once

// What every Store does with selections.

#include <limits>

#include "tests/db/record/store_fixture.h"

namespace tessera::db {
namespace conformance {

TEST_CASE("a selection comes back as it was created", "[db]") {
  Fixture f;
  const int64_t record = f.Append({SampleRecord("t", "a")}).at(0);
  Selection selection;
  selection.name = "resnet";
  selection.items = {
      {"conv_c2", SampleTask("C2"), "split i 4", record, 1.5e-3, "x86/test/2c", 0, "w/cpu"},
      {"conv_c3", SampleTask("C3", 2), "", 0, 0}};
  const absl::StatusOr<int64_t> id = f.store->CreateSelection(selection);
  REQUIRE(id.ok());
  selection.id = *id;
  selection.created = f.clock.Now();
  CHECK(f.store->GetSelection(*id).value() == selection);
  CHECK(f.store->ListTasks()->size() == 2);
}

TEST_CASE("a model's selection is found by the key of its choice", "[db]") {
  Fixture f;
  Selection selection;
  selection.name = "net";
  selection.items = {{"a", SampleTask("C2"), "", 0, 0, "x86/test/2c", 2e-3}};
  selection.model = SelectionModel{"graph", {}};
  selection.in_place = InPlace{"key", "w/cpu", 1e-3, 2e-3, 3e-3};
  CHECK(absl::IsNotFound(f.store->FindInPlace("key").status()));
  REQUIRE(f.store->CreateSelection(selection).ok());
  selection.in_place->seconds = 0.9e-3;
  selection.id = f.store->CreateSelection(selection).value();
  selection.created = f.clock.Now();
  CHECK(f.store->GetSelection(selection.id).value() == selection);
  CHECK(f.store->FindInPlace("key").value() == selection);  // the last one
  CHECK(absl::IsNotFound(f.store->FindInPlace("another").status()));
  selection.in_place->key.clear();
  CHECK(absl::IsInvalidArgument(f.store->CreateSelection(selection).status()));
  selection.in_place->key = "key";
  selection.in_place->default_seconds = std::numeric_limits<double>::infinity();
  CHECK(absl::IsInvalidArgument(f.store->CreateSelection(selection).status()));
}

TEST_CASE("a selection of records that don't exist is refused", "[db]") {
  Fixture f;
  Selection selection;
  selection.items = {{"conv_c2", SampleTask("C2"), "", 0, 0},
                     {"conv_c3", SampleTask("C3"), "split", 77, 1}};
  CHECK(absl::IsNotFound(f.store->CreateSelection(selection).status()));
  CHECK(f.store->ListTasks()->empty());
  CHECK(absl::IsNotFound(f.store->GetSelection(1).status()));
}

}  // namespace conformance
}  // namespace tessera::db
