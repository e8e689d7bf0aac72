#include <algorithm>
#include <functional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "frontend/onnx/converters.h"

// Recurrent layers, unrolled over time: the inputs of all steps are multiplied at once, the states
// step by step.

namespace tessera::frontend {
namespace {

using Shape = std::vector<int64_t>;

// Applied to a gate's sum.
using Activation = std::function<Value(Emitter& emit, const Value& x)>;

Activation ActivationOf(Call& call, const std::string& name) {
  static constexpr std::pair<const char*, const char*> kKnown[] = {
      {"Sigmoid", "sigmoid"}, {"Tanh", "tanh"},         {"Relu", "relu"},
      {"Elu", "elu"},         {"Softplus", "softplus"}, {"HardSigmoid", "hard_sigmoid"}};
  for (const auto& [known, op] : kKnown) {
    if (name == known) {
      return [op](Emitter& emit, const Value& x) { return emit.Add(op, {x}); };
    }
  }
  call.Fail(absl::StrCat("activation ", name.substr(0, 40),
                         " is not supported; there are Sigmoid, Tanh, Relu, Elu, Softplus and "
                         "HardSigmoid"));
  return [](Emitter&, const Value& x) { return x; };
}

// One direction of a layer: weights [gates · hidden, …] and what a step does.
struct Layer {
  Emitter& emit;
  int64_t hidden = 0;
  double clip = 0;  // of the gates' sums; 0: none
  Value weights, recurrent;
  Value recurrent_gates, recurrent_hidden;  // of GRUs, the rows of update and reset, and of hidden
  Value bias, recurrent_bias;               // absent: none
  Value peepholes;                          // of LSTMs
  std::vector<Activation> activations;
  bool couples_forget = false, is_linear_before_reset = false;

  // The i-th of the gates that lie side by side in the last dimension of [batch, gates · hidden].
  Value Gate(const Value& all, int64_t i) const { return emit.Slice(all, 1, i * hidden, hidden); }
  Value Part(const Value& numbers, int64_t i) const {
    return emit.Slice(numbers, 0, i * hidden, hidden);
  }
  Value Act(size_t which, Value sum) const {
    if (clip > 0) sum = emit.Add("clip", {sum}, {{"min", -clip}, {"max", clip}});
    return activations[which](emit, sum);
  }
  Value Sum(const Value& a, const Value& b) const { return emit.Add("add", {a, b}); }
  Value Times(const Value& a, const Value& b) const { return emit.Add("mul", {a, b}); }
  // h · rᵀ, with a bias where there is one.
  Value Multiply(const Value& x, const Value& w, const Value& added) const {
    Values operands{x, w};
    if (!added.is_absent()) operands.push_back(added);
    return emit.Add("matmul", operands, {{"transpose_b", int64_t{1}}});
  }
};

struct State {
  Value h, c;
};

// x: this step's part of the inputs' product. Each makes the next state of the last.
using Step = State (*)(const Layer& layer, const Value& x, const State& state);

State RnnStep(const Layer& layer, const Value& x, const State& state) {
  return {layer.Act(0, layer.Sum(x, layer.Multiply(state.h, layer.recurrent, {}))), {}};
}

// Gates: update, reset, hidden.
State GruStep(const Layer& layer, const Value& x, const State& state) {
  Emitter& emit = layer.emit;
  Value reset_part;  // what the reset gate is about
  Value z, r;
  if (layer.is_linear_before_reset) {
    const Value all = layer.Multiply(state.h, layer.recurrent, layer.recurrent_bias);
    z = layer.Act(0, layer.Sum(layer.Gate(x, 0), layer.Gate(all, 0)));
    r = layer.Act(0, layer.Sum(layer.Gate(x, 1), layer.Gate(all, 1)));
    reset_part = layer.Times(r, layer.Gate(all, 2));
  } else {
    const Value gates = layer.Multiply(state.h, layer.recurrent_gates, {});
    z = layer.Act(0, layer.Sum(layer.Gate(x, 0), layer.Gate(gates, 0)));
    r = layer.Act(0, layer.Sum(layer.Gate(x, 1), layer.Gate(gates, 1)));
    reset_part = layer.Multiply(layer.Times(r, state.h), layer.recurrent_hidden, {});
  }
  const Value next = layer.Act(1, layer.Sum(layer.Gate(x, 2), reset_part));
  // (1 - z) next + z h
  const Value change = layer.Times(z, emit.Add("sub", {state.h, next}));
  return {layer.Sum(next, change), {}};
}

// Gates: input, output, forget, cell.
State LstmStep(const Layer& layer, const Value& x, const State& state) {
  Emitter& emit = layer.emit;
  const Value all = layer.Sum(x, layer.Multiply(state.h, layer.recurrent, {}));
  const auto gate = [&](int64_t i, int64_t peephole, const Value& cell) {
    const Value sum = layer.Gate(all, i);
    if (layer.peepholes.is_absent()) return sum;
    return layer.Sum(sum, layer.Times(layer.Part(layer.peepholes, peephole), cell));
  };
  const Value in = layer.Act(0, gate(0, 0, state.c));
  const Value forget = layer.couples_forget ? emit.Add("sub", {emit.Number(1, in), in})
                                            : layer.Act(0, gate(2, 2, state.c));
  const Value made = layer.Act(1, layer.Gate(all, 3));
  const Value c = layer.Sum(layer.Times(forget, state.c), layer.Times(in, made));
  const Value out = layer.Act(0, gate(1, 1, c));
  return {layer.Times(out, layer.activations[2](emit, c)), c};
}

struct Family {
  int64_t gates;
  Step step;
  std::vector<std::string> activations;
  bool is_lstm = false;
};

// Dimension 0 away, where it is of extent 1.
Value TakeRow(Emitter& emit, const Value& x, int64_t i) {
  const Value row = emit.Slice(x, 0, i, 1);
  Shape shape = emit.Shape(row);
  if (!emit.ok()) return {};
  shape.erase(shape.begin());
  return emit.Reshape(row, shape);
}

// Inputs of the layer: X, W, R, B, sequence_lens, initial_h, initial_c, P.
class Unroller {
 public:
  Unroller(Call& call, const Family& family) : call_(call), emit_(call.emit), family_(family) {}

  Values Run() {
    if (!ReadShapes()) return {};
    std::vector<Values> steps;  // by direction, in the order of time
    Values hs, cs;
    for (int64_t d = 0; d < directions_ && call_.ok(); ++d) {
      const bool is_reverse = direction_ == "reverse" || d == 1;
      State state;
      steps.push_back(Direction(d, is_reverse, state));
      hs.push_back(emit_.Reshape(state.h, {1, batch_, hidden_}));
      if (family_.is_lstm) cs.push_back(emit_.Reshape(state.c, {1, batch_, hidden_}));
    }
    if (!call_.ok()) return {};
    Values rows;
    for (int64_t t = 0; t < length_; ++t) {
      for (int64_t d = 0; d < directions_; ++d) {
        rows.push_back(emit_.Reshape(steps[d][t], {1, 1, batch_, hidden_}));
      }
    }
    Value all = emit_.Reshape(emit_.Concat(rows, 0), {length_, directions_, batch_, hidden_});
    Value h = emit_.Concat(hs, 0), c = emit_.Concat(cs, 0);
    if (is_batch_first_) {
      all = emit_.Transpose(all, {2, 0, 1, 3});
      h = emit_.Transpose(h, {1, 0, 2});
      if (family_.is_lstm) c = emit_.Transpose(c, {1, 0, 2});
    }
    return family_.is_lstm ? Values{all, h, c} : Values{all, h};
  }

 private:
  bool ReadShapes() {
    x_ = call_.In(0);
    const Value w = call_.In(1), r = call_.In(2);
    is_batch_first_ = call_.Int("layout", 0) != 0;
    direction_ = call_.Word("direction", "forward");
    directions_ = direction_ == "bidirectional" ? 2 : 1;
    if (!call_.CheckRank(x_, 3, 3) || !call_.CheckRank(w, 3, 3) || !call_.CheckRank(r, 3, 3)) {
      return false;
    }
    if (is_batch_first_) x_ = emit_.Transpose(x_, {1, 0, 2});
    length_ = emit_.Extent(x_, 0);
    batch_ = emit_.Extent(x_, 1);
    hidden_ = emit_.Extent(r, 2);
    const int64_t gates = family_.gates * hidden_;
    if (direction_ != "forward" && direction_ != "reverse" && directions_ == 1) {
      call_.Invalid("direction has to be forward, reverse or bidirectional");
    } else if (call_.Int("hidden_size", hidden_) != hidden_ ||
               emit_.Shape(w) != Shape{directions_, gates, emit_.Extent(x_, 2)} ||
               emit_.Shape(r) != Shape{directions_, gates, hidden_}) {
      call_.Invalid("hidden_size, W and R do not fit each other and X");
    } else if (length_ * directions_ * 32 > graph::kMaxNodes) {
      call_.Fail(absl::StrCat("has ", length_, " steps, each of which becomes nodes; ",
                              graph::kMaxNodes / 32 / directions_, " are the most"));
    }
    CheckOptional(3, {directions_, 2 * gates});
    CheckOptional(5, StateShape());
    if (family_.is_lstm) CheckOptional(6, StateShape());
    if (family_.is_lstm) CheckOptional(7, {directions_, 3 * hidden_});
    return call_.ok() && CheckLengths() && ReadActivations();
  }

  Shape StateShape() const {
    return is_batch_first_ ? Shape{batch_, directions_, hidden_}
                           : Shape{directions_, batch_, hidden_};
  }
  void CheckOptional(size_t i, const Shape& shape) {
    if (!call_.Has(i) || emit_.Shape(call_.In(i)) == shape) return;
    call_.Invalid(absl::StrCat("input ", i, " is ", graph::ToString(emit_.Type(call_.In(i))),
                               "; the others ask for another shape"));
  }
  // All sequences have to be as long as X.
  bool CheckLengths() {
    if (!call_.Has(4)) return true;
    const Shape lengths = call_.KnownInts(4, "sequence_lens");
    const bool are_full =
        std::ranges::all_of(lengths, [&](int64_t length) { return length == length_; });
    if (call_.ok() && !are_full) {
      call_.Fail("sequence_lens differ from the length of X; run sequences of one length");
    }
    return call_.ok();
  }
  bool ReadActivations() {
    names_ = call_.Words("activations");
    if (names_.empty()) {
      for (int64_t d = 0; d < directions_; ++d) {
        names_.insert(names_.end(), family_.activations.begin(), family_.activations.end());
      }
    }
    if (names_.size() != family_.activations.size() * static_cast<size_t>(directions_)) {
      call_.Invalid(absl::StrCat("has ", names_.size(), " activations"));
    } else if (!call_.Floats("activation_alpha").empty() ||
               !call_.Floats("activation_beta").empty()) {
      call_.Fail("activation_alpha and activation_beta are not supported; use the defaults");
    }
    return call_.ok();
  }

  Value Initial(size_t input, int64_t d) {
    if (!call_.Has(input)) {
      return emit_.Broadcast(emit_.Number(0, x_), {batch_, hidden_});
    }
    Value all = call_.In(input);
    if (is_batch_first_) all = emit_.Transpose(all, {1, 0, 2});
    return TakeRow(emit_, all, d);
  }

  // The states after each step.
  Values Direction(int64_t d, bool is_reverse, State& state) {
    Layer layer{.emit = emit_,
                .hidden = hidden_,
                .clip = call_.Float("clip", 0),
                .weights = TakeRow(emit_, call_.In(1), d),
                .recurrent = TakeRow(emit_, call_.In(2), d),
                .couples_forget = call_.Int("input_forget", 0) != 0,
                .is_linear_before_reset = call_.Int("linear_before_reset", 0) != 0};
    if (family_.gates == 3) {  // GRU
      layer.recurrent_gates = emit_.Slice(layer.recurrent, 0, 0, 2 * hidden_);
      layer.recurrent_hidden = emit_.Slice(layer.recurrent, 0, 2 * hidden_, hidden_);
    }
    const size_t each = family_.activations.size();
    for (size_t i = 0; i < each; ++i) {
      layer.activations.push_back(ActivationOf(call_, names_[static_cast<size_t>(d) * each + i]));
    }
    const int64_t gates = family_.gates * hidden_;
    if (call_.Has(3)) {
      const Value both = TakeRow(emit_, call_.In(3), d);
      layer.bias = emit_.Slice(both, 0, 0, gates);
      layer.recurrent_bias = emit_.Slice(both, 0, gates, gates);
      if (!layer.is_linear_before_reset) {
        layer.bias = layer.Sum(layer.bias, layer.recurrent_bias);
        layer.recurrent_bias = {};
      }
    }
    if (family_.is_lstm && call_.Has(7)) layer.peepholes = TakeRow(emit_, call_.In(7), d);
    state = {Initial(5, d), family_.is_lstm ? Initial(6, d) : Value{}};
    const Value flat = emit_.Reshape(x_, {length_ * batch_, emit_.Extent(x_, 2)});
    const Value products = layer.Multiply(flat, layer.weights, layer.bias);
    Values states(static_cast<size_t>(length_));
    for (int64_t i = 0; i < length_ && call_.ok(); ++i) {
      const int64_t t = is_reverse ? length_ - 1 - i : i;
      state = family_.step(layer, emit_.Slice(products, 0, t * batch_, batch_), state);
      states[static_cast<size_t>(t)] = state.h;
    }
    return states;
  }

  Call& call_;
  Emitter& emit_;
  const Family& family_;
  Value x_;  // [length, batch, inputs]
  int64_t length_ = 0, batch_ = 0, hidden_ = 0, directions_ = 1;
  bool is_batch_first_ = false;
  std::string direction_;
  std::vector<std::string> names_;
};

Values Rnn(Call& call) {
  static const Family family{1, RnnStep, {"Tanh"}};
  return Unroller(call, family).Run();
}
Values Gru(Call& call) {
  static const Family family{3, GruStep, {"Sigmoid", "Tanh"}};
  return Unroller(call, family).Run();
}
Values Lstm(Call& call) {
  static const Family family{4, LstmStep, {"Sigmoid", "Tanh", "Tanh"}, true};
  return Unroller(call, family).Run();
}

}  // namespace

std::vector<Row> RecurrentRows() { return {{"GRU", Gru}, {"LSTM", Lstm}, {"RNN", Rnn}}; }

}  // namespace tessera::frontend
