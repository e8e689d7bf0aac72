#pragma once

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
absl::Status ValidateBlob(std::string_view bytes);

// What stores keep of a time.
absl::Time ToStoredPrecision(absl::Time time);

}  // namespace tessera::db
