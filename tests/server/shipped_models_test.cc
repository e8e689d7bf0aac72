#include "server/shipped_models.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/server/rig.h"
#include "tests/tuner/small_model.h"

namespace tessera::server {
namespace {

using test::SmallModel;

struct Folder {
  Folder() { std::filesystem::create_directories(path); }
  void Ship(const std::string& file, const std::string& text) const {
    std::ofstream(path + "/" + file, std::ios::binary) << text;
  }
  const test::TemporaryDirectory root;
  const std::string path = ShippedModelsFolder(root.path + "/bin/tessera-server");
};

std::vector<std::string> NamesOf(db::Store& store) {
  std::vector<std::string> names;
  const std::vector<db::ModelInfo> models = store.ListModels().value();
  for (const db::ModelInfo& model : models) names.push_back(model.name);
  return names;
}

using Names = std::vector<std::string>;

TEST_CASE("shipped models lie beside the programs' folder and are stored once", "[server]") {
  const Folder folder;
  CHECK(folder.path == folder.root.path + "/share/tessera/models");
  folder.Ship("x86-1.tsm", tuner::Print(SmallModel("x86-1")));
  folder.Ship("arm-1.tsm", tuner::Print(SmallModel("arm-1", 2)));
  folder.Ship("README.md", "no model");
  db::MemoryStore store(Clock::Real());
  REQUIRE(ImportShippedModels(store, folder.path).ok());
  CHECK(NamesOf(store) == Names{"x86-1", "arm-1"});
  const db::ModelInfo stored = store.GetModelInfo("x86-1").value();
  CHECK(stored.digest == SmallModel("x86-1").info.digest);
  CHECK(store.GetBlob(stored.digest).value() == SmallModel("x86-1").bytes);
  REQUIRE(ImportShippedModels(store, folder.path).ok());
  CHECK(NamesOf(store).size() == 2);
}

TEST_CASE("a model that the store has keeps its name from a shipped one", "[server]") {
  const Folder folder;
  db::MemoryStore store(Clock::Real());
  const tuner::ModelFile mine = SmallModel("x86-1", 3);
  REQUIRE(store.PutBlob(mine.bytes).ok());
  REQUIRE(store.PutModel(mine.info).ok());
  folder.Ship("x86-1.tsm", tuner::Print(SmallModel("x86-1")));
  REQUIRE(ImportShippedModels(store, folder.path).ok());
  CHECK(store.GetModelInfo("x86-1")->digest == mine.info.digest);
}

TEST_CASE("files that can't be used are passed over, and the others are stored", "[server]") {
  const Folder folder;
  std::string damaged = tuner::Print(SmallModel("a"));
  damaged.back() ^= 1;
  folder.Ship("a.tsm", damaged);
  tuner::ModelFile old = SmallModel("b");
  --old.info.feature_version;
  folder.Ship("b.tsm", tuner::Print(old));
  folder.Ship("c.tsm", "");
  folder.Ship("d.tsm", tuner::Print(SmallModel("d")));
  db::MemoryStore store(Clock::Real());
  CHECK(ImportShippedModels(store, folder.path).ok());
  CHECK(NamesOf(store) == Names{"d"});
  CHECK(ImportShippedModels(store, folder.path + "/nowhere").ok());
}

TEST_CASE("a server stores what is shipped when it starts", "[server]") {
  const Folder folder;
  folder.Ship("x86-1.tsm", tuner::Print(SmallModel("x86-1")));
  const auto store = std::make_shared<db::MemoryStore>(Clock::Real());
  ServerOptions options;
  options.listen = "127.0.0.1:0";
  options.data_directory = folder.root.path;
  options.models_folder = folder.path;
  const auto server =
      Server::Start(options, std::make_unique<SharedStore>(store), Clock::Real(), ToySearch());
  INFO(server.status());
  REQUIRE(server.ok());
  CHECK(NamesOf(*store) == Names{"x86-1"});
}

}  // namespace
}  // namespace tessera::server
