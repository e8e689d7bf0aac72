#pragma once

#include "compiler/codegen/llvm_headers.h"
#include "compiler/ir/target.h"

namespace tessera::codegen {

// Replaces what the target has no instructions for, which LLVM would call library functions for, by
// arithmetic of the same results. On 32-bit ARM: floor, ceil and roundeven; divisions of 64-bit
// numbers and those by a divisor that isn't known; 64-bit numbers as floats. Nothing on other
// targets.
void ExpandMissing(const ir::Target& target, llvm::Module& module);

}  // namespace tessera::codegen
