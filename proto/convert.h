#pragma once

#include "absl/status/statusor.h"
#include "db/record/record.h"
#include "proto/records.pb.h"
#include "proto/services.pb.h"
#include "proto/session.h"
#include "proto/worker.pb.h"

// The only border between messages and domain types. FromProto checks every field against
// proto/limits.h and its form (hex digests, printable names, finite numbers, known enumerators) and
// answers InvalidArgument naming field, value and limit. ToProto never fails: text that isn't UTF-8
// is made so and over-long reasons are cut.

namespace tessera::proto {

v1::Outcome ToProto(db::Outcome outcome);
v1::CacheMode ToProto(db::CacheMode mode);
v1::JobState ToProto(db::JobState state);
v1::Task ToProto(const db::Task& task);
v1::DeviceClass ToProto(const db::DeviceClass& device_class);
v1::Measurement ToProto(const db::Measurement& measurement);
v1::Record ToProto(const db::Record& record);
v1::JobOptions ToProto(const db::JobOptions& options);
v1::Job ToProto(const db::Job& job);
v1::Device ToProto(const db::Device& device);
v1::SelectionItem ToProto(const db::SelectionItem& item);
v1::InPlace ToProto(const db::InPlace& in_place);
v1::SelectionModel ToProto(const db::SelectionModel& model);
v1::Selection ToProto(const db::Selection& selection);
v1::ModelInfo ToProto(const db::ModelInfo& model);
v1::ComparisonPurpose ToProto(db::ComparisonPurpose purpose);
v1::Comparison ToProto(const db::Comparison& comparison);
v1::RecordFilter ToProto(const db::RecordFilter& filter);
v1::JobProgress ToProto(const JobProgress& progress);
v1::WorkerMessage ToProto(const WorkerMessage& message);
v1::ServerMessage ToProto(const ServerMessage& message);
v1::BuildRequest ToProto(const BuildRequest& request);
v1::BuildResult ToProto(const BuildResult& result);
v1::LibraryRequest ToProto(const LibraryRequest& request);

absl::StatusOr<db::Outcome> FromProto(v1::Outcome outcome);
absl::StatusOr<db::CacheMode> FromProto(v1::CacheMode mode);
absl::StatusOr<db::JobState> FromProto(v1::JobState state);
absl::StatusOr<db::Task> FromProto(const v1::Task& message);
absl::StatusOr<db::DeviceClass> FromProto(const v1::DeviceClass& message);
absl::StatusOr<db::Measurement> FromProto(const v1::Measurement& message);
absl::StatusOr<db::Record> FromProto(const v1::Record& message);
absl::StatusOr<db::JobOptions> FromProto(const v1::JobOptions& message);
absl::StatusOr<db::Job> FromProto(const v1::Job& message);
absl::StatusOr<db::Device> FromProto(const v1::Device& message);
absl::StatusOr<db::SelectionItem> FromProto(const v1::SelectionItem& message);
absl::StatusOr<db::InPlace> FromProto(const v1::InPlace& message);
absl::StatusOr<db::SelectionModel> FromProto(const v1::SelectionModel& message);
absl::StatusOr<db::Selection> FromProto(const v1::Selection& message);
absl::StatusOr<db::ModelInfo> FromProto(const v1::ModelInfo& message);
absl::StatusOr<db::ComparisonPurpose> FromProto(v1::ComparisonPurpose purpose);
absl::StatusOr<db::Comparison> FromProto(const v1::Comparison& message);
absl::StatusOr<db::RecordFilter> FromProto(const v1::RecordFilter& message);
absl::StatusOr<JobProgress> FromProto(const v1::JobProgress& message);
absl::StatusOr<WorkerMessage> FromProto(const v1::WorkerMessage& message);
absl::StatusOr<ServerMessage> FromProto(const v1::ServerMessage& message);
absl::StatusOr<BuildRequest> FromProto(const v1::BuildRequest& message);
absl::StatusOr<BuildResult> FromProto(const v1::BuildResult& message);
absl::StatusOr<LibraryRequest> FromProto(const v1::LibraryRequest& message);

// The requests of clients: a job to create (id, state and times unset) and a selection to make
// (traces and records unset).
absl::StatusOr<db::Job> FromProto(const v1::CreateJobRequest& message);
absl::StatusOr<db::Selection> FromProto(const v1::CreateSelectionRequest& message);
// The name of a library's file base: [A-Za-z_][A-Za-z0-9_]*, at most 64 bytes.
absl::Status CheckIdentifier(std::string_view field, std::string_view value);
// 64 lower-case hexadecimal digits.
absl::Status CheckDigest(std::string_view field, std::string_view value);

}  // namespace tessera::proto
