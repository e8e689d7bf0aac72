#include "compiler/library/model_header.h"

#include <algorithm>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "compiler/library/compiled_op.h"

namespace tessera::library {

std::vector<std::string> ModelParameterNames(const LibraryModel& model) {
  absl::flat_hash_set<std::string> used{"model", "workspace"};
  std::vector<std::string> names;
  for (const std::vector<ModelTensor>* tensors : {&model.inputs, &model.outputs}) {
    for (const ModelTensor& tensor : *tensors) names.push_back(ParameterName(tensor.name, used));
  }
  return names;
}

std::string ModelHeader(const LibraryModel& model, const LibrarySpec& spec) {
  const ModelNames names(model.name);
  const auto tuned = std::ranges::count_if(
      spec.ops, [](const LibraryOp& op) { return !op.versions[0].is_default; });
  std::string text = absl::StrCat("// ", model.name, ": ", model.steps.size(), " kernels of ",
                                  spec.ops.size(), " kinds, ", tuned, " of them tuned; ",
                                  model.constants.size(), " bytes of constants.\n");
  const std::vector<std::string> c_names = ModelParameterNames(model);
  std::vector<std::string> parameters{absl::StrCat("const ", names.type, "* model")};
  std::string sizes;
  const auto add = [&](const ModelTensor& tensor, const char* role, const char* qualifier) {
    const std::string& name = c_names[parameters.size() - 1];
    absl::StrAppend(&text, "//   ", role, " ", name, ": ", graph::ToString(tensor.type), ", ",
                    tensor.type.StoredBytes(), " bytes\n");
    absl::StrAppend(&sizes, "#define ", model.name, "_", name, "_BYTES ((size_t)",
                    tensor.type.StoredBytes(), ")\n");
    parameters.push_back(absl::StrCat(qualifier, CTypeOf(tensor.type.element), "* ", name));
  };
  for (const ModelTensor& input : model.inputs) add(input, "input", "const ");
  for (const ModelTensor& output : model.outputs) add(output, "output", "");
  parameters.push_back("void* workspace");
  absl::StrAppend(
      &text, sizes, "typedef struct ", names.type, " ", names.type, ";\n",
      "// Makes the model: starts the threads, and packs constants where that has to be done for "
      "this\n"
      "// CPU. Ended by ",
      names.destroy, ", which takes NULL, too.\n", "int ", names.create, "(", names.type,
      "** model);\nvoid ", names.destroy, "(", names.type, "* model);\n",
      "// Runs it. Tensors are row-major where no layout is named; they and the workspace, of\n// ",
      names.workspace_bytes,
      "() bytes, are aligned to 64 bytes. Threads may run one model at once, each with\n"
      "// a workspace of its own, and nothing is allocated.\n// More threads than the library was "
      "made for "
      "allocate, once for each that calls.\n",
      "size_t ", names.workspace_bytes, "(void);\nint ", names.run, "(",
      absl::StrJoin(parameters, ", "), ");\n",
      "// The same, inputs and then outputs in one array. Adds to seconds[i] what kernel i took, "
      "of\n"
      "// ",
      model.name, "_STEPS; manifest.json names them. NULL: none is timed.\n", "#define ",
      model.name, "_STEPS ", model.steps.size(), "\nint ", names.run_timed, "(const ", names.type,
      "* model, void* const* tensors, void* workspace,\n    double* seconds);\n\n");
  return text;
}

}  // namespace tessera::library
