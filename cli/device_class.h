#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "cli/client.h"

namespace tessera::cli {

// NotFound when neither a record nor a device of the class is known. OK for an empty name.
absl::Status CheckDeviceClass(Client& client, const std::string& name);

struct BuildClass {
  std::string device_class;
  std::string warning;  // of one line, empty when there is nothing to tell
};

// The class whose records a library of `operators` operators is built from: the wanted one (empty:
// none was named), else the only one with records, else the only one of devices that run.
// `recorded` says how many of the operators have a record on each class; classes without one may
// be left out. InvalidArgument where several are left, FailedPrecondition where none is.
absl::StatusOr<BuildClass> ChooseBuildClass(absl::Span<const db::Device> devices,
                                            absl::Span<const RecordedClass> recorded, int operators,
                                            const std::string& wanted);

}  // namespace tessera::cli
