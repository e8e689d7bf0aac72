#include "server/model_facts.h"

#include <exception>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/view.h"
#include "proto/convert.h"
#include "proto/limits.h"

namespace tessera::server {
namespace {

using Json = nlohmann::json;

absl::Status CannotRun(std::string_view why) {
  return absl::FailedPreconditionError(
      absl::StrCat("the library's manifest.json doesn't say how to measure its model: ",
                   absl::string_view(why.data(), why.size())));
}

// A runner that is sent what is out of bounds ends its stream.
absl::Status CheckCanBeSent(proto::ModelPlan plan) {
  plan.fence = 1;
  plan.device = "device";
  plan.libraries.assign(2, {"libnet.so", std::string(64, '0'), 1});
  const absl::Status sent = proto::FromProto(proto::ToProto(proto::ServerMessage(plan))).status();
  return sent.ok() ? sent : CannotRun(StdView(sent.message()));
}

// Throws where something is missing or of another type; so below.
absl::StatusOr<ModelFacts> ReadBucket(const std::string& name, const Json& bucket,
                                      const Json& reference) {
  ModelFacts facts;
  facts.plan.name = name;
  facts.plan.bucket = bucket.at("name");
  for (const char* side : {"inputs", "outputs"}) {
    for (const Json& tensor : bucket.at(side)) {
      if (tensor.at("layout") != "row-major") {
        return CannotRun(tensor.at("name").get<std::string>() + " is not row-major");
      }
      facts.plan.buffers.push_back({.name = tensor.at("name"),
                                    .type = tensor.at("type"),
                                    .shape = tensor.at("shape"),
                                    .is_output = side[0] == 'o'});
    }
  }
  if (facts.plan.buffers.size() > proto::kMaxBuffers) {
    return CannotRun(absl::StrCat(facts.plan.buffers.size(), " inputs and outputs, at most ",
                                  proto::kMaxBuffers, " are passed"));
  }
  for (const Json& step : bucket.at("steps")) facts.step_ops.push_back(step.at("op"));
  facts.plan.steps = static_cast<int>(facts.step_ops.size());
  if (reference.contains("missing")) return facts;
  facts.plan.seed = reference.at("seed");
  int output = 0;
  for (const Json& expected : reference.at("outputs")) {
    facts.plan.tolerances.push_back({.absolute = expected.at("tolerance"), .relative = 0});
    const Json& elements = expected.at("elements");
    for (size_t i = 0; i < elements.size(); ++i) {
      facts.plan.samples.push_back({output, elements.at(i), expected.at("values").at(i)});
    }
    ++output;
  }
  return facts;
}

absl::StatusOr<std::vector<ModelFacts>> Read(const Json& manifest) {
  const Json& model = manifest.at("model");
  std::vector<ModelFacts> facts;
  if (!model.contains("buckets")) {
    TESSERA_ASSIGN_OR_RETURN(facts.emplace_back(),
                             ReadBucket(model.at("name"), model, manifest.at("reference")));
    return facts;
  }
  for (const Json& bucket : model.at("buckets")) {
    TESSERA_ASSIGN_OR_RETURN(facts.emplace_back(),
                             ReadBucket(model.at("name"), bucket, bucket.at("reference")));
  }
  return facts;
}

}  // namespace

absl::StatusOr<std::vector<ModelFacts>> ReadModelFacts(std::string_view manifest) {
  absl::StatusOr<std::vector<ModelFacts>> buckets;
  try {
    buckets = Read(Json::parse(manifest));
  } catch (const std::exception& error) {
    return CannotRun(error.what());
  }
  TESSERA_RETURN_IF_ERROR(buckets.status());
  for (const ModelFacts& bucket : *buckets) TESSERA_RETURN_IF_ERROR(CheckCanBeSent(bucket.plan));
  return buckets;
}

}  // namespace tessera::server
