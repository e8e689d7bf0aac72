#include "compiler/codegen/codegen.h"

#include <limits>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "base/third_party.h"
#include "base/view.h"
#include "compiler/codegen/emit_module.h"
#include "compiler/codegen/expand_missing.h"
#include "compiler/codegen/function_emitter.h"
#include "compiler/codegen/object_symbols.h"
#include "compiler/codegen/target_machine.h"
#include "compiler/codegen/workspace_plan.h"
#include "compiler/te/c_names.h"

namespace tessera::codegen {
namespace {

// The kernel unpacks its buffers and calls a body whose parameters are known not to overlap.
absl::Status EmitKernel(const ir::Program& program, ModuleState& state) {
  llvm::LLVMContext& context = state.module.getContext();
  llvm::Type* pointer = llvm::PointerType::getUnqual(context);
  const size_t count = program.params.size();
  llvm::Function* kernel = state.MakeFunction(state.kernel, {pointer, pointer, pointer}, true);
  // A handful of instructions, once a call: not worth the time that a function takes to optimise.
  kernel->addFnAttr(llvm::Attribute::NoInline);
  kernel->addFnAttr(llvm::Attribute::OptimizeNone);
  llvm::Function* body = state.MakeFunction(state.kernel + ".body",
                                            std::vector<llvm::Type*>(count + 3, pointer), false);
  body->addFnAttr(llvm::Attribute::NoInline);
  for (size_t i = 0; i < count + 2; ++i) {
    llvm::AttrBuilder attributes(context);
    attributes.addAttribute(llvm::Attribute::NoAlias);
    attributes.addAlignmentAttr(64);
    body->addParamAttrs(static_cast<unsigned>(i), attributes);
  }

  llvm::IRBuilder<> b(llvm::BasicBlock::Create(context, "entry", kernel));
  std::vector<llvm::Value*> arguments;
  for (size_t i = 0; i < count; ++i) {
    arguments.push_back(b.CreateLoad(pointer, b.CreateConstGEP1_64(pointer, kernel->getArg(0), i)));
  }
  arguments.push_back(kernel->getArg(1));
  arguments.push_back(b.CreateConstGEP1_64(b.getInt8Ty(), kernel->getArg(1),
                                           static_cast<uint64_t>(state.plan.shared_bytes)));
  arguments.push_back(kernel->getArg(2));
  b.CreateCall(body, arguments);
  b.CreateRetVoid();

  FunctionEmitter emitter(state, body);
  for (size_t i = 0; i < count; ++i) {
    emitter.BindBuffer(program.params[i].get(), body->getArg(static_cast<unsigned>(i)));
  }
  const auto last = static_cast<unsigned>(count);
  emitter.SetWorkspace({body->getArg(last), body->getArg(last + 1), body->getArg(last + 2)});
  emitter.Emit(program.body);
  emitter.Return();
  return state.status;
}

// Positions in buffers are numbers of the size of addresses at most.
absl::Status CheckAddressable(const ir::Program& program, const WorkspacePlan& plan,
                              const llvm::Module& module) {
  if (module.getDataLayout().getPointerSizeInBits() > 32) return absl::OkStatus();
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  const auto check = [&](std::string_view what, int64_t count) {
    if (count <= kMost) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(
        "code generation: ", AbslView(what), " of ", program.name, " has ", count,
        " elements or bytes; a 32-bit CPU addresses ", kMost, "; choose smaller shapes"));
  };
  for (const ir::Buffer& buffer : program.params) {
    TESSERA_RETURN_IF_ERROR(check(buffer->name, buffer->StoredElementCount()));
    TESSERA_RETURN_IF_ERROR(check(buffer->name, buffer->StoredBytes()));
  }
  return check("the workspace", plan.shared_bytes + plan.private_bytes);
}

// Emits one program into `module`.
absl::StatusOr<Kernel> Emit(const ir::Program& program, const ir::Target& target,
                            const MachineDescription& machine, Checks checks,
                            llvm::Module& module) {
  TESSERA_ASSIGN_OR_RETURN(const WorkspacePlan plan, PlanWorkspace(program));
  TESSERA_RETURN_IF_ERROR(CheckAddressable(program, plan, module));
  ModuleState state{target, machine, plan, module, te::ToCIdentifier(program.name, "kernel"),
                    checks, 0,       {}};
  if (module.getFunction(state.kernel) != nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("code generation: two programs make the symbol ",
                                                   state.kernel,
                                                   "; give one of them another name"));
  }
  TESSERA_RETURN_IF_ERROR(EmitKernel(program, state));
  return Kernel{std::move(state.kernel), plan.shared_bytes, plan.private_bytes};
}

absl::StatusOr<ObjectCode> Compile(absl::Span<const ir::Program> programs, const ir::Target& target,
                                   llvm::CodeGenFileType file_type, Checks checks) {
  TESSERA_ASSIGN_OR_RETURN(const MachineDescription description, DescribeMachine(target));
  TESSERA_ASSIGN_OR_RETURN(llvm::TargetMachine * machine, MachineFor(description));

  llvm::LLVMContext context;
  const std::unique_ptr<llvm::Module> module = MakeModule(context, *machine);
  module->setPICLevel(llvm::PICLevel::BigPIC);
  ObjectCode code;
  for (const ir::Program& program : programs) {
    TESSERA_ASSIGN_OR_RETURN(code.kernels.emplace_back(),
                             Emit(program, target, description, checks, *module));
  }
  ExpandMissing(target, *module);
  TESSERA_ASSIGN_OR_RETURN(code.bytes, EmitModule(*module, *machine, file_type));
  return code;
}

}  // namespace

absl::StatusOr<ObjectCode> GenerateObject(absl::Span<const ir::Program> programs,
                                          const ir::Target& target, Checks checks) {
  TESSERA_ASSIGN_OR_RETURN(ObjectCode code,
                           Compile(programs, target, llvm::CodeGenFileType::ObjectFile, checks));
  TESSERA_ASSIGN_OR_RETURN(std::vector<std::string> undefined, UndefinedSymbols(code.bytes));
  for (const ThirdParty& provider : ThirdParties()) {
    const auto is_of_provider = [&](const std::string& symbol) {
      return std::ranges::find(provider.entry_points, symbol) != provider.entry_points.end();
    };
    if (std::erase_if(undefined, is_of_provider) > 0) code.providers.emplace_back(provider.name);
  }
  if (!undefined.empty()) {
    return absl::InternalError(
        absl::StrCat("kernel ", code.kernels[0].symbol,
                     " needs library functions: ", absl::StrJoin(undefined, ", ")));
  }
  return code;
}

absl::StatusOr<std::string> GenerateAssembly(const ir::Program& program, const ir::Target& target) {
  TESSERA_ASSIGN_OR_RETURN(
      ObjectCode code,
      Compile({program}, target, llvm::CodeGenFileType::AssemblyFile, Checks::kNone));
  return std::move(code.bytes);
}

}  // namespace tessera::codegen
