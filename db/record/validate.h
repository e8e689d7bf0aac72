#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "db/record/record.h"

// What every store refuses before it looks at what it holds: values that could not be stored
// exactly or would make a record useless. All return InvalidArgument, naming the value.

namespace tessera::db {

absl::Status ValidateJob(const Job& job);

// Records: task and attempt keys are given, numbers are finite, an ok outcome has samples, all
// above zero, and sample_calls is empty or has one entry a sample. Events: a job is named, and a
// result names its record or stands at the place of one.
absl::Status ValidateAppend(absl::Span<const Record> records, absl::Span<const Event> events);

absl::Status ValidateDevice(const Device& device);
absl::Status ValidateSelection(const Selection& selection);
// 1 to 64 of a-z, 0-9, '.', '_' and '-', of which the last and the dot don't begin it; neither
// "auto" nor "none".
absl::Status ValidateModelName(const std::string& name);
// The name and digest have their form, a kind of model is named, numbers are finite.
absl::Status ValidateModel(const ModelInfo& model);
// The task is named; there are two programs or more, or for kSame one with two lists; two took a
// turn, or one where the incumbent failed (programs may have fewer turns than others, or none, but
// for kSame); samples are above zero; the promoted one is among them; the ratio lies between its
// bounds.
absl::Status ValidateComparison(const Comparison& comparison);
absl::Status ValidateBlob(std::string_view bytes);

// What stores keep of a time.
absl::Time ToStoredPrecision(absl::Time time);
// Of what was made at `created`, or at `now` where that is the epoch.
absl::Time StampOf(absl::Time created, absl::Time now);

}  // namespace tessera::db
