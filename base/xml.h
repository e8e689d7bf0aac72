#pragma once

#include <string>
#include <string_view>

namespace tessera {

// `text` as character data or an attribute's value in quotes of XML 1.0: markup is escaped, control
// characters become spaces, and each byte that is no part of a UTF-8 character becomes U+FFFD.
std::string XmlText(std::string_view text);

}  // namespace tessera
