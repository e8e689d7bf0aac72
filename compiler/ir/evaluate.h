#pragma once

#include <cstddef>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "compiler/ir/stmt.h"

namespace tessera::ir {

// Runs `program` in an interpreter: the meaning of the IR, and the oracle of all back ends. Slow
// (about 10⁷ operations/s), exact about types: f16, bf16 and narrow integers are rounded or wrapped
// at each operation. `buffers` are the parameters' stored bytes in order, each of exactly
// StoredBytes(). Parallel and thread loops run in order, threads of a block from barrier to
// barrier; AsyncCopy acts at once. A race between threads for shared memory, a barrier that not all
// of them reach, an access outside a buffer, a read of memory never written in an Allocate, or a
// division by zero is an OutOfRange / FailedPrecondition / InvalidArgument error that prints the
// access. What was read there may be written back to local memory: vectors carry lanes that don't
// count. Works before and after flattening and vectorising.
absl::Status Evaluate(const Program& program, absl::Span<const absl::Span<std::byte>> buffers);

// One element of stored memory as a double (exact for every type up to 53 bits), and back
// (rounded or wrapped to the type).
double ReadElement(Type type, absl::Span<const std::byte> bytes, int64_t index);
void WriteElement(Type type, absl::Span<std::byte> bytes, int64_t index, double value);

}  // namespace tessera::ir
