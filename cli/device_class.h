#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "cli/client.h"

namespace tessera::cli {

// NotFound when neither a record nor a device of the class is known. OK for an empty name.
absl::Status CheckDeviceClass(Client& client, const std::string& name);

// Of targets (canonical texts) the one with the widest vectors, then the most features; empty of
// none.
std::string RichestTarget(const std::vector<std::string>& targets);

struct BuildClasses {
  std::vector<std::string> names;     // each a version of the library
  std::vector<std::string> warnings;  // of one line each
};

// The classes whose records a library of `operators` operators is built from: the wanted ones
// (empty: none was named), else those with records, but none whose CPUs run the code of another one
// that has records of more operators, else the only one of devices that run.
// `recorded` says how many of the operators have a record on each class; classes without one may
// be left out. `targets` has what each class generates code for. InvalidArgument where one library
// can't have them all (ir::WhyNotTogether), or none was named and one is a device's beside CPUs';
// FailedPrecondition where there is none.
absl::StatusOr<BuildClasses> ChooseBuildClasses(absl::Span<const db::Device> devices,
                                                absl::Span<const RecordedClass> recorded,
                                                const std::map<std::string, std::string>& targets,
                                                int operators,
                                                const std::vector<std::string>& wanted);

}  // namespace tessera::cli
