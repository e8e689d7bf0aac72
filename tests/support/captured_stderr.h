#pragma once

#include <stdio.h>
#include <unistd.h>

#include <string>

#include "base/status.h"

namespace tessera::test {

// What is said on standard error while it lives, by logs too.
class CapturedStderr {
 public:
  CapturedStderr() : file_(tmpfile()), kept_(dup(STDERR_FILENO)) {
    TESSERA_CHECK(file_ != nullptr && kept_ >= 0);
    fflush(stderr);
    TESSERA_CHECK(dup2(fileno(file_), STDERR_FILENO) >= 0);
  }
  ~CapturedStderr() {
    fflush(stderr);
    dup2(kept_, STDERR_FILENO);
    close(kept_);
    fclose(file_);
  }
  CapturedStderr(const CapturedStderr&) = delete;
  CapturedStderr& operator=(const CapturedStderr&) = delete;

  std::string Text() const {
    fflush(stderr);
    std::string text(static_cast<size_t>(lseek(fileno(file_), 0, SEEK_END)), '\0');
    TESSERA_CHECK(pread(fileno(file_), text.data(), text.size(), 0) == std::ssize(text));
    return text;
  }

 private:
  FILE* const file_;
  const int kept_;
};

}  // namespace tessera::test
