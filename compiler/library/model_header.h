#pragma once

#include <string>
#include <vector>

#include "compiler/library/library.h"
#include "compiler/library/model.h"

namespace tessera::library {

// The C functions of a model, and its type.
struct ModelNames {
  explicit ModelNames(const std::string& name)
      : type(name),
        create(name + "_create"),
        run(name + "_run"),
        run_timed(name + "_run_timed"),
        destroy(name + "_destroy"),
        workspace_bytes(name + "_workspace_bytes") {}

  std::vector<std::string> Exported() const {
    return {create, run, run_timed, destroy, workspace_bytes};
  }

  std::string type, create, run, run_timed, destroy, workspace_bytes;
};

// Of inputs, then outputs: parameters of the model's run in C.
std::vector<std::string> ModelParameterNames(const LibraryModel& model);

// The model's part of the header, in the place of those of its operators.
std::string ModelHeader(const LibraryModel& model, const LibrarySpec& spec);

}  // namespace tessera::library
