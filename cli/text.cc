#include "cli/text.h"

#include <algorithm>

namespace tessera::cli {
namespace {

bool StartsCharacter(char byte) { return (static_cast<unsigned char>(byte) & 0xc0) != 0x80; }

}  // namespace

int WidthOf(std::string_view text) {
  return static_cast<int>(std::count_if(text.begin(), text.end(), StartsCharacter));
}

std::string_view Cut(std::string_view text, int width) {
  size_t end = 0;
  for (int taken = 0; end < text.size(); ++end) {
    if (StartsCharacter(text[end]) && ++taken > width) break;
  }
  return text.substr(0, end);
}

std::vector<std::string> Wrapped(std::string_view text, int width) {
  std::vector<std::string> lines;
  while (WidthOf(text) > width) {
    const std::string_view head = Cut(text, width + 1);
    const size_t space = head.rfind(' ');
    const size_t end =
        space == std::string_view::npos || space == 0 ? Cut(text, width).size() : space;
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(end);
    if (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  }
  if (!text.empty()) lines.emplace_back(text);
  return lines;
}

std::string OneLine(std::string_view text) {
  std::string line;
  line.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto next = static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : 0);
    if (byte == '\n' || byte == '\r' || byte == '\t') {
      line.push_back(' ');
    } else if (byte < 0x20 || byte == 0x7f) {
      line.push_back('?');
    } else if (byte == 0xc2 && next >= 0x80 && next < 0xa0) {  // U+0080 to U+009F
      line.push_back('?');
      ++i;
    } else {
      line.push_back(text[i]);
    }
  }
  return line;
}

}  // namespace tessera::cli
