#pragma once

#include <string>
#include <vector>

#include "compiler/library/library.h"
#include "compiler/library/model.h"

namespace tessera::library {

// The C functions of a model, and its types.
struct ModelNames {
  explicit ModelNames(const LibraryModel& model)
      : type(model.name),
        create(model.name + "_create"),
        destroy(model.name + "_destroy"),
        bucket(model.name + "_bucket"),
        extents(model.name + "_extents") {}

  std::string type, create, destroy;
  std::string bucket, extents;  // of several buckets
};

// Those of a bucket.
struct BucketNames {
  BucketNames(const LibraryModel& model, const LibraryModel::Bucket& bucket)
      : prefix(BucketName(model, bucket)),
        run(prefix + "_run"),
        run_timed(prefix + "_run_timed"),
        workspace_bytes(prefix + "_workspace_bytes") {}

  std::string prefix, run, run_timed, workspace_bytes;
};

// Functions that a model's library exports.
std::vector<std::string> ExportedNames(const LibraryModel& model);

// Of inputs, then outputs: parameters of a bucket's run in C, the same in all.
std::vector<std::string> ModelParameterNames(const LibraryModel::Bucket& bucket);

// The model's part of the header, in the place of those of its operators.
std::string ModelHeader(const LibraryModel& model, const LibrarySpec& spec);

}  // namespace tessera::library
