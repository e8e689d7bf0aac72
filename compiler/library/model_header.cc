#include "compiler/library/model_header.h"

#include <algorithm>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "compiler/library/compiled_op.h"

namespace tessera::library {

namespace {

// A bucket's sizes and functions; `text` has gone before it.
std::string BucketHeader(const LibraryModel& model, const LibraryModel::Bucket& bucket,
                         std::string text) {
  const ModelNames names(model);
  const BucketNames own(model, bucket);
  const std::vector<std::string> c_names = ModelParameterNames(bucket);
  std::vector<std::string> parameters{absl::StrCat("const ", names.type, "* model")};
  std::string sizes;
  const auto add = [&](const ModelTensor& tensor, const char* role, const char* qualifier) {
    const std::string& name = c_names[parameters.size() - 1];
    absl::StrAppend(&text, "//   ", role, " ", name, ": ", graph::ToString(tensor.type), ", ",
                    tensor.type.StoredBytes(), " bytes\n");
    absl::StrAppend(&sizes, "#define ", own.prefix, "_", name, "_BYTES ((size_t)",
                    tensor.type.StoredBytes(), ")\n");
    parameters.push_back(absl::StrCat(qualifier, CTypeOf(tensor.type.element), "* ", name));
  };
  for (const ModelTensor& input : bucket.inputs) add(input, "input", "const ");
  for (const ModelTensor& output : bucket.outputs) add(output, "output", "");
  parameters.push_back("void* workspace");
  return absl::StrCat(text, sizes, "#define ", own.prefix, "_STEPS ", bucket.steps.size(),
                      "\nsize_t ", own.workspace_bytes, "(void);\nint ", own.run, "(",
                      absl::StrJoin(parameters, ", "), ");\nint ", own.run_timed, "(const ",
                      names.type,
                      "* model, void* const* tensors, void* workspace,\n    double* seconds);\n\n");
}

// How a program finds the bucket for its extents.
std::string BucketChoice(const LibraryModel& model) {
  const ModelNames names(model);
  std::string text = "// Buckets, by number:\n", members;
  for (size_t b = 0; b < model.buckets.size(); ++b) {
    absl::StrAppend(&text, "//   ", b, ": ", BucketName(model, model.buckets[b]), "\n");
  }
  for (const auto& [name, extent] : model.buckets[0].extents) {
    absl::StrAppend(&members, "  int64_t ", name, ";\n");
  }
  return absl::StrCat(
      text, "typedef struct ", names.extents, " {\n", members, "} ", names.extents,
      ";\n// The number of the smallest bucket with no smaller extents than these; -1 where there "
      "is none. Its\n// run takes tensors of the bucket's extents: what is shorter the caller "
      "pads, "
      "as the model wants it.\nint ",
      names.bucket, "(const ", names.extents, "* extents);\n\n");
}

}  // namespace

std::vector<std::string> ExportedNames(const LibraryModel& model) {
  const ModelNames names(model);
  std::vector<std::string> exported = {names.create, names.destroy};
  if (model.buckets.size() > 1) exported.push_back(names.bucket);
  for (const LibraryModel::Bucket& bucket : model.buckets) {
    const BucketNames own(model, bucket);
    exported.push_back(own.run);
    exported.push_back(own.run_timed);
    exported.push_back(own.workspace_bytes);
  }
  return exported;
}

std::vector<std::string> ModelParameterNames(const LibraryModel::Bucket& bucket) {
  absl::flat_hash_set<std::string> used{"model", "workspace"};
  std::vector<std::string> names;
  for (const std::vector<ModelTensor>* tensors : {&bucket.inputs, &bucket.outputs}) {
    for (const ModelTensor& tensor : *tensors) names.push_back(ParameterName(tensor.name, used));
  }
  return names;
}

std::string ModelHeader(const LibraryModel& model, const LibrarySpec& spec) {
  const ModelNames names(model);
  const auto tuned = std::ranges::count_if(
      spec.ops, [](const LibraryOp& op) { return !op.versions[0].is_default; });
  size_t steps = 0;
  for (const LibraryModel::Bucket& bucket : model.buckets) steps += bucket.steps.size();
  const bool has_several = model.buckets.size() > 1;
  std::string text = absl::StrCat(
      "// ", model.name, ": ", steps, " kernels of ", spec.ops.size(), " kinds, ", tuned,
      " of them tuned; ", model.constants.size(), " bytes of constants",
      has_several ? absl::StrCat(" for all of ", model.buckets.size(), " buckets") : "",
      ".\ntypedef struct ", names.type, " ", names.type, ";\n",
      "// Makes the model: starts the threads, and packs constants where that has to be done for "
      "this\n"
      "// CPU. Ended by ",
      names.destroy, ", which takes NULL, too.\n", "int ", names.create, "(", names.type,
      "** model);\nvoid ", names.destroy, "(", names.type, "* model);\n\n");
  if (has_several) text += BucketChoice(model);
  absl::StrAppend(
      &text, "// ", has_several ? "Each ..._run runs one bucket of it" : "Runs it",
      ". Tensors are row-major where no layout is named; they and the workspace, of\n// ..._"
      "workspace_bytes() bytes, are aligned to 64 bytes. Threads may run one model at once, each "
      "with\n// a workspace of its own, and nothing is allocated.\n// More threads than the "
      "library "
      "was made for allocate, once for each that calls. ..._run_timed takes inputs and then "
      "outputs in\n// one array, and adds to seconds[i] what kernel i of ..._STEPS took; "
      "manifest.json names them. NULL:\n// none is timed.\n");
  for (const LibraryModel::Bucket& bucket : model.buckets) {
    text = BucketHeader(
        model, bucket,
        has_several ? absl::StrCat(text, "// ", BucketName(model, bucket), "\n") : text);
  }
  return text;
}

}  // namespace tessera::library
