#include "tuner/model_file.h"

#include <catch2/catch.hpp>
#include <fstream>

#include "base/hash.h"
#include "base/rng.h"
#include "costmodel/cost_model.h"
#include "costmodel/features.h"
#include "db/record/validate.h"
#include "tests/support/temporary_directory.h"
#include "tests/tuner/small_model.h"
#include "tuner/trained_model.h"

namespace tessera::tuner {
namespace {

using test::SmallModel;

TEST_CASE("a model file says what it is, and reads as it was printed", "[tuner]") {
  ModelFile file = SmallModel("x86-1");
  file.info.device_classes = {"x86/a b", "x86/c"};
  file.info.created = absl::FromUnixMicros(1'700'000'000'123'456);
  const std::string text = Print(file);
  CHECK(text.starts_with("tessera model file 1\nname: x86-1\ndigest: "));
  const absl::StatusOr<ModelFile> read = ParseModelFile(text);
  REQUIRE(read.ok());
  CHECK(read->info == file.info);
  CHECK(read->bytes == file.bytes);
  CHECK(ReadModel(read->info, read->bytes).ok());

  file.info.origin = "two\nlines\rand";
  CHECK(ParseModelFile(Print(file))->info.origin == "two lines and");
}

TEST_CASE("files of other formats and what is no model file are told apart", "[tuner]") {
  std::string text = Print(SmallModel("x86-1"));
  CHECK(absl::IsDataLoss(ParseModelFile("").status()));
  CHECK(absl::IsDataLoss(ParseModelFile("tessera-data 1\n\n").status()));
  CHECK(absl::IsDataLoss(ParseModelFile(text.substr(0, text.find("\n\n"))).status()));
  CHECK(absl::IsDataLoss(ParseModelFile(text + "more").status()));
  text[std::string("tessera model file ").size()] = '2';
  const absl::Status other = ParseModelFile(text).status();
  CHECK(absl::IsFailedPrecondition(other));
  CHECK(other.message() == "model file: of format 2; this build reads 1");
}

TEST_CASE("a model file with changed bytes is refused or says something that can be", "[tuner]") {
  const std::string text = Print(SmallModel("x86-1"));
  const size_t head = text.find("\n\n") + 2;
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    CAPTURE(seed);
    Rng rng(seed);
    std::string changed = text;
    const size_t at = rng.Below(seed % 2 == 0 ? head : text.size());
    changed[at] = static_cast<char>(changed[at] ^ (1 << rng.Below(8)));
    const absl::StatusOr<ModelFile> read = ParseModelFile(changed);
    if (at >= head) CHECK(absl::IsDataLoss(read.status()));
    if (read.ok()) CHECK(db::ValidateModel(read->info).ok());
  }
}

TEST_CASE("a model with changed bytes is refused or predicts programs", "[tuner]") {
  const ModelFile file = SmallModel("x86-1");
  const size_t head = file.bytes.find('\n') + 1 + 16;
  const std::vector<float> rows(
      static_cast<size_t>(2 * costmodel::FeatureCount(ir::TargetKind::kX86)), 0.5f);
  int read = 0;
  for (uint64_t seed = 0; seed < 4000; ++seed) {
    CAPTURE(seed);
    Rng rng(seed);
    std::string bytes = seed % 4 == 0
                            ? test::ModelOfNoTrees(costmodel::FeatureCount(ir::TargetKind::kX86), 0)
                            : file.bytes;
    for (uint64_t edits = 1 + rng.Below(2); edits > 0; --edits) {
      char& at = bytes[rng.Below(seed % 2 == 0 ? std::min(head, bytes.size()) : bytes.size())];
      at = rng.Chance(0.5) ? static_cast<char>(at ^ (1 << rng.Below(8)))
                           : static_cast<char>(rng.Below(256));
    }
    db::ModelInfo info = file.info;
    info.digest = Sha256Hex(bytes);
    const auto model = ReadModel(info, bytes);
    if (!model.ok()) continue;
    ++read;
    CHECK((*model)->Predict(rows, costmodel::FeatureCount(ir::TargetKind::kX86)).size() == 2);
  }
  CHECK(read > 0);
}

TEST_CASE("reading a model file names the path that fails", "[tuner]") {
  const test::TemporaryDirectory folder;
  const std::string path = folder.path + "/x86-1.tsm";
  const absl::Status missing = ReadModelFile(path).status();
  CHECK(absl::IsNotFound(missing));
  CHECK(std::string(missing.message()).find(path) != std::string::npos);
  std::ofstream(path, std::ios::binary) << Print(SmallModel("x86-1"));
  CHECK(ReadModelFile(path)->info == SmallModel("x86-1").info);
  std::ofstream(path, std::ios::binary) << "nothing";
  const absl::Status damaged = ReadModelFile(path).status();
  CHECK(absl::IsDataLoss(damaged));
  CHECK(std::string(damaged.message()).find(path) != std::string::npos);
}

}  // namespace
}  // namespace tessera::tuner
