#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

// The bounds that convert.cc holds every message to. A peer is hostile until proven otherwise.

namespace tessera::proto {

inline constexpr size_t kMaxMessageBytes = 64 << 20;  // one gRPC message
inline constexpr size_t kMaxWorkloadBytes = 1 << 20;
inline constexpr size_t kMaxTraceBytes = 1 << 20;
inline constexpr size_t kMaxConfigBytes = 256 << 10;
inline constexpr size_t kMaxTextBytes = 4096;  // reasons, descriptions, messages
inline constexpr size_t kMaxNameBytes = 256;   // names, ids, keys, targets
inline constexpr int kMaxTasks = 1024;         // of a job
inline constexpr int kMaxItems = 2048;         // of a selection
inline constexpr int kMaxConstants = 65'536;   // of a model
inline constexpr int kMaxTrialsPerTask = 10'000'000;
inline constexpr int64_t kMaxSeed = std::numeric_limits<int64_t>::max();  // of a job
inline constexpr int kMaxThreads = 1024;
inline constexpr int kMaxDevices = 64;    // of a worker
inline constexpr int kMaxRunners = 4096;  // of a job
inline constexpr int kMaxHeld = 65'536;
inline constexpr int kMaxSamples = 1 << 20;        // repeats, oracle samples
inline constexpr int kMaxBuffers = 64;             // passed to a kernel, prepared ones included
inline constexpr int64_t kMaxBlockThreads = 4096;  // of a GPU's kernel, as of ir::Target
inline constexpr int kMaxDimensions = 64;
inline constexpr int kMaxFiles = 64;       // of a library
inline constexpr int kMaxSteps = 1 << 18;  // kernels of a model
inline constexpr int64_t kMaxElements = int64_t{1} << 40;
inline constexpr int kMaxClasses = 1024;  // of a model
inline constexpr int kMaxCompared = 64;   // programs of a comparison, artifacts of a plan
inline constexpr int64_t kMaxArtifactBytes = int64_t{1} << 30;
inline constexpr size_t kMaxIdentifierBytes = 64;
inline constexpr int64_t kMaxChunkBytes = 1 << 20;
inline constexpr int64_t kMaxWorkspaceBytes = int64_t{64} << 30;
inline constexpr int64_t kMaxQueryLimit = 1'000'000;
inline constexpr double kMaxSeconds = 1e9;
inline constexpr double kMinPace = 1e-9, kMaxPace = 1e9;

}  // namespace tessera::proto
