#include "compiler/library/library.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/hash.h"
#include "base/status.h"
#include "base/third_party.h"
#include "compiler/codegen/link.h"
#include "compiler/codegen/provider_parts.h"
#include "compiler/codegen/static_library.h"
#include "compiler/library/compiled_model.h"
#include "compiler/library/compiled_op.h"
#include "compiler/library/documents.h"
#include "compiler/library/glue.h"
#include "compiler/library/isa.h"
#include "compiler/library/model_header.h"
#include "compiler/library/model_wrapper.h"
#include "compiler/library/packages.h"
#include "compiler/library/reference.h"
#include "compiler/library/runtime_object.h"
#include "compiler/te/c_names.h"

namespace tessera::library {
namespace {

// Every symbol that the library exports. InvalidArgument where two names of its header are alike.
absl::StatusOr<std::vector<std::string>> ExportedNames(absl::Span<const CompiledOp> ops,
                                                       const LibrarySpec& spec) {
  std::vector<std::string> names = OwnNames(spec);
  absl::flat_hash_map<std::string, std::string> owner;
  for (const std::string& name : names) owner[name] = "the library";
  if (spec.device) owner[KernelsTypeName(spec)] = "the library";
  if (spec.model) {
    for (std::string& name : ExportedNames(*spec.model)) names.push_back(std::move(name));
    return names;
  }
  for (const CompiledOp& op : ops) {
    for (const std::string& name : op.HeaderNames()) {
      const auto [entry, is_new] = owner.emplace(name, op.op->name);
      if (!is_new) {
        return absl::InvalidArgumentError(absl::StrCat("library: operators ", entry->second,
                                                       " and ", op.op->name, " both define ", name,
                                                       "; rename one"));
      }
    }
    for (std::string& name : op.ExportedNames()) names.push_back(std::move(name));
  }
  return names;
}

// Libraries of others that some version of an operator calls.
std::vector<ThirdParty> NeededBy(absl::Span<const CompiledOp> ops) {
  std::vector<ThirdParty> needed;
  for (const ThirdParty& library : ThirdParties()) {
    const auto calls = [&](const CompiledVersion& version) {
      return std::ranges::count(version.code.providers, library.name) > 0;
    };
    if (std::ranges::any_of(
            ops, [&](const CompiledOp& op) { return std::ranges::any_of(op.versions, calls); })) {
      needed.push_back(library);
    }
  }
  return needed;
}

}  // namespace

const std::string* LibraryFiles::Find(std::string_view name) const {
  const auto found =
      std::ranges::find_if(files, [&](const LibraryFile& file) { return file.name == name; });
  return found == files.end() ? nullptr : &found->bytes;
}

absl::StatusOr<LibraryFiles> BuildLibrary(const LibrarySpec& unsorted) {
  TESSERA_ASSIGN_OR_RETURN(const LibrarySpec spec, SortVersions(unsorted));
  if (spec.ops.empty()) return absl::InvalidArgumentError("library: there is no operator in it");
  if (!te::IsCIdentifier(absl::StrCat("tessera_", spec.name)) || spec.name.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("library: name \"", spec.name,
                     "\" can't be part of C names; use letters, digits and _, at most 120"));
  }
  if (spec.model) {
    if (spec.device) return absl::UnimplementedError("library: models run on CPUs only");
    TESSERA_RETURN_IF_ERROR(te::CheckOpName(spec.model->name));
    std::vector<const te::Workload*> workloads;
    for (const LibraryOp& op : spec.ops) workloads.push_back(&op.workload);
    TESSERA_RETURN_IF_ERROR(CheckModel(*spec.model, workloads));
  }
  const std::string version = "tessera " TESSERA_VERSION;
  const ir::TargetKind kind = spec.versions[0].target.kind;
  std::optional<ir::TargetKind> device;
  if (spec.device) device = spec.device->target.kind;
  TESSERA_ASSIGN_OR_RETURN(const RuntimeParts runtime, RuntimeFor(kind, device));
  std::vector<CompiledOp> ops;
  for (const LibraryOp& op : spec.ops) {
    TESSERA_ASSIGN_OR_RETURN(ops.emplace_back(), CompileOp(op, spec));
  }
  ManifestFacts facts{.version = version,
                      .runtime_sha256 = Sha256Hex(absl::StrJoin(runtime.objects, ""))};
  if (spec.model) {
    facts.model = CompileModel(spec, ops);
    TESSERA_ASSIGN_OR_RETURN(facts.references, MakeReferences(spec));
  }
  facts.needed = NeededBy(ops);
  const bool has_device_op =
      std::ranges::any_of(ops, [](const CompiledOp& op) { return op.device.has_value(); });
  if (spec.device && !has_device_op) {
    return absl::InvalidArgumentError(absl::StrCat(
        "library: ", ir::ToString(spec.device->target), " runs none of its operators; ",
        ops[0].op->name, ": ", ops[0].why_not_on_device, "; build a library for CPUs"));
  }
  codegen::LinkOptions options;
  options.kind = kind;
  options.soname = absl::StrCat("lib", spec.name, ".so");
  options.libc_functions = runtime.libc_functions;
  for (const ThirdParty& library : facts.needed) options.providers.emplace_back(library.name);
  TESSERA_ASSIGN_OR_RETURN(options.exported, ExportedNames(ops, spec));
  TESSERA_ASSIGN_OR_RETURN(std::string glue, GenerateGlue(ops, spec, version, facts.model));
  std::vector<std::string> objects;
  objects.push_back(std::move(glue));  // which may hold a gigabyte of weights
  objects.insert(objects.end(), runtime.objects.begin(), runtime.objects.end());
  for (const CompiledOp& op : ops) {
    for (const CompiledVersion& version : op.versions) {
      objects.push_back(version.code.bytes);
    }
  }

  LibraryFiles made;
  const auto add = [&](std::string name, std::string bytes) {
    made.files.push_back({std::move(name), std::move(bytes)});
  };
  TESSERA_ASSIGN_OR_RETURN(std::string shared_object, codegen::LinkSharedObject(objects, options));
  add(options.soname, std::move(shared_object));
  add(absl::StrCat(spec.name, ".h"), GenerateHeader(ops, spec, version));
  if (spec.static_library) {
    TESSERA_ASSIGN_OR_RETURN(const codegen::ProviderParts parts,
                             codegen::PartsOfProviders(kind, options.providers));
    objects.insert(objects.end(), parts.objects.begin(), parts.objects.end());
    TESSERA_ASSIGN_OR_RETURN(
        std::string archive,
        codegen::MakeStaticLibrary(
            objects, {options.exported, absl::StrCat("tessera_", spec.name, "_internal_")}));
    add(absl::StrCat("lib", spec.name, ".a"), std::move(archive));
  }
  if (spec.model) made.files.push_back(ModelWrapper(spec, version));
  made.files.push_back(CMakePackage(spec, facts.needed));
  made.files.push_back(PkgConfigFile(spec, version, facts.needed));
  made.files.push_back(
      BillOfMaterials(spec, version, made.files, facts.runtime_sha256, facts.needed));
  LibraryFile manifest{"manifest.json", GenerateManifest(ops, spec, facts, made.files)};
  made.files.insert(made.files.begin() + 2, std::move(manifest));
  return made;
}

}  // namespace tessera::library
