#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

// Calls of functions of a library that was loaded, whose parameters only its manifest tells.

namespace tessera::cli {

inline constexpr size_t kMaxArguments = 64;

// Memory as libraries take it, aligned to 64 bytes.
class CallMemory {
 public:
  explicit CallMemory(size_t bytes)
      : bytes_(bytes),
        data_(static_cast<std::byte*>(std::aligned_alloc(64, (bytes / 64 + 1) * 64)), &std::free) {}
  explicit CallMemory(absl::Span<const std::byte> bytes) : CallMemory(bytes.size()) {
    std::copy(bytes.begin(), bytes.end(), data());
  }
  std::byte* data() const { return data_.get(); }
  absl::Span<const std::byte> bytes() const { return {data_.get(), bytes_}; }

 private:
  size_t bytes_;
  std::unique_ptr<std::byte, decltype(&std::free)> data_;
};

template <size_t>
using Pointer = void*;

template <size_t... kIndex>
int CallWith(void* function, void* const* arguments, std::index_sequence<kIndex...>) {
  return reinterpret_cast<int (*)(Pointer<kIndex>...)>(function)(arguments[kIndex]...);
}

// Calls a function that takes so many pointers, at most kMaxArguments, and returns an int.
template <size_t kCount = 0>
int CallFunction(void* function, absl::Span<void* const> arguments) {
  if constexpr (kCount < kMaxArguments) {
    if (arguments.size() > kCount) return CallFunction<kCount + 1>(function, arguments);
  }
  return CallWith(function, arguments.data(), std::make_index_sequence<kCount>());
}

// A library in this process, which it stays in. What it does wrong is Aborted.
class LoadedLibrary {
 public:
  // That carries `name` in tessera_NAME_isa. FailedPrecondition where it can't run on this CPU.
  static absl::StatusOr<LoadedLibrary> Load(const std::string& path, const std::string& name);

  // The instruction sets that it uses.
  const std::string& isa() const { return isa_; }
  // Calls what takes these pointers, at most kMaxArguments, and returns a result of the library.
  absl::Status Call(const std::string& name, absl::Span<void* const> arguments) const;
  // Of a function without parameters.
  absl::StatusOr<size_t> Size(const std::string& name) const;

 private:
  LoadedLibrary(void* handle, std::string isa) : handle_(handle), isa_(std::move(isa)) {}
  absl::StatusOr<void*> Find(const std::string& name) const;

  void* handle_;
  std::string isa_;
};

}  // namespace tessera::cli
