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

// The workload of `spec`. Unknown operators and attributes, missing ones, values outside their
// limits (a shape of zero, overflow past 2^40 elements, channels that groups don't divide) are
// InvalidArgument naming the instance, the value, the limit and what is allowed.
absl::StatusOr<Workload> MakeWorkload(const OpSpec& spec);

// One line an operator: name, attributes with defaults.
std::string OperatorHelp();
std::vector<std::string> OperatorNames();

}  // namespace tessera::te
