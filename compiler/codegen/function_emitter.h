#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "compiler/codegen/codegen.h"
#include "compiler/codegen/llvm_headers.h"
#include "compiler/codegen/numbers.h"
#include "compiler/codegen/target_machine.h"
#include "compiler/codegen/vector_math.h"
#include "compiler/codegen/workspace_plan.h"
#include "compiler/ir/convolution_call.h"
#include "compiler/ir/matrix_call.h"
#include "compiler/ir/stmt.h"
#include "compiler/ir/target.h"

namespace tessera::codegen {

// What the functions of one module share.
struct ModuleState {
  const ir::Target& target;
  const MachineDescription& machine;
  const WorkspacePlan& plan;
  llvm::Module& module;
  std::string kernel;  // prefix of all symbols
  Checks checks;
  int parallel_loops = 0;  // outlined so far
  absl::Status status;     // the first error; emission goes on with poison values

  void Fail(const absl::Status& error) { status.Update(error); }
  llvm::Function* MakeFunction(const std::string& name, llvm::ArrayRef<llvm::Type*> parameters,
                               bool is_exported);
};

// Sum of coefficient × value + constant. A value is computed where its innermost variable is bound.
struct LinearIndex {
  struct Term {
    llvm::Value* value;  // i64
    int64_t coefficient;
    int depth;            // number of loops that must have been entered
    int64_t multiple_of;  // a power of two that divides the value
  };
  std::vector<Term> terms;
  int64_t constant = 0;
};

// Emits statements into one LLVM function. Addresses are built outermost loop first and each part
// is placed at the entry of the loop that binds it, so that an inner loop only adds its own step;
// constants stay last and become displacements.
class FunctionEmitter {
 public:
  // Where workspace buffers of this function live; `is_parallel_body`: parallel loops inside run
  // in order.
  struct Workspace {
    llvm::Value* shared_base;
    llvm::Value* private_base;
    llvm::Value* launcher;  // null in a parallel body
  };

  FunctionEmitter(ModuleState& state, llvm::Function* function);

  void SetWorkspace(Workspace workspace) { workspace_ = workspace; }
  void BindBuffer(const ir::BufferNode* buffer, llvm::Value* pointer) {
    buffers_[buffer] = pointer;
  }
  void BindVar(const ir::Var* var, llvm::Value* value) { vars_[var] = {value, 0}; }
  // The variable of a block's `count` threads, which is bound, if they have one axis alone.
  void SetThreads(ir::VarRef thread, int64_t count) {
    thread_ = std::move(thread);
    thread_count_ = count;
  }
  llvm::IRBuilder<>& builder() { return b_; }
  // Where what is bound is computed, if it is not a parameter: before everything that is emitted.
  llvm::Instruction* entry_end() { return scopes_.front().entry_end; }

  void Emit(const ir::Stmt& s);
  // for var in [begin, end); nothing when empty.
  void EmitRange(const ir::Var& var, llvm::Value* begin, llvm::Value* end, const ir::Stmt& body);
  void Return();

 private:
  struct Binding {
    llvm::Value* value;
    int depth;
  };
  using AddressKey = std::pair<llvm::Value*, std::vector<std::pair<llvm::Value*, int64_t>>>;
  // A loop, or the function for the first: code that depends on nothing further in goes before
  // `entry_end`.
  struct LoopScope {
    llvm::Instruction* entry_end;
    std::map<AddressKey, llvm::Value*> addresses;
    std::map<const ir::ExprNode*, llvm::Value*> atoms;
    std::vector<ir::Expr> kept;  // nodes that are keys of `atoms` stay alive
  };
  // Lanes on which the value under construction counts. Memory is not touched elsewhere.
  struct Mask {
    llvm::Value* scalar = nullptr;  // i1; null = true
    llvm::Value* vector = nullptr;  // <n x i1>; null = true
    int group = 1;                  // lanes that each of the vector's stands for
  };
  struct RampForm {
    ir::Expr base;
    int64_t stride;
  };
  // Lane i is base + offsets[i].
  struct LaneForm {
    ir::Expr base;
    std::vector<int64_t> offsets;
  };

  // Statements (emit_stmt.cc).
  void EmitFor(const ir::For& node);
  void EmitLoop(const ir::Var& var, llvm::Value* begin, llvm::Value* end, const ir::Stmt& body);
  void EmitParallel(const ir::For& node);
  bool EmitMatrixProduct(const ir::For& loop);  // emit_matrix.cc; false: it is none
  class MatrixReader;
  void EmitIf(llvm::Value* condition, const ir::Stmt& then_body, const ir::Stmt& else_body);
  void EmitAllocate(const ir::Allocate& node);
  void EmitEvaluate(const ir::Evaluate& node);
  void EmitMatrixCall(const ir::MatrixCall& call);
  void EmitConvolutionCall(const ir::ConvolutionCall& call);
  // Of `provider`, which computes elements of `type`; has failed where it does not.
  void CheckProvider(std::string_view provider, ir::Type type);
  llvm::Value* AddressOfFirst(const ir::Expr& load);
  void EmitCallOf(std::string_view name, const std::vector<llvm::Value*>& arguments);
  void EmitAsyncCopy(const ir::AsyncCopy& node);  // emit_async_copy.cc, also the next two
  bool EmitCopyInstructions(const ir::AsyncCopy& node);
  void EmitAsyncWait();
  llvm::BasicBlock* NewBlock(const char* name);

  // Expressions (emit_expr.cc).
  llvm::Value* Emit(const ir::Expr& e);
  llvm::Value* EmitBinary(const ir::Binary& node);
  llvm::Value* EmitSelect(const ir::Select& node);
  llvm::Value* EmitCall(const ir::Call& node);
  llvm::Value* EmitReduce(ir::BinaryOp op, ir::Type type, llvm::Value* value);
  llvm::Value* EmitGroups(ir::BinaryOp op, const ir::Call& node);
  llvm::Value* EmitRepeat(llvm::Value* value, int from, int to);
  llvm::Value* EmitInterleave(llvm::ArrayRef<llvm::Value*> values);

  // Instructions by their definitions (emit_dot.cc).
  llvm::Value* EmitDot(const ir::Expr& sum, const ir::Expr& groups);
  llvm::Value* EmitStored(const ir::Expr& e);
  llvm::Value* EmitBroadcast(const ir::Expr& value, int lanes);
  llvm::Value* EmitRamp(const ir::Ramp& node);
  llvm::Value* Fail(const ir::Type& type, absl::Status error);

  // Memory (emit_memory.cc).
  llvm::Value* EmitLoad(const ir::Load& node);
  void EmitStore(const ir::Store& node);
  void StoreTo(const ir::Store& node, llvm::Value* value, llvm::Value* vector_mask);
  llvm::Value* LoadVector(const ir::Load& node, const ir::Expr& index, llvm::Value* mask);
  llvm::Value* LoadContiguous(const ir::Load& node, const ir::Expr& base, llvm::Value* mask);
  llvm::Value* LoadGroups(const ir::Load& node, const ir::Expr& base, llvm::Value* mask);
  llvm::Value* LoadPattern(const ir::Load& node, const LaneForm& form);
  llvm::Value* LoadLanes(const ir::Load& node, const ir::Expr& index, llvm::Value* mask);
  llvm::Value* LoadElement(const ir::BufferNode& buffer, const LinearIndex& index,
                           llvm::Value* mask);
  void StoreElement(const ir::BufferNode& buffer, const LinearIndex& index, llvm::Value* value,
                    bool streaming);
  llvm::Value* Pointer(const ir::BufferNode& buffer);
  llvm::Value* Address(const ir::BufferNode& buffer, const LinearIndex& index);
  llvm::Value* GuardedAddress(const ir::BufferNode& buffer, const LinearIndex& index, int64_t count,
                              llvm::Value* mask);
  void CheckBounds(const ir::BufferNode& buffer, const LinearIndex& first, int64_t count,
                   llvm::Value* mask);
  Mask EnterGroups(int size);
  Mask EnterShared();
  llvm::Value* LaneMask();
  llvm::Value* Spread(llvm::Value* value, int times);
  llvm::Value* GroupMaskOf(const ir::Expr& predicate, int lanes);
  llvm::Value* VectorMaskOf(const ir::Expr& predicate, int lanes);
  void MarkStreaming(llvm::StoreInst* store);

  // Indices (emit_index.cc).
  ir::Expr FlatIndex(const ir::BufferNode& buffer, const std::vector<ir::Expr>& indices);
  LinearIndex Linearise(const ir::Expr& e);
  void AddScaled(const ir::Expr& e, int64_t scale, LinearIndex& sum);
  std::optional<int64_t> ConstantOf(const ir::Expr& e);
  int DepthOf(const ir::Expr& e);
  int64_t MultipleOf(const ir::Expr& e);
  std::optional<RampForm> AsRamp(const ir::Expr& e);
  std::optional<LaneForm> AsLanes(const ir::Expr& e);
  llvm::Value* IndexValue(const LinearIndex& index);
  llvm::Value* Partial(llvm::Value* base, const LinearIndex& index, int64_t unit, bool is_pointer);
  static llvm::Align AlignmentOf(const LinearIndex& index, int64_t element_bytes);
  static bool MayFault(const ir::Expr& e);

  ModuleState& state_;
  llvm::Function* function_;
  llvm::IRBuilder<> b_;
  Numbers numbers_;
  VectorMath math_;
  Workspace workspace_ = {};
  absl::flat_hash_map<const ir::BufferNode*, llvm::Value*> buffers_;
  absl::flat_hash_map<const ir::Var*, Binding> vars_;
  std::vector<LoopScope> scopes_;
  Mask mask_;
  ir::VarRef thread_;  // null: none, or of several axes
  int64_t thread_count_ = 0;
  int branches_ = 0;  // around the statement that is emitted, which threads may take or not
  std::vector<ir::VarRef> kept_vars_;  // keys of `vars_` that nothing else keeps alive
  bool has_streaming_store_ = false;
  // Buffers of narrow floats as integers of their size.
  absl::flat_hash_map<const ir::BufferNode*, ir::Buffer> views_;
};

}  // namespace tessera::codegen
