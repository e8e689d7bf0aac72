#pragma once

#include <string_view>

namespace tessera {

// Leveled lines on standard error, with time and level, through spdlog (hidden here because its
// headers cost seconds a file). Thread-safe.
void LogDebug(std::string_view message);
void LogInfo(std::string_view message);
void LogWarning(std::string_view message);
void LogError(std::string_view message);

// "debug", "info", "warning", "error" or "off"; anything else is "info".
void SetLogLevel(std::string_view level);

}  // namespace tessera
