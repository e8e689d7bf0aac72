#pragma once

#include <concepts>

#include "compiler/ir/stmt.h"

namespace tessera::ir {

// Walks every node once per occurrence. Override what you look for; call the base to go deeper.
// Visitors are private to the pass that needs them. (`struct`: evaluate.h's function Evaluate would
// hide the statement of that name.)
class Visitor {
 public:
  virtual ~Visitor() = default;
  void Visit(const Expr& e);  // empty references are skipped
  void Visit(const Stmt& s);

 protected:
#define X(name) virtual void Visit##name(const struct name& node);
  TESSERA_IR_EXPR_NODES(X)
  TESSERA_IR_STMT_NODES(X)
#undef X
};

// Calls visit(node) for each occurrence of a node of type `Node` in an expression or statement,
// outer ones first.
template <typename Node, typename Root, typename Function>
void ForEach(const Root& root, const Function& visit) {
  class Caller final : public Visitor {
   public:
    explicit Caller(const Function& visit) : visit_(visit) {}

   private:
#define X(name)                                                  \
  void Visit##name(const struct name& node) override {           \
    if constexpr (std::same_as<Node, struct name>) visit_(node); \
    Visitor::Visit##name(node);                                  \
  }
    TESSERA_IR_EXPR_NODES(X)
    TESSERA_IR_STMT_NODES(X)
#undef X
    const Function& visit_;
  };
  Caller(visit).Visit(root);
}

// Rebuilds what changes and shares the rest: an untouched subtree is returned as the same node.
// Rebuilt nodes go through the factories, so constants fold.
class Mutator {
 public:
  virtual ~Mutator() = default;
  Expr Mutate(const Expr& e);
  Stmt Mutate(const Stmt& s);

 protected:
#define X(name) virtual Expr Mutate##name(const struct name& node, const Expr& self);
  TESSERA_IR_EXPR_NODES(X)
#undef X
#define X(name) virtual Stmt Mutate##name(const struct name& node, const Stmt& self);
  TESSERA_IR_STMT_NODES(X)
#undef X
};

// `e` with each variable of `from` replaced by the expression at its place in `to`.
Expr Substitute(const Expr& e, const std::vector<VarRef>& from, const std::vector<Expr>& to);
Stmt Substitute(const Stmt& s, const VarRef& from, const Expr& to);
// `s` with one buffer put in place of another of the same rank; indices stay.
Stmt ReplaceBuffer(const Stmt& s, const Buffer& from, const Buffer& to);
bool Uses(const Expr& e, const VarRef& var);
bool Uses(const Stmt& s, const VarRef& var);
// Whether a load of `buffer` occurs.
bool Reads(const Expr& e, const Buffer& buffer);
bool Reads(const Stmt& s, const Buffer& buffer);
// Whether any load does.
bool ReadsMemory(const Expr& e);

}  // namespace tessera::ir
