#include "compiler/codegen/link.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/mutex.h"
#include "base/status.h"
#include "compiler/codegen/llvm_headers.h"
#include "compiler/codegen/target_machine.h"
#include "lld/Common/Driver.h"
#include "llvm/IR/LegacyPassManager.h"

LLD_HAS_DRIVER(elf)

namespace tessera::codegen {
namespace {

// A folder that is gone with the object.
class TemporaryFolder {
 public:
  static absl::StatusOr<TemporaryFolder> Make() {
    std::error_code error;
    const std::filesystem::path parent = std::filesystem::temp_directory_path(error);
    std::string pattern = (error ? "/tmp" : parent.string()) + "/tessera-link-XXXXXX";
    if (mkdtemp(pattern.data()) == nullptr) {
      return absl::UnavailableError(absl::StrCat("linking: can't make a folder like ", pattern,
                                                 "; check TMPDIR and free space"));
    }
    return TemporaryFolder(pattern);
  }
  TemporaryFolder(TemporaryFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }

  std::string File(const std::string& name) const { return absl::StrCat(path_, "/", name); }

  absl::StatusOr<std::string> Write(const std::string& name, const std::string& bytes) const {
    const std::string path = File(name);
    std::ofstream file(path, std::ios::binary);
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    file.close();
    if (!file) {
      return absl::ResourceExhaustedError(
          absl::StrCat("linking: can't write ", bytes.size(), " bytes to ", path));
    }
    return path;
  }

 private:
  explicit TemporaryFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

ABSL_CONST_INIT absl::Mutex lld_mutex(absl::kConstInit);
bool lld_is_broken ABSL_GUARDED_BY(lld_mutex) = false;

absl::Status RunLld(const std::vector<std::string>& arguments) {
  std::vector<const char*> pointers;
  for (const std::string& argument : arguments) pointers.push_back(argument.c_str());
  std::string output;
  llvm::raw_string_ostream stream(output);
  absl::MutexLock lock(&lld_mutex);
  if (lld_is_broken) {
    return absl::InternalError("linking: lld crashed earlier in this process; restart it");
  }
  const lld::Result result = lld::lldMain(pointers, stream, stream, {{lld::Gnu, &lld::elf::link}});
  lld_is_broken = !result.canRunAgain;
  if (result.retCode == 0) return absl::OkStatus();
  return absl::InternalError(
      absl::StrCat("linking: ", std::string(absl::StripAsciiWhitespace(output))));
}

std::vector<std::string> BaseArguments(ir::TargetKind kind) {
  return {"ld.lld",
          "-m",
          kind == ir::TargetKind::kX86 ? "elf_x86_64" : "aarch64linux",
          "-shared",
          "--build-id=none",
          "--threads=1",
          "--hash-style=gnu",
          "--strip-all",
          "-z",
          "noexecstack",
          "-z",
          "now",
          "-z",
          "relro"};
}

// An object that defines the functions, to be linked against only.
absl::StatusOr<std::string> MakeStubObject(ir::TargetKind kind,
                                           const std::vector<std::string>& functions) {
  ir::Target target;
  target.kind = kind;
  TESSERA_ASSIGN_OR_RETURN(const MachineDescription description, DescribeMachine(target));
  TESSERA_ASSIGN_OR_RETURN(llvm::TargetMachine * machine, MachineFor(description));
  llvm::LLVMContext context;
  llvm::Module module("stub", context);
  module.setTargetTriple(description.triple);
  module.setDataLayout(machine->createDataLayout());
  auto* type = llvm::FunctionType::get(llvm::Type::getVoidTy(context), false);
  for (const std::string& name : functions) {
    auto* function = llvm::Function::Create(type, llvm::Function::ExternalLinkage, name, module);
    llvm::IRBuilder<>(llvm::BasicBlock::Create(context, "", function)).CreateRetVoid();
  }
  llvm::SmallVector<char, 0> output;
  llvm::raw_svector_ostream stream(output);
  llvm::legacy::PassManager emission;
  if (machine->addPassesToEmitFile(emission, stream, nullptr, llvm::CodeGenFileType::ObjectFile)) {
    return absl::InternalError("LLVM can't emit objects for this target");
  }
  emission.run(module);
  return std::string(output.begin(), output.end());
}

}  // namespace

absl::StatusOr<std::string> LinkSharedObject(absl::Span<const std::string> objects,
                                             const LinkOptions& options) {
  if (options.kind != ir::TargetKind::kX86 && options.kind != ir::TargetKind::kAArch64) {
    return absl::InvalidArgumentError("linking: shared objects are for x86 and aarch64 only");
  }
  TESSERA_ASSIGN_OR_RETURN(const TemporaryFolder folder, TemporaryFolder::Make());
  std::vector<std::string> arguments = BaseArguments(options.kind);
  arguments.push_back("--no-undefined");
  for (size_t i = 0; i < objects.size(); ++i) {
    TESSERA_ASSIGN_OR_RETURN(arguments.emplace_back(),
                             folder.Write(absl::StrCat(i, ".o"), objects[i]));
  }
  if (!options.libc_functions.empty()) {
    TESSERA_ASSIGN_OR_RETURN(const std::string stub,
                             MakeStubObject(options.kind, options.libc_functions));
    TESSERA_ASSIGN_OR_RETURN(const std::string stub_object, folder.Write("stub.o", stub));
    const std::string stub_library = folder.File("stub.so");
    std::vector<std::string> stub_arguments = BaseArguments(options.kind);
    stub_arguments.insert(stub_arguments.end(),
                          {"-soname", "libc.so.6", "-o", stub_library, stub_object});
    TESSERA_RETURN_IF_ERROR(RunLld(stub_arguments));
    arguments.push_back(stub_library);
  }
  std::string script = "{\n  global:\n";
  for (const std::string& symbol : options.exported)
    absl::StrAppend(&script, "    ", symbol, ";\n");
  script += "  local: *;\n};\n";
  TESSERA_ASSIGN_OR_RETURN(const std::string script_path, folder.Write("exports.map", script));
  const std::string result_path = folder.File("result.so");
  arguments.insert(arguments.end(), {"--version-script", script_path, "-o", result_path});
  if (!options.soname.empty()) arguments.insert(arguments.end(), {"-soname", options.soname});
  TESSERA_RETURN_IF_ERROR(RunLld(arguments));

  std::ifstream file(result_path, std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (!file || bytes.empty()) {
    return absl::InternalError(absl::StrCat("linking: lld left no result at ", result_path));
  }
  return bytes;
}

}  // namespace tessera::codegen
