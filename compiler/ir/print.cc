#include "compiler/ir/print.h"

#include <cctype>
#include <charconv>
#include <cmath>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "compiler/ir/text_names.h"

namespace tessera::ir {
namespace {

// Binding strength, weakest first; the parser climbs the same ladder.
enum Precedence {
  kLowest = 0,
  kOrLevel,
  kAndLevel,
  kCompareLevel,
  kSumLevel,
  kProductLevel,
  kUnaryLevel
};

int PrecedenceOf(BinaryOp op) {
  switch (op) {
    case BinaryOp::kOr:
      return kOrLevel;
    case BinaryOp::kAnd:
      return kAndLevel;
    case BinaryOp::kEq:
    case BinaryOp::kNe:
    case BinaryOp::kLt:
    case BinaryOp::kLe:
      return kCompareLevel;
    case BinaryOp::kAdd:
    case BinaryOp::kSub:
      return kSumLevel;
    case BinaryOp::kMul:
    case BinaryOp::kDiv:
    case BinaryOp::kMod:
      return kProductLevel;
    default:
      return kLowest;  // written as a call
  }
}

std::string Quoted(std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string quoted = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (byte < 0x20 || byte >= 0x7f) {
      quoted += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
    } else {
      quoted += c;
    }
  }
  return quoted + "\"";
}

std::string FloatText(const FloatImm& imm) {
  std::string text;
  if (std::isnan(imm.value)) {
    text = "nan";
  } else if (std::isinf(imm.value)) {
    text = imm.value < 0 ? "-inf" : "inf";
  } else {
    char digits[64];
    const auto end = imm.type.bits == 64 ? std::to_chars(digits, digits + sizeof(digits), imm.value)
                                         : std::to_chars(digits, digits + sizeof(digits),
                                                         static_cast<float>(imm.value));
    text.assign(digits, end.ptr);
    if (text.find_first_of(".e") == std::string::npos) text += ".0";
  }
  if (imm.type != Float(32)) absl::StrAppend(&text, ":", ToString(imm.type));
  return text;
}

class Printer {
 public:
  std::string Finish() { return std::move(out_); }

  void Print(const Expr& e, int parent = kLowest) {
    switch (e->kind) {
      case ExprKind::kIntImm:
        return PrintInt(*e.As<IntImm>());
      case ExprKind::kFloatImm:
        Put(FloatText(*e.As<FloatImm>()));
        return;
      case ExprKind::kVar:
        Put(Name(e.As<Var>(), e.As<Var>()->name));
        return;
      case ExprKind::kBinary:
        return PrintBinary(*e.As<Binary>(), parent);
      case ExprKind::kNot:
        Put("!");
        return Print(e.As<Not>()->a, kUnaryLevel);
      case ExprKind::kSelect: {
        const auto& node = *e.As<Select>();
        return PrintCall("select", {node.condition, node.if_true, node.if_false});
      }
      case ExprKind::kCast: {
        const auto& node = *e.As<Cast>();
        Put(node.saturate ? "cast_sat(" : "cast(");
        Put(ToString(node.type));
        Put(", ");
        Print(node.value);
        return Put(")");
      }
      case ExprKind::kLoad: {
        const auto& node = *e.As<Load>();
        return PrintAccess(node.buffer, node.indices, node.predicate);
      }
      case ExprKind::kRamp: {
        const auto& node = *e.As<Ramp>();
        Put("ramp(");
        Print(node.base);
        return Put(absl::StrCat(", ", node.stride, ", ", static_cast<int>(node.type.lanes), ")"));
      }
      case ExprKind::kBroadcast: {
        const auto& node = *e.As<Broadcast>();
        Put("broadcast(");
        Print(node.value);
        return Put(absl::StrCat(", ", static_cast<int>(node.type.lanes), ")"));
      }
      case ExprKind::kCall:
        return PrintCallNode(*e.As<Call>());
    }
  }

  void Print(const Stmt& s) {
    if (!s) return;
    switch (s->kind) {
      case StmtKind::kFor:
        return PrintFor(*s.As<For>());
      case StmtKind::kBlock:
        for (const Stmt& part : s.As<Block>()->stmts) Print(part);
        return;
      case StmtKind::kStore: {
        const auto& node = *s.As<Store>();
        Indent();
        if (node.streaming) Put("stream ");
        PrintAccess(node.buffer, node.indices, node.predicate);
        Put(" = ");
        Print(node.value);
        return Put("\n");
      }
      case StmtKind::kIf: {
        const auto& node = *s.As<If>();
        Indent();
        Put("if ");
        Print(node.condition);
        PrintBody(node.then_body);
        if (node.else_body) {
          Put(" else");
          PrintBody(node.else_body);
        }
        return Put("\n");
      }
      case StmtKind::kAllocate: {
        const auto& node = *s.As<Allocate>();
        Indent();
        Put("allocate ");
        PrintBuffer(node.buffer);
        PrintBody(node.body);
        return Put("\n");
      }
      case StmtKind::kEvaluate:
        Indent();
        Put("eval ");
        Print(s.As<Evaluate>()->value);
        return Put("\n");
      case StmtKind::kBarrier:
        Indent();
        return Put(absl::StrCat("barrier(", ToString(s.As<Barrier>()->scope), ")\n"));
      case StmtKind::kAsyncCopy: {
        const auto& node = *s.As<AsyncCopy>();
        Indent();
        Put("async_copy(");
        Put(Name(node.token.get(), node.token->name));
        Put(", ");
        PrintAccess(node.to, {node.to_index}, {});
        Put(", ");
        PrintAccess(node.from, {node.from_index}, {});
        return Put(absl::StrCat(", ", node.elements, ")\n"));
      }
      case StmtKind::kAsyncWait: {
        const auto& node = *s.As<AsyncWait>();
        Indent();
        Put("async_wait(");
        Put(Name(node.token.get(), node.token->name));
        return Put(")\n");
      }
    }
  }

  void Print(const Program& program) {
    Put("program ");
    Put(IsPlainName(program.name) ? program.name : Quoted(program.name));
    Put("(");
    for (size_t i = 0; i < program.params.size(); ++i) {
      if (i > 0) Put(", ");
      PrintBuffer(program.params[i]);
    }
    Put(")");
    PrintBody(program.body);
    Put("\n");
  }

 private:
  void Put(std::string_view text) { out_.append(text); }
  void Indent() { out_.append(static_cast<size_t>(depth_) * 2, ' '); }

  // The same node keeps its name; another node of that name gets a suffix.
  const std::string& Name(const void* node, const std::string& wanted) {
    const auto [it, fresh] = names_.try_emplace(node);
    if (!fresh) return it->second;
    const std::string base = PlainName(wanted);
    std::string name = base;
    for (int& next = suffixes_[base]; !taken_.insert(name).second;) {
      name = absl::StrCat(base, "_", ++next);
    }
    return it->second = std::move(name);
  }

  void PrintInt(const IntImm& imm) {
    if (imm.type == Bool()) return Put(imm.value != 0 ? "true" : "false");
    Put(absl::StrCat(imm.value));
    if (imm.type != Index()) Put(absl::StrCat(":", ToString(imm.type)));
  }

  void PrintBinary(const Binary& node, int parent) {
    const int level = PrecedenceOf(node.op);
    if (level == kLowest) return PrintCall(ToString(node.op), {node.a, node.b});
    const bool parentheses = level <= parent;
    if (parentheses) Put("(");
    // Left-associative; comparisons do not chain.
    Print(node.a, level == kCompareLevel ? level : level - 1);
    Put(" ");
    Put(ToString(node.op));
    Put(" ");
    Print(node.b, level);
    if (parentheses) Put(")");
  }

  void PrintCall(std::string_view name, const std::vector<Expr>& args) {
    Put(name);
    Put("(");
    for (size_t i = 0; i < args.size(); ++i) {
      if (i > 0) Put(", ");
      Print(args[i]);
    }
    Put(")");
  }

  void PrintCallNode(const Call& node) {
    const bool plain = IsPlainName(node.name) && !node.args.empty() && node.args[0] &&
                       node.args[0].type() == node.type;
    if (plain) return PrintCall(node.name, node.args);
    Put(absl::StrCat("call(", ToString(node.type), ", ", Quoted(node.name)));
    for (const Expr& arg : node.args) {
      Put(", ");
      Print(arg);
    }
    Put(")");
  }

  void PrintAccess(const Buffer& buffer, const std::vector<Expr>& indices, const Expr& predicate) {
    Put(Name(buffer.get(), buffer->name));
    Put("[");
    for (size_t i = 0; i < indices.size(); ++i) {
      if (i > 0) Put(", ");
      Print(indices[i]);
    }
    if (predicate) {
      Put("; ");
      Print(predicate);
    }
    Put("]");
  }

  void PrintBuffer(const Buffer& buffer) {
    Put(Name(buffer.get(), buffer->name));
    Put(absl::StrCat(": ", ToString(buffer->type), "["));
    for (size_t i = 0; i < buffer->shape.size(); ++i) {
      Put(absl::StrCat(i > 0 ? ", " : "", buffer->shape[i]));
    }
    Put("]");
    if (buffer->scope != Scope::kGlobal) Put(absl::StrCat(" ", ToString(buffer->scope)));
    if (buffer->is_doubled) Put(" doubled");
    if (buffer->read_path != ReadPath::kPlain) {
      Put(absl::StrCat(" through ", ToString(buffer->read_path)));
    }
    if (buffer->policy == LayoutPolicy::kFree) Put(" free");
    if (buffer->policy == LayoutPolicy::kBlocked) {
      Put(absl::StrCat(" blocked(", buffer->block_axis, ")"));
    }
    if (!buffer->layout.empty()) {
      Put(absl::StrCat(" layout \"", LayoutToString(buffer->layout, buffer->shape), "\""));
    }
  }

  void PrintBody(const Stmt& body) {
    Put(" {\n");
    ++depth_;
    Print(body);
    --depth_;
    Indent();
    Put("}");
  }

  void PrintFor(const For& node) {
    Indent();
    Put("for ");
    Put(Name(node.var.get(), node.var->name));
    if (node.var->type != Index()) Put(absl::StrCat(": ", ToString(node.var->type)));
    Put(absl::StrCat(" in [", node.min, ", ", node.min + node.extent, ")"));
    if (node.loop_kind != LoopKind::kSerial || node.thread_axis != ThreadAxis::kNone) {
      Put(" ");
      Put(ToString(node.loop_kind));
    }
    if (node.thread_axis != ThreadAxis::kNone) {
      Put("(");
      Put(ToString(node.thread_axis));
      Put(")");
    }
    PrintBody(node.body);
    Put("\n");
  }

  std::string out_;
  int depth_ = 0;
  absl::flat_hash_map<const void*, std::string> names_;
  absl::flat_hash_set<std::string> taken_;
  absl::flat_hash_map<std::string, int> suffixes_;
};

template <typename Node>
std::string PrintOne(const Node& node) {
  Printer printer;
  printer.Print(node);
  return printer.Finish();
}

}  // namespace

std::string Print(const Expr& e) { return e ? PrintOne(e) : ""; }
std::string Print(const Stmt& s) { return PrintOne(s); }
std::string Print(const Program& program) { return PrintOne(program); }

}  // namespace tessera::ir
