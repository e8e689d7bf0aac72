// Code with Checks::kBounds stops before an access outside of its buffer.

#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>

#include "tests/compiler/codegen/loaded_kernel.h"

namespace tessera::codegen {
namespace {

using ir::Expr;

const ir::Buffer& A() {
  static const auto& buffer = *new ir::Buffer(ir::MakeBuffer("a", ir::Float(32), {64}));
  return buffer;
}
const ir::Buffer& Out() {
  static const auto& buffer = *new ir::Buffer(ir::MakeBuffer("out", ir::Float(32), {64}));
  return buffer;
}
const ir::VarRef& I() {
  static const auto& var = *new ir::VarRef(ir::MakeVar("i"));
  return var;
}

Expr Row(const Expr& base, int64_t stride = 1) { return ir::MakeRamp(base, stride, 16); }
Expr Base() { return Expr(I()) * 16; }  // i runs over [0, 4)
ir::Stmt Read(const Expr& index, const Expr& predicate = {}) {
  return ir::MakeStore(Out(), {Row(Base())}, ir::MakeLoad(A(), {index}, predicate));
}
ir::Stmt Write(const Expr& index, const Expr& predicate = {}) {
  return ir::MakeStore(Out(), {index}, ir::MakeLoad(A(), {Row(Base())}), predicate);
}

// How a process ends that runs `body` for i in [0, 4): its signal, 0 if it comes through.
int Signal(const ir::Stmt& body, const ir::Target& target, Checks checks) {
  const ir::Program program{"bounds", {A(), Out()}, ir::MakeFor(I(), 0, 4, body)};
  const auto kernel = LoadedKernel::Load(program, target, checks);
  INFO(kernel.status());
  REQUIRE(kernel.ok());
  const AlignedBytes a(static_cast<size_t>(A()->StoredBytes()));
  const AlignedBytes out(static_cast<size_t>(Out()->StoredBytes()));
  const pid_t child = fork();
  if (child == 0) {
    for (const int signal : {SIGILL, SIGTRAP}) std::signal(signal, SIG_DFL);
    kernel->Run({a.data(), out.data()}, tessera_serial_launcher());
    _exit(0);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

}  // namespace

TEST_CASE("a checked access outside of its buffer stops the process", "[codegen]") {
  const Expr below = ir::Lt(Row(Base()), ir::MakeBroadcast(Expr(60), 16));
  const std::vector<std::pair<const char*, ir::Stmt>> outside = {
      {"vector load past the end", Read(Row(Base() + 1))},
      {"vector load before the start", Read(Row(Base() - 1))},
      {"load with a stride", Read(Row(Expr(I()) * 12, 2))},
      {"load of scattered lanes", Read(Row(Expr(I()) * 5, 4))},
      {"broadcast", Read(ir::MakeBroadcast(Expr(I()) * 22, 16))},
      {"load with too wide a predicate", Read(Row(Base() + 5), below)},
      {"vector store past the end", Write(Row(Base() + 1))},
      {"store of scattered lanes", Write(Row(Expr(I()) * 5, 4))},
      {"store with too wide a predicate", Write(Row(Base() + 5), below)},
      {"one element", ir::MakeStore(Out(), {Expr(I()) * 22}, ir::MakeLoad(A(), {Expr(I())}))}};
  const std::vector<std::pair<const char*, ir::Stmt>> inside = {
      {"vector load", Read(Row(Base()))},
      {"load with a stride", Read(Row(Expr(I()) * 11, 2))},
      {"load of scattered lanes", Read(Row(Expr(I()), 4))},
      {"broadcast", Read(ir::MakeBroadcast(Expr(I()) * 21, 16))},
      {"load with a predicate", Read(Row(Base() + 4), below)},
      {"store with a predicate", Write(Row(Base() + 4), below)},
      {"store of scattered lanes", Write(Row(Expr(I()), 4))}};
  for (const char* isa : {"sse4.2", "avx2", "avx512"}) {
    const ir::Target target = ir::X86Target(isa).value();
    if (HostTarget().kind != target.kind || target.vector_bytes > HostTarget().vector_bytes) {
      continue;
    }
    CAPTURE(isa);
    for (const auto& [what, body] : outside) {
      CAPTURE(what);
      CHECK(Signal(body, target, Checks::kBounds) == SIGILL);
    }
    for (const auto& [what, body] : inside) {
      CAPTURE(what);
      CHECK(Signal(body, target, Checks::kBounds) == 0);
    }
  }
}

TEST_CASE("lanes that don't count read nothing behind a buffer, at known places, too",
          "[codegen]") {
  // a lies before a page that nobody may read.
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  auto* const pages = static_cast<std::byte*>(
      mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  REQUIRE(pages != MAP_FAILED);
  REQUIRE(mprotect(pages + page, page, PROT_NONE) == 0);
  std::byte* const a = pages + page - A()->StoredBytes();
  const AlignedBytes out(static_cast<size_t>(Out()->StoredBytes()));
  // The last element of a is that of lane 12.
  const Expr counts = ir::Lt(Row(Expr(0)), ir::MakeBroadcast(Expr(13), 16));
  const Expr strided = ir::MakeLoad(A(), {Row(Expr(3), 5)});
  const Expr either = ir::MakeSelect(ir::Lt(Expr(I()), Expr(2)), strided,
                                     ir::MakeBroadcast(ir::MakeFloat(ir::Float(32), 1), 16));
  for (const char* isa : {"sse4.2", "avx2", "avx512"}) {
    const ir::Target target = ir::X86Target(isa).value();
    if (HostTarget().kind != target.kind || target.vector_bytes > HostTarget().vector_bytes) {
      continue;
    }
    CAPTURE(isa);
    for (const Expr& value : {strided, either}) {
      const ir::Stmt body = ir::MakeStore(Out(), {Row(Base())}, value, counts);
      const ir::Program program{"guarded", {A(), Out()}, ir::MakeFor(I(), 0, 4, body)};
      const auto kernel = LoadedKernel::Load(program, target, Checks::kNone);
      INFO(kernel.status());
      REQUIRE(kernel.ok());
      const pid_t child = fork();
      if (child == 0) {
        std::signal(SIGSEGV, SIG_DFL);
        kernel->Run({a, out.data()}, tessera_serial_launcher());
        _exit(0);
      }
      int status = 0;
      REQUIRE(waitpid(child, &status, 0) == child);
      CHECK_FALSE(WIFSIGNALED(status));
    }
  }
  munmap(pages, 2 * page);
}

}  // namespace tessera::codegen
