#include "absl/strings/str_cat.h"
#include "compiler/ir/interpreter.h"
#include "compiler/ir/interpreter_flow.h"
#include "compiler/ir/print.h"
#include "compiler/ir/threads.h"

// Blocks of threads that meet: each part of their program between two barriers is run by one thread
// after the other.

namespace tessera::ir::interpreter {

// The threads of a block, and the memory that each has for itself.
class Threads {
 public:
  explicit Threads(Machine& machine) : machine_(machine) {}

  void AddAxis(int64_t* slot, int64_t min, int64_t extent) {
    axes_.push_back({slot, min, extent});
    count_ *= extent;
  }
  // Memory that a thread keeps between barriers.
  void AddPrivate(Memory* memory) {
    for (const Private& known : privates_) {
      if (known.memory == memory) return;
    }
    Private made{memory, std::vector<Copy>(static_cast<size_t>(count_)), 0};
    for (Copy& copy : made.copies) {
      copy.bytes = memory->owned;
      copy.written = memory->written;
    }
    privates_.push_back(std::move(made));
  }
  int64_t count() const { return count_; }

  // Has what runs next be run by that thread.
  void Enter(int64_t thread) {
    machine_.SetThread(static_cast<int>(thread));
    int64_t rest = thread;
    for (size_t i = axes_.size(); i-- > 0;) {
      *axes_[i].slot = axes_[i].min + rest % axes_[i].extent;
      rest /= axes_[i].extent;
    }
    for (Private& one : privates_) {
      if (one.current == thread) continue;
      Exchange(one);
      one.current = thread;
      Exchange(one);
      one.memory->bytes = one.memory->owned.data();
    }
  }

 private:
  struct Axis {
    int64_t* slot;
    int64_t min, extent;
  };
  struct Copy {
    std::vector<std::byte> bytes;
    std::vector<uint8_t> written;
  };
  struct Private {
    Memory* memory;
    std::vector<Copy> copies;  // the current thread's is in the memory
    int64_t current;
  };
  static void Exchange(Private& one) {
    Copy& copy = one.copies[static_cast<size_t>(one.current)];
    one.memory->owned.swap(copy.bytes);
    one.memory->written.swap(copy.written);
  }

  Machine& machine_;
  std::vector<Axis> axes_;
  int64_t count_ = 1;
  std::vector<Private> privates_;
};

namespace {

bool Meets(const Stmt& s) {
  bool meets = SharesMemory(s);
  ForEach<Barrier>(s, [&](const Barrier&) { meets = true; });
  return meets;
}

class BarrierCode final : public StmtCode {
 public:
  explicit BarrierCode(Machine& machine) : machine_(machine) {}
  void Run() override { machine_.PassBarrier(); }

 private:
  Machine& machine_;
};

// What threads do between barriers.
class InTurn final : public StmtCode {
 public:
  InTurn(Machine& machine, Threads& threads, StmtCode* code)
      : machine_(machine), threads_(threads), code_(code) {}
  void Run() override {
    for (int64_t thread = 0; thread < threads_.count() && !machine_.failed(); ++thread) {
      threads_.Enter(thread);
      code_->Run();
    }
  }

 private:
  Machine& machine_;
  Threads& threads_;
  StmtCode* code_;
};

// A condition on which all threads have to agree, since they meet behind it.
class AgreedIf final : public StmtCode {
 public:
  AgreedIf(Machine& machine, Threads& threads, const If& node, IntCode* condition,
           StmtCode* then_body, StmtCode* else_body)
      : machine_(machine),
        threads_(threads),
        node_(node),
        condition_(condition),
        then_(then_body),
        else_(else_body) {}

  void Run() override {
    int64_t holding = 0;
    for (int64_t thread = 0; thread < threads_.count(); ++thread) {
      threads_.Enter(thread);
      holding += condition_->Run(0) != 0 ? 1 : 0;
      machine_.RequireWritten();
      if (machine_.failed()) return;
    }
    if (holding != 0 && holding != threads_.count()) {
      machine_.Fail(absl::FailedPreconditionError(
          absl::StrCat("a barrier is behind ", Print(node_.condition), ", which holds for ",
                       holding, " of ", threads_.count(), " threads of a block")));
      return;
    }
    (holding != 0 ? then_ : else_)->Run();
  }

 private:
  Machine& machine_;
  Threads& threads_;
  const If& node_;
  IntCode* condition_;
  StmtCode *then_, *else_;
};

// A thread's memory is new for each of them.
class PrivateAllocate final : public StmtCode {
 public:
  PrivateAllocate(Threads& threads, Memory* memory, StmtCode* body)
      : threads_(threads), memory_(memory), body_(body) {}
  void Run() override {
    for (int64_t thread = 0; thread < threads_.count(); ++thread) {
      threads_.Enter(thread);
      std::fill(memory_->written.begin(), memory_->written.end(), 0);
    }
    body_->Run();
  }

 private:
  Threads& threads_;
  Memory* memory_;
  StmtCode* body_;
};

// A new block shares nothing with the one before.
class BlockOfThreads final : public StmtCode {
 public:
  BlockOfThreads(Machine& machine, StmtCode* body) : machine_(machine), body_(body) {}
  void Run() override {
    machine_.PassBarrier();
    body_->Run();
  }

 private:
  Machine& machine_;
  StmtCode* body_;
};

}  // namespace

bool ThreadsMeet(const For& loop) { return IsThreadAxis(loop.thread_axis) && Meets(loop.body); }

void Machine::TouchToRead(Memory& memory, int64_t at) {
  Touch& touch = memory.touches[static_cast<size_t>(at)];
  if (touch.write_span == span_ && touch.writer != thread_) {
    return Fail(absl::FailedPreconditionError(
        absl::StrCat("thread ", thread_, " reads stored element ", at, " of ", memory.buffer->name,
                     ", which thread ", touch.writer, " writes without a barrier between them")));
  }
  touch.reader = touch.read_span == span_ && touch.reader != thread_ ? Touch::kSeveral : thread_;
  touch.read_span = span_;
}

void Machine::TouchToWrite(Memory& memory, int64_t at) {
  Touch& touch = memory.touches[static_cast<size_t>(at)];
  const bool is_read = touch.read_span == span_ && touch.reader != thread_;
  if (is_read || (touch.write_span == span_ && touch.writer != thread_)) {
    return Fail(absl::FailedPreconditionError(
        absl::StrCat("thread ", thread_, " writes stored element ", at, " of ", memory.buffer->name,
                     ", which ", is_read ? "another one reads" : "another one writes, too,",
                     " without a barrier between them")));
  }
  touch.write_span = span_;
  touch.writer = thread_;
}

StmtCode* Compiler::CompileThreads(const For& node) {
  Threads& threads = *machine_.Make<Threads>(machine_);
  const For* loop = &node;
  threads.AddAxis(machine_.SlotOf(loop->var.get()), loop->min, loop->extent);
  while (const For* inner = loop->body.As<For>()) {
    if (!IsThreadAxis(inner->thread_axis)) break;
    loop = inner;
    threads.AddAxis(machine_.SlotOf(loop->var.get()), loop->min, loop->extent);
  }
  return machine_.Make<BlockOfThreads>(machine_, CompileForAll(loop->body, threads));
}

StmtCode* Compiler::CompileForAll(const Stmt& s, Threads& threads) {
  if (!s) return machine_.Make<Nothing>();
  if (s.As<Barrier>() != nullptr) return machine_.Make<BarrierCode>(machine_);
  if (!Meets(s)) return machine_.Make<InTurn>(machine_, threads, Compile(s));
  if (const auto* block = s.As<Block>()) {
    std::vector<StmtCode*> parts;
    for (const Stmt& part : block->stmts) parts.push_back(CompileForAll(part, threads));
    return machine_.Make<BlockCode>(machine_, std::move(parts));
  }
  if (const auto* loop = s.As<For>()) {
    StmtCode* body = CompileForAll(loop->body, threads);
    return machine_.Make<ForCode>(machine_, machine_.SlotOf(loop->var.get()), loop->min,
                                  loop->extent, body);
  }
  if (const auto* node = s.As<If>()) {
    IntCode* condition = CompileInt(node->condition);
    return machine_.Make<AgreedIf>(machine_, threads, *node, condition,
                                   CompileForAll(node->then_body, threads),
                                   CompileForAll(node->else_body, threads));
  }
  const auto& node = *s.As<Allocate>();
  Memory* memory = Reserve(node);
  if (memory == nullptr) return machine_.Make<Nothing>();
  if (node.buffer->scope == Scope::kShared) {
    memory->touches.resize(static_cast<size_t>(memory->count));
    return machine_.Make<AllocateCode>(memory, CompileForAll(node.body, threads));
  }
  threads.AddPrivate(memory);
  return machine_.Make<PrivateAllocate>(threads, memory, CompileForAll(node.body, threads));
}

}  // namespace tessera::ir::interpreter
