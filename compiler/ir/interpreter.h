#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "compiler/ir/stmt.h"

// A program compiled once to a tree of small objects that run it; evaluate.h is its face. Every
// object works on one lane at a time, so a vector program runs as its scalar meaning. Internal to
// this folder.

namespace tessera::ir::interpreter {

// Signed values sign-extended, unsigned ones zero-extended, u64 as its bit pattern.
class IntCode {
 public:
  virtual ~IntCode() = default;
  virtual int64_t Run(int lane) = 0;
};

// Values of the expression's type.
class FloatCode {
 public:
  virtual ~FloatCode() = default;
  virtual double Run(int lane) = 0;
};

class StmtCode {
 public:
  virtual ~StmtCode() = default;
  virtual void Run() = 0;
};

// Which threads of a block used an element last, and between which barriers.
struct Touch {
  static constexpr int kSeveral = -1;
  int64_t write_span = -1, read_span = -1;
  int writer = 0, reader = 0;
};

// The memory of one buffer. Parameters have no `written`.
struct Memory {
  const BufferNode* buffer = nullptr;
  std::byte* bytes = nullptr;
  int64_t count = 0;  // stored elements
  std::vector<std::byte> owned;
  std::vector<uint8_t> written;  // by element, of an Allocate
  std::vector<Touch> touches;    // by element, of what a block's threads share
};

class Threads;

// Owns the code and the variables' values, and keeps the first error.
class Machine {
 public:
  bool failed() const { return failed_; }
  const absl::Status& status() const { return status_; }
  void Fail(absl::Status status) {
    if (!failed_) status_ = std::move(status);
    failed_ = true;
  }
  // What is computed now has read element `at` of local memory, which was not written.
  void ReadUnwritten(const Load& load, int64_t at) {
    if (unwritten_ == nullptr) {
      unwritten_ = &load;
      unwritten_at_ = at;
    }
  }
  bool has_read_unwritten() const { return unwritten_ != nullptr; }
  void ForgetUnwritten() { unwritten_ = nullptr; }
  // Fails if what was computed depends on memory that was not written.
  void RequireWritten();
  // Threads of a block run in turn from barrier to barrier: what two of them use there, and one
  // writes, is a race, which fails.
  void PassBarrier() { ++span_; }
  void SetThread(int thread) { thread_ = thread; }
  void TouchToRead(Memory& memory, int64_t at);
  void TouchToWrite(Memory& memory, int64_t at);
  // " (i=3, j=0)": the values of the variables in `e`.
  std::string ValuesOf(const std::vector<Expr>& exprs) const;

  template <typename Code, typename... Args>
  Code* Make(Args&&... args) {
    auto code = std::make_shared<Code>(std::forward<Args>(args)...);
    Code* raw = code.get();
    owned_.push_back(std::move(code));
    return raw;
  }
  int64_t* SlotOf(const Var* var);
  Memory* MemoryOf(const BufferNode* buffer);

 private:
  bool failed_ = false;
  absl::Status status_;
  const Load* unwritten_ = nullptr;  // the first such read since the last ForgetUnwritten
  int64_t unwritten_at_ = 0;
  int64_t span_ = 0;  // barriers passed
  int thread_ = 0;    // that runs
  std::vector<std::shared_ptr<void>> owned_;
  std::deque<int64_t> values_;
  absl::flat_hash_map<const Var*, int64_t*> slots_;
  std::deque<Memory> memories_;
  absl::flat_hash_map<const BufferNode*, Memory*> by_buffer_;
};

// The stored position of an access, or -1 after an error.
class AddressCode {
 public:
  virtual ~AddressCode() = default;
  virtual int64_t Run(int lane) = 0;
};

class Compiler {
 public:
  explicit Compiler(Machine& machine) : machine_(machine) {}

  void BindParameter(const Buffer& buffer, std::byte* bytes);
  // Never null; what can't be run fails the machine.
  StmtCode* Compile(const Stmt& s);
  IntCode* CompileInt(const Expr& e);

 private:
  IntCode* CompileIntBinary(const Binary& node);
  IntCode* CompileCompare(const Binary& node);
  IntCode* CompileIntCast(const Cast& node);
  IntCode* CompileIntCall(const Call& node);
  FloatCode* CompileFloat(const Expr& e);
  FloatCode* CompileFloatBinary(const Binary& node);
  FloatCode* CompileFloatCall(const Call& node);
  IntCode* CompilePredicate(const Expr& predicate);  // null if empty
  AddressCode* CompileAddress(const Buffer& buffer, const std::vector<Expr>& indices);
  StmtCode* CompileStore(const Store& node);
  StmtCode* CompileFor(const For& node);
  StmtCode* CompileAllocate(const Allocate& node);
  // Memory for it; null, and the machine has failed, where it can't be had.
  Memory* Reserve(const Allocate& node);
  // A loop over threads that meet, with those directly inside; and a part of its body, for all of
  // them.
  StmtCode* CompileThreads(const For& node);
  StmtCode* CompileForAll(const Stmt& s, Threads& threads);
  StmtCode* CompileEvaluate(const struct ir::Evaluate& node);
  StmtCode* CompileAsyncCopy(const AsyncCopy& node);
  // Fails the machine; returns code that does nothing.
  IntCode* RefuseInt(absl::Status status);
  FloatCode* RefuseFloat(absl::Status status);
  void CheckBuffer(const BufferNode& buffer);

  Machine& machine_;
};

}  // namespace tessera::ir::interpreter
