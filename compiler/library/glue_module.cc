#include "compiler/library/glue_module.h"

namespace tessera::library {

using llvm::Constant;

GlueModule::GlueModule(llvm::Module& module)
    : module_(module),
      context_(module.getContext()),
      pointer_(llvm::PointerType::getUnqual(context_)),
      i64_(llvm::Type::getInt64Ty(context_)),
      i32_(llvm::Type::getInt32Ty(context_)),
      size_(module.getDataLayout().getIntPtrType(context_)) {}

Constant* GlueModule::Number(int64_t value) const {
  return llvm::ConstantInt::get(i64_, static_cast<uint64_t>(value));
}

Constant* GlueModule::Null() const { return llvm::ConstantPointerNull::get(pointer_); }

Constant* GlueModule::Struct(const std::vector<Constant*>& members) const {
  return llvm::ConstantStruct::getAnon(context_, members);
}

Constant* GlueModule::Global(Constant* value) const {
  auto* global = new llvm::GlobalVariable(module_, value->getType(), true,
                                          llvm::GlobalValue::PrivateLinkage, value, "");
  global->setAlignment(llvm::Align(8));
  return global;
}

Constant* GlueModule::Array(const std::vector<Constant*>& elements) const {
  if (elements.empty()) return Null();
  return Global(llvm::ConstantArray::get(
      llvm::ArrayType::get(elements[0]->getType(), elements.size()), elements));
}

Constant* GlueModule::Numbers(absl::Span<const int64_t> values) const {
  std::vector<Constant*> elements;
  for (const int64_t value : values) elements.push_back(Number(value));
  return Array(elements);
}

Constant* GlueModule::Text(const std::string& text) const {
  return Global(llvm::ConstantDataArray::getString(context_, text));
}

Constant* GlueModule::Bytes(const std::string& bytes, uint64_t alignment) const {
  if (bytes.empty()) return Null();
  Constant* global = Global(llvm::ConstantDataArray::getString(context_, bytes, /*AddNull=*/false));
  llvm::cast<llvm::GlobalVariable>(global)->setAlignment(llvm::Align(alignment));
  return global;
}

Constant* GlueModule::Layout(const ir::BufferNode& buffer) const {
  std::vector<Constant*> shape, dims;
  int64_t element_bytes = buffer.type.bits / 8;
  if (buffer.type.bits < 8) {
    element_bytes = 1;  // packed and row-major: copied as bytes
    shape.push_back(Number(buffer.StoredBytes()));
  } else {
    for (int64_t extent : buffer.shape) shape.push_back(Number(extent));
  }
  for (const ir::LayoutDim& dim : buffer.layout) {
    dims.push_back(Struct({Number(dim.axis), Number(dim.divisor), Number(dim.extent)}));
  }
  return Struct({Number(element_bytes), Number(static_cast<int64_t>(shape.size())), Array(shape),
                 Number(static_cast<int64_t>(dims.size())), Array(dims)});
}

Constant* GlueModule::Buffer(int64_t argument, int64_t offset) const {
  return Struct({Number(argument), Number(offset)});
}

Constant* GlueModule::Kernel(const std::string& name) const {
  llvm::FunctionCallee kernel = module_.getOrInsertFunction(
      name, llvm::FunctionType::get(llvm::Type::getVoidTy(context_), {pointer_, pointer_, pointer_},
                                    false));
  return llvm::cast<Constant>(kernel.getCallee());
}

Constant* GlueModule::External(const std::string& name) const {
  return module_.getOrInsertGlobal(name, i64_);
}

void GlueModule::Forward(const std::string& name, size_t arguments, const std::string& callee,
                         Constant* descriptor) const {
  Forward(name, std::vector<llvm::Type*>(arguments, pointer_), callee, descriptor);
}

void GlueModule::Forward(const std::string& name, const std::vector<llvm::Type*>& arguments,
                         const std::string& callee, Constant* descriptor) const {
  llvm::Function* function = Exported(name, i32_, arguments);
  llvm::IRBuilder<> b(llvm::BasicBlock::Create(context_, "", function));
  auto* array_type = llvm::ArrayType::get(pointer_, arguments.size());
  llvm::Value* array = b.CreateAlloca(array_type);
  for (unsigned i = 0; i < arguments.size(); ++i) {
    llvm::Value* value = function->getArg(i);
    if (value->getType() != pointer_) value = b.CreateIntToPtr(value, pointer_);
    b.CreateStore(value, b.CreateConstGEP2_64(array_type, array, 0, i));
  }
  const llvm::FunctionCallee target = module_.getOrInsertFunction(
      callee, llvm::FunctionType::get(i32_, {pointer_, pointer_}, false));
  b.CreateRet(b.CreateCall(target, {descriptor, array}));
}

void GlueModule::Call(const std::string& name, const std::vector<llvm::Type*>& arguments,
                      llvm::Type* result, const std::string& callee, Constant* descriptor) const {
  llvm::Function* function = Exported(name, result, arguments);
  llvm::IRBuilder<> b(llvm::BasicBlock::Create(context_, "", function));
  std::vector<llvm::Value*> values;
  std::vector<llvm::Type*> types;
  if (descriptor != nullptr) values.push_back(descriptor);
  for (llvm::Argument& argument : function->args()) values.push_back(&argument);
  for (llvm::Value* value : values) types.push_back(value->getType());
  const llvm::FunctionCallee target =
      module_.getOrInsertFunction(callee, llvm::FunctionType::get(result, types, false));
  llvm::CallInst* call = b.CreateCall(target, values);
  if (result->isVoidTy()) {
    b.CreateRetVoid();
  } else {
    b.CreateRet(call);
  }
}

void GlueModule::Return(const std::string& name, Constant* value) const {
  llvm::Function* function = Exported(name, value->getType(), {});
  llvm::IRBuilder<>(llvm::BasicBlock::Create(context_, "", function)).CreateRet(value);
}

llvm::Function* GlueModule::Exported(const std::string& name, llvm::Type* result,
                                     const std::vector<llvm::Type*>& arguments) const {
  auto* type = llvm::FunctionType::get(result, arguments, false);
  auto* function = llvm::Function::Create(type, llvm::Function::ExternalLinkage, name, module_);
  function->addFnAttr(llvm::Attribute::NoUnwind);
  return function;
}

}  // namespace tessera::library
