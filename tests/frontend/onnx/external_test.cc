#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/rng.h"
#include "tests/frontend/onnx/model.h"

namespace tessera::frontend {
namespace {

namespace fs = std::filesystem;

// A folder with weights.bin, of four floats, beside a secret.
class Folder {
 public:
  Folder() : root_(fs::temp_directory_path() / absl::StrCat("tessera_onnx_", getpid())) {
    fs::remove_all(root_);
    fs::create_directories(model() / "inside");
    const float values[4] = {1, 2, 3, 4};
    for (const fs::path& path : {model() / "weights.bin", root_ / "secret"}) {
      std::ofstream(path, std::ios::binary)
          .write(reinterpret_cast<const char*>(values), sizeof(values));
    }
    fs::create_symlink(root_ / "secret", model() / "link");
    fs::create_symlink(model() / "weights.bin", model() / "inside" / "link");
    fs::create_directory_symlink(root_, model() / "up");
  }
  ~Folder() { fs::remove_all(root_); }
  fs::path model() const { return root_ / "model"; }
  fs::path root() const { return root_; }

 private:
  fs::path root_;
};

// y = x + w, of which w lies elsewhere.
Model WithExternal(const std::string& location, const std::string& offset,
                   const std::string& length) {
  Model model;
  model.Input("x", {2}).Floats("w", {2}, {}).Node("Add", {"x", "w"}, {"y"}).Output("y");
  onnx::TensorProto* tensor = model.proto.mutable_graph()->mutable_initializer(0);
  tensor->set_data_location(onnx::TensorProto::EXTERNAL);
  for (const auto& [key, value] : {std::pair("location", location), std::pair("offset", offset),
                                   std::pair("length", length)}) {
    if (value.empty()) continue;
    onnx::StringStringEntryProto* entry = tensor->add_external_data();
    entry->set_key(key);
    entry->set_value(value);
  }
  return model;
}

}  // namespace

TEST_CASE("tensors are read from files of their own", "[onnx]") {
  const Folder folder;
  const ImportOptions options{.folder = folder.model()};
  const std::vector<graph::TensorRef> x{FloatTensor({2}, {10, 20})};
  CHECK(Result(WithExternal("weights.bin", "4", "8"), x, options) == std::vector<double>{12, 23});
  CHECK(Result(WithExternal("inside/link", "", ""), x, options) == std::vector<double>{11, 22});
}

TEST_CASE("nothing outside of the model's folder is read", "[onnx]") {
  const Folder folder;
  const ImportOptions options{.folder = folder.model()};
  const auto refusal = [&](const std::string& location, const std::string& offset = "0",
                           const std::string& length = "8") {
    return Refusal(WithExternal(location, offset, length), options);
  };
  CHECK(refusal("../secret") ==
        "tensor \"w\": location \"../secret\" has to be a path below the model's folder");
  for (const std::string& location : {(folder.root() / "secret").string(), std::string(),
                                      std::string("inside/../../secret"), std::string("w\0", 2)}) {
    CHECK(absl::StrContains(refusal(location), "has to be a path below"));
  }
  CHECK(absl::StrContains(refusal("link"), "is a link out of the model's folder"));
  CHECK(absl::StrContains(refusal("up/secret"), "is a link out of the model's folder"));
  CHECK(absl::StrContains(refusal("inside"), "is no regular file"));
  CHECK(absl::StrContains(refusal("missing"), "No such file"));
  CHECK(absl::StrContains(refusal("weights.bin", "12"), "takes 8 bytes from 12 on of"));
  CHECK(absl::StrContains(refusal("weights.bin", "-4"), "takes 8 bytes from -4 on of"));
  CHECK(absl::StrContains(refusal("weights.bin", "9223372036854775807"), "which has 16"));
  CHECK(absl::StrContains(refusal("weights.bin", "x"), "offset is \"x\", which is no number"));
  CHECK(absl::StrContains(refusal("weights.bin", "0", "16"), "have 16 bytes; its shape needs 8"));
  CHECK(absl::StrContains(Refusal(WithExternal("weights.bin", "", "")), "say in which folder"));
}

TEST_CASE("whatever a tensor says of where it lies, only the model's folder is read",
          "[onnx][fuzz]") {
  const Folder folder;
  const std::string secret(16, '\x5a');
  std::ofstream(folder.root() / "secret", std::ios::binary | std::ios::trunc) << secret;
  const ImportOptions options{.folder = folder.model()};
  const std::vector<graph::TensorRef> x{FloatTensor({2}, {0, 0})};
  const std::string parts[] = {"weights.bin", "secret", "..",     ".",
                               "inside",      "link",   "up",     "/",
                               "//",          "\\",     "%2e%2e", std::string(1, '\0'),
                               "model",       "~",      "",       std::string(5000, 'w')};
  const std::string numbers[] = {"0",
                                 "4",
                                 "8",
                                 "16",
                                 "17",
                                 "-1",
                                 "9223372036854775807",
                                 "-9223372036854775808",
                                 "9223372036854775808",
                                 "",
                                 "x",
                                 "0x4",
                                 "4 ",
                                 "1e1",
                                 std::string(1, '\0'),
                                 "+4"};
  int imported = 0;
  for (uint64_t i = 0; i < 4000; ++i) {
    CAPTURE(i);
    Rng rng(i);
    const auto number = [&] {
      return numbers[rng.Below(rng.Below(2) == 0 ? 3 : std::size(numbers))];
    };
    std::string location = rng.Below(2) == 0 ? "weights.bin" : "";
    for (uint64_t more = rng.Below(4); more > 0; --more) {
      if (rng.Below(4) != 0) location += '/';
      location += parts[rng.Below(std::size(parts))];
    }
    if (rng.Below(16) == 0) location = absl::StrCat(folder.root().string(), "/", location);
    Model model = WithExternal(location, number(), number());
    auto& tensor = *model.proto.mutable_graph()->mutable_initializer(0);
    if (rng.Below(8) == 0) tensor.set_raw_data(secret.substr(0, rng.Below(9)));
    if (rng.Below(4) == 0 && tensor.external_data_size() > 0) {
      auto* entry = tensor.mutable_external_data(
          static_cast<int>(rng.Below(static_cast<uint64_t>(tensor.external_data_size()))));
      const std::string keys[] = {"location", "offset", "length", "checksum", ""};
      entry->set_key(keys[rng.Below(std::size(keys))]);
    }
    const absl::StatusOr<graph::Graph> graph = ImportModel(model.File(), options);
    if (!graph.ok()) {
      CHECK(!graph.status().message().empty());
      continue;
    }
    ++imported;
    if (tensor.has_raw_data()) continue;  // its own bytes
    const auto y = graph::Evaluate(*graph, x);
    INFO(y.status());
    REQUIRE(y.ok());
    CHECK(std::ranges::count(y->front()->bytes, std::byte{0x5a}) == 0);
  }
  CHECK(imported > 20);
}

}  // namespace tessera::frontend
