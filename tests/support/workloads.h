#pragma once

#include <string>
#include <utility>
#include <vector>

#include "compiler/te/operators.h"

namespace tessera::te {

// Small instances of every operator for property tests: odd and prime extents, every epilogue,
// layout, padding, stride, dilation, group and element type at least once. The interpreter runs
// each in well under a second. Names are unique and stay what they are when the list grows.
inline std::vector<OpSpec> TestWorkloads() {
  using A = std::map<std::string, std::string>;
  std::vector<OpSpec> specs;
  auto add = [&specs](std::string name, std::string op, A attributes) {
    specs.push_back({std::move(name), std::move(op), std::move(attributes)});
  };

  add("mm_odd", "matmul", A{{"m", "7"}, {"n", "13"}, {"k", "11"}});
  add("mm_even", "matmul", A{{"m", "16"}, {"n", "32"}, {"k", "24"}});
  add("mm_row", "matmul", A{{"m", "1"}, {"n", "37"}, {"k", "29"}, {"bias", "true"}});
  add("mm_column", "matmul", A{{"m", "19"}, {"n", "1"}, {"k", "17"}});
  add("mm_one", "matmul", A{{"m", "1"}, {"n", "1"}, {"k", "1"}});
  add("mm_input_b", "matmul",
      A{{"m", "9"}, {"n", "20"}, {"k", "5"}, {"b", "input"}, {"relu", "true"}});
  add("mm_transposed", "matmul",
      A{{"m", "6"},
        {"n", "17"},
        {"k", "12"},
        {"transpose_b", "true"},
        {"bias", "true"},
        {"add", "true"},
        {"relu", "true"}});
  add("mm_f16", "matmul", A{{"m", "5"}, {"n", "18"}, {"k", "7"}, {"dtype", "f16"}});
  add("mm_bf16", "matmul",
      A{{"m", "5"}, {"n", "16"}, {"k", "9"}, {"dtype", "bf16"}, {"bias", "true"}});
  add("mm_i8", "matmul",
      A{{"m", "6"}, {"n", "19"}, {"k", "15"}, {"dtype", "i8"}, {"bias", "true"}, {"relu", "true"}});
  add("mm_tf32", "matmul",
      A{{"m", "20"}, {"n", "24"}, {"k", "16"}, {"tf32", "true"}, {"bias", "true"}});
  add("bmm_odd", "batch_matmul", A{{"batch", "3"}, {"m", "5"}, {"n", "9"}, {"k", "7"}});
  add("bmm_transposed", "batch_matmul",
      A{{"batch", "2"}, {"m", "8"}, {"n", "16"}, {"k", "6"}, {"transpose_b", "true"}});
  add("bmm_const", "batch_matmul",
      A{{"batch", "2"}, {"m", "4"}, {"n", "11"}, {"k", "8"}, {"b", "const"}, {"relu", "true"}});
  add("dense_one", "dense", A{{"n", "23"}, {"k", "31"}, {"bias", "true"}});
  add("dense_batch", "dense",
      A{{"m", "4"}, {"n", "16"}, {"k", "13"}, {"bias", "true"}, {"relu", "true"}});

  add("c1d_pad", "conv1d",
      A{{"ic", "5"}, {"oc", "7"}, {"w", "17"}, {"k", "3"}, {"stride", "2"}, {"pad", "1"}});
  add("c1d_dilated", "conv1d",
      A{{"n", "2"},
        {"ic", "3"},
        {"oc", "8"},
        {"w", "13"},
        {"k", "3"},
        {"dilation", "2"},
        {"bias", "true"}});
  add("c2d_plain", "conv2d", A{{"ic", "5"}, {"oc", "7"}, {"size", "7"}, {"k", "3"}});
  add("c2d_tf32", "conv2d",
      A{{"ic", "8"}, {"oc", "16"}, {"size", "6"}, {"k", "3"}, {"pad", "1"}, {"tf32", "true"}});
  add("c2d_pad", "conv2d",
      A{{"ic", "6"},
        {"oc", "16"},
        {"size", "7"},
        {"k", "3"},
        {"pad", "1"},
        {"bias", "true"},
        {"relu", "true"},
        {"layout", "any"}});
  add("c2d_first", "conv2d",
      A{{"ic", "3"},
        {"oc", "8"},
        {"size", "15"},
        {"k", "7"},
        {"stride", "2"},
        {"pad", "3"},
        {"bias", "true"},
        {"relu", "true"},
        {"layout", "any"}});
  add("c2d_point", "conv2d",
      A{{"ic", "11"}, {"oc", "13"}, {"size", "5"}, {"k", "1"}, {"layout", "any"}});
  add("c2d_point_stride", "conv2d",
      A{{"ic", "8"},
        {"oc", "16"},
        {"size", "9"},
        {"k", "1"},
        {"stride", "2"},
        {"bias", "true"},
        {"layout", "any"}});
  add("c2d_residual", "conv2d",
      A{{"ic", "4"},
        {"oc", "12"},
        {"h", "6"},
        {"w", "9"},
        {"k", "3"},
        {"pad", "1"},
        {"bias", "true"},
        {"add", "true"},
        {"relu", "true"},
        {"layout", "any"}});
  add("c2d_nhwc", "conv2d",
      A{{"ic", "6"},
        {"oc", "10"},
        {"h", "5"},
        {"w", "8"},
        {"k", "3"},
        {"pad", "1"},
        {"layout", "nhwc"},
        {"relu", "true"}});
  add("c2d_blocked", "conv2d",
      A{{"n", "2"},
        {"ic", "8"},
        {"oc", "12"},
        {"h", "6"},
        {"w", "5"},
        {"k", "3"},
        {"pad", "1"},
        {"layout", "nchwc4"},
        {"bias", "true"},
        {"add", "true"}});
  add("c2d_dilated", "conv2d",
      A{{"ic", "3"},
        {"oc", "5"},
        {"h", "9"},
        {"w", "11"},
        {"k", "3"},
        {"pad", "2"},
        {"dilation", "2"}});
  add("c2d_groups", "conv2d",
      A{{"ic", "6"},
        {"oc", "15"},
        {"size", "6"},
        {"k", "3"},
        {"pad", "1"},
        {"groups", "3"},
        {"bias", "true"},
        {"relu", "true"}});
  add("c2d_groups_any", "conv2d",
      A{{"ic", "8"},
        {"oc", "16"},
        {"size", "5"},
        {"k", "3"},
        {"stride", "2"},
        {"pad", "1"},
        {"groups", "2"},
        {"layout", "any"}});
  add("c2d_oblong", "conv2d",
      A{{"ic", "4"},
        {"oc", "9"},
        {"h", "4"},
        {"w", "10"},
        {"kh", "1"},
        {"kw", "5"},
        {"pad", "2"},
        {"stride", "3"}});
  add("c2d_f16", "conv2d",
      A{{"ic", "4"},
        {"oc", "8"},
        {"size", "5"},
        {"k", "3"},
        {"pad", "1"},
        {"dtype", "f16"},
        {"add", "true"},
        {"layout", "any"}});
  add("c2d_i8", "conv2d",
      A{{"ic", "5"},
        {"oc", "8"},
        {"size", "6"},
        {"k", "3"},
        {"pad", "1"},
        {"dtype", "i8"},
        {"bias", "true"},
        {"relu", "true"},
        {"layout", "any"}});
  add("c2d_i8_requantized", "conv2d",
      A{{"ic", "7"},
        {"oc", "17"},
        {"size", "6"},
        {"k", "3"},
        {"pad", "1"},
        {"dtype", "i8"},
        {"bias", "true"},
        {"requantize", "true"},
        {"add", "true"},
        {"relu", "true"},
        {"layout", "any"}});
  add("c2d_i8_shifted", "conv2d",
      A{{"ic", "7"},
        {"oc", "17"},
        {"size", "6"},
        {"k", "3"},
        {"pad", "1"},
        {"dtype", "i8"},
        {"bias", "true"},
        {"shift", "5"},
        {"add", "true"},
        {"layout", "any"}});
  add("mm_i8_requantized", "matmul",
      A{{"m", "5"}, {"n", "21"}, {"k", "9"}, {"dtype", "i8"}, {"requantize", "true"}});
  add("c3d_pad", "conv3d",
      A{{"ic", "3"},
        {"oc", "5"},
        {"d", "4"},
        {"h", "5"},
        {"w", "6"},
        {"k", "3"},
        {"pad", "1"},
        {"relu", "true"}});
  add("c3d_stride", "conv3d",
      A{{"ic", "2"}, {"oc", "8"}, {"size", "5"}, {"k", "3"}, {"stride", "2"}, {"layout", "any"}});
  add("dw_pad", "depthwise_conv2d",
      A{{"c", "7"}, {"size", "7"}, {"k", "3"}, {"pad", "1"}, {"bias", "true"}, {"relu", "true"}});
  add("dw_blocked", "depthwise_conv2d",
      A{{"c", "16"},
        {"h", "7"},
        {"w", "5"},
        {"k", "3"},
        {"pad", "1"},
        {"bias", "true"},
        {"relu", "true"},
        {"layout", "nchwc8"}});
  add("dw_stride", "depthwise_conv2d",
      A{{"c", "16"}, {"size", "9"}, {"k", "3"}, {"stride", "2"}, {"pad", "1"}, {"layout", "any"}});
  add("dw_multiplier", "depthwise_conv2d",
      A{{"c", "3"},
        {"size", "6"},
        {"k", "3"},
        {"pad", "1"},
        {"multiplier", "2"},
        {"bias", "true"}});
  add("t2d_stride", "t2d",
      A{{"ic", "5"}, {"oc", "6"}, {"size", "4"}, {"k", "4"}, {"stride", "2"}, {"pad", "1"}});
  add("t2d_plain", "t2d",
      A{{"ic", "4"},
        {"oc", "8"},
        {"h", "3"},
        {"w", "5"},
        {"k", "3"},
        {"relu", "true"},
        {"bias", "true"},
        {"layout", "any"}});

  add("capsule_pad", "capsule_conv2d",
      A{{"ic", "3"}, {"oc", "8"}, {"capsule", "2"}, {"size", "5"}, {"k", "3"}, {"pad", "1"}});
  add("capsule_stride", "capsule_conv2d",
      A{{"ic", "4"},
        {"oc", "16"},
        {"capsule", "2"},
        {"size", "5"},
        {"k", "3"},
        {"stride", "2"},
        {"bias", "true"},
        {"relu", "true"}});
  add("attention_odd", "attention_scores", A{{"seq", "7"}, {"heads", "3"}, {"dim", "5"}});
  add("attention_even", "attention_scores",
      A{{"n", "2"}, {"seq", "16"}, {"heads", "2"}, {"dim", "8"}});
  add("lstm_odd", "lstm_cell", A{{"input", "5"}, {"hidden", "7"}});
  add("lstm_batch", "lstm_cell", A{{"m", "3"}, {"input", "8"}, {"hidden", "16"}});
  add("max_pool_pad", "max_pool2d",
      A{{"c", "5"}, {"size", "9"}, {"k", "3"}, {"stride", "2"}, {"pad", "1"}});
  add("max_pool_any", "max_pool2d", A{{"c", "16"}, {"size", "6"}, {"k", "2"}, {"layout", "any"}});
  add("max_pool_blocked", "max_pool2d",
      A{{"c", "12"},
        {"size", "6"},
        {"k", "3"},
        {"stride", "2"},
        {"pad", "1"},
        {"layout", "nchwc4"}});
  add("max_pool_i8", "max_pool2d",
      A{{"c", "16"},
        {"size", "7"},
        {"k", "3"},
        {"stride", "2"},
        {"pad", "1"},
        {"dtype", "i8"},
        {"layout", "any"}});
  add("avg_pool_pad", "avg_pool2d",
      A{{"c", "3"}, {"size", "7"}, {"k", "3"}, {"stride", "2"}, {"pad", "1"}});
  add("avg_pool_exclude", "avg_pool2d",
      A{{"c", "4"},
        {"size", "7"},
        {"k", "3"},
        {"stride", "1"},
        {"pad", "1"},
        {"count_include_pad", "false"}});
  add("global_pool", "global_avg_pool", A{{"c", "11"}, {"size", "7"}});

  add("softmax_odd", "softmax", A{{"m", "5"}, {"n", "17"}});
  add("softmax_f16", "softmax", A{{"m", "3"}, {"n", "16"}, {"dtype", "f16"}});
  add("layer_norm_odd", "layer_norm", A{{"m", "3"}, {"n", "19"}});
  add("sum_rows", "reduce_sum", A{{"m", "7"}, {"n", "33"}});
  add("sum_columns", "reduce_sum", A{{"m", "17"}, {"n", "9"}, {"axis", "0"}});
  add("mean_rows", "reduce_mean", A{{"m", "5"}, {"n", "12"}});
  add("max_rows", "reduce_max", A{{"m", "5"}, {"n", "23"}});
  add("min_columns", "reduce_min", A{{"m", "6"}, {"n", "16"}, {"axis", "0"}});
  add("product_rows", "reduce_prod", A{{"m", "4"}, {"n", "5"}});
  add("norm_all", "norm2", A{{"n", "301"}});
  add("norm_rows", "norm2", A{{"m", "5"}, {"n", "29"}});
  add("argmax_rows", "argmax", A{{"m", "6"}, {"n", "21"}});
  add("argmin_rows", "argmin", A{{"m", "3"}, {"n", "16"}});

  add("relu_odd", "relu", A{{"m", "3"}, {"n", "41"}});
  add("add_line", "add", A{{"n", "67"}});
  add("add_i8", "add", A{{"m", "3"}, {"n", "35"}, {"dtype", "i8"}, {"relu", "true"}});
  add("mul_bf16", "mul", A{{"m", "2"}, {"n", "16"}, {"dtype", "bf16"}});
  add("sigmoid_odd", "sigmoid", A{{"m", "3"}, {"n", "13"}});
  add("tanh_odd", "tanh", A{{"n", "31"}});
  add("gelu_odd", "gelu", A{{"m", "5"}, {"n", "7"}});
  add("bias_add_odd", "bias_add", A{{"m", "9"}, {"n", "11"}});
  return specs;
}

}  // namespace tessera::te
