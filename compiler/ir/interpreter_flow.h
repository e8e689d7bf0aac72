#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "compiler/ir/interpreter.h"

// Statements that order others, as one thread or all threads of a block run them. Internal to this
// folder.

namespace tessera::ir::interpreter {

class Nothing final : public StmtCode {
 public:
  void Run() override {}
};

class ForCode final : public StmtCode {
 public:
  ForCode(Machine& machine, int64_t* slot, int64_t min, int64_t extent, StmtCode* body)
      : machine_(machine), slot_(slot), min_(min), end_(min + extent), body_(body) {}
  void Run() override {
    for (int64_t value = min_; value < end_; ++value) {
      *slot_ = value;
      body_->Run();
      if (machine_.failed()) [[unlikely]]
        return;
    }
  }

 private:
  Machine& machine_;
  int64_t* slot_;
  int64_t min_, end_;
  StmtCode* body_;
};

class BlockCode final : public StmtCode {
 public:
  BlockCode(Machine& machine, std::vector<StmtCode*> parts)
      : machine_(machine), parts_(std::move(parts)) {}
  void Run() override {
    for (StmtCode* part : parts_) {
      part->Run();
      if (machine_.failed()) [[unlikely]]
        return;
    }
  }

 private:
  Machine& machine_;
  std::vector<StmtCode*> parts_;
};

class AllocateCode final : public StmtCode {
 public:
  AllocateCode(Memory* memory, StmtCode* body) : memory_(memory), body_(body) {}
  void Run() override {
    std::fill(memory_->written.begin(), memory_->written.end(), 0);
    body_->Run();
  }

 private:
  Memory* memory_;
  StmtCode* body_;
};

// Whether threads that `loop` is bound to meet inside of it: at barriers, or in shared memory.
bool ThreadsMeet(const For& loop);

}  // namespace tessera::ir::interpreter
