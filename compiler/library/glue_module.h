#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "compiler/codegen/llvm_headers.h"
#include "compiler/library/compiled_op.h"

namespace tessera::library {

// Builds constants that mirror the C structures of compiler/runtime (ops.h, layout.h, device.h),
// and functions that hand them to it: pointers and 8-byte numbers, padded by the target's data
// layout as C does.
class GlueModule {
 public:
  explicit GlueModule(llvm::Module& module);

  llvm::Constant* Number(int64_t value) const;
  llvm::Constant* Null() const;
  llvm::Constant* Struct(const std::vector<llvm::Constant*>& members) const;
  // A private constant's address.
  llvm::Constant* Global(llvm::Constant* value) const;
  // Of the first element; null without any.
  llvm::Constant* Array(const std::vector<llvm::Constant*>& elements) const;
  llvm::Constant* Numbers(absl::Span<const int64_t> values) const;
  llvm::Constant* Text(const std::string& text) const;
  // Aligned bytes; null without any.
  llvm::Constant* Bytes(const std::string& bytes, uint64_t alignment) const;
  // A tessera_layout, and a tessera_op_buffer.
  llvm::Constant* Layout(const ir::BufferNode& buffer) const;
  llvm::Constant* Buffer(int64_t argument, int64_t offset) const;
  // What another object defines: a tessera_kernel, a constant.
  llvm::Constant* Kernel(const std::string& name) const;
  llvm::Constant* External(const std::string& name) const;

  // int name(void* …) { void* arguments[] = {…}; return callee(descriptor, arguments); }
  void Forward(const std::string& name, size_t arguments, const std::string& callee,
               llvm::Constant* descriptor) const;
  // The same of arguments some of which are integers, which become pointers of their value.
  void Forward(const std::string& name, const std::vector<llvm::Type*>& arguments,
               const std::string& callee, llvm::Constant* descriptor) const;
  // result name(…) { return callee(descriptor, …); }, without a descriptor where it is null.
  void Call(const std::string& name, const std::vector<llvm::Type*>& arguments, llvm::Type* result,
            const std::string& callee, llvm::Constant* descriptor) const;
  // size_t or const char* name(void) { return value; }
  void Return(const std::string& name, llvm::Constant* value) const;

  llvm::PointerType* pointer() const { return pointer_; }
  llvm::Type* i64() const { return i64_; }
  llvm::Type* i32() const { return i32_; }
  llvm::Type* size() const { return size_; }  // size_t
  llvm::Type* Nothing() const { return llvm::Type::getVoidTy(context_); }

 private:
  llvm::Function* Exported(const std::string& name, llvm::Type* result,
                           const std::vector<llvm::Type*>& arguments) const;

  llvm::Module& module_;
  llvm::LLVMContext& context_;
  llvm::PointerType* pointer_;
  llvm::Type* i64_;
  llvm::Type* i32_;
  llvm::Type* size_;
};

}  // namespace tessera::library
