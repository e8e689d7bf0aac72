#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "compiler/codegen/function_emitter.h"
#include "compiler/ir/print.h"
#include "compiler/ir/visitor.h"
#include "llvm/IR/IntrinsicsNVPTX.h"
#include "llvm/IR/IntrinsicsX86.h"

namespace tessera::codegen {

using llvm::Value;

namespace {

// Beyond this a loop marked for unrolling stays a loop: the lowering caps bodies far below.
constexpr int64_t kMaxUnrolledIterations = 4096;

bool HasHalfConversion(const ir::Target& target) {
  return target.kind == ir::TargetKind::kAArch64 || target.kind == ir::TargetKind::kCuda ||
         target.Has("avx2") || target.Has("avx512");
}

// Buffers and variables that a parallel body takes from around it, in the order of first use.
class Captures final : public ir::Visitor {
 public:
  std::vector<ir::Buffer> buffers;
  std::vector<const ir::Var*> vars;

 private:
  void Add(const ir::Buffer& buffer) {
    for (const ir::Buffer& known : buffers) {
      if (known == buffer) return;
    }
    buffers.push_back(buffer);
  }
  void VisitVar(const ir::Var& node) override {
    for (const ir::Var* known : vars) {
      if (known == &node) return;
    }
    vars.push_back(&node);
  }
  void VisitLoad(const ir::Load& node) override {
    Add(node.buffer);
    ir::Visitor::VisitLoad(node);
  }
  void VisitStore(const ir::Store& node) override {
    Add(node.buffer);
    ir::Visitor::VisitStore(node);
  }
  void VisitAsyncCopy(const ir::AsyncCopy& node) override {
    Add(node.to);
    Add(node.from);
    ir::Visitor::VisitAsyncCopy(node);
  }
};

}  // namespace

llvm::Function* ModuleState::MakeFunction(const std::string& name,
                                          llvm::ArrayRef<llvm::Type*> parameters,
                                          bool is_exported) {
  llvm::LLVMContext& context = module.getContext();
  auto* type = llvm::FunctionType::get(llvm::Type::getVoidTy(context), parameters, false);
  auto* function = llvm::Function::Create(
      type, is_exported ? llvm::Function::ExternalLinkage : llvm::Function::InternalLinkage, name,
      module);
  function->addFnAttr(llvm::Attribute::NoUnwind);
  function->addFnAttr("no-builtins");
  function->addFnAttr("target-cpu", machine.cpu);
  if (!machine.features.empty()) function->addFnAttr("target-features", machine.features);
  if (target.kind == ir::TargetKind::kX86) {
    function->addFnAttr("prefer-vector-width", absl::StrCat(target.vector_bytes * 8));
  }
  return function;
}

FunctionEmitter::FunctionEmitter(ModuleState& state, llvm::Function* function)
    : state_(state),
      function_(function),
      b_(state.module.getContext()),
      numbers_(b_, HasHalfConversion(state.target)),
      math_(b_, state.target) {
  llvm::FastMathFlags flags;
  flags.setAllowContract(true);
  b_.setFastMathFlags(flags);
  llvm::BasicBlock* entry = NewBlock("entry");
  llvm::BasicBlock* start = NewBlock("start");
  b_.SetInsertPoint(entry);
  scopes_.push_back({b_.CreateBr(start), {}, {}, {}});
  b_.SetInsertPoint(start);
}

llvm::BasicBlock* FunctionEmitter::NewBlock(const char* name) {
  return llvm::BasicBlock::Create(state_.module.getContext(), name, function_);
}

void FunctionEmitter::Return() {
  // Streaming stores are not ordered by what releases the threads' results; this fence is.
  if (has_streaming_store_ && state_.target.kind == ir::TargetKind::kX86) {
    b_.CreateIntrinsic(llvm::Intrinsic::x86_sse_sfence, {}, {});
  }
  b_.CreateRetVoid();
}

void FunctionEmitter::Emit(const ir::Stmt& s) {
  if (!s) return;
  switch (s->kind) {
    case ir::StmtKind::kFor:
      return EmitFor(*s.As<ir::For>());
    case ir::StmtKind::kBlock:
      for (const ir::Stmt& inner : s.As<ir::Block>()->stmts) Emit(inner);
      return;
    case ir::StmtKind::kStore:
      return EmitStore(*s.As<ir::Store>());
    case ir::StmtKind::kIf: {
      const auto* node = s.As<ir::If>();
      return EmitIf(Emit(node->condition), node->then_body, node->else_body);
    }
    case ir::StmtKind::kAllocate:
      return EmitAllocate(*s.As<ir::Allocate>());
    case ir::StmtKind::kEvaluate:
      return EmitEvaluate(*s.As<ir::Evaluate>());
    case ir::StmtKind::kAsyncCopy:
      return EmitAsyncCopy(*s.As<ir::AsyncCopy>());
    case ir::StmtKind::kBarrier:
      // Of CPUs one thread runs a body in order.
      if (ir::IsGpu(state_.target.kind)) b_.CreateIntrinsic(llvm::Intrinsic::nvvm_barrier0, {}, {});
      return;
    case ir::StmtKind::kAsyncWait:
      return EmitAsyncWait();
  }
}

void FunctionEmitter::EmitFor(const ir::For& node) {
  if (node.loop_kind == ir::LoopKind::kThread) {
    state_.Fail(absl::InvalidArgumentError(
        absl::StrCat("code generation: loop ", node.var->name,
                     " is bound to a GPU thread axis, which a CPU target does not have")));
    return;
  }
  if (node.loop_kind == ir::LoopKind::kParallel && workspace_.launcher != nullptr &&
      node.extent > 1) {
    return EmitParallel(node);
  }
  const bool unrolled =
      node.loop_kind == ir::LoopKind::kUnrolled && node.extent <= kMaxUnrolledIterations;
  if (unrolled || node.extent == 1) {
    for (int64_t i = 0; i < node.extent; ++i) {
      vars_[node.var.get()] = {numbers_.Integer(node.var->type, node.min + i), 0};
      Emit(node.body);
      if (!state_.status.ok()) return;
    }
    vars_.erase(node.var.get());
    return;
  }
  if (EmitMatrixProduct(node)) return;
  EmitLoop(*node.var, numbers_.Integer(node.var->type, node.min),
           numbers_.Integer(node.var->type, node.min + node.extent), node.body);
}

void FunctionEmitter::EmitRange(const ir::Var& var, Value* begin, Value* end,
                                const ir::Stmt& body) {
  llvm::BasicBlock* some = NewBlock("some");
  llvm::BasicBlock* none = NewBlock("none");
  b_.CreateCondBr(b_.CreateICmpSLT(begin, end), some, none);
  b_.SetInsertPoint(some);
  EmitLoop(var, begin, end, body);
  b_.CreateBr(none);
  b_.SetInsertPoint(none);
}

// Runs at least once.
void FunctionEmitter::EmitLoop(const ir::Var& var, Value* begin, Value* end, const ir::Stmt& body) {
  llvm::BasicBlock* before = b_.GetInsertBlock();
  llvm::BasicBlock* header = NewBlock("loop");
  llvm::BasicBlock* inside = NewBlock("body");
  b_.CreateBr(header);
  b_.SetInsertPoint(header);
  llvm::PHINode* index = b_.CreatePHI(begin->getType(), 2, var.name);
  index->addIncoming(begin, before);
  scopes_.push_back({b_.CreateBr(inside), {}, {}, {}});
  b_.SetInsertPoint(inside);
  vars_[&var] = {index, static_cast<int>(scopes_.size()) - 1};
  Emit(body);
  vars_.erase(&var);
  scopes_.pop_back();
  Value* next =
      b_.CreateAdd(index, llvm::ConstantInt::get(index->getType(), 1), "next", true, true);
  index->addIncoming(next, b_.GetInsertBlock());
  llvm::BasicBlock* after = NewBlock("after");
  b_.CreateCondBr(b_.CreateICmpSLT(next, end), header, after);
  b_.SetInsertPoint(after);
}

// The body becomes two functions: one of the launcher's type that unpacks the context, and one
// whose parameters tell LLVM that buffers don't overlap.
void FunctionEmitter::EmitParallel(const ir::For& node) {
  llvm::LLVMContext& context = state_.module.getContext();
  llvm::Type* pointer = llvm::PointerType::getUnqual(context);
  Captures captures;
  captures.Visit(node.body);

  std::vector<const ir::BufferNode*> buffers;
  std::vector<Value*> values;
  for (const ir::Buffer& buffer : captures.buffers) {
    if (const auto found = buffers_.find(buffer.get()); found != buffers_.end()) {
      buffers.push_back(buffer.get());
      values.push_back(found->second);
    }
  }
  values.push_back(workspace_.shared_base);
  values.push_back(workspace_.private_base);
  const size_t pointer_count = values.size();
  std::vector<const ir::Var*> vars;
  for (const ir::Var* var : captures.vars) {
    const auto found = vars_.find(var);
    if (found == vars_.end() || llvm::isa<llvm::Constant>(found->second.value)) continue;
    vars.push_back(var);
    values.push_back(found->second.value);
  }
  std::vector<llvm::Type*> fields;
  for (Value* value : values) fields.push_back(value->getType());
  auto* context_type = llvm::StructType::get(context, fields);

  const std::string name = absl::StrCat(state_.kernel, ".parallel", state_.parallel_loops++);
  llvm::Function* body = state_.MakeFunction(
      name, {b_.getInt64Ty(), b_.getInt64Ty(), b_.getInt32Ty(), pointer}, false);
  std::vector<llvm::Type*> inner_types = {b_.getInt64Ty(), b_.getInt64Ty()};
  inner_types.insert(inner_types.end(), fields.begin(), fields.end());
  llvm::Function* inner = state_.MakeFunction(name + ".body", inner_types, false);
  inner->addFnAttr(llvm::Attribute::NoInline);

  {  // unpack
    llvm::IRBuilder<> b(llvm::BasicBlock::Create(context, "entry", body));
    std::vector<Value*> arguments = {body->getArg(0), body->getArg(1)};
    for (size_t i = 0; i < values.size(); ++i) {
      Value* value = b.CreateLoad(fields[i], b.CreateStructGEP(context_type, body->getArg(3), i));
      if (i + 1 == pointer_count) {
        Value* thread = b.CreateZExt(body->getArg(2), b.getInt64Ty());
        value = b.CreateGEP(
            b.getInt8Ty(), value,
            b.CreateMul(thread, b.getInt64(static_cast<uint64_t>(state_.plan.private_bytes))));
      }
      arguments.push_back(value);
    }
    b.CreateCall(inner, arguments);
    b.CreateRetVoid();
  }

  {  // the loop over a slice
    for (size_t i = 0; i < pointer_count; ++i) {
      llvm::AttrBuilder attributes(context);
      attributes.addAttribute(llvm::Attribute::NoAlias);
      attributes.addAlignmentAttr(64);
      inner->addParamAttrs(i + 2, attributes);
    }
    FunctionEmitter emitter(state_, inner);
    for (size_t i = 0; i < buffers.size(); ++i)
      emitter.BindBuffer(buffers[i], inner->getArg(i + 2));
    emitter.SetWorkspace(
        {inner->getArg(buffers.size() + 2), inner->getArg(buffers.size() + 3), nullptr});
    for (size_t i = 0; i < vars.size(); ++i) {
      emitter.BindVar(vars[i], inner->getArg(pointer_count + 2 + i));
    }
    for (const auto& [var, binding] : vars_) {
      if (llvm::isa<llvm::Constant>(binding.value)) emitter.BindVar(var, binding.value);
    }
    llvm::IRBuilder<>& b = emitter.builder();
    llvm::Type* index_type = numbers_.ValueType(node.var->type);
    Value* minimum = numbers_.Integer(node.var->type, node.min);
    Value* begin = b.CreateAdd(b.CreateTrunc(inner->getArg(0), index_type), minimum);
    Value* end = b.CreateAdd(b.CreateTrunc(inner->getArg(1), index_type), minimum);
    emitter.EmitRange(*node.var, begin, end, node.body);
    emitter.Return();
  }

  llvm::Instruction* entry_end = scopes_.front().entry_end;
  auto* packed = new llvm::AllocaInst(context_type, 0, nullptr, llvm::Align(8), "context",
                                      entry_end->getIterator());
  for (size_t i = 0; i < values.size(); ++i) {
    b_.CreateStore(values[i], b_.CreateStructGEP(context_type, packed, i));
  }
  Value* parallel_for = b_.CreateLoad(pointer, workspace_.launcher);
  auto* type =
      llvm::FunctionType::get(b_.getVoidTy(), {pointer, b_.getInt64Ty(), pointer, pointer}, false);
  b_.CreateCall(
      type, parallel_for,
      {workspace_.launcher, b_.getInt64(static_cast<uint64_t>(node.extent)), body, packed});
}

void FunctionEmitter::EmitIf(Value* condition, const ir::Stmt& then_body,
                             const ir::Stmt& else_body) {
  llvm::BasicBlock* then_block = NewBlock("then");
  llvm::BasicBlock* join = NewBlock("join");
  llvm::BasicBlock* else_block = else_body ? NewBlock("else") : join;
  ++branches_;
  b_.CreateCondBr(condition, then_block, else_block);
  b_.SetInsertPoint(then_block);
  Emit(then_body);
  b_.CreateBr(join);
  if (else_body) {
    b_.SetInsertPoint(else_block);
    Emit(else_body);
    b_.CreateBr(join);
  }
  --branches_;
  b_.SetInsertPoint(join);
}

void FunctionEmitter::EmitAllocate(const ir::Allocate& node) {
  const ir::BufferNode* buffer = node.buffer.get();
  const auto planned = state_.plan.slots.find(buffer);
  if (planned == state_.plan.slots.end()) return Emit(node.body);  // bound from the beginning
  const Slot& slot = planned->second;
  const auto bytes = static_cast<uint64_t>(std::max<int64_t>(buffer->StoredBytes(), 1));
  if (slot.place != Place::kStack) {
    Value* base = slot.place == Place::kShared ? workspace_.shared_base : workspace_.private_base;
    if (buffers_.find(buffer) == buffers_.end()) {
      llvm::IRBuilder<> entry(scopes_.front().entry_end);
      buffers_[buffer] = entry.CreateGEP(entry.getInt8Ty(), base,
                                         entry.getInt64(static_cast<uint64_t>(slot.offset)));
    }
    return Emit(node.body);
  }
  if (buffers_.find(buffer) == buffers_.end()) {
    auto* alloca = new llvm::AllocaInst(llvm::ArrayType::get(b_.getInt8Ty(), bytes), 0, nullptr,
                                        llvm::Align(64), buffer->name,
                                        scopes_.front().entry_end->getIterator());
    buffers_[buffer] = alloca;
  }
  Value* memory = buffers_[buffer];
  b_.CreateLifetimeStart(memory, b_.getInt64(bytes));
  Emit(node.body);
  b_.CreateLifetimeEnd(memory, b_.getInt64(bytes));
}

void FunctionEmitter::EmitEvaluate(const ir::Evaluate& node) {
  if (const std::optional<ir::MatrixCall> product = ir::AsMatrixCall(node.value)) {
    EmitMatrixCall(*product);
    return;
  }
  if (const std::optional<ir::ConvolutionCall> convolution = ir::AsConvolutionCall(node.value)) {
    EmitConvolutionCall(*convolution);
    return;
  }
  const auto* call = node.value.As<ir::Call>();
  if (call == nullptr || call->name != "prefetch") {
    Emit(node.value);
    return;
  }
  const auto* load = call->args.empty() ? nullptr : call->args[0].As<ir::Load>();
  if (load == nullptr) {
    state_.Fail(absl::InvalidArgumentError(
        absl::StrCat("code generation: prefetch needs a load, not ", ir::Print(node.value))));
    return;
  }
  ir::Expr index = FlatIndex(*load->buffer, load->indices);
  if (index.type().is_vector()) {
    const std::optional<RampForm> ramp = AsRamp(index);
    if (!ramp) return;  // a hint only
    index = ramp->base;
  }
  const int bits = load->buffer->type.bits;
  LinearIndex linear = Linearise(index);
  if (bits < 8) return;
  b_.CreateIntrinsic(
      llvm::Intrinsic::prefetch, {b_.getPtrTy()},
      {Address(*load->buffer, linear), b_.getInt32(0), b_.getInt32(3), b_.getInt32(1)});
}

void FunctionEmitter::CheckProvider(std::string_view provider, ir::Type type) {
  const absl::Status computes = ir::CheckMultipliesOn(provider, type, state_.target);
  if (computes.ok()) return;
  state_.Fail(absl::InvalidArgumentError(
      absl::StrCat("code generation: ", computes.message(), "; leave the external step out")));
}

Value* FunctionEmitter::AddressOfFirst(const ir::Expr& load) {
  const auto* first = load.As<ir::Load>();
  return Address(*first->buffer, Linearise(FlatIndex(*first->buffer, first->indices)));
}

void FunctionEmitter::EmitCallOf(std::string_view name, const std::vector<Value*>& arguments) {
  std::vector<llvm::Type*> types;
  for (const Value* argument : arguments) types.push_back(argument->getType());
  auto* type = llvm::FunctionType::get(b_.getVoidTy(), types, false);
  b_.CreateCall(state_.module.getOrInsertFunction({name.data(), name.size()}, type), arguments);
}

void FunctionEmitter::EmitMatrixCall(const ir::MatrixCall& call) {
  CheckProvider(call.provider, call.a.type());
  if (!state_.status.ok()) return;
  Value *a = AddressOfFirst(call.a), *b = AddressOfFirst(call.b), *c = AddressOfFirst(call.c);
  const auto wide = [&](int64_t value) { return b_.getInt64(static_cast<uint64_t>(value)); };
  const auto narrow = [&](int64_t value) { return b_.getInt32(static_cast<uint32_t>(value)); };
  if (call.provider == "onednn") {
    // Of compiler/runtime/onednn.h.
    const std::string_view name = !call.a.type().is_integer()   ? "tessera_onednn_gemm_f32"
                                  : call.a.type() == ir::Int(8) ? "tessera_onednn_gemm_s8"
                                                                : "tessera_onednn_gemm_u8";
    EmitCallOf(name, {wide(call.rows), wide(call.columns), wide(call.terms),
                      narrow(call.transposes_a), narrow(call.transposes_b), a, wide(call.a_stride),
                      b, wide(call.b_stride), c, wide(call.c_stride)});
    return;
  }
  // Of <cblas.h>.
  constexpr int kRowMajor = 101, kPlain = 111, kTransposed = 112;
  EmitCallOf("cblas_sgemm",
             {narrow(kRowMajor), narrow(call.transposes_a ? kTransposed : kPlain),
              narrow(call.transposes_b ? kTransposed : kPlain), narrow(call.rows),
              narrow(call.columns), narrow(call.terms), llvm::ConstantFP::get(b_.getFloatTy(), 1.0),
              a, narrow(call.a_stride), b, narrow(call.b_stride),
              llvm::ConstantFP::get(b_.getFloatTy(), 0.0), c, narrow(call.c_stride)});
}

void FunctionEmitter::EmitConvolutionCall(const ir::ConvolutionCall& call) {
  CheckProvider(call.provider, call.data.type());
  if (!state_.status.ok()) return;
  // A tessera_onednn_convolution of this call's own (compiler/runtime/onednn.h).
  std::vector<llvm::Constant*> fields = {llvm::ConstantPointerNull::get(b_.getPtrTy())};
  for (const int64_t number :
       {static_cast<int64_t>(call.form), call.block, call.channels, call.height, call.width,
        call.filters, call.result_height, call.result_width, call.kernel[0], call.kernel[1],
        call.stride[0], call.stride[1], call.dilation[0], call.dilation[1]}) {
    fields.push_back(b_.getInt64(static_cast<uint64_t>(number)));
  }
  llvm::Constant* made = llvm::ConstantStruct::getAnon(b_.getContext(), fields);
  auto* own =
      new llvm::GlobalVariable(state_.module, made->getType(), false,
                               llvm::GlobalValue::InternalLinkage, made, state_.kernel + "_conv");
  EmitCallOf(
      "tessera_onednn_convolve",
      {own, AddressOfFirst(call.data), AddressOfFirst(call.weights), AddressOfFirst(call.result)});
}

}  // namespace tessera::codegen
