#pragma once

#include <openssl/types.h>

#include <memory>
#include <string>
#include <string_view>

namespace tessera {

// The digest of Sha256Hex (base/hash.h) of bytes that come one part after the other.
class Sha256 {
 public:
  Sha256();
  void Add(std::string_view bytes);
  // 64 lower-case hexadecimal digits. Once, behind the last Add.
  std::string Hex();

 private:
  struct Free {
    void operator()(EVP_MD_CTX* context) const;
  };
  std::unique_ptr<EVP_MD_CTX, Free> context_;
};

}  // namespace tessera
