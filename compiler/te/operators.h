#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "compiler/te/dag.h"

namespace tessera::te {

// An operator by name with its attributes, as YAML and the command line give it: numbers and words
// as text. Names and attributes: OperatorHelp().
struct OpSpec {
  std::string name;  // of this instance: "C2"
  std::string op;    // "conv2d"
  std::map<std::string, std::string> attributes;
};

// What an instance of operator `op` without a name of its own is called: `op`, but tanh_op where a
// function of the C library has the operator's name.
std::string DefaultName(std::string_view op);

// The workload of `spec`, named after it in lower case, DefaultName without a name. Tensors have
// their logical shape whatever their layout: activations [n, c, (d, h,) w]. Grouped convolutions
// have the group as a dimension of its own, X [n, g, c/g, …], W [g, oc/g, ic/g, …], as have
// depthwise ones with a multiplier the multiplier; row-major, that is NCHW byte for byte. Sums of
// f16 and bf16 are kept in f32, of i8 in i32, which is also the type of an i8 operator's bias,
// residual and result. Unknown operators and attributes, missing ones, values outside their limits
// (a shape of zero, overflow past 2^40 elements, channels that groups don't divide) are
// InvalidArgument naming the instance, the value, the limit and what is allowed.
absl::StatusOr<Workload> MakeWorkload(const OpSpec& spec);

// One line an operator, or that of the wanted one: name, attributes with defaults.
std::string OperatorHelp(std::string_view wanted = "");
std::vector<std::string> OperatorNames();

}  // namespace tessera::te
