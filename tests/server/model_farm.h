#pragma once

#include <catch2/catch.hpp>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/server/rig.h"

namespace tessera::server {

// A model of kernels a, b and a again, whose libraries are the text of their traces: "a=x;b=".
inline constexpr char kManifest[] = R"({
  "model": {
    "name": "net",
    "inputs": [{"name": "x", "type": "f32", "shape": [4], "layout": "row-major"}],
    "outputs": [{"name": "y", "type": "f32", "shape": [4], "layout": "row-major"}],
    "steps": [{"op": "a"}, {"op": "b"}, {"op": "a"}]
  },
  "reference": {
    "seed": 20,
    "outputs": [{"elements": [0, 3], "values": [0.5, 1.5], "tolerance": 1e-3}]
  }
})";

// The server with a worker that builds such libraries and times them by a table.
struct Farm {
  explicit Farm(bool runs = true, ModelTimesOptions model_times = {})
      : rig(absl::Minutes(1), model_times) {
    test::FakeWorker::Script script;
    script.runs = runs;
    script.library =
        [this](const proto::LibraryRequest& request) -> std::optional<proto::LibraryResult> {
      std::string text;
      for (const db::SelectionItem& item : request.selection.items) {
        absl::StrAppend(&text, item.op, "=", item.trace, ";");
      }
      proto::LibraryResult result{.fence = request.fence};
      if (IsRefused(text)) {
        result.error = "its schedule is refused";
        return result;
      }
      for (const auto& [name, bytes] :
           {std::pair("libnet.so", text), std::pair("manifest.json", manifest)}) {
        REQUIRE(worker->Upload(Sha256Hex(bytes), bytes).ok());
        result.files.push_back({name, Sha256Hex(bytes), static_cast<int64_t>(bytes.size())});
      }
      const std::lock_guard lock(mutex);
      texts[Sha256Hex(text)] = text;
      ++builds;
      return result;
    };
    script.models = [this](const proto::ModelPlan& plan) -> std::optional<proto::ModelResult> {
      const std::lock_guard lock(mutex);
      plans.push_back(plan);
      if (never_ends) return std::nullopt;
      proto::ModelResult result{.fence = plan.fence, .device = plan.device};
      for (const db::LibraryFile& library : plan.libraries) {
        result.timings.push_back(TimingOf(texts.at(library.digest)));
      }
      return result;
    };
    worker = std::make_unique<test::FakeWorker>(rig.server->port(), script);
    worker->Connect();
    libraries = v1::LibraryService::NewStub(rig.channel);
  }

  proto::ModelTiming TimingOf(const std::string& text) const {
    std::map<std::string, std::string> traces;
    for (const absl::string_view part : absl::StrSplit(text, ';', absl::SkipEmpty())) {
      const std::pair<std::string, std::string> op = absl::StrSplit(part, '=');
      traces[op.first] = op.second;
    }
    const double a = SecondsOf("a " + traces["a"]), b = SecondsOf("b " + traces["b"]);
    proto::ModelTiming timing;
    timing.measurement.outcome = db::Outcome::kOk;
    if (a < 0 || b < 0) {
      timing.measurement.outcome = db::Outcome::kWrongAnswer;
      timing.measurement.reason = "y[0] is 2 instead of 0.5";
      return timing;
    }
    if (text == late) {
      timing.measurement.outcome = db::Outcome::kTimeout;
      timing.measurement.reason = "no answer";
      return timing;
    }
    const auto whole = totals.find(text);
    const double seconds = whole == totals.end() ? 2 * a + b : whole->second;
    timing.measurement.sample_seconds = {seconds, 1.1 * seconds, 0.9 * seconds};
    timing.measurement.sample_calls = {1, 1, 1};
    timing.step_seconds = {a, b, a};
    return timing;
  }

  bool IsRefused(const std::string& text) {
    const std::lock_guard lock(mutex);
    return !refused.empty() && text.find(refused) != std::string::npos;
  }
  void SetRefused(const std::string& text) {
    const std::lock_guard lock(mutex);
    refused = text;
  }

  double SecondsOf(const std::string& kernel) const {
    const auto known = in_place.find(kernel);
    return known == in_place.end() && others ? *others : in_place.at(kernel);
  }

  static db::Task TaskOf(const std::string& op) {
    db::Task task = Rig::Task(op == "a" ? 8 : 16);
    task.name = op;
    task.weight = op == "a" ? 2 : 1;
    return task;
  }
  void Measured(const std::string& op, const std::string& trace, double seconds) {
    db::Record record;
    record.task_key = TaskOf(op).Key();
    record.attempt_key = absl::StrCat(op, " ", trace);
    record.trace = trace;
    record.device_class = "x86/fake";
    record.measurement.outcome = db::Outcome::kOk;
    record.measurement.sample_seconds = {seconds};
    REQUIRE(rig.store->Append({record}, {}).ok());
  }

  v1::Selection Select(bool is_model = true, const std::string& name = "net") {
    const std::string graph = "graph net";
    REQUIRE(worker->Upload(Sha256Hex(graph), graph).ok());
    v1::CreateSelectionRequest request;
    request.set_name(name);
    request.set_device_class("x86/fake");
    for (const char* op : {"a", "b"}) {
      request.add_ops()->set_op(op);
      *request.mutable_ops()->rbegin()->mutable_task() = proto::ToProto(TaskOf(op));
    }
    if (is_model) request.mutable_model()->set_graph(Sha256Hex(graph));
    grpc::ClientContext context;
    v1::Selection selection;
    const grpc::Status status = libraries->CreateSelection(&context, request, &selection);
    INFO(status.error_message());
    REQUIRE(status.ok());
    return selection;
  }
  absl::StatusOr<v1::Selection> Choose(const v1::Selection& selection) {
    v1::ChooseInPlaceRequest request;
    request.set_selection_id(selection.id());
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
    auto reader = libraries->ChooseInPlace(&context, request);
    v1::ChooseInPlaceReply reply, last;
    doing.clear();
    while (reader->Read(&reply)) {
      last = reply;
      if (!reply.has_chosen()) doing.push_back(reply.doing());
    }
    const absl::Status status = proto::FromRpc(reader->Finish());
    if (!status.ok()) return status;
    return last.chosen();
  }

  Rig rig;
  std::mutex mutex;
  std::map<std::string, std::string> texts;  // of libraries, by digest
  std::vector<proto::ModelPlan> plans;
  int builds = 0;
  // Seconds of a kernel with a trace in the model, negative: its library computes something else.
  std::map<std::string, double> in_place = {{"a x", 1e-3}, {"a y", 1e-3}, {"a z", 1e-3},
                                            {"a ", 2e-3},  {"b v", 1e-3}, {"b ", 3e-3}};
  std::optional<double> others;  // of kernels with other traces; none: there are to be none
  std::string manifest = kManifest;
  std::string refused;                   // a library with this in its text can't be built
  std::string late;                      // the library of this text doesn't end
  std::map<std::string, double> totals;  // of libraries whose runs take other than their kernels
  bool never_ends = false;               // a measurement
  std::vector<std::string> doing;
  std::unique_ptr<test::FakeWorker> worker;
  std::unique_ptr<v1::LibraryService::Stub> libraries;
};

}  // namespace tessera::server
