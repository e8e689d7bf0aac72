#include "cli/job_file.h"

#include <yaml-cpp/yaml.h>

#include <fstream>
#include <set>
#include <sstream>

#include "base/hash.h"
#include "base/status.h"
#include "compiler/ir/target.h"

namespace tessera::cli {
namespace {

constexpr int64_t kMaxFileBytes = 4 << 20;

absl::Status At(const std::string& path, const YAML::Node& node, std::string_view why) {
  const YAML::Mark mark = node.Mark();
  return absl::InvalidArgumentError(absl::StrCat(path, ":", mark.line + 1, ": ", std::string(why)));
}

template <typename T>
absl::StatusOr<T> Scalar(const std::string& path, const std::string& key, const YAML::Node& node) {
  T value;
  if (!node.IsScalar() || !YAML::convert<T>::decode(node, value)) {
    return At(path, node,
              absl::StrCat(key, " is ", node.IsScalar() ? node.Scalar() : "no single value",
                           "; expected a ", std::is_same_v<T, std::string> ? "word" : "number"));
  }
  return value;
}

using Attributes = std::map<std::string, std::string>;

absl::StatusOr<Attributes> ReadAttributes(const std::string& path, const YAML::Node& node) {
  Attributes attributes;
  if (!node.IsMap()) return At(path, node, "expected attributes as {key: value, …}");
  for (const auto& entry : node) {
    const std::string key = entry.first.Scalar();
    TESSERA_ASSIGN_OR_RETURN(attributes[key], Scalar<std::string>(path, key, entry.second));
  }
  return attributes;
}

class Reader {
 public:
  explicit Reader(const std::string& path) : path_(path) {}

  absl::StatusOr<JobFile> Read(const YAML::Node& root) {
    if (!root.IsMap()) return At(path_, root, "expected a map with the key operators");
    JobFile file;
    file.name = "job";
    const YAML::Node defaults = root["defaults"];
    if (defaults) {
      for (const auto& entry : defaults) {
        TESSERA_ASSIGN_OR_RETURN(defaults_[entry.first.Scalar()],
                                 ReadAttributes(path_, entry.second));
      }
    }
    for (const auto& entry : root) {
      const std::string key = entry.first.Scalar();
      const YAML::Node& value = entry.second;
      if (key == "name") {
        TESSERA_ASSIGN_OR_RETURN(file.name, Scalar<std::string>(path_, key, value));
      } else if (key == "threads") {
        TESSERA_ASSIGN_OR_RETURN(file.options.threads, Scalar<int>(path_, key, value));
      } else if (key == "trials") {
        TESSERA_ASSIGN_OR_RETURN(file.options.trials_per_task, Scalar<int>(path_, key, value));
      } else if (key == "seed") {
        TESSERA_ASSIGN_OR_RETURN(file.options.seed, Scalar<uint64_t>(path_, key, value));
      } else if (key == "operators") {
        TESSERA_RETURN_IF_ERROR(ReadOperators(value, file));
      } else if (key != "defaults") {
        return At(path_, entry.first,
                  absl::StrCat("unknown key ", key,
                               "; known are name, threads, trials, seed, defaults, operators"));
      }
    }
    if (file.operators.empty()) return At(path_, root, "names no operators");
    return file;
  }

 private:
  absl::Status ReadOperators(const YAML::Node& list, JobFile& file) {
    if (!list.IsSequence()) return At(path_, list, "operators: expected a list");
    std::set<std::string> names;
    for (const YAML::Node& item : list) {
      TESSERA_ASSIGN_OR_RETURN(Attributes attributes, ReadAttributes(path_, item));
      te::OpSpec spec;
      double weight = 1;
      for (const char* required : {"name", "op"}) {
        if (!attributes.contains(required)) {
          return At(path_, item, absl::StrCat("operator without ", required));
        }
      }
      if (attributes.contains("weight")) {
        TESSERA_ASSIGN_OR_RETURN(weight, Scalar<double>(path_, "weight", item["weight"]));
        if (!(weight > 0)) return At(path_, item, "weight is not above 0");
      }
      spec.name = attributes["name"];
      spec.op = attributes["op"];
      for (const char* ours : {"name", "op", "weight"}) attributes.erase(ours);
      spec.attributes = std::move(attributes);
      if (const auto defaults = defaults_.find(spec.op); defaults != defaults_.end()) {
        spec.attributes.insert(defaults->second.begin(), defaults->second.end());
      }
      if (!names.insert(spec.name).second) {
        return At(path_, item, absl::StrCat("two operators are named ", spec.name));
      }
      const auto workload = te::MakeWorkload(spec);
      if (!workload.ok()) {
        return At(path_, item, std::string(workload.status().message()));
      }
      file.operators.push_back(std::move(spec));
      file.weights.push_back(weight);
    }
    return absl::OkStatus();
  }

  const std::string path_;
  std::map<std::string, Attributes> defaults_;  // by operator
};

}  // namespace

absl::StatusOr<JobFile> ParseJobFile(const std::string& text, const std::string& path) {
  try {
    return Reader(path).Read(YAML::Load(text));
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ":", error.mark.line + 1, ": ", error.msg));
  }
}

absl::StatusOr<JobFile> ReadJobFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return absl::NotFoundError(absl::StrCat(path, ": no such file, or not readable"));
  std::stringstream text;
  text << in.rdbuf();
  if (static_cast<int64_t>(text.str().size()) > kMaxFileBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": ", text.str().size(), " bytes; the limit is ", kMaxFileBytes));
  }
  return ParseJobFile(text.str(), path);
}

absl::StatusOr<std::vector<db::Task>> MakeTasks(const JobFile& file, const std::string& target_text,
                                                int threads) {
  TESSERA_ASSIGN_OR_RETURN(ir::Target target, ir::ParseTarget(target_text));
  if (threads < 1 || threads > target.max_threads) {
    return absl::InvalidArgumentError(
        absl::StrCat("threads is ", threads, "; the device offers 1 to ", target.max_threads));
  }
  std::vector<db::Task> tasks;
  for (size_t i = 0; i < file.operators.size(); ++i) {
    TESSERA_ASSIGN_OR_RETURN(const te::Workload workload, te::MakeWorkload(file.operators[i]));
    db::Task task;
    task.name = file.operators[i].name;
    task.workload = te::Print(workload);
    task.workload_hash = HashToHex(te::StructuralHash(workload.dag));
    task.target = ir::ToString(target);
    task.threads = threads;
    task.weight = file.weights[i];
    tasks.push_back(std::move(task));
  }
  return tasks;
}

}  // namespace tessera::cli
