#pragma once

#include <optional>
#include <vector>

#include "compiler/ir/simplify.h"
#include "compiler/ir/stmt.h"

// What an iteration of a reduction does to memory, as statements that passes know again.

namespace tessera::passes {

// acc[at] = acc[at] op value, where `value` does not read the buffer. Scalar, one index.
struct Update {
  ir::Buffer buffer;
  ir::Expr at;
  ir::BinaryOp op;  // kAdd, kMul, kMax or kMin
  ir::Expr value;
};
// Nothing for other stores; the store's predicate is left to the caller.
std::optional<Update> AsUpdate(const ir::Store& store);
ir::Stmt MakeUpdate(const Update& update, ir::Expr predicate = {});
// What leaves an accumulator of the value's type as it is.
ir::Expr IdentityOf(ir::BinaryOp op, const ir::Expr& value);

// Whether the places that scalar `at` takes under `ranges`, which has all its variables, may be
// read and written back where they don't count: this thread's memory alone, written before or not.
bool IsOwnMemory(const ir::BufferNode& buffer, const ir::Expr& at, const ir::Ranges& ranges);

// (values, places)[where] becomes the better of itself and (value, place); of equal values the
// smaller place wins. kMax: the larger value is better, kMin: the smaller.
struct PairUpdate {
  ir::Buffer values, places;
  std::vector<ir::Expr> where;
  ir::BinaryOp op;
  ir::Expr value, place;
};
// Two stores: the place first, while the old value still stands.
std::vector<ir::Stmt> MakePairUpdate(const PairUpdate& update);
// The same backwards; nothing for other pairs of stores.
std::optional<PairUpdate> AsPairUpdate(const ir::Stmt& first, const ir::Stmt& second);

}  // namespace tessera::passes
