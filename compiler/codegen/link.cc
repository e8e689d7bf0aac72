#include "compiler/codegen/link.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <string_view>
#include <system_error>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/mutex.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "compiler/codegen/llvm_headers.h"
#include "compiler/codegen/provider_parts.h"
#include "compiler/codegen/target_machine.h"
#include "lld/Common/Driver.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/Object/ArchiveWriter.h"

LLD_HAS_DRIVER(elf)

namespace tessera::codegen {
namespace {

// Where lld can open a descriptor of this process by name.
std::string PathOf(const UniqueFd& descriptor) {
  return absl::StrCat("/proc/self/fd/", descriptor.get());
}

// Bytes that lld reads as a file, which is in no folder and on no disk.
absl::StatusOr<UniqueFd> MemoryFile(std::string_view bytes) {
  UniqueFd file(memfd_create("tessera-link", MFD_CLOEXEC));
  if (!file.valid()) {
    return absl::ResourceExhaustedError(
        absl::StrCat("linking: no file in memory: ", strerror(errno)));
  }
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t count = write(file.get(), bytes.data() + done, bytes.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      return absl::ResourceExhaustedError(absl::StrCat("linking: can't keep ", bytes.size(),
                                                       " bytes in memory: ", strerror(errno)));
    }
    done += static_cast<size_t>(count);
  }
  return file;
}

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

// One file of all, so that a library of any size takes one descriptor.
absl::StatusOr<std::string> ArchiveOf(absl::Span<const std::string> objects) {
  std::vector<llvm::NewArchiveMember> members;
  for (size_t i = 0; i < objects.size(); ++i) {
    members.emplace_back(llvm::MemoryBufferRef(objects[i], "object.o"));
  }
  auto archive = llvm::writeArchiveToBuffer(members, llvm::SymtabWritingMode::NoSymtab,
                                            llvm::object::Archive::K_GNU, /*Deterministic=*/true,
                                            /*Thin=*/false);
  if (!archive) {
    return absl::InternalError(absl::StrCat("linking: ", llvm::toString(archive.takeError())));
  }
  return (*archive)->getBuffer().str();
}

std::string ReadAll(int descriptor) {
  std::string bytes;
  char part[1 << 16];
  for (;;) {
    const ssize_t count = read(descriptor, part, sizeof(part));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return bytes;
    bytes.append(part, static_cast<size_t>(count));
  }
}

// What lld makes. It goes through a pipe: a file would be made under another name beside the one
// that was asked for, in a folder therefore.
absl::StatusOr<std::string> RunLldForOutput(std::vector<std::string> arguments) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    return absl::ResourceExhaustedError(absl::StrCat("linking: pipe: ", strerror(errno)));
  }
  UniqueFd from(ends[0]), to(ends[1]);
  arguments.insert(arguments.end(), {"-o", PathOf(to)});
  std::string bytes;
  std::optional<std::thread> reader;
  try {
    reader.emplace([&] { bytes = ReadAll(from.get()); });
  } catch (const std::system_error& error) {
    return absl::ResourceExhaustedError(absl::StrCat("linking: no thread: ", error.what()));
  }
  const absl::Status status = RunLld(arguments);
  to.Reset();
  reader->join();
  TESSERA_RETURN_IF_ERROR(status);
  if (bytes.empty()) return absl::InternalError("linking: lld left no result");
  return bytes;
}

std::vector<std::string> BaseArguments(ir::TargetKind kind) {
  return {"ld.lld", "-m",
          kind == ir::TargetKind::kX86       ? "elf_x86_64"
          : kind == ir::TargetKind::kAArch64 ? "aarch64linux"
                                             : "armelf_linux_eabi",
          "-shared", "--build-id=none", "--threads=1",
          // lld 19 forgets this symbol's place only where it meets the symbol again: without it, a
          // link after one of an object that names it writes to memory that is no longer lld's.
          "-u", "_GLOBAL_OFFSET_TABLE_", "--hash-style=gnu", "--strip-all", "-z", "noexecstack",
          "-z", "now", "-z", "relro"};
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
  if (!ir::IsCpu(options.kind)) {
    return absl::InvalidArgumentError("linking: shared objects are for x86, aarch64 and arm only");
  }
  std::vector<UniqueFd> files;
  const auto add = [&](std::string_view bytes) -> absl::StatusOr<std::string> {
    TESSERA_ASSIGN_OR_RETURN(files.emplace_back(), MemoryFile(bytes));
    return PathOf(files.back());
  };
  std::vector<std::string> arguments = BaseArguments(options.kind);
  arguments.push_back("--no-undefined");
  TESSERA_ASSIGN_OR_RETURN(const ProviderParts parts,
                           PartsOfProviders(options.kind, options.providers));
  arguments.emplace_back("--whole-archive");
  for (const absl::Span<const std::string> group : {objects, absl::MakeConstSpan(parts.objects)}) {
    if (group.empty()) continue;
    TESSERA_ASSIGN_OR_RETURN(const std::string archive, ArchiveOf(group));
    TESSERA_ASSIGN_OR_RETURN(arguments.emplace_back(), add(archive));
  }
  arguments.emplace_back("--no-whole-archive");
  const auto need = [&](std::string_view soname,
                        const std::vector<std::string>& functions) -> absl::Status {
    TESSERA_ASSIGN_OR_RETURN(const std::string stub, MakeStubObject(options.kind, functions));
    TESSERA_ASSIGN_OR_RETURN(const std::string stub_object, add(stub));
    std::vector<std::string> stub_arguments = BaseArguments(options.kind);
    stub_arguments.insert(stub_arguments.end(), {"-soname", std::string(soname), stub_object});
    TESSERA_ASSIGN_OR_RETURN(const std::string stub_library,
                             RunLldForOutput(std::move(stub_arguments)));
    TESSERA_ASSIGN_OR_RETURN(arguments.emplace_back(), add(stub_library));
    return absl::OkStatus();
  };
  for (const ProviderParts::Needed& needed : parts.needed) {
    TESSERA_RETURN_IF_ERROR(need(needed.soname, needed.functions));
  }
  std::vector<std::string> libc_functions = options.libc_functions;
  libc_functions.insert(libc_functions.end(), parts.libc_functions.begin(),
                        parts.libc_functions.end());
  std::ranges::sort(libc_functions);  // a stub defines each once
  libc_functions.erase(std::ranges::unique(libc_functions).begin(), libc_functions.end());
  if (!libc_functions.empty()) TESSERA_RETURN_IF_ERROR(need("libc.so.6", libc_functions));
  std::string script = "{\n  global:\n";
  for (const std::string& symbol : options.exported)
    absl::StrAppend(&script, "    ", symbol, ";\n");
  script += "  local: *;\n};\n";
  TESSERA_ASSIGN_OR_RETURN(const std::string exports, add(script));
  arguments.insert(arguments.end(), {"--version-script", exports});
  if (!options.soname.empty()) arguments.insert(arguments.end(), {"-soname", options.soname});
  return RunLldForOutput(std::move(arguments));
}

}  // namespace tessera::codegen
