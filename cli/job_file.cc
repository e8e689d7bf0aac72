#include "cli/job_file.h"

#include <yaml-cpp/yaml.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "base/hash.h"
#include "base/status.h"
#include "base/view.h"
#include "cli/path_status.h"
#include "compiler/ir/target.h"
#include "compiler/te/c_names.h"
#include "proto/checks.h"
#include "proto/convert.h"
#include "proto/limits.h"
#include "tuner/task_scheduler.h"

namespace tessera::cli {
namespace {

constexpr int64_t kMaxFileBytes = 4 << 20;

absl::Status At(const std::string& path, const YAML::Node& node, std::string_view why) {
  const int line = node.Mark().line + 1;  // 0: an empty file has none
  return absl::InvalidArgumentError(
      absl::StrCat(path, line > 0 ? absl::StrCat(":", line) : "", ": ", std::string(why)));
}

absl::StatusOr<std::string> Word(const std::string& path, const std::string& key,
                                 const YAML::Node& node) {
  if (node.IsScalar()) return node.Scalar();
  return At(path, node, absl::StrCat(key, " is no single value; expected a word"));
}

absl::StatusOr<int64_t> WholeNumber(const std::string& path, const std::string& key,
                                    const YAML::Node& node, int64_t low, int64_t high) {
  TESSERA_ASSIGN_OR_RETURN(const std::string text, Word(path, key, node));
  int64_t value = 0;
  if (absl::SimpleAtoi(text, &value) && low <= value && value <= high) return value;
  return At(path, node,
            absl::StrCat(key, " is ", text, "; expected a whole number from ", low, " to ", high));
}

absl::StatusOr<double> Weight(const std::string& path, const YAML::Node& node) {
  constexpr double kMost = 1e9;
  TESSERA_ASSIGN_OR_RETURN(const std::string text, Word(path, "weight", node));
  double value = 0;
  if (absl::SimpleAtod(text, &value) && 0 < value && value <= kMost) return value;
  return At(path, node,
            absl::StrCat("weight is ", text, "; expected a number above 0 and up to ", kMost));
}

using Attributes = std::map<std::string, std::string>;

absl::StatusOr<Attributes> ReadAttributes(const std::string& path, const YAML::Node& node) {
  Attributes attributes;
  if (!node.IsMap()) return At(path, node, "expected attributes as {key: value, …}");
  for (const auto& entry : node) {
    const std::string key = entry.first.Scalar();
    TESSERA_ASSIGN_OR_RETURN(std::string value, Word(path, key, entry.second));
    if (!attributes.emplace(key, std::move(value)).second) {
      return At(path, entry.first, absl::StrCat(key, " is given twice"));
    }
  }
  return attributes;
}

// Pins as JSON, as schedule_space/pins.h has them. Whole numbers are numbers, other scalars words.
class PinsReader {
 public:
  explicit PinsReader(const std::string& path) : path_(path) {}

  absl::StatusOr<std::string> Read(const YAML::Node& node) {
    if (!node.IsMap()) return At(path_, node, "pins: expected {KNOB: [what it may be], …}");
    TESSERA_ASSIGN_OR_RETURN(const Json json, Convert(node, 0));
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
  }

 private:
  using Json = nlohmann::ordered_json;
  static constexpr int kMaxDepth = 8;
  static constexpr int kMaxNodes = 100'000;  // aliases make many of few

  absl::StatusOr<Json> Convert(const YAML::Node& node, int depth) {
    if (depth > kMaxDepth || ++nodes_ > kMaxNodes) {
      return At(path_, node, "pins: too much, or too deep");
    }
    if (node.IsScalar()) {
      int64_t number = 0;
      if (absl::SimpleAtoi(node.Scalar(), &number)) return Json(number);
      return Json(node.Scalar());
    }
    if (node.IsSequence()) {
      Json list = Json::array();
      for (const YAML::Node& item : node) {
        TESSERA_ASSIGN_OR_RETURN(Json value, Convert(item, depth + 1));
        list.push_back(std::move(value));
      }
      return list;
    }
    if (!node.IsMap()) return At(path_, node, "pins: a value is missing");
    Json object = Json::object();
    for (const auto& entry : node) {
      const std::string key = entry.first.Scalar();
      if (object.contains(key)) return At(path_, entry.first, key + " is given twice");
      TESSERA_ASSIGN_OR_RETURN(object[key], Convert(entry.second, depth + 1));
    }
    return object;
  }

  const std::string path_;
  int nodes_ = 0;
};

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
    std::set<std::string> keys;
    for (const auto& entry : root) {
      const std::string key = entry.first.Scalar();
      const YAML::Node& value = entry.second;
      if (!keys.insert(key).second) return At(path_, entry.first, key + " is given twice");
      if (key == "name") {
        TESSERA_ASSIGN_OR_RETURN(file.name, Word(path_, key, value));
        proto::Checks check;
        check.RequiredName(key, file.name, proto::kMaxNameBytes);
        if (!check.status().ok()) return At(path_, value, std::string(check.status().message()));
      } else if (key == "threads") {
        TESSERA_ASSIGN_OR_RETURN(const int64_t threads,
                                 WholeNumber(path_, key, value, 1, proto::kMaxThreads));
        file.options.threads = static_cast<int>(threads);
      } else if (key == "trials") {
        TESSERA_ASSIGN_OR_RETURN(const int64_t trials,
                                 WholeNumber(path_, key, value, 1, proto::kMaxTrialsPerTask));
        file.options.trials_per_task = static_cast<int>(trials);
      } else if (key == "seed") {
        TESSERA_ASSIGN_OR_RETURN(const int64_t seed,
                                 WholeNumber(path_, key, value, 0, proto::kMaxSeed));
        file.options.seed = static_cast<uint64_t>(seed);
      } else if (key == "scheduler") {
        TESSERA_ASSIGN_OR_RETURN(file.options.scheduler, Word(path_, key, value));
        if (const auto made = tuner::MakeTaskScheduler(file.options.scheduler); !made.ok()) {
          return At(path_, value, StdView(made.status().message()));
        }
      } else if (key == "cache") {
        TESSERA_ASSIGN_OR_RETURN(const std::string mode, Word(path_, key, value));
        const absl::StatusOr<db::CacheMode> cache = db::ParseCacheMode(mode);
        if (!cache.ok()) {
          return At(path_, value, absl::StrCat("cache is ", mode, "; expected warm or cold"));
        }
        file.cache = *cache;
      } else if (key == "pins") {
        TESSERA_ASSIGN_OR_RETURN(file.options.pins, PinsReader(path_).Read(value));
        file.pins_place = absl::StrCat(path_, ":", entry.first.Mark().line + 1);
      } else if (key == "operators") {
        TESSERA_RETURN_IF_ERROR(ReadOperators(value, file));
      } else if (key != "defaults") {
        return At(path_, entry.first,
                  absl::StrCat("unknown key ", key,
                               "; known are name, threads, cache, trials, seed, pins, scheduler, "
                               "defaults, operators"));
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
        TESSERA_ASSIGN_OR_RETURN(weight, Weight(path_, item["weight"]));
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
      if (const absl::Status named = proto::CheckIdentifier("name", spec.name); !named.ok()) {
        return At(path_, item, std::string(named.message()));
      }
      if (const absl::Status named = te::CheckOpName(spec.name); !named.ok()) {
        return At(path_, item, StdView(named.message()));
      }
      auto workload = te::MakeWorkload(spec);
      if (!workload.ok()) {
        return At(path_, item, std::string(workload.status().message()));
      }
      file.operators.push_back({std::move(spec), *std::move(workload), weight});
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
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": is a folder; name a job file (YAML)"));
  }
  std::ifstream in(path, std::ios::binary);
  if (!in) return PathStatus(errno, "cannot open", path);
  std::string text(kMaxFileBytes + 1, '\0');  // what it says of its size may be wrong: a device
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(in.gcount()));
  if (static_cast<int64_t>(text.size()) > kMaxFileBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": more than ", kMaxFileBytes, " bytes, the most that is read"));
  }
  return ParseJobFile(text, path);
}

absl::Status WithPlace(const absl::Status& refused, const JobFile& file) {
  const bool is_of_pins =
      !file.pins_place.empty() && absl::StrContains(refused.message(), ": pins: ");
  return is_of_pins ? Annotate(refused, file.pins_place) : refused;
}

absl::StatusOr<std::vector<db::Task>> MakeTasks(const JobFile& file, const std::string& target_text,
                                                int threads) {
  TESSERA_ASSIGN_OR_RETURN(const ir::Target target, ir::ParseTarget(target_text));
  if (threads < 1 || threads > target.max_threads) {
    return absl::InvalidArgumentError(
        absl::StrCat("threads is ", threads, "; the device offers 1 to ", target.max_threads));
  }
  std::vector<db::Task> tasks;
  for (const JobOperator& op : file.operators) {
    db::Task task;
    task.name = op.spec.name;
    task.workload = te::Print(op.workload);
    task.workload_hash = HashToHex(te::StructuralHash(op.workload.dag));
    task.target = ir::ToString(target);
    task.threads = threads;
    task.cache_mode = file.cache;
    task.weight = op.weight;
    tasks.push_back(std::move(task));
  }
  return tasks;
}

}  // namespace tessera::cli
