#include "compiler/library/packages.h"

#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/hash.h"
#include "base/view.h"

namespace tessera::library {
namespace {

constexpr char kTarget[] = R"(
if(NOT TARGET tessera::$TARGET)
  add_library(tessera::$TARGET $KIND IMPORTED)
  set_target_properties(tessera::$TARGET PROPERTIES
    IMPORTED_LOCATION "${CMAKE_CURRENT_LIST_DIR}/$FILE"
    INTERFACE_INCLUDE_DIRECTORIES "${CMAKE_CURRENT_LIST_DIR}"$MORE)
endif()
)";

std::string TargetText(const std::string& target, const char* kind, const std::string& file,
                       const std::string& more) {
  return absl::StrReplaceAll(
      kTarget, {{"$TARGET", target}, {"$KIND", kind}, {"$FILE", file}, {"$MORE", more}});
}

nlohmann::json Hashes(const std::string& sha256) {
  return nlohmann::json::array({{{"alg", "SHA-256"}, {"content", sha256}}});
}

// By the files that are loaded, too: its development package need not be installed.
std::vector<std::string> LinkOptions(absl::Span<const ThirdParty> needed) {
  std::vector<std::string> options;
  for (const ThirdParty& library : needed) {
    for (const std::string_view soname : library.Sonames()) {
      options.push_back(absl::StrCat("-l:", AbslView(soname)));
    }
  }
  return options;
}

// "1.2.3" of "tessera 1.2.3".
std::string Number(const std::string& version) {
  return version.starts_with("tessera ") ? version.substr(8) : version;
}

}  // namespace

LibraryFile CMakePackage(const LibrarySpec& spec, absl::Span<const ThirdParty> needed) {
  const std::string soname = absl::StrCat("lib", spec.name, ".so");
  const std::string archive = absl::StrCat("lib", spec.name, ".a");
  std::string text = absl::StrCat("# find_package(tessera_", spec.name,
                                  " CONFIG PATHS the-folder-of-this-file NO_DEFAULT_PATH)\n");
  text += TargetText(spec.name, "SHARED", soname, "\n    IMPORTED_SONAME " + soname);
  if (spec.static_library) {
    std::string linked = "Threads::Threads;${CMAKE_DL_LIBS}";
    for (const std::string& option : LinkOptions(needed)) absl::StrAppend(&linked, ";", option);
    absl::StrAppend(&text, "\nfind_package(Threads REQUIRED)",
                    TargetText(spec.name + "_static", "STATIC", archive,
                               absl::StrCat("\n    INTERFACE_LINK_LIBRARIES \"", linked, "\"")));
  }
  return {absl::StrCat("tessera_", spec.name, "Config.cmake"), std::move(text)};
}

LibraryFile PkgConfigFile(const LibrarySpec& spec, const std::string& version,
                          absl::Span<const ThirdParty> needed) {
  std::string text = absl::StrCat(
      "prefix=${pcfiledir}\n\nName: tessera_", spec.name, "\nDescription: ",
      spec.model ? absl::StrCat("the model ", spec.model->name) : "tuned operators",
      ", compiled\nVersion: ", Number(version), "\nCflags: -I${prefix}\nLibs: -L${prefix} -l",
      spec.name, "\nLibs.private: -pthread -ldl");
  for (const std::string& option : LinkOptions(needed)) absl::StrAppend(&text, " ", option);
  text += "\n";
  return {absl::StrCat("tessera_", spec.name, ".pc"), std::move(text)};
}

LibraryFile BillOfMaterials(const LibrarySpec& spec, const std::string& version,
                            absl::Span<const LibraryFile> files, const std::string& runtime_sha256,
                            absl::Span<const ThirdParty> needed) {
  const std::string number = Number(version);
  const nlohmann::json apache = nlohmann::json::array({{{"license", {{"id", "Apache-2.0"}}}}});
  nlohmann::json components = nlohmann::json::array(
      {{{"type", "library"},
        {"bom-ref", "runtime"},
        {"name", "tessera-runtime"},
        {"version", number},
        {"description", "threads, layouts and entry points, linked into the library"},
        {"licenses", apache},
        {"hashes", Hashes(runtime_sha256)}}});
  if (spec.model) {
    for (const LibraryModel::Bucket& bucket : spec.model->buckets) {
      const bool is_only = spec.model->buckets.size() == 1;
      const std::string name = BucketName(*spec.model, bucket);
      components.push_back({{"type", "machine-learning-model"},
                            {"bom-ref", is_only ? "model" : "model:" + name},
                            {"name", name},
                            {"description", "graph, digest of its text"},
                            {"hashes", Hashes(bucket.graph_digest)}});
    }
    components.push_back({{"type", "data"},
                          {"bom-ref", "constants"},
                          {"name", spec.model->name + " constants"},
                          {"description", "weights, row-major, before they are packed"},
                          {"hashes", Hashes(Sha256Hex(spec.model->constants))}});
  }
  nlohmann::json dependencies = nlohmann::json::array();
  for (const ThirdParty& library : needed) {
    components.push_back(
        {{"type", "library"},
         {"bom-ref", library.name},
         {"name", library.name},
         {"scope", "required"},
         {"description", absl::StrCat("kernels call it; not in the library, loaded with it as ",
                                      AbslView(library.soname))},
         {"licenses", nlohmann::json::array({{{"license", {{"id", library.license}}}}})}});
    dependencies.push_back(library.name);
  }
  for (const LibraryFile& file : files) {
    components.push_back({{"type", "file"},
                          {"bom-ref", "file:" + file.name},
                          {"name", file.name},
                          {"hashes", Hashes(Sha256Hex(file.bytes))}});
  }
  nlohmann::json bill = {{"bomFormat", "CycloneDX"},
                         {"specVersion", "1.5"},
                         {"version", 1},
                         {"metadata",
                          {{"component",
                            {{"type", "library"},
                             {"bom-ref", "library"},
                             {"name", absl::StrCat("lib", spec.name, ".so")},
                             {"version", number},
                             {"hashes", Hashes(Sha256Hex(files[0].bytes))}}},
                           {"tools",
                            {{"components", nlohmann::json::array({{{"type", "application"},
                                                                    {"name", "tessera"},
                                                                    {"version", number},
                                                                    {"licenses", apache}}})}}}}},
                         {"components", components}};
  if (!needed.empty()) {
    bill["dependencies"] =
        nlohmann::json::array({{{"ref", "library"}, {"dependsOn", dependencies}}});
  }
  return {"sbom.json", bill.dump(2) + "\n"};
}

}  // namespace tessera::library
