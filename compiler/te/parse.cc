#include "compiler/ir/parse.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "base/status.h"
#include "compiler/te/dag.h"
#include "compiler/te/names.h"

namespace tessera::te {
namespace {

constexpr size_t kMaxTextBytes = size_t{64} << 20;
constexpr int kMaxLines = 4 * kMaxStages;

// Reads one line from left to right.
class Cursor {
 public:
  Cursor(std::string_view line, int number) : line_(line), number_(number) {}

  // At the next character that is not a blank.
  absl::Status Error(const std::string& what) const {
    Cursor here = *this;
    here.SkipSpaces();
    return absl::InvalidArgumentError(
        absl::StrCat("line ", number_, ", column ", here.at_ + 1, ": ", what));
  }

  void SkipSpaces() {
    while (at_ < line_.size() && (line_[at_] == ' ' || line_[at_] == '\t')) ++at_;
  }
  bool AtEnd() {
    SkipSpaces();
    return at_ == line_.size();
  }
  bool Take(char c) {
    SkipSpaces();
    if (at_ == line_.size() || line_[at_] != c) return false;
    ++at_;
    return true;
  }
  absl::Status Expect(char c) {
    if (Take(c)) return absl::OkStatus();
    return Error(absl::StrCat("expected \"", std::string(1, c), "\""));
  }
  absl::Status ExpectEnd() { return AtEnd() ? absl::OkStatus() : Error("expected end of line"); }

  // Letters, digits and '_'; empty if there is none.
  std::string_view Word() {
    SkipSpaces();
    const size_t start = at_;
    while (at_ < line_.size() &&
           (absl::ascii_isalnum(static_cast<unsigned char>(line_[at_])) || line_[at_] == '_')) {
      ++at_;
    }
    return line_.substr(start, at_ - start);
  }
  absl::StatusOr<std::string> Name() {
    const Cursor before = *this;
    const std::string_view word = Word();
    if (!IsName(word)) return before.Error("expected a name");
    return std::string(word);
  }
  absl::StatusOr<int64_t> Number() {
    const Cursor before = *this;
    const std::string word(Word());
    int64_t value = 0;
    if (word.empty() || word[0] == '_' || !absl::SimpleAtoi(word, &value)) {
      return before.Error("expected a whole number");
    }
    return value;
  }
  // Up to and without the next `end`, which is taken.
  absl::StatusOr<std::string_view> Until(char end) {
    const size_t found = line_.find(end, at_);
    if (found == std::string_view::npos) {
      return Error(absl::StrCat("expected \"", std::string(1, end), "\" later in the line"));
    }
    const std::string_view text = line_.substr(at_, found - at_);
    at_ = found + 1;
    return text;
  }

  // The next expression: up to a comma or closing parenthesis outside of brackets, or the end.
  absl::StatusOr<ir::Expr> Expression(const ir::ParseScope& scope) {
    SkipSpaces();
    const size_t start = at_;
    int depth = 0;
    bool quoted = false;
    for (; at_ < line_.size(); ++at_) {
      const char c = line_[at_];
      if (quoted) {
        if (c == '\\') ++at_;
        quoted = c != '"';
      } else if (c == '"') {
        quoted = true;
      } else if (c == '(' || c == '[') {
        ++depth;
      } else if (c == ')' || c == ']' || c == ',') {
        if (depth == 0) break;
        if (c != ',') --depth;
      }
    }
    at_ = std::min(at_, line_.size());
    // Blanks before it give the expression its place, so that errors name line and column.
    std::string text(static_cast<size_t>(number_ - 1), '\n');
    text.append(start, ' ');
    text.append(line_.substr(start, at_ - start));
    return ir::ParseExpr(text, scope);
  }

 private:
  std::string_view line_;
  int number_;
  size_t at_ = 0;
};

std::optional<Combiner> CombinerNamed(std::string_view name) {
  for (Combiner c : {Combiner::kSum, Combiner::kProduct, Combiner::kMax, Combiner::kMin,
                     Combiner::kArgMax, Combiner::kArgMin}) {
    if (name == ToString(c)) return c;
  }
  return std::nullopt;
}

absl::StatusOr<ir::Type> ElementType(Cursor& cursor) {
  const Cursor before = cursor;
  const absl::StatusOr<ir::Type> type = ir::ParseType(cursor.Word());
  if (!type.ok()) return before.Error(std::string(type.status().message()));
  return type;
}

absl::Status CheckExtent(const Cursor& cursor, int64_t extent) {
  if (extent >= 1 && extent <= kMaxElements) return absl::OkStatus();
  return cursor.Error(absl::StrCat("extent ", extent, " has to be from 1 to ", kMaxElements));
}

// " free", " blocked(1)", " layout(…)", as many as there are.
absl::Status Placement(Cursor& cursor, ir::BufferNode& node) {
  while (true) {
    const Cursor before = cursor;
    const std::string_view word = cursor.Word();
    if (word == "free") {
      node.policy = ir::LayoutPolicy::kFree;
    } else if (word == "blocked") {
      TESSERA_RETURN_IF_ERROR(cursor.Expect('('));
      TESSERA_ASSIGN_OR_RETURN(const int64_t axis, cursor.Number());
      if (axis < 0 || axis >= static_cast<int64_t>(node.shape.size())) {
        return before.Error(absl::StrCat("blocked axis ", axis, " is not one of ",
                                         node.shape.size(), " dimensions"));
      }
      node.policy = ir::LayoutPolicy::kBlocked;
      node.block_axis = static_cast<int>(axis);
      TESSERA_RETURN_IF_ERROR(cursor.Expect(')'));
    } else if (word == "layout") {
      TESSERA_RETURN_IF_ERROR(cursor.Expect('('));
      TESSERA_ASSIGN_OR_RETURN(const std::string_view text, cursor.Until(')'));
      absl::StatusOr<std::vector<ir::LayoutDim>> layout = ir::ParseLayout(text, node.shape);
      if (!layout.ok()) return before.Error(std::string(layout.status().message()));
      node.layout = *std::move(layout);
    } else {
      cursor = before;
      return absl::OkStatus();
    }
  }
}

class Parser {
 public:
  explicit Parser(std::set<std::string, std::less<>> outputs) : outputs_(std::move(outputs)) {}

  absl::Status Line(std::string_view line, int number) {
    Cursor cursor(line, number);
    if (finished_) {
      return cursor.AtEnd() ? absl::OkStatus() : cursor.Error("the output line has to be the last");
    }
    const Cursor before = cursor;
    const std::string_view what = cursor.Word();
    if (number == 1) {
      return what == "workload" ? Header(cursor) : before.Error("expected \"workload\"");
    }
    if (what == "input" || what == "const") return Input(cursor, what == "const");
    if (what == "stage") return Stage(cursor);
    if (what == "output") return Outputs(cursor);
    return before.Error("expected \"input\", \"const\", \"stage\" or \"output\"");
  }

  absl::StatusOr<Workload> Finish() && {
    if (!finished_) return absl::InvalidArgumentError("the output line is missing at the end");
    TESSERA_RETURN_IF_ERROR(Verify(workload_.dag));
    return std::move(workload_);
  }

 private:
  absl::Status Header(Cursor& cursor) {
    const Cursor before = cursor;
    const std::string_view name = cursor.Word();
    const bool plain = !name.empty() && name.size() <= 200 &&
                       std::ranges::none_of(name, [](char c) { return c >= 'A' && c <= 'Z'; });
    if (!plain) return before.Error("expected a name of [a-z0-9_], at most 200 characters");
    workload_.name = std::string(name);
    return cursor.ExpectEnd();
  }

  absl::Status Input(Cursor& cursor, bool is_constant) {
    auto node = std::make_shared<ir::BufferNode>();
    TESSERA_ASSIGN_OR_RETURN(node->name, cursor.Name());
    TESSERA_RETURN_IF_ERROR(cursor.Expect(':'));
    TESSERA_ASSIGN_OR_RETURN(node->type, ElementType(cursor));
    TESSERA_RETURN_IF_ERROR(cursor.Expect('['));
    do {
      TESSERA_ASSIGN_OR_RETURN(const int64_t extent, cursor.Number());
      TESSERA_RETURN_IF_ERROR(CheckExtent(cursor, extent));
      node->shape.push_back(extent);
    } while (cursor.Take(','));
    TESSERA_RETURN_IF_ERROR(cursor.Expect(']'));
    TESSERA_RETURN_IF_ERROR(Placement(cursor, *node));
    TESSERA_RETURN_IF_ERROR(Define(cursor, node));
    workload_.dag.inputs.push_back({std::move(node), is_constant});
    return cursor.ExpectEnd();
  }

  absl::Status Define(const Cursor& cursor, const ir::Buffer& buffer) {
    if (buffers_.try_emplace(buffer->name, buffer).second) return absl::OkStatus();
    return cursor.Error(absl::StrCat("name ", buffer->name, " is defined twice"));
  }

  // "[n:1, c:64]"
  absl::StatusOr<std::vector<Axis>> Axes(Cursor& cursor, ir::ParseScope& scope) {
    TESSERA_RETURN_IF_ERROR(cursor.Expect('['));
    std::vector<Axis> axes;
    do {
      TESSERA_ASSIGN_OR_RETURN(std::string name, cursor.Name());
      TESSERA_RETURN_IF_ERROR(cursor.Expect(':'));
      TESSERA_ASSIGN_OR_RETURN(const int64_t extent, cursor.Number());
      TESSERA_RETURN_IF_ERROR(CheckExtent(cursor, extent));
      const ir::VarRef var = ir::MakeVar(name);
      if (!scope.vars.try_emplace(name, var).second) {
        return cursor.Error(absl::StrCat("axis ", name, " appears twice"));
      }
      axes.push_back({var, extent});
    } while (cursor.Take(','));
    TESSERA_RETURN_IF_ERROR(cursor.Expect(']'));
    return axes;
  }

  absl::Status Stage(Cursor& cursor) {
    if (workload_.dag.stages.size() == kMaxStages) {
      return cursor.Error(absl::StrCat("more than ", kMaxStages, " stages"));
    }
    te::Stage stage;
    ir::ParseScope scope;
    do {
      auto node = std::make_shared<ir::BufferNode>();
      TESSERA_ASSIGN_OR_RETURN(node->name, cursor.Name());
      TESSERA_RETURN_IF_ERROR(cursor.Expect(':'));
      TESSERA_ASSIGN_OR_RETURN(node->type, ElementType(cursor));
      if (stage.outputs.empty()) {
        TESSERA_ASSIGN_OR_RETURN(stage.axes, Axes(cursor, scope));
      }
      for (const Axis& axis : stage.axes) node->shape.push_back(axis.extent);
      node->scope = outputs_.contains(node->name) ? ir::Scope::kGlobal : ir::Scope::kWorkspace;
      TESSERA_RETURN_IF_ERROR(Placement(cursor, *node));
      stage.outputs.push_back(std::move(node));
    } while (cursor.Take(','));
    TESSERA_RETURN_IF_ERROR(cursor.Expect('='));

    stage.direct = TakeDirect(cursor);
    if (const std::optional<Combiner> combiner = StartOfReduction(cursor)) {
      stage.combiner = *combiner;
      cursor.Word();
      TESSERA_ASSIGN_OR_RETURN(stage.reduce_axes, Axes(cursor, scope));
      TESSERA_RETURN_IF_ERROR(cursor.Expect('('));
    }
    scope.buffers.swap(buffers_);  // tensors before this one; lent, because they may be many
    absl::Status status;
    do {
      absl::StatusOr<ir::Expr> body = cursor.Expression(scope);
      status = body.status();
      if (status.ok()) stage.bodies.push_back(*std::move(body));
    } while (status.ok() && cursor.Take(','));
    scope.buffers.swap(buffers_);
    TESSERA_RETURN_IF_ERROR(status);
    if (stage.is_reduction()) TESSERA_RETURN_IF_ERROR(cursor.Expect(')'));
    for (const ir::Buffer& output : stage.outputs) TESSERA_RETURN_IF_ERROR(Define(cursor, output));
    workload_.dag.stages.push_back(std::move(stage));
    return cursor.ExpectEnd();
  }

  // A combiner's name, if "[axis:" follows, which a read of a tensor of that name can't.
  static std::optional<Combiner> StartOfReduction(Cursor cursor) {
    const std::optional<Combiner> combiner = CombinerNamed(cursor.Word());
    if (!combiner || !cursor.Take('[') || !cursor.Name().ok() || !cursor.Take(':')) {
      return std::nullopt;
    }
    return combiner;
  }

  // "direct", if a reduction follows; the word alone may be a tensor.
  static bool TakeDirect(Cursor& cursor) {
    Cursor after = cursor;
    if (after.Word() != "direct" || !StartOfReduction(after)) return false;
    cursor = after;
    return true;
  }

  absl::Status Outputs(Cursor& cursor) {
    do {
      TESSERA_ASSIGN_OR_RETURN(const std::string name, cursor.Name());
      const auto found = buffers_.find(name);
      if (found == buffers_.end()) return cursor.Error(absl::StrCat("no stage ", name));
      workload_.dag.outputs.push_back(found->second);
    } while (cursor.Take(','));
    finished_ = true;
    return cursor.ExpectEnd();
  }

  std::set<std::string, std::less<>> outputs_;  // names on the output line
  Workload workload_;
  std::map<std::string, ir::Buffer, std::less<>> buffers_;
  bool finished_ = false;
};

// The names on the first line that begins with "output".
std::set<std::string, std::less<>> OutputNames(std::string_view text) {
  std::set<std::string, std::less<>> names;
  size_t start = text.find("\noutput ");
  if (start == std::string_view::npos) return names;
  ++start;
  Cursor cursor(text.substr(start, text.find('\n', start) - start), 1);
  cursor.Word();
  do {
    names.emplace(cursor.Word());
  } while (cursor.Take(','));
  return names;
}

}  // namespace

absl::StatusOr<Workload> ParseWorkload(std::string_view text) {
  if (text.size() > kMaxTextBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("workload text of ", text.size(), " bytes; the limit is ", kMaxTextBytes));
  }
  Parser parser(OutputNames(text));
  int number = 0;
  while (!text.empty()) {
    if (++number > kMaxLines) {
      return absl::InvalidArgumentError(absl::StrCat("more than ", kMaxLines, " lines"));
    }
    const size_t end = text.find('\n');
    TESSERA_RETURN_IF_ERROR(parser.Line(text.substr(0, end), number));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return std::move(parser).Finish();
}

}  // namespace tessera::te
