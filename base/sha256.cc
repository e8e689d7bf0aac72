#include "base/sha256.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "absl/strings/escaping.h"
#include "base/hash.h"
#include "base/status.h"

namespace tessera {
namespace {

constexpr size_t kDigestBytes = 32;

}  // namespace

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  // No file and no variable of the environment decides how digests are computed.
  static const int ready =
      OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_ATEXIT, nullptr);
  TESSERA_CHECK(ready == 1 && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1);
}

void Sha256::Add(std::string_view bytes) {
  TESSERA_CHECK(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1);
}

std::string Sha256::Hex() {
  std::string digest(kDigestBytes, '\0');
  auto* const out = reinterpret_cast<unsigned char*>(digest.data());
  TESSERA_CHECK(EVP_DigestFinal_ex(context_.get(), out, /*size=*/nullptr) == 1);
  return absl::BytesToHexString(digest);
}

void Sha256::Free::operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }

std::string Sha256Hex(std::string_view bytes) {
  Sha256 digest;
  digest.Add(bytes);
  return digest.Hex();
}

}  // namespace tessera
