#pragma once

#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <string>

namespace tessera::library {

// A library's bytes, loaded as a program of its own would load the file.
class Library {
 public:
  explicit Library(const std::string& bytes) {
    const int file = memfd_create("ops", MFD_CLOEXEC);
    REQUIRE(write(file, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
    handle_ = dlopen(("/proc/self/fd/" + std::to_string(file)).c_str(), RTLD_NOW | RTLD_LOCAL);
    INFO((handle_ == nullptr ? dlerror() : ""));
    REQUIRE(handle_ != nullptr);
    close(file);
  }
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;
  ~Library() { dlclose(handle_); }
  template <typename Function>
  Function Find(const std::string& name) const {
    void* symbol = dlsym(handle_, name.c_str());
    CAPTURE(name);
    REQUIRE(symbol != nullptr);
    return reinterpret_cast<Function>(symbol);
  }

 private:
  void* handle_;
};

struct Aligned {
  explicit Aligned(size_t bytes)
      : bytes(bytes), data(static_cast<float*>(std::aligned_alloc(64, (bytes + 63) / 64 * 64))) {}
  Aligned(const Aligned&) = delete;
  Aligned& operator=(const Aligned&) = delete;
  ~Aligned() { std::free(data); }
  const size_t bytes;
  float* data;
};

}  // namespace tessera::library
