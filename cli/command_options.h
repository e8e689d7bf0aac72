#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>

#include "cli/commands.h"

// Options that several commands have. CLI11 is heavy: for main.cc alone.

namespace tessera::cli {

// These tell what they were given, in place of the library's own words.
CLI::Validator WholeNumber(int64_t low, int64_t high);
CLI::Validator Seconds();
CLI::Validator NotEmpty();

void AddServer(CLI::App* command, std::string& server,
               const std::string& help = "address of the server");
void AddSource(CLI::App* command, OperatorSource& source);
// --dim, --shape and so on, of a model's inputs; what is to become of it.
void AddExtents(CLI::App* command, OperatorSource& source);
void AddLayouts(CLI::App* command, OperatorSource& source);
void AddAlone(CLI::App* command, bool& alone);
// Names libraries of others, in any order; `allow` has them in that of base/third_party.h.
void AddAllow(CLI::App* command, std::string& allow, const std::string& help);

}  // namespace tessera::cli
