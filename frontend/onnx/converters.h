#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "frontend/onnx/call.h"

// What becomes of the operators of ONNX, by families, of which converters.cc makes its table.

namespace tessera::frontend {

struct Row {
  std::string_view op;
  Converter convert;
};

std::vector<Row> ElementwiseRows();
std::vector<Row> TrigonometryRows();
std::vector<Row> ShapeRows();
std::vector<Row> IndexingRows();
std::vector<Row> ReductionRows();
std::vector<Row> NormalizationRows();
std::vector<Row> ProductRows();
std::vector<Row> ConvolutionRows();
std::vector<Row> PoolingRows();
std::vector<Row> ResizeRows();
std::vector<Row> RecurrentRows();
std::vector<Row> QuantizedRows();

// Null: not supported. Operators of com.microsoft begin with its name.
const Converter* FindConverter(std::string_view op);
std::vector<std::string_view> ConverterNames();
// Why an operator is not supported, and what to do.
std::string WhyNot(std::string_view op);

// --- what families share

// a · b summed over the last dimension of a and the last but one of b, as MatMul of ONNX does; both
// of two dimensions at least. Of the operands' type, but for bytes and 16 bits: i32.
Value Product(Emitter& emit, const Value& a, const Value& b);
// A convolution of x [n, c, …] with w [oc, c / groups, …], with the attributes of graphs' "conv"
// but its groups. An absent bias is none.
Value Convolution(Emitter& emit, const Value& x, const Value& w, const Value& bias, int64_t groups,
                  const graph::Attributes& windows);
// The zero point of a quantised tensor where it is one for all and known, 0 where it is absent.
std::optional<int64_t> OneZero(const Value& zero);
// The same of integers less their zero points, which may be absent, else broadcast; sums, and the
// bias, are i32. Bytes are multiplied as they are where w has no zero point and x one that is
// known.
Value IntegerConvolution(Emitter& emit, Value x, const Value& zero_x, Value w, const Value& zero_w,
                         const Value& bias, int64_t groups, graph::Attributes windows);
Value IntegerProduct(Emitter& emit, Value a, const Value& zero_a, Value b, const Value& zero_b,
                     const Value& bias);
// The same of numbers that bytes stand for (Value::integers), computed on these; absent where they
// don't, or weights have zero points. A bias is added as integers where it is some.
Value QuantizedConvolution(Emitter& emit, const Value& x, const Value& w, const Value& bias,
                           int64_t groups, const graph::Attributes& windows);
Value QuantizedProduct(Emitter& emit, const Value& a, const Value& b, const Value& bias);
// The attributes of sliding windows over x [n, c, …]: strides, dilations, before and behind, of
// pads, auto_pad and so on. Nothing after an error.
graph::Attributes Windows(Call& call, const std::vector<int64_t>& x,
                          const std::vector<int64_t>& kernel);
// x [n, c, …] times a scale of each channel, plus a shift where there is one.
Value ScaleChannels(Emitter& emit, const Value& x, const Value& scale, const Value& shift);
// Numbers of each channel in a shape that broadcasts to x along that axis.
Value AlongAxis(Emitter& emit, const Value& numbers, const Value& x, size_t axis);
// Of x, with the attributes of ONNX's AveragePool.
Value AveragePool(Call& call, const Value& x);
Value Gelu(Emitter& emit, const Value& x, bool is_approximate);

}  // namespace tessera::frontend
