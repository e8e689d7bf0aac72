#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "compiler/library/compiled_op.h"
#include "compiler/library/model.h"

namespace tessera::library {

// What a library keeps of a model beside its operators.
struct CompiledModel {
  struct Step {
    // Where the operator's packed block is: in `constants`, or in the memory that is filled when
    // the model is created. Of no meaning for operators without constants.
    bool is_made_by_create = false;
    int64_t packed_at = 0;
    // That this step's block is to be filled then, from the row-major constants at these places of
    // `constants`.
    bool packs = false;
    std::vector<int64_t> sources;
  };

  struct Bucket {
    std::vector<Step> steps;
    // The arena, then what the operators need to work in, one after the other.
    int64_t scratch_at = 0;
    int64_t scratch_bytes = 0;

    int64_t WorkspaceBytes() const { return scratch_at + scratch_bytes; }
  };

  std::vector<Bucket> buckets;  // as of the model
  std::string constants;        // of all; each from a multiple of 64 bytes on
  int64_t create_bytes = 0;     // that creating the model fills
};

// Packs the constants of `spec.model`, which is there and was checked. Those of operators that
// compute something from theirs are packed when the model is created, because what a CPU computes
// would make the library's bytes depend on the machine that builds it; and all of them where the
// library has several versions, of which each packs in its own way. Steps, of any bucket, with the
// same constants share a block where their operators pack these alike. The scratch memory is enough
// for as many threads as versions were made for.
CompiledModel CompileModel(const LibrarySpec& spec, absl::Span<const CompiledOp> ops);

}  // namespace tessera::library
