#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "proto/checks.h"
#include "proto/convert_parts.h"
#include "proto/limits.h"
#include "proto/session.h"
#include "proto/worker.pb.h"

// What messages between server and workers are made of: programs, their buffers, what their results
// have to be, files of libraries. Faults of what was sent go into the Checks.

namespace tessera::proto {

// Not zero.
uint64_t Fence(Checks& check, uint64_t fence);

void BufferToProto(const BufferSpec& buffer, v1::BufferSpec* m);
// Inputs, then at least one output.
std::vector<BufferSpec> BuffersFromProto(
    Checks& check, std::string_view field,
    const google::protobuf::RepeatedPtrField<v1::BufferSpec>& messages);

v1::Artifact ArtifactToProto(const Artifact& artifact);
Artifact ArtifactFromProto(Checks& check, const v1::Artifact& m);

using ToleranceMessages = google::protobuf::RepeatedPtrField<v1::Tolerance>;

std::vector<Tolerance> TolerancesFromProto(Checks& check, const ToleranceMessages& messages);

void OracleToProto(const std::vector<Tolerance>& tolerances,
                   const std::vector<OracleSample>& samples, ToleranceMessages* tolerance_messages,
                   google::protobuf::RepeatedPtrField<v1::OracleSample>* sample_messages);
// Plans and results of builds carry the oracle alike.
template <typename Message, typename Domain>
void OracleFromProto(Checks& check, const Message& m, Domain& domain) {
  domain.tolerances = TolerancesFromProto(check, m.tolerances());
  domain.samples = Each(check, "samples", m.samples(), kMaxSamples, [&](const auto& s) {
    return OracleSample{check.Int("sample output", s.output(), 0, kMaxBuffers),
                        check.Range("sample index", s.index(), 0, kMaxElements), s.value()};
  });
}

void LibraryFileToProto(const db::LibraryFile& file, v1::LibraryFile* m);
// Of a name that stays in its folder.
db::LibraryFile LibraryFileFromProto(Checks& check, const v1::LibraryFile& m);

}  // namespace tessera::proto
