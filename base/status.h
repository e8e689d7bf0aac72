#pragma once

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

// Errors that a user, device or peer can cause are values. Messages name the value and the limit:
// "tile_x: factor 7 does not divide extent 56".

#define TESSERA_CONCAT_INNER(a, b) a##b
#define TESSERA_CONCAT(a, b) TESSERA_CONCAT_INNER(a, b)

// Returns from the enclosing function when `expr` is not OK.
#define TESSERA_RETURN_IF_ERROR(expr)                                                      \
  do {                                                                                     \
    if (absl::Status tessera_status = (expr); !tessera_status.ok()) return tessera_status; \
  } while (false)

// TESSERA_ASSIGN_OR_RETURN(auto value, Compute()): binds the value or returns its error.
#define TESSERA_ASSIGN_OR_RETURN(lhs, expr) \
  TESSERA_ASSIGN_OR_RETURN_IMPL(TESSERA_CONCAT(tessera_or_, __LINE__), lhs, expr)
#define TESSERA_ASSIGN_OR_RETURN_IMPL(tmp, lhs, expr) \
  auto tmp = (expr);                                  \
  if (!tmp.ok()) return std::move(tmp).status();      \
  lhs = std::move(tmp).value()

// Assertion for our own bugs, on in every build: prints the condition and aborts.
#define TESSERA_CHECK(condition)                              \
  do {                                                        \
    if (!(condition)) [[unlikely]]                            \
      ::tessera::CheckFailed(#condition, __FILE__, __LINE__); \
  } while (false)

namespace tessera {

[[noreturn]] void CheckFailed(const char* condition, const char* file, int line);

// `status` with "context: " before its message, the code kept. OK stays OK.
absl::Status Annotate(const absl::Status& status, std::string_view context);

}  // namespace tessera
