#pragma once

#include <array>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "compiler/ir/element_io.h"
#include "compiler/ir/interpreter.h"
#include "compiler/ir/print.h"
#include "compiler/ir/simplify.h"

// Code of expressions that integers and floats share. Internal to this folder.

namespace tessera::ir::interpreter {

template <typename Code>
struct ValueOf;
template <>
struct ValueOf<IntCode> {
  using type = int64_t;
};
template <>
struct ValueOf<FloatCode> {
  using type = double;
};

template <typename Base>
class Constant final : public Base {
 public:
  using Value = typename ValueOf<Base>::type;
  explicit Constant(Value value) : value_(value) {}
  Value Run(int) override { return value_; }

 private:
  Value value_;
};

class Variable final : public IntCode {
 public:
  explicit Variable(const int64_t* slot) : slot_(slot) {}
  int64_t Run(int) override { return *slot_; }

 private:
  const int64_t* slot_;
};

// A sum of scaled variables.
class LinearCode final : public IntCode {
 public:
  static constexpr size_t kMaxTerms = 6;

  LinearCode(Machine& machine, const LinearForm& form) : constant_(form.constant) {
    for (const auto& [var, coefficient] : form.terms) {
      slots_[count_] = machine.SlotOf(var.get());
      coefficients_[count_++] = coefficient;
    }
  }
  int64_t Run(int) override {
    auto sum = static_cast<uint64_t>(constant_);
    for (size_t i = 0; i < count_; ++i) {
      sum += static_cast<uint64_t>(*slots_[i]) * static_cast<uint64_t>(coefficients_[i]);
    }
    return static_cast<int64_t>(sum);
  }

 private:
  int64_t constant_;
  size_t count_ = 0;
  std::array<const int64_t*, kMaxTerms> slots_{};
  std::array<int64_t, kMaxTerms> coefficients_{};
};

template <typename Base, typename Arg, typename F>
class Unary final : public Base {
 public:
  Unary(Arg* a, F f) : a_(a), f_(std::move(f)) {}
  typename ValueOf<Base>::type Run(int lane) override { return f_(a_->Run(lane)); }

 private:
  Arg* a_;
  F f_;
};

template <typename Base, typename Arg, typename F>
class BinaryCode final : public Base {
 public:
  BinaryCode(Arg* a, Arg* b, F f) : a_(a), b_(b), f_(std::move(f)) {}
  typename ValueOf<Base>::type Run(int lane) override {
    const auto a = a_->Run(lane);
    return f_(a, b_->Run(lane));
  }

 private:
  Arg *a_, *b_;
  F f_;
};

template <typename Base>
class Choice final : public Base {
 public:
  Choice(IntCode* condition, bool uniform, Base* a, Base* b)
      : condition_(condition), uniform_(uniform), a_(a), b_(b) {}
  typename ValueOf<Base>::type Run(int lane) override {
    return condition_->Run(uniform_ ? 0 : lane) != 0 ? a_->Run(lane) : b_->Run(lane);
  }

 private:
  IntCode* condition_;
  bool uniform_;
  Base *a_, *b_;
};

template <typename Base>
class Spread final : public Base {
 public:
  explicit Spread(Base* value) : value_(value) {}
  typename ValueOf<Base>::type Run(int) override { return value_->Run(0); }

 private:
  Base* value_;
};

// Reads an element with `Read(bytes, index)`.
template <typename Base, typename Read>
class LoadCode final : public Base {
 public:
  using Value = typename ValueOf<Base>::type;

  LoadCode(Machine& machine, const Load& node, AddressCode* address, IntCode* predicate, Read read)
      : machine_(machine),
        node_(node),
        memory_(machine.MemoryOf(node.buffer.get())),
        address_(address),
        predicate_(predicate),
        read_(std::move(read)) {}

  Value Run(int lane) override {
    if (predicate_ && predicate_->Run(lane) == 0) return 0;
    const int64_t at = address_->Run(lane);
    if (at < 0) return 0;
    if (!memory_->written.empty() && !memory_->written[at]) [[unlikely]] {
      machine_.ReadUnwritten(node_, at);
      return 0;
    }
    if (!memory_->touches.empty()) [[unlikely]]
      machine_.TouchToRead(*memory_, at);
    return read_(memory_->bytes, at);
  }

 private:
  Machine& machine_;
  const Load& node_;
  Memory* memory_;
  AddressCode* address_;
  IntCode* predicate_;
  Read read_;
};

template <typename Base, typename Arg, typename F>
Base* MakeUnary(Machine& machine, Arg* a, F f) {
  return machine.Make<Unary<Base, Arg, F>>(a, std::move(f));
}

template <typename Base, typename Arg, typename F>
Base* MakeBinaryCode(Machine& machine, Arg* a, Arg* b, F f) {
  return machine.Make<BinaryCode<Base, Arg, F>>(a, b, std::move(f));
}

template <typename Base, typename Read>
Base* MakeLoadCode(Machine& machine, const Load& node, AddressCode* address, IntCode* predicate,
                   Read read) {
  return machine.Make<LoadCode<Base, Read>>(machine, node, address, predicate, std::move(read));
}

// A group of a vector's lanes combined, first to last.
template <typename Base, typename F>
class Reduce final : public Base {
 public:
  using Value = typename ValueOf<Base>::type;
  Reduce(Base* vector, int group, F f) : vector_(vector), group_(group), f_(std::move(f)) {}
  Value Run(int lane) override {
    const int first = lane * group_;
    Value result = vector_->Run(first);
    for (int i = 1; i < group_; ++i) result = f_(result, vector_->Run(first + i));
    return result;
  }

 private:
  Base* vector_;
  int group_;
  F f_;
};

template <typename Base, typename F>
Base* MakeReduceCode(Machine& machine, Base* vector, const Call& node, F f) {
  const int group = node.args[0].type().lanes / node.type.lanes;
  return machine.Make<Reduce<Base, F>>(vector, group, std::move(f));
}

// A value's lanes over and over.
template <typename Base>
class Repeat final : public Base {
 public:
  Repeat(Base* value, int lanes) : value_(value), lanes_(lanes) {}
  typename ValueOf<Base>::type Run(int lane) override { return value_->Run(lane % lanes_); }

 private:
  Base* value_;
  int lanes_;
};

// One lane of each value in turn.
template <typename Base>
class Interleave final : public Base {
 public:
  explicit Interleave(std::vector<Base*> values) : values_(std::move(values)) {}
  typename ValueOf<Base>::type Run(int lane) override {
    const auto count = static_cast<int>(values_.size());
    return values_[lane % count]->Run(lane / count);
  }

 private:
  std::vector<Base*> values_;
};

}  // namespace tessera::ir::interpreter
