#include "compiler/graph/quantize.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "compiler/graph/quantized_weights.h"

namespace tessera::graph {
namespace {

constexpr int64_t kMostTerms = int64_t{1} << 16;        // of 127 · 128 each: with the bias in i32
constexpr int64_t kMostUnsignedTerms = kMostTerms / 2;  // of 255 · 127
constexpr ir::Type kFloat = ir::Float(32);

// What only compares or moves numbers: integers do as their scale says.
bool Moves(const Node& node) {
  static constexpr std::array kOps{
      "relu",         "clip",   "max_pool", "reshape",         "transpose",  "slice",     "pad",
      "broadcast_to", "gather", "concat",   "gather_elements", "reduce_max", "reduce_min"};
  return std::ranges::count(kOps, node.op) > 0;
}
// What is computed on numbers, in the same kernel as before and behind it, and stored as i8.
bool Mixes(const Node& node) {
  static constexpr std::array kOps{"add", "sub", "mul", "avg_pool", "reduce_mean"};
  return std::ranges::count(kOps, node.op) > 0;
}

const double* Bound(const Node& node, const char* name) {
  const auto found = node.attributes.find(name);
  return found == node.attributes.end() ? nullptr : std::get_if<double>(&found->second);
}

// By node, whether none of its numbers are below 0.
std::vector<bool> FindNonNegative(const Graph& graph) {
  static constexpr std::array kAlways{"relu", "sigmoid", "hard_sigmoid", "softmax", "exp", "abs"};
  static constexpr std::array kAsOperands{"add",         "mul",        "avg_pool",   "max_pool",
                                          "reduce_mean", "reduce_max", "reduce_min", "concat"};
  static constexpr std::array kAsFirst{"reshape",      "transpose", "slice",
                                       "broadcast_to", "gather",    "gather_elements"};
  std::vector<bool> found(graph.nodes.size(), false);
  const auto is_in = [](const auto& ops, const std::string& op) {
    return std::ranges::count(ops, op) > 0;
  };
  for (size_t i = 0; i < found.size(); ++i) {
    const Node& node = graph.nodes[i];
    const auto is_found = [&](int operand) { return bool{found[operand]}; };
    if (node.is_constant()) {
      if (node.type.element != kFloat) continue;
      const int64_t count = node.type.ElementCount();
      found[i] = true;
      for (int64_t e = 0; e < count && found[i]; ++e) found[i] = node.constant->At(e) >= 0;
    } else if (is_in(kAlways, node.op)) {
      found[i] = true;
    } else if (node.op == "clip") {
      const double* least = Bound(node, "min");
      found[i] = (least != nullptr && *least >= 0) || found[node.operands[0]];
    } else if (node.op == "pad") {
      const double* value = Bound(node, "value");
      found[i] = found[node.operands[0]] && (value == nullptr || *value >= 0);
    } else if (is_in(kAsOperands, node.op)) {
      found[i] = std::ranges::all_of(node.operands, is_found);
    } else if (is_in(kAsFirst, node.op)) {
      found[i] = found[node.operands[0]];
    }
  }
  return found;
}

class Quantizer {
 public:
  Quantizer(const Graph& graph, absl::Span<const double> largest, const QuantizeOptions& options)
      : graph_(graph),
        largest_(largest),
        options_(options),
        users_(graph.Users()),
        builder_(graph.name),
        floats_(graph.nodes.size(), -1),
        bytes_(graph.nodes.size(), -1),
        scales_(graph.nodes.size(), 0),
        is_unsigned_(graph.nodes.size(), false) {}

  WatchedNodes Watched() {
    ChooseProducts();
    ChooseBytes();
    WatchedNodes watched;
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      const int node = static_cast<int>(i);
      if (is_wanted_[i] && !graph_.nodes[i].is_constant() && ScaleGiver(node) == node) {
        watched.ranges.push_back(node);
      }
      if (is_bytes_[i]) watched.products.push_back(Reported(node));
    }
    return watched;
  }

  absl::StatusOr<Quantized> Run() {
    ChooseProducts();
    ChooseBytes();
    ChooseScales();
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      TESSERA_RETURN_IF_ERROR(Annotate(Make(static_cast<int>(i)), graph_.nodes[i].name));
    }
    return Finish();
  }

 private:
  static bool IsFloat(const Node& node) { return node.type.element == kFloat; }

  // Which operands' values a product multiplies; weights are not among them.
  bool IsFactor(const Node& node, size_t operand) const {
    return operand == 0 || (operand == 1 && !graph_.operand(node, 1).is_constant());
  }

  // Of a value that nothing else needs; -1: there is none.
  int OnlyUser(int node) const {
    return users_[node].size() == 1 && !graph_.IsOutput(node) ? users_[node][0] : -1;
  }

  bool CanBeBytes(const Node& node) const {
    if (!IsProduct(node) || !IsFloat(node) || !IsFloat(graph_.operand(node, 0))) return false;
    const Node& weights = graph_.operand(node, 1);
    if (!weights.is_constant() && node.op != "matmul") return false;
    if (node.operands.size() > 2 && !graph_.operand(node, 2).is_constant()) return false;
    return TermsOf(graph_, node) <= kMostTerms && !options_.keep.contains(node.name);
  }

  // Those that are exempt as the first or last ones are not quantised.
  void ChooseProducts() {
    const size_t count = graph_.nodes.size();
    std::vector<bool> behind(count, false), before(count, false);  // a product, of it
    is_bytes_.assign(count, false);
    for (size_t i = 0; i < count; ++i) {
      for (const int operand : graph_.nodes[i].operands) {
        behind[i] = behind[i] || behind[operand] || IsProduct(graph_.nodes[operand]);
      }
    }
    for (size_t i = count; i-- > 0;) {
      for (const int user : users_[i]) {
        before[i] = before[i] || before[user] || IsProduct(graph_.nodes[user]);
      }
    }
    for (size_t i = 0; i < count; ++i) {
      const Node& node = graph_.nodes[i];
      is_bytes_[i] =
          CanBeBytes(node) && (options_.first || behind[i]) && (options_.last || before[i]);
      if (IsProduct(node) && !is_bytes_[i]) result_.floats.push_back(node.name);
    }
  }

  // Values that products take as i8, and what these are moved or mixed of.
  void ChooseBytes() {
    is_wanted_.assign(graph_.nodes.size(), false);
    for (size_t i = graph_.nodes.size(); i-- > 0;) {
      const Node& node = graph_.nodes[i];
      if (!IsFloat(node)) continue;
      for (const int index : users_[i]) {
        const Node& user = graph_.nodes[index];
        for (size_t o = 0; o < user.operands.size(); ++o) {
          if (user.operands[o] != static_cast<int>(i)) continue;
          const bool multiplied = is_bytes_[index] && IsFactor(user, o);
          const bool passed =
              is_wanted_[index] && (Moves(user) || (Mixes(user) && !node.is_constant()));
          if (multiplied || passed) is_wanted_[i] = true;
        }
      }
    }
  }

  // What is only moved has the scale that the result wants: nobody reads what a relu cuts off.
  int ScaleGiver(int node) const {
    const int user = OnlyUser(node);
    return user >= 0 && Moves(graph_.nodes[user]) && is_wanted_[user] ? user : node;
  }
  void ChooseScales() {
    const std::vector<bool> is_positive = FindNonNegative(graph_);
    std::vector<bool> fits(graph_.nodes.size());  // sums of products that take it unsigned
    for (size_t i = graph_.nodes.size(); i-- > 0;) {
      const Node& node = graph_.nodes[i];
      fits[i] = std::ranges::all_of(users_[i], [&](int user) {
        const Node& reader = graph_.nodes[user];
        if (!is_bytes_[user]) return !Moves(reader) || fits[user];
        // Instructions multiply unsigned by signed bytes.
        return reader.operands[1] != static_cast<int>(i) &&
               TermsOf(graph_, reader) <= kMostUnsignedTerms;
      });
      if (!is_wanted_[i]) continue;
      const auto giver = static_cast<size_t>(ScaleGiver(static_cast<int>(i)));
      if (giver != i) {
        scales_[i] = scales_[giver];
        is_unsigned_[i] = is_unsigned_[giver];
      } else {
        is_unsigned_[i] =
            options_.unsigned_bytes && is_positive[i] && fits[i] && !node.is_constant();
        const double largest = node.is_constant() ? LargestOf(*node.constant) : largest_[i];
        scales_[i] = is_unsigned_[i] ? UnsignedScaleOf(largest) : ScaleOf(largest);
      }
    }
  }

  absl::StatusOr<int> Constant(TensorRef tensor) {
    return builder_.Constant("scale", std::move(tensor));
  }

  // f32(q) · scale
  absl::StatusOr<int> Dequantized(int bytes, double scale) {
    TESSERA_ASSIGN_OR_RETURN(const int wide,
                             builder_.Add("cast", {bytes}, {{"to", std::string("f32")}}));
    TESSERA_ASSIGN_OR_RETURN(const int by, Constant(SameScale(scale, builder_.type(bytes).shape)));
    return builder_.Add("mul", {wide, by});
  }
  std::string TypeOf(int index) const { return is_unsigned_[index] ? "u8" : "i8"; }
  absl::StatusOr<int> Narrowed(int x, int index) {
    const std::string type = TypeOf(index);
    return builder_.Add("cast", {x}, {{"to", type}, {"saturate", int64_t{1}}},
                        absl::StrCat(graph_.nodes[index].name, "_", type));
  }
  // i8(x / scale), of the scale and type that a node is to have.
  absl::StatusOr<int> QuantizedAs(int x, int index) {
    TESSERA_ASSIGN_OR_RETURN(const int by,
                             Constant(SameScale(scales_[index], builder_.type(x).shape)));
    TESSERA_ASSIGN_OR_RETURN(const int steps, builder_.Add("div", {x, by}));
    return Narrowed(steps, index);
  }

  // The node's numbers, for those that compute in f32.
  absl::StatusOr<int> Numbers(int node) {
    if (floats_[node] < 0) {
      TESSERA_ASSIGN_OR_RETURN(floats_[node], Dequantized(bytes_[node], scales_[node]));
    }
    return floats_[node];
  }
  absl::StatusOr<int> Bytes(int node) {
    if (bytes_[node] < 0) {
      TESSERA_ASSIGN_OR_RETURN(bytes_[node], QuantizedAs(floats_[node], node));
    }
    return bytes_[node];
  }

  absl::Status Make(int index) {
    const Node& node = graph_.nodes[index];
    if (is_bytes_[index]) return MakeProduct(index);
    const bool is_computed = !node.is_input() && !node.is_constant();
    if (is_computed && is_wanted_[index] && Moves(node)) return MakeMoved(index);
    std::vector<int> operands;
    const bool mixes = is_computed && is_wanted_[index] && Mixes(node);
    for (const int operand : node.operands) {
      int x = -1;
      if (mixes && is_wanted_[operand] && !graph_.nodes[operand].is_constant()) {
        TESSERA_ASSIGN_OR_RETURN(const int bytes, Bytes(operand));
        TESSERA_ASSIGN_OR_RETURN(x, Dequantized(bytes, scales_[operand]));
      } else {
        TESSERA_ASSIGN_OR_RETURN(x, Numbers(operand));
      }
      operands.push_back(x);
    }
    TESSERA_ASSIGN_OR_RETURN(const int copy, builder_.Copy(node, std::move(operands)));
    if (!mixes) {
      floats_[index] = copy;
      return absl::OkStatus();
    }
    TESSERA_ASSIGN_OR_RETURN(bytes_[index], QuantizedAs(copy, index));
    return absl::OkStatus();
  }

  absl::Status MakeMoved(int index) {
    const Node& node = graph_.nodes[index];
    const bool joins = node.op == "concat";
    if (!joins) {
      TESSERA_RETURN_IF_ERROR(Bytes(node.operands[0]).status());
      scales_[index] = scales_[node.operands[0]];
      is_unsigned_[index] = is_unsigned_[node.operands[0]];
    }
    const double scale = scales_[index];
    if (node.op == "relu" && is_unsigned_[index]) {  // cut off already
      bytes_[index] = bytes_[node.operands[0]];
      return absl::OkStatus();
    }
    std::vector<int> operands;
    for (size_t o = 0; o < node.operands.size(); ++o) {
      const int operand = node.operands[o];
      int x = -1;
      if (o > 0 && !joins) {  // indices
        TESSERA_ASSIGN_OR_RETURN(x, Numbers(operand));
      } else {
        TESSERA_ASSIGN_OR_RETURN(x, Bytes(operand));
        if (scales_[operand] != scale || is_unsigned_[operand] != is_unsigned_[index]) {
          TESSERA_ASSIGN_OR_RETURN(x, Dequantized(x, scales_[operand]));
          TESSERA_ASSIGN_OR_RETURN(x, QuantizedAs(x, index));
        }
      }
      operands.push_back(x);
    }
    Attributes attributes = node.attributes;
    for (const char* bound : {"min", "max", "value"}) {
      const auto found = attributes.find(bound);
      if (found == attributes.end()) continue;
      const double steps = std::nearbyint(std::get<double>(found->second) / scale);
      found->second =
          is_unsigned_[index] ? std::clamp(steps, 0.0, 255.0) : std::clamp(steps, -128.0, 127.0);
    }
    TESSERA_ASSIGN_OR_RETURN(bytes_[index],
                             builder_.Add(node.op, std::move(operands), std::move(attributes),
                                          absl::StrCat(node.name, "_", TypeOf(index))));
    return absl::OkStatus();
  }

  absl::Status MakeProduct(int index) {
    const Node& node = graph_.nodes[index];
    const Node& weights = graph_.operand(node, 1);
    TESSERA_ASSIGN_OR_RETURN(const int x, Bytes(node.operands[0]));
    const double scale_x = scales_[node.operands[0]];
    std::vector<int> operands{x};
    const Channels channels = ChannelsOf(graph_, node);
    std::vector<double> scale_w(static_cast<size_t>(channels.count), 0);
    const Tensor* bias =
        node.operands.size() > 2 ? graph_.operand(node, 2).constant.get() : nullptr;
    if (weights.is_constant()) {
      QuantizedWeights made =
          QuantizeWeights(*weights.constant, channels, LeastScales(bias, scale_x, channels));
      scale_w = std::move(made.scales);
      TESSERA_ASSIGN_OR_RETURN(operands.emplace_back(),
                               builder_.Constant(weights.name + "_i8", made.tensor));
    } else {
      TESSERA_ASSIGN_OR_RETURN(operands.emplace_back(), Bytes(node.operands[1]));
      scale_w.assign(scale_w.size(), scales_[node.operands[1]]);
    }
    // Computed operands have the scales that they have.
    const bool adds_floats = bias != nullptr && !FitsBias(*bias, scale_x, scale_w);
    if (bias != nullptr && !adds_floats) {
      TESSERA_ASSIGN_OR_RETURN(operands.emplace_back(),
                               builder_.Constant(graph_.operand(node, 2).name + "_i32",
                                                 QuantizeBias(*bias, scale_x, scale_w)));
    }
    TESSERA_ASSIGN_OR_RETURN(const int sums, builder_.Add(node.op, std::move(operands),
                                                          node.attributes, node.name + "_sums"));
    TESSERA_ASSIGN_OR_RETURN(const int wide,
                             builder_.Add("cast", {sums}, {{"to", std::string("f32")}}));
    const bool narrows = is_wanted_[index];
    const double scale = narrows ? scales_[index] : 1;
    const std::string name = narrows ? "" : node.name;
    std::vector<double> factors;
    for (const double w : scale_w) factors.push_back(Requantization(scale_x, w, scale));
    TESSERA_ASSIGN_OR_RETURN(const int by,
                             Constant(MakeTensor(kFloat, channels.shape_of_scales, factors)));
    TESSERA_ASSIGN_OR_RETURN(int scaled,
                             builder_.Add("mul", {wide, by}, {}, adds_floats ? "" : name));
    if (adds_floats) {
      std::vector<double> steps;
      for (int64_t i = 0; i < channels.count; ++i) steps.push_back(bias->At(i) / scale);
      TESSERA_ASSIGN_OR_RETURN(const int added,
                               Constant(MakeTensor(kFloat, channels.shape_of_scales, steps)));
      TESSERA_ASSIGN_OR_RETURN(scaled, builder_.Add("add", {scaled, added}, {}, name));
    }
    if (narrows) {
      TESSERA_ASSIGN_OR_RETURN(bytes_[index], Narrowed(scaled, index));
    } else {
      floats_[index] = scaled;
    }
    products_.push_back(index);
    return absl::OkStatus();
  }

  // What an activation cuts off says nothing of the product.
  int Reported(int product) const {
    for (int user = OnlyUser(product); user >= 0 && is_wanted_[user]; user = OnlyUser(product)) {
      const std::string& op = graph_.nodes[user].op;
      if (op != "relu" && op != "clip") break;
      product = user;
    }
    return product;
  }

  absl::StatusOr<Quantized> Finish() {
    std::vector<int> outputs;
    for (const int output : graph_.outputs) {
      TESSERA_ASSIGN_OR_RETURN(const int made, Numbers(output));
      if (!builder_.node(made).is_input() &&
          builder_.node(made).name != graph_.nodes[output].name) {
        builder_.Rename(made, graph_.nodes[output].name);
      }
      outputs.push_back(made);
    }
    for (const int product : products_) {
      const int index = Reported(product);
      const bool is_narrow = bytes_[index] >= 0;
      const int made = is_narrow ? bytes_[index] : floats_[index];
      result_.products.push_back({index, builder_.node(made).name, is_narrow ? scales_[index] : 0});
    }
    result_.graph = std::move(builder_).Finish(std::move(outputs));
    return std::move(result_);
  }

  const Graph& graph_;
  const absl::Span<const double> largest_;
  const QuantizeOptions& options_;
  const std::vector<std::vector<int>> users_;
  GraphBuilder builder_;
  Quantized result_;
  std::vector<bool> is_bytes_;       // by node: a product of i8
  std::vector<bool> is_wanted_;      // by node: as i8
  std::vector<int> floats_, bytes_;  // by node: what has its numbers, and what its i8; or -1
  std::vector<double> scales_;       // by node
  std::vector<bool> is_unsigned_;    // by node: u8, as nothing is below 0
  std::vector<int> products_;
};

absl::Status CheckKept(const Graph& graph, const QuantizeOptions& options) {
  for (const std::string& name : options.keep) {
    const auto found = std::ranges::find(graph.nodes, name, &Node::name);
    if (found != graph.nodes.end() && IsProduct(*found)) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("\"", name, "\" is no product of ", graph.name, "; what the report lists is"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<WatchedNodes> NodesToWatch(const Graph& graph, const QuantizeOptions& options) {
  TESSERA_RETURN_IF_ERROR(CheckKept(graph, options));
  return Quantizer(graph, {}, options).Watched();
}

absl::StatusOr<Quantized> Quantize(const Graph& graph, absl::Span<const double> largest,
                                   const QuantizeOptions& options) {
  if (largest.size() != graph.nodes.size()) {
    return absl::InvalidArgumentError(absl::StrCat("there are ranges of ", largest.size(),
                                                   " nodes for a graph of ", graph.nodes.size(),
                                                   "; calibrate this one"));
  }
  TESSERA_RETURN_IF_ERROR(CheckKept(graph, options));
  return Quantizer(graph, largest, options).Run();
}

}  // namespace tessera::graph
