#include "absl/strings/str_cat.h"
#include "compiler/ir/convolution_call.h"
#include "compiler/ir/element_io.h"
#include "compiler/ir/interpreter.h"
#include "compiler/ir/interpreter_flow.h"
#include "compiler/ir/matrix_call.h"
#include "compiler/ir/print.h"

namespace tessera::ir::interpreter {
namespace {

class IfCode final : public StmtCode {
 public:
  IfCode(Machine& machine, IntCode* condition, StmtCode* then_body, StmtCode* else_body)
      : machine_(machine), condition_(condition), then_(then_body), else_(else_body) {}
  void Run() override {
    const bool holds = condition_->Run(0) != 0;
    machine_.RequireWritten();
    if (machine_.failed()) [[unlikely]]
      return;
    (holds ? then_ : else_)->Run();
  }

 private:
  Machine& machine_;
  IntCode* condition_;
  StmtCode *then_, *else_;
};

// Computes every lane before it writes any. What depends on memory that was not written may go to
// local memory, which counts as not written there. `Write(bytes, index, value)`.
template <typename Value, typename Code, typename Write>
class StoreCode final : public StmtCode {
 public:
  StoreCode(Machine& machine, Memory* memory, int lanes, AddressCode* address, IntCode* predicate,
            Code* value, Write write)
      : machine_(machine),
        memory_(memory),
        lanes_(lanes),
        address_(address),
        predicate_(predicate),
        value_(value),
        write_(std::move(write)),
        is_local_(memory->buffer->scope == Scope::kLocal && !memory->written.empty()),
        at_(lanes),
        values_(lanes),
        is_written_(lanes) {}

  void Run() override {
    for (int lane = 0; lane < lanes_; ++lane) {
      at_[lane] = -1;
      if (predicate_ && predicate_->Run(lane) == 0) continue;
      const int64_t at = address_->Run(lane);
      machine_.RequireWritten();
      values_[lane] = value_->Run(lane);
      is_written_[lane] = !machine_.has_read_unwritten();
      if (!is_local_) machine_.RequireWritten();
      machine_.ForgetUnwritten();
      at_[lane] = at;
    }
    machine_.RequireWritten();
    if (machine_.failed()) return;
    for (int lane = 0; lane < lanes_; ++lane) {
      if (at_[lane] < 0) continue;
      if (!memory_->touches.empty()) [[unlikely]]
        machine_.TouchToWrite(*memory_, at_[lane]);
      write_(memory_->bytes, at_[lane], values_[lane]);
      if (!memory_->written.empty()) memory_->written[at_[lane]] = is_written_[lane];
    }
  }

 private:
  Machine& machine_;
  Memory* memory_;
  int lanes_;
  AddressCode* address_;
  IntCode* predicate_;
  Code* value_;
  Write write_;
  bool is_local_;
  std::vector<int64_t> at_;
  std::vector<Value> values_;
  std::vector<uint8_t> is_written_;
};

// Evaluates every lane, for what can go wrong on the way.
template <typename Code>
class EvaluateCode final : public StmtCode {
 public:
  EvaluateCode(Machine& machine, Code* value, int lanes)
      : machine_(machine), value_(value), lanes_(lanes) {}
  void Run() override {
    for (int lane = 0; lane < lanes_; ++lane) value_->Run(lane);
    machine_.RequireWritten();
  }

 private:
  Machine& machine_;
  Code* value_;
  int lanes_;
};

// A matrix of a library's product, as stored.
struct Matrix {
  Memory* memory;
  AddressCode* address;
  int64_t rows, columns, stride;
};

// Of a library's product of As and Bs, which are added up as Sums and stored as Cs.
template <typename A, typename B, typename C, typename Sum>
class MatrixCallCode final : public StmtCode {
 public:
  MatrixCallCode(Machine& machine, const MatrixCall& call, Matrix a, Matrix b, Matrix c)
      : machine_(machine), call_(call), a_(a), b_(b), c_(c) {}

  void Run() override {
    const int64_t a = First(a_, true), b = First(b_, true), c = First(c_, false);
    if (machine_.failed()) return;
    const auto step = [](bool transposed, int64_t stride) {
      return transposed ? std::pair<int64_t, int64_t>(1, stride)
                        : std::pair<int64_t, int64_t>(stride, 1);
    };
    const auto [a_row, a_term] = step(call_.transposes_a, a_.stride);
    const auto [b_term, b_column] = step(call_.transposes_b, b_.stride);
    for (int64_t i = 0; i < call_.rows; ++i) {
      for (int64_t j = 0; j < call_.columns; ++j) {
        Sum sum = 0;
        for (int64_t l = 0; l < call_.terms; ++l) {
          sum += Sum{LoadRaw<A>(a_.memory->bytes, a + i * a_row + l * a_term)} *
                 Sum{LoadRaw<B>(b_.memory->bytes, b + l * b_term + j * b_column)};
        }
        const int64_t at = c + i * c_.stride + j;
        StoreRaw(c_.memory->bytes, at, static_cast<C>(sum));
        if (!c_.memory->written.empty()) c_.memory->written[at] = 1;
      }
    }
  }

 private:
  // Where the matrix begins; the machine has failed where it doesn't lie in its buffer, or was not
  // written.
  int64_t First(const Matrix& matrix, bool is_read) {
    const int64_t first = matrix.address->Run(0);
    machine_.RequireWritten();
    if (machine_.failed()) return -1;
    const int64_t last = first + (matrix.rows - 1) * matrix.stride + matrix.columns - 1;
    const std::string& name = matrix.memory->buffer->name;
    if (last >= matrix.memory->count) {
      machine_.Fail(
          absl::OutOfRangeError(absl::StrCat("call: element ", last, " is outside the ",
                                             matrix.memory->count, " stored elements of ", name)));
      return -1;
    }
    for (int64_t i = 0; is_read && !matrix.memory->written.empty() && i < matrix.rows; ++i) {
      for (int64_t j = 0; j < matrix.columns; ++j) {
        if (matrix.memory->written[first + i * matrix.stride + j]) continue;
        machine_.Fail(absl::FailedPreconditionError(
            absl::StrCat("call: stored element ", first + i * matrix.stride + j, " of ", name,
                         " is read before it is written")));
        return -1;
      }
    }
    return first;
  }

  Machine& machine_;
  const MatrixCall call_;
  const Matrix a_, b_, c_;
};

// A tensor of a library's convolution.
struct Tensor {
  Memory* memory;
  AddressCode* address;
  int64_t elements;
};

class ConvolutionCallCode final : public StmtCode {
 public:
  ConvolutionCallCode(Machine& machine, const ConvolutionCall& call, Tensor data, Tensor weights,
                      Tensor result)
      : machine_(machine), call_(call), data_(data), weights_(weights), result_(result) {}

  void Run() override {
    const int64_t data = First(data_, true), weights = First(weights_, true);
    const int64_t result = First(result_, false);
    if (machine_.failed()) return;
    const bool by_channel = call_.form == ChannelForm::kChannel;
    for (int64_t f = 0; f < call_.filters; ++f) {
      for (int64_t y = 0; y < call_.result_height; ++y) {
        for (int64_t x = 0; x < call_.result_width; ++x) {
          double sum = 0;
          for (int64_t c = by_channel ? f : 0; c < (by_channel ? f + 1 : call_.channels); ++c) {
            for (int64_t i = 0; i < call_.kernel[0]; ++i) {
              for (int64_t j = 0; j < call_.kernel[1]; ++j) {
                const int64_t row = y * call_.stride[0] + i * call_.dilation[0];
                const int64_t column = x * call_.stride[1] + j * call_.dilation[1];
                sum += double{LoadRaw<float>(data_.memory->bytes,
                                             data + call_.DataAt(c, row, column))} *
                       LoadRaw<float>(weights_.memory->bytes, weights + call_.WeightAt(f, c, i, j));
              }
            }
          }
          const int64_t at = result + call_.ResultAt(f, y, x);
          StoreRaw(result_.memory->bytes, at, static_cast<float>(sum));
          if (!result_.memory->written.empty()) result_.memory->written[at] = 1;
        }
      }
    }
  }

 private:
  // Where the tensor begins; the machine has failed where it doesn't lie in its buffer, or was not
  // written.
  int64_t First(const Tensor& tensor, bool is_read) {
    const int64_t first = tensor.address->Run(0);
    machine_.RequireWritten();
    if (machine_.failed()) return -1;
    const std::string& name = tensor.memory->buffer->name;
    if (const int64_t last = first + tensor.elements - 1; last >= tensor.memory->count) {
      machine_.Fail(
          absl::OutOfRangeError(absl::StrCat("call: element ", last, " is outside the ",
                                             tensor.memory->count, " stored elements of ", name)));
      return -1;
    }
    for (int64_t i = first;
         is_read && !tensor.memory->written.empty() && i < first + tensor.elements; ++i) {
      if (tensor.memory->written[i]) continue;
      machine_.Fail(absl::FailedPreconditionError(
          absl::StrCat("call: stored element ", i, " of ", name, " is read before it is written")));
      return -1;
    }
    return first;
  }

  Machine& machine_;
  const ConvolutionCall call_;
  const Tensor data_, weights_, result_;
};

class CopyCode final : public StmtCode {
 public:
  CopyCode(Machine& machine, const AsyncCopy& node, IntCode* to, IntCode* from)
      : machine_(machine),
        node_(node),
        to_memory_(machine.MemoryOf(node.to.get())),
        from_memory_(machine.MemoryOf(node.from.get())),
        to_(to),
        from_(from) {}

  void Run() override {
    const int64_t to = to_->Run(0), from = from_->Run(0);
    machine_.RequireWritten();
    if (!Inside(*to_memory_, node_.to_index, to) ||
        !Inside(*from_memory_, node_.from_index, from)) {
      return;
    }
    const Type type = node_.to->type;
    for (int64_t i = 0; i < node_.elements; ++i) {
      if (!from_memory_->written.empty() && !from_memory_->written[from + i]) {
        machine_.Fail(absl::FailedPreconditionError(
            absl::StrCat("async copy from ", node_.from->name, "[", Print(node_.from_index), "]",
                         machine_.ValuesOf({node_.from_index}), ": stored element ", from + i,
                         " is read before it is written")));
        return;
      }
      if (!from_memory_->touches.empty()) machine_.TouchToRead(*from_memory_, from + i);
      if (!to_memory_->touches.empty()) machine_.TouchToWrite(*to_memory_, to + i);
      if (type.is_float()) {
        WriteFloat(type, to_memory_->bytes, to + i, ReadFloat(type, from_memory_->bytes, from + i));
      } else {
        WriteInteger(type, to_memory_->bytes, to + i,
                     ReadInteger(type, from_memory_->bytes, from + i));
      }
      if (!to_memory_->written.empty()) to_memory_->written[to + i] = 1;
    }
  }

 private:
  bool Inside(const Memory& memory, const Expr& index, int64_t at) {
    if (at >= 0 && at <= memory.count && node_.elements <= memory.count - at) return true;
    machine_.Fail(absl::OutOfRangeError(
        absl::StrCat("async copy at ", memory.buffer->name, "[", Print(index), "]",
                     machine_.ValuesOf({index}), ": elements ", at, " and the next ",
                     node_.elements, " are outside the ", memory.count, " stored elements")));
    return false;
  }

  Machine& machine_;
  const AsyncCopy& node_;
  Memory *to_memory_, *from_memory_;
  IntCode *to_, *from_;
};

template <typename Value, typename Code, typename Write>
StmtCode* MakeStoreCode(Machine& machine, const Store& node, AddressCode* address,
                        IntCode* predicate, Code* value, Write write) {
  return machine.Make<StoreCode<Value, Code, Write>>(machine, machine.MemoryOf(node.buffer.get()),
                                                     static_cast<int>(node.value.type().lanes),
                                                     address, predicate, value, std::move(write));
}

}  // namespace

StmtCode* Compiler::Compile(const Stmt& s) {
  if (!s) return machine_.Make<Nothing>();
  switch (s->kind) {
    case StmtKind::kFor:
      return CompileFor(*s.As<For>());
    case StmtKind::kBlock: {
      std::vector<StmtCode*> parts;
      for (const Stmt& part : s.As<Block>()->stmts) parts.push_back(Compile(part));
      return machine_.Make<BlockCode>(machine_, std::move(parts));
    }
    case StmtKind::kStore:
      return CompileStore(*s.As<Store>());
    case StmtKind::kIf: {
      const auto& node = *s.As<If>();
      IntCode* condition = CompileInt(node.condition);
      return machine_.Make<IfCode>(machine_, condition, Compile(node.then_body),
                                   Compile(node.else_body));
    }
    case StmtKind::kAllocate:
      return CompileAllocate(*s.As<Allocate>());
    case StmtKind::kEvaluate:
      return CompileEvaluate(*s.As<ir::Evaluate>());
    case StmtKind::kAsyncCopy:
      return CompileAsyncCopy(*s.As<AsyncCopy>());
    case StmtKind::kBarrier:
    case StmtKind::kAsyncWait:
      return machine_.Make<Nothing>();
  }
  return machine_.Make<Nothing>();
}

StmtCode* Compiler::CompileFor(const For& node) {
  if (ThreadsMeet(node)) return CompileThreads(node);
  StmtCode* body = Compile(node.body);
  return machine_.Make<ForCode>(machine_, machine_.SlotOf(node.var.get()), node.min, node.extent,
                                body);
}

StmtCode* Compiler::CompileStore(const Store& node) {
  AddressCode* address = CompileAddress(node.buffer, node.indices);
  IntCode* predicate = CompilePredicate(node.predicate);
  const Type type = node.buffer->type;
  if (type == Float(32)) {
    return MakeStoreCode<double>(machine_, node, address, predicate, CompileFloat(node.value),
                                 [](std::byte* bytes, int64_t at, double value) {
                                   StoreRaw(bytes, at, static_cast<float>(value));
                                 });
  }
  if (type.is_float()) {
    return MakeStoreCode<double>(
        machine_, node, address, predicate, CompileFloat(node.value),
        [type](std::byte* bytes, int64_t at, double value) { WriteFloat(type, bytes, at, value); });
  }
  return MakeStoreCode<int64_t>(machine_, node, address, predicate, CompileInt(node.value),
                                [type](std::byte* bytes, int64_t at, int64_t value) {
                                  WriteInteger(type, bytes, at, value);
                                });
}

Memory* Compiler::Reserve(const Allocate& node) {
  CheckBuffer(*node.buffer);
  constexpr int64_t kMaxBytes = int64_t{1} << 34;
  Memory* memory = machine_.MemoryOf(node.buffer.get());
  const int64_t bytes = node.buffer->StoredBytes();
  if (bytes < 0 || bytes > kMaxBytes) {
    machine_.Fail(absl::ResourceExhaustedError(
        absl::StrCat("allocate ", node.buffer->name, ": ", bytes,
                     " bytes are over the evaluator's limit of ", kMaxBytes)));
    return nullptr;
  }
  memory->count = node.buffer->StoredElementCount();
  memory->owned.resize(bytes);
  memory->bytes = memory->owned.data();
  memory->written.resize(memory->count);
  return memory;
}

StmtCode* Compiler::CompileAllocate(const Allocate& node) {
  Memory* memory = Reserve(node);
  if (memory == nullptr) return machine_.Make<Nothing>();
  StmtCode* body = Compile(node.body);
  return machine_.Make<AllocateCode>(memory, body);
}

StmtCode* Compiler::CompileEvaluate(const ir::Evaluate& node) {
  // A prefetch changes no value and may point anywhere.
  if (const auto* call = node.value.As<Call>(); call && call->name == "prefetch") {
    return machine_.Make<Nothing>();
  }
  if (const std::optional<MatrixCall> call = AsMatrixCall(node.value)) {
    const auto matrix = [&](const Expr& first, int64_t rows, int64_t columns, bool is_transposed,
                            int64_t stride) {
      const auto* load = first.As<Load>();
      if (is_transposed) std::swap(rows, columns);
      return Matrix{machine_.MemoryOf(load->buffer.get()),
                    CompileAddress(load->buffer, load->indices), rows, columns, stride};
    };
    const Matrix a = matrix(call->a, call->rows, call->terms, call->transposes_a, call->a_stride);
    const Matrix b =
        matrix(call->b, call->terms, call->columns, call->transposes_b, call->b_stride);
    const Matrix c = matrix(call->c, call->rows, call->columns, false, call->c_stride);
    if (call->a.type() == Int(8)) {
      return machine_.Make<MatrixCallCode<int8_t, int8_t, int32_t, int64_t>>(machine_, *call, a, b,
                                                                             c);
    }
    if (call->a.type() == UInt(8)) {
      return machine_.Make<MatrixCallCode<uint8_t, int8_t, int32_t, int64_t>>(machine_, *call, a, b,
                                                                              c);
    }
    return machine_.Make<MatrixCallCode<float, float, float, double>>(machine_, *call, a, b, c);
  }
  if (const std::optional<ConvolutionCall> call = AsConvolutionCall(node.value)) {
    const auto tensor = [&](const Expr& first, int64_t elements) {
      const auto* load = first.As<Load>();
      return Tensor{machine_.MemoryOf(load->buffer.get()),
                    CompileAddress(load->buffer, load->indices), elements};
    };
    return machine_.Make<ConvolutionCallCode>(machine_, *call,
                                              tensor(call->data, call->DataElements()),
                                              tensor(call->weights, call->WeightElements()),
                                              tensor(call->result, call->ResultElements()));
  }
  const int lanes = node.value.type().lanes;
  if (node.value.type().is_float()) {
    return machine_.Make<EvaluateCode<FloatCode>>(machine_, CompileFloat(node.value), lanes);
  }
  return machine_.Make<EvaluateCode<IntCode>>(machine_, CompileInt(node.value), lanes);
}

StmtCode* Compiler::CompileAsyncCopy(const AsyncCopy& node) {
  IntCode *to = CompileInt(node.to_index), *from = CompileInt(node.from_index);
  for (const Buffer& buffer : {node.to, node.from}) {
    if (machine_.MemoryOf(buffer.get())->bytes == nullptr) {
      machine_.Fail(absl::InvalidArgumentError(absl::StrCat(
          "buffer ", buffer->name, " is neither a parameter nor allocated around its use")));
    }
  }
  return machine_.Make<CopyCode>(machine_, node, to, from);
}

}  // namespace tessera::ir::interpreter
