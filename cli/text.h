#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tessera::cli {

// In characters, each taken to be one column wide. Of UTF-8.
int WidthOf(std::string_view text);

// The first `width` characters.
std::string_view Cut(std::string_view text, int width);

// Lines of at most `width` characters, broken at spaces where there are some.
std::vector<std::string> Wrapped(std::string_view text, int width);

// What a server, a worker or a kernel said, as it may be shown on a terminal: one line, in which
// control characters, among them those that begin escape sequences, are spaces (line ends, tabs) or
// question marks.
std::string OneLine(std::string_view text);

}  // namespace tessera::cli
