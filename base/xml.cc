#include "base/xml.h"

#include <cstddef>
#include <cstdint>

namespace tessera {
namespace {

// Bytes of the character that `text` begins with; 0 where it begins with none of XML's.
size_t CharacterBytes(std::string_view text) {
  const auto byte = [&](size_t i) { return uint32_t{static_cast<unsigned char>(text[i])}; };
  const uint32_t first = byte(0);
  if (first < 0x80) return 1;
  const size_t bytes = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc0 || first > 0xf7 || bytes > text.size()) return 0;
  uint32_t code = first & (0x7fu >> bytes);
  for (size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    code = code << 6 | (byte(i) & 0x3f);
  }
  constexpr uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};  // by bytes; less is written shorter
  const bool is_surrogate = code >= 0xd800 && code <= 0xdfff;
  if (code < kLeast[bytes] || code > 0x10ffff || is_surrogate) return 0;
  return code == 0xfffe || code == 0xffff ? 0 : bytes;
}

}  // namespace

std::string XmlText(std::string_view text) {
  std::string escaped;
  while (!text.empty()) {
    const size_t bytes = CharacterBytes(text);
    const char c = text.front();
    if (bytes == 0) {
      escaped += "\xef\xbf\xbd";
    } else if (bytes > 1) {
      escaped += text.substr(0, bytes);
    } else if (c == '&') {
      escaped += "&amp;";
    } else if (c == '<') {
      escaped += "&lt;";
    } else if (c == '>') {
      escaped += "&gt;";
    } else if (c == '"') {
      escaped += "&quot;";
    } else {
      escaped += c < ' ' || c == '\x7f' ? ' ' : c;
    }
    text.remove_prefix(bytes == 0 ? 1 : bytes);
  }
  return escaped;
}

}  // namespace tessera
