#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "compiler/ir/type.h"
#include "compiler/te/operators.h"

// Attributes of operators: what a table entry allows, and the checked values of one instance.

namespace tessera::te {

// kInt: a whole number in [min, max]. kFlag: true or false. kWord: one of `choices` (a|b|c), where
// "name<N>" stands for the name with a whole number in [min, max] after it.
enum class AttributeKind : uint8_t { kInt, kFlag, kWord };

struct Attribute {
  std::string name;
  AttributeKind kind = AttributeKind::kInt;
  // Text as a user would write it; "" = required, "=other" = as attribute `other`, "-" = not set.
  std::string default_value;
  int64_t min = 1;
  int64_t max = int64_t{1} << 40;
  std::string choices;
};

class Attributes {
 public:
  // Checks `spec` against `table`. Errors name the instance, the value, the limit and what is
  // allowed.
  static absl::StatusOr<Attributes> Resolve(const OpSpec& spec,
                                            const std::vector<Attribute>& table);

  // Requires that the table has the attribute, of the right kind.
  int64_t Int(std::string_view name) const;
  bool Flag(std::string_view name) const;
  const std::string& Word(std::string_view name) const;
  ir::Type ElementType() const;  // of attribute "dtype"

  const std::string& op() const { return op_; }

 private:
  struct Value {
    std::string text;
    int64_t number = 0;
  };
  const Value& At(std::string_view name) const;

  std::string op_;
  std::map<std::string, Value, std::less<>> values_;
};

}  // namespace tessera::te
