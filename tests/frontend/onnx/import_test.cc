#include "frontend/onnx/import.h"

#include "absl/strings/match.h"
#include "compiler/graph/passes.h"
#include "compiler/graph/text.h"
#include "tests/frontend/onnx/model.h"

namespace tessera::frontend {
namespace {

int CountOf(const graph::Graph& graph, const std::string& op) {
  return static_cast<int>(std::ranges::count(graph.nodes, op, &graph::Node::op));
}

}  // namespace

TEST_CASE("tensors keep their names", "[onnx]") {
  Model model;
  model.Input("data:0", {2, 3}).Floats("W", {3, 2}, {1, 0, 0, 1, 1, 1});
  model.Node("MatMul", {"data:0", "W"}, {"product"}).Node("Relu", {"product"}, {"out/relu"});
  model.Output("out/relu");
  CHECK(graph::Print(Imported(model)) ==
        "graph model_small\n"
        "input data_0: f32[2,3]\n"
        "const W: f32[3,2] = [1.0,0.0,0.0,1.0,1.0,1.0]\n"
        "product = matmul(data_0, W): f32[2,2]\n"
        "out_relu = relu(product): f32[2,2]\n"
        "output out_relu\n");
}

TEST_CASE("outputs have the names that the model gives them", "[onnx]") {
  Model model;
  model.Input("x", {2}).Node("Relu", {"x"}, {"r"}).Node("Identity", {"r"}, {"save/scores"});
  model.Node("Identity", {"r"}, {"again"}).Node("Identity", {"x"}, {"same"});
  model.Output("save/scores").Output("again").Output("same");
  CHECK(graph::Print(Imported(model)) ==
        "graph model_small\n"
        "input x: f32[2]\n"
        "save_scores = relu(x): f32[2]\n"
        "output save_scores\n"
        "output save_scores\n"
        "output x\n");
}

TEST_CASE("arithmetic on shapes comes out as numbers", "[onnx]") {
  // x.reshape(x.shape[0], -1), as PyTorch writes it.
  Model model;
  model.Input("x", {2, 3, 4}).Ints("zero", {}, {0}).Ints("front", {0}).Ints("rest", {-1});
  model.Node("Shape", {"x"}, {"shape"}).Node("Gather", {"shape", "zero"}, {"batch"});
  model.Node("Unsqueeze", {"batch", "front"}, {"list"});
  model.Node("Concat", {"list", "rest"}, {"target"}, {{"axis", int64_t{0}}});
  model.Node("Reshape", {"x", "target"}, {"y"}).Output("y");
  const graph::Graph graph = Imported(model);
  CHECK(graph.nodes.size() == 2);
  CHECK(graph.nodes[1].type.shape == Shape{2, 12});
}

TEST_CASE("the largest integers reach slices as they are", "[onnx]") {
  // An end of 2^63 - 1 is "to the end", also where it was computed.
  Model model;
  model.Input("x", {5}).Ints("start", {1}).Ints("most", {}, {INT64_MAX}).Ints("front", {0});
  model.Node("Unsqueeze", {"most", "front"}, {"end"});
  model.Node("Slice", {"x", "start", "end"}, {"y"}).Output("y");
  CHECK(Result(model, {FloatTensor({5}, {1, 2, 3, 4, 5})}) == std::vector<double>{2, 3, 4, 5});
}

TEST_CASE("open dimensions are given by name, by input, or as values", "[onnx]") {
  Model model;
  model.Input("x", {0, 2}).Open(0, 0, "batch").Input("times", {}, onnx::TensorProto::INT64);
  model.Node("Expand", {"x", "shape"}, {"wide"}).Ints("shape", {3, 1, 1});
  model.Node("Relu", {"wide"}, {"y"}).Output("y");
  CHECK(absl::StrContains(Refusal(model), "input \"x\": dimension 0 is \"batch\"; give an extent"));
  CHECK(Refusal(model, {.dimensions = {{"bacth", 4}}}) ==
        "no input of the model has a dimension \"bacth\"; they have \"batch\"");
  CHECK(Imported(model, {.dimensions = {{"batch", 4}}}).nodes.back().type.shape == Shape{3, 4, 2});
  CHECK(Imported(model, {.shapes = {{"x", {7, 2}}}}).nodes.back().type.shape == Shape{3, 7, 2});
  CHECK(Refusal(model, {.shapes = {{"x", {7}}}}) ==
        "input \"x\": has 2 dimensions; the shape given for it has 1");
  CHECK(Refusal(model, {.shapes = {{"z", {7}}}}) ==
        "the model has no input \"z\"; it has \"x\", \"times\"");
  const ImportOptions known{.dimensions = {{"batch", 1}},
                            .values = {{"x", FloatTensor({1, 2}, {-1, 1})}}};
  CHECK(Imported(model, known).Inputs().size() == 1);
}

TEST_CASE("of an If whose condition is known the branch taken is there", "[onnx]") {
  for (const int64_t rate : {16000, 8000}) {
    CAPTURE(rate);
    Model model;
    model.Input("x", {2}).Input("rate", {}, onnx::TensorProto::INT64).Ints("wide", {}, {16000});
    model.Node("Equal", {"rate", "wide"}, {"is_wide"}).Node("If", {"is_wide"}, {"y"});
    // Both branches have a name of their own for the same thing, and read what is around.
    Model yes, no;
    yes.Floats("by", {1}, {2}).Node("Mul", {"x", "by"}, {"inner"}).Output("inner");
    no.Floats("by", {1}, {3}).Node("Mul", {"x", "by"}, {"inner"}).Node("Neg", {"inner"}, {"other"});
    no.Output("other");
    onnx::NodeProto& node = *model.proto.mutable_graph()->mutable_node(1);
    for (const auto& [name, branch] :
         {std::pair("then_branch", &yes), std::pair("else_branch", &no)}) {
      onnx::AttributeProto& attribute = *node.add_attribute();
      attribute.set_name(name);
      attribute.set_type(onnx::AttributeProto::GRAPH);
      *attribute.mutable_g() = branch->proto.graph();
    }
    // What branches define is theirs.
    model.Floats("inner", {2}, {10, 20}).Node("Add", {"y", "outside"}, {"z"}).Output("z");
    CHECK(absl::StrContains(Refusal(model), "its condition, \"is_wide\", is not known"));
    const ImportOptions options{
        .values = {{"rate", graph::MakeTensor(ir::Int(64), {}, {static_cast<double>(rate)})}}};
    CHECK(absl::StrContains(Refusal(model, options), "\"inner\" is defined twice"));
    model.proto.mutable_graph()->mutable_initializer(1)->set_name("outside");
    const graph::Graph graph = Imported(model, options);
    const auto outputs = graph::Evaluate(graph, {FloatTensor({2}, {1, 2})});
    REQUIRE(outputs.ok());
    CHECK(outputs->front()->At(1) == (rate == 16000 ? 24 : 14));
    CHECK(CountOf(graph, "neg") == (rate == 16000 ? 0 : 1));
  }
}

TEST_CASE("inputs are known by their numbers", "[onnx]") {
  Model model;
  model.Input("x", {2, 3}).Input("rate", {}, onnx::TensorProto::INT64);
  model.Input("target", {0}, onnx::TensorProto::INT64);
  model.Node("Reshape", {"x", "target"}, {"flat"})
      .Node("Cast", {"rate"}, {"r"}, {{"to", int64_t{1}}});
  model.Node("Mul", {"flat", "r"}, {"y"}).Output("y");
  const graph::Graph graph = Imported(model, {.numbers = {{"rate", {4}}, {"target", {3, 2}}}});
  CHECK(graph.Inputs().size() == 1);
  CHECK(graph.nodes.back().type.shape == Shape{3, 2});
  CHECK(absl::StrContains(Refusal(model, {.numbers = {{"rate", {4, 5}}, {"target", {3, 2}}}}),
                          "input \"rate\": is i64[]; the value given for it has 2 numbers"));
  CHECK(absl::StrContains(Refusal(model, {.numbers = {{"speed", {4}}}}), "no input \"speed\""));
}

TEST_CASE("initializers that are inputs as well are constants", "[onnx]") {
  Model model(8);
  model.Input("x", {2}).Input("w", {2}).Floats("w", {2}, {3, 4});
  model.Node("Mul", {"x", "w"}, {"y"}).Output("y");
  const graph::Graph graph = Imported(model);
  CHECK(graph.Inputs().size() == 1);
  CHECK(Result(model, {FloatTensor({2}, {1, 2})}) == std::vector<double>{3, 8});
}

TEST_CASE("a convolution's normalisation goes into its weights", "[onnx]") {
  Model model;
  model.Input("x", {1, 1, 2, 2}).Floats("w", {2, 1, 1, 1}, {1, 2});
  model.Floats("s", {2}, {1, 3}).Floats("b", {2}, {0, 1}).Floats("m", {2}, {1, 1});
  model.Floats("v", {2}, {4, 1});
  model.Node("Conv", {"x", "w"}, {"c"});
  model.Node("BatchNormalization", {"c", "s", "b", "m", "v"}, {"y"}, {{"epsilon", 0.0}});
  model.Output("y");
  const auto graph = graph::RunPasses(Imported(model), graph::StandardPasses());
  REQUIRE(graph.ok());
  CHECK(CountOf(*graph, "conv") == 1);
  CHECK(graph->nodes.size() == 4);  // x, weights, bias, conv
  const auto outputs = graph::Evaluate(*graph, {FloatTensor({1, 1, 2, 2}, {1, 2, 3, 4})});
  REQUIRE(outputs.ok());
  CHECK(outputs->front()->At(1) == Approx(0.5));  // (2 - 1) / 2
  CHECK(outputs->front()->At(5) == Approx(10));   // (4 - 1) 3 + 1
}

TEST_CASE("what cannot be imported is refused with what to do", "[onnx]") {
  const auto of = [](const std::string& op, const Fields& fields = {}, int opset = 17) {
    Model model(opset);
    model.Input("x", {1, 2, 4, 4}).Input("i", {2}, onnx::TensorProto::INT64);
    model.Node(op, {"x", "i"}, {"y"}, fields).Output("y");
    return Refusal(model);
  };
  CHECK(of("Loop") ==
        "node \"the_Loop\" (Loop, opset 17): the operator is not supported: which nodes run is not "
        "known when the model is compiled; export without control flow");
  CHECK(absl::StrContains(of("TopK"), "nothing in graphs sorts"));
  Model unnamed(17);
  unnamed.Input("x", {4}).Node("TopK", {"x"}, {"y"}).Output("y");
  unnamed.proto.mutable_graph()->mutable_node(0)->clear_name();
  CHECK(absl::StartsWith(Refusal(unnamed), "the node of \"y\" (TopK, opset 17): "));
  CHECK(absl::StrContains(of("MadeUp"), "docs/onnx.md lists what is supported"));
  CHECK(of("Reshape") ==
        "node \"the_Reshape\" (Reshape, opset 17): input 1 (shape, \"i\") has to be known when the "
        "model is imported; make it a constant of the model, or give the values of the inputs that "
        "it is computed from");
  CHECK(absl::StrContains(of("Relu", {{"slope", 1.0}}), "attribute \"slope\" is not supported"));
  CHECK(
      absl::StrContains(of("Softmax", {{"axis", 1.0}}), "attribute axis is of kind 1; it has to"));
  CHECK(absl::StrContains(of("Softmax", {{"axis", int64_t{7}}}), "axis 7 is none of 4 dimensions"));
  CHECK(absl::StrContains(of("Relu", {}, 6), "the model is of opset 6; 7 to 21 are supported"));
  CHECK(absl::StrContains(of("Relu", {}, 22), "the model is of opset 22"));
  CHECK(absl::StrContains(of("MaxPool"), "kernel_shape is missing"));
  CHECK(absl::StrContains(of("Add"), "add(f32[1,2,4,4], i64[2]): operands are of f32 and i64"));

  Model unordered;
  unordered.Input("x", {1}).Node("Add", {"x", "b"}, {"a"}).Node("Relu", {"a"}, {"b"}).Output("b");
  CHECK(absl::StrContains(Refusal(unordered), "(Add, opset 17): \"b\" is used, but no input"));
  Model twice;
  twice.Input("x", {1}).Node("Relu", {"x"}, {"y"}).Node("Relu", {"x"}, {"y"}).Output("y");
  CHECK(absl::StrContains(Refusal(twice), "\"y\" is defined twice"));
  Model strange;
  strange.Input("x", {1}, 17).Node("Relu", {"x"}, {"y"}).Output("y");
  CHECK(
      absl::StrContains(Refusal(strange), "elements of type 17 (float8e4m3fn) are not supported"));
  CHECK(ImportModel("not a model").status().message() ==
        "the file is no ONNX model: it cannot be parsed");
  CHECK(absl::StrContains(ImportModel("").status().message(), "names no opset"));
  Model foreign;
  foreign.Input("x", {1}).Node("Relu", {"x"}, {"y"}, {}, "my.company").Output("y");
  CHECK(absl::StrContains(Refusal(foreign), "the operator of the domain \"my.company\" is not"));
}

}  // namespace tessera::frontend
