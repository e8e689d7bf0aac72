#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "compiler/ir/interpreter.h"
#include "compiler/ir/numeric.h"
#include "compiler/ir/print.h"
#include "compiler/ir/visitor.h"

// Variables, buffers and addresses of the interpreter.

namespace tessera::ir::interpreter {
namespace {

// An access for messages: the printed Load and the values of its variables.
struct Access {
  Buffer buffer;
  std::vector<Expr> indices;

  std::string Text(const Machine& machine) const {
    return absl::StrCat(Print(MakeLoad(buffer, indices)), machine.ValuesOf(indices));
  }
};

// One index into the stored array.
class FlatAddress final : public AddressCode {
 public:
  FlatAddress(Machine& machine, Access access, Memory* memory, IntCode* index)
      : machine_(machine), access_(std::move(access)), memory_(memory), index_(index) {}

  int64_t Run(int lane) override {
    const int64_t at = index_->Run(lane);
    if (static_cast<uint64_t>(at) < static_cast<uint64_t>(memory_->count)) [[likely]]
      return at;
    machine_.Fail(absl::OutOfRangeError(
        absl::StrCat(access_.Text(machine_), ": index ", at, " is outside the ", memory_->count,
                     " stored elements of ", access_.buffer->name)));
    return -1;
  }

 private:
  Machine& machine_;
  Access access_;
  Memory* memory_;
  IntCode* index_;
};

// One index a logical dimension, row-major.
class RowMajorAddress : public AddressCode {
 public:
  RowMajorAddress(Machine& machine, Access access, std::vector<IntCode*> indices)
      : machine_(machine),
        access_(std::move(access)),
        indices_(std::move(indices)),
        shape_(access_.buffer->shape) {}

  int64_t Run(int lane) override {
    int64_t offset = 0;
    for (size_t i = 0; i < indices_.size(); ++i) {
      const int64_t at = indices_[i]->Run(lane);
      if (static_cast<uint64_t>(at) >= static_cast<uint64_t>(shape_[i])) [[unlikely]] {
        return Outside(i, at);
      }
      offset = offset * shape_[i] + at;
    }
    return offset;
  }

 protected:
  int64_t Outside(size_t dimension, int64_t at) {
    machine_.Fail(
        absl::OutOfRangeError(absl::StrCat(access_.Text(machine_), ": index ", at, " of dimension ",
                                           dimension, " is outside 0..", shape_[dimension] - 1)));
    return -1;
  }

  Machine& machine_;
  Access access_;
  std::vector<IntCode*> indices_;
  const std::vector<int64_t>& shape_;
};

// One index a logical dimension, through a layout.
class LayoutAddress final : public RowMajorAddress {
 public:
  LayoutAddress(Machine& machine, Access access, std::vector<IntCode*> indices)
      : RowMajorAddress(machine, std::move(access), std::move(indices)),
        position_(indices_.size()) {}

  int64_t Run(int lane) override {
    for (size_t i = 0; i < indices_.size(); ++i) {
      position_[i] = indices_[i]->Run(lane);
      if (static_cast<uint64_t>(position_[i]) >= static_cast<uint64_t>(shape_[i])) [[unlikely]] {
        return Outside(i, position_[i]);
      }
    }
    return StoredOffset(*access_.buffer, position_);
  }

 private:
  std::vector<int64_t> position_;
};

class Nowhere final : public AddressCode {
 public:
  int64_t Run(int) override { return -1; }
};

}  // namespace

std::string Machine::ValuesOf(const std::vector<Expr>& exprs) const {
  std::vector<const Var*> vars;
  for (const Expr& e : exprs) {
    ForEach<Var>(e, [&](const Var& var) {
      if (std::find(vars.begin(), vars.end(), &var) == vars.end()) vars.push_back(&var);
    });
  }
  if (vars.empty()) return "";
  return absl::StrCat(" (",
                      absl::StrJoin(vars, ", ",
                                    [this](std::string* out, const Var* var) {
                                      const auto it = slots_.find(var);
                                      absl::StrAppend(out, var->name, "=",
                                                      it == slots_.end() ? 0 : *it->second);
                                    }),
                      ")");
}

void Machine::RequireWritten() {
  if (unwritten_ == nullptr) [[likely]]
    return;
  const Load& load = *unwritten_;
  Fail(absl::FailedPreconditionError(absl::StrCat(
      Print(MakeLoad(load.buffer, load.indices)), ValuesOf(load.indices), ": stored element ",
      unwritten_at_, " of ", load.buffer->name, " is read before it is written")));
}

int64_t* Machine::SlotOf(const Var* var) {
  const auto [it, fresh] = slots_.try_emplace(var);
  if (fresh) it->second = &values_.emplace_back(0);
  return it->second;
}

Memory* Machine::MemoryOf(const BufferNode* buffer) {
  const auto [it, fresh] = by_buffer_.try_emplace(buffer);
  if (fresh) {
    it->second = &memories_.emplace_back();
    it->second->buffer = buffer;
  }
  return it->second;
}

AddressCode* Compiler::CompileAddress(const Buffer& buffer, const std::vector<Expr>& indices) {
  Memory* memory = machine_.MemoryOf(buffer.get());
  if (memory->count == 0) {
    machine_.Fail(absl::InvalidArgumentError(absl::StrCat(
        "buffer ", buffer->name, " is neither a parameter nor allocated around its use")));
    return machine_.Make<Nowhere>();
  }
  Access access{buffer, indices};
  std::vector<IntCode*> codes;
  codes.reserve(indices.size());
  for (const Expr& index : indices) codes.push_back(CompileInt(index));
  if (indices.size() == 1 && IndexIsStoredPosition(*buffer)) {
    return machine_.Make<FlatAddress>(machine_, std::move(access), memory, codes[0]);
  }
  if (indices.size() != buffer->shape.size()) {
    machine_.Fail(absl::InvalidArgumentError(absl::StrCat(Print(MakeLoad(buffer, indices)), ": ",
                                                          indices.size(), " indices for ",
                                                          buffer->shape.size(), " dimensions")));
    return machine_.Make<Nowhere>();
  }
  if (buffer->layout.empty()) {
    return machine_.Make<RowMajorAddress>(machine_, std::move(access), std::move(codes));
  }
  return machine_.Make<LayoutAddress>(machine_, std::move(access), std::move(codes));
}

void Compiler::CheckBuffer(const BufferNode& buffer) {
  if (buffer.type.is_vector() || buffer.type.code == TypeCode::kToken) {
    machine_.Fail(absl::InvalidArgumentError(
        absl::StrCat("buffer ", buffer.name, ": elements of type ", ToString(buffer.type),
                     " can't be stored; use a scalar number type")));
  }
}

void Compiler::BindParameter(const Buffer& buffer, std::byte* bytes) {
  CheckBuffer(*buffer);
  Memory* memory = machine_.MemoryOf(buffer.get());
  memory->bytes = bytes;
  memory->count = buffer->StoredElementCount();
}

}  // namespace tessera::ir::interpreter
