#include "base/xml.h"

#include <catch2/catch.hpp>

namespace tessera {
namespace {

const std::string kReplaced = "\xef\xbf\xbd";  // U+FFFD

TEST_CASE("markup and control characters don't get into XML", "[xml]") {
  CHECK(XmlText("a < b && \"c\" > d") == "a &lt; b &amp;&amp; &quot;c&quot; &gt; d");
  CHECK(XmlText(std::string("a\0b\n\x1b\x7f", 6)) == "a b   ");
  CHECK(XmlText("").empty());
}

TEST_CASE("characters of UTF-8 stay, other bytes are replaced", "[xml]") {
  for (const std::string text :
       {"\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbd"}) {
    CHECK(XmlText(text) == text);
    CHECK(XmlText(text + text) == text + text);
    // Cut off.
    for (size_t bytes = 1; bytes < text.size(); ++bytes) {
      const std::string cut = XmlText(text.substr(0, bytes) + "a");
      CHECK(cut.starts_with(kReplaced));
      CHECK(cut.ends_with("a"));
    }
  }
  CHECK(XmlText("r\xe9s") == "r" + kReplaced + "s");  // Latin-1
  CHECK(XmlText("\x80") == kReplaced);
  // Written longer than needed, a surrogate, past the last, no character.
  CHECK(XmlText("\xc0\xaf") == kReplaced + kReplaced);
  CHECK(XmlText("\xed\xa0\x80") == kReplaced + kReplaced + kReplaced);
  CHECK(XmlText("\xf4\x90\x80\x80").starts_with(kReplaced));
  CHECK(XmlText("\xff") == kReplaced);
  CHECK(XmlText("\xef\xbf\xbf") == kReplaced + kReplaced + kReplaced);
}

}  // namespace
}  // namespace tessera
