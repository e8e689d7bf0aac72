// Writes the kernels that a job found for a GPU as files, for programs that start them themselves:
// of each task what a library would hold (db::Selection), NAME.txt as proto/device_code.h has it,
// and NAME.json with the buffers that its launches count.
//   build/bin/bench_device_code SERVER JOB FOLDER

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "cli/client.h"
#include "worker/builder/compile.h"

namespace tessera {
namespace {

[[noreturn]] void Fail(const std::string& message) {
  std::fprintf(stderr, "bench_device_code: %s\n", message.c_str());
  std::exit(1);
}

template <typename T>
T OrFail(absl::StatusOr<T> value) {
  if (!value.ok()) Fail(std::string(value.status().message()));
  return std::move(value).value();
}

db::Selection SelectBest(cli::Client& client, const db::Job& job) {
  db::Selection selection;
  selection.name = "device_code";
  for (const db::Task& task : job.tasks) {
    selection.items.push_back({task.name, task, "", 0, 0, job.options.device_class});
  }
  return OrFail(client.CreateSelection(selection));
}

// What the workers' builders make of it.
agent::BuildOutput Build(const db::SelectionItem& item) {
  proto::BuildRequest request;
  request.fence = 1;  // any
  request.workload = item.task.workload;
  request.target = item.task.target;
  request.trace = item.trace;
  request.threads = item.task.threads;
  builder::Compiled<agent::BuildOutput> compiled = builder::Compile(request);
  if (compiled.output.result.outcome != db::Outcome::kOk) {
    Fail(absl::StrCat(item.op, ": ", compiled.output.result.reason));
  }
  return std::move(compiled.output);
}

// The bytes of the record were verified and timed; others would be another program.
void CheckIsMeasured(cli::Client& client, const db::SelectionItem& item,
                     const std::string& digest) {
  db::RecordFilter filter;
  filter.after_id = item.record_id - 1;
  filter.limit = 1;
  std::string measured;
  const absl::Status status =
      client.QueryRecords(filter, [&](const db::Record& record) { measured = record.artifact; });
  if (!status.ok()) Fail(std::string(status.message()));
  if (measured != digest) {
    Fail(absl::StrCat(item.op, ": record ", item.record_id,
                      " was measured with other code than this version generates; tune again"));
  }
}

nlohmann::ordered_json Describe(const db::SelectionItem& item, const proto::Artifact& artifact) {
  nlohmann::ordered_json buffers = nlohmann::ordered_json::array();
  for (const proto::BufferSpec& buffer : artifact.buffers) {
    nlohmann::ordered_json layout = nlohmann::ordered_json::array();
    for (const proto::LayoutDim& dim : buffer.layout) {
      layout.push_back({dim.axis, dim.divisor, dim.extent});
    }
    buffers.push_back({{"name", buffer.name},
                       {"type", buffer.type},
                       {"shape", buffer.shape},
                       {"layout", std::move(layout)},  // (axis, divisor, extent), outermost first
                       {"role", buffer.is_output     ? "output"
                                : buffer.is_constant ? "constant"
                                                     : "input"}});
  }
  return {{"name", item.op},
          {"record", item.record_id},
          {"measured_seconds", item.seconds},
          {"target", item.task.target},
          {"device_class", item.device_class},
          {"sha256", artifact.digest},
          {"buffers", std::move(buffers)},
          {"prepared_bytes", artifact.prepared_bytes}};  // of buffers behind those
}

void Write(const std::filesystem::path& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  if (!file) Fail(absl::StrCat("cannot write ", path.string()));
}

void Export(cli::Client& client, int64_t job_id, const std::filesystem::path& folder) {
  const db::Selection selection = SelectBest(client, OrFail(client.GetJob(job_id)));
  for (const db::SelectionItem& item : selection.items) {
    if (item.record_id == 0) Fail(absl::StrCat(item.op, ": no measured program; tune it first"));
    const agent::BuildOutput built = Build(item);
    CheckIsMeasured(client, item, built.result.artifact.digest);
    Write(folder / absl::StrCat(item.op, ".txt"), built.bytes);
    Write(folder / absl::StrCat(item.op, ".json"),
          Describe(item, built.result.artifact).dump(1) + "\n");
  }
}

}  // namespace
}  // namespace tessera

int main(int argc, char** argv) {
  int64_t job = 0;
  if (argc != 4 || !absl::SimpleAtoi(argv[2], &job) || job < 1) {
    std::fprintf(stderr, "usage: bench_device_code SERVER JOB FOLDER\n");
    return 2;
  }
  const auto client = tessera::OrFail(tessera::cli::Client::Connect(argv[1]));
  tessera::Export(*client, job, argv[3]);
  return 0;
}
