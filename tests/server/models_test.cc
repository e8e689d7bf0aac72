#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "base/hash.h"
#include "proto/convert.h"
#include "proto/limits.h"
#include "tests/server/rig.h"
#include "tests/tuner/small_model.h"

namespace tessera::server {
namespace {

using test::SmallModel;
using tuner::ModelFile;

struct ModelRig : Rig {
  absl::Status Put(const ModelFile& model, size_t chunk_bytes = 1000) {
    grpc::ClientContext context;
    v1::PutModelReply reply;
    const auto writer = log->PutModel(&context, &reply);
    v1::ModelChunk chunk;
    *chunk.mutable_info() = proto::ToProto(model.info);
    for (size_t at = 0; at == 0 || at < model.bytes.size(); at += chunk_bytes) {
      chunk.set_data(model.bytes.substr(at, chunk_bytes));
      if (!writer->Write(chunk)) break;
      chunk.Clear();
    }
    writer->WritesDone();
    return proto::FromRpc(writer->Finish());
  }

  absl::StatusOr<ModelFile> Get(const std::string& name) {
    grpc::ClientContext context;
    v1::GetModelRequest request;
    request.set_name(name);
    const auto reader = log->GetModel(&context, request);
    ModelFile model;
    v1::ModelChunk chunk;
    for (bool first = true; reader->Read(&chunk); first = false) {
      CHECK(chunk.has_info() == first);
      if (first) model.info = proto::FromProto(chunk.info()).value();
      model.bytes += chunk.data();
    }
    const absl::Status status = proto::FromRpc(reader->Finish());
    if (!status.ok()) return status;
    return model;
  }

  std::vector<std::string> Names() {
    grpc::ClientContext context;
    v1::ListModelsReply reply;
    REQUIRE(log->ListModels(&context, {}, &reply).ok());
    std::vector<std::string> names;
    for (const v1::ModelInfo& model : reply.models()) names.push_back(model.name());
    return names;
  }

  const std::unique_ptr<v1::LogService::Stub> log = v1::LogService::NewStub(channel);
};

TEST_CASE("a trained model is kept, listed and given back", "[server]") {
  ModelRig rig;
  ModelFile model = SmallModel("x86-1");
  REQUIRE(rig.Put(model).ok());
  REQUIRE(rig.Put(SmallModel("x86-2", 2)).ok());
  REQUIRE(rig.Put(model, proto::kMaxChunkBytes).ok());  // again
  CHECK(rig.Names() == std::vector<std::string>{"x86-2", "x86-1"});
  const absl::StatusOr<ModelFile> got = rig.Get("x86-1");
  REQUIRE(got.ok());
  CHECK(got->bytes == model.bytes);
  CHECK(got->info.created > absl::UnixEpoch());
  model.info.created = got->info.created;
  CHECK(got->info == model.info);
  CHECK(absl::IsNotFound(rig.Get("x86-3").status()));
}

TEST_CASE("models that no job could use are refused and not kept", "[server]") {
  ModelRig rig;
  const ModelFile good = SmallModel("x86-1");
  const auto code_after = [&](auto change) {
    ModelFile model = good;
    change(model);
    const absl::Status status = rig.Put(model);
    INFO(status);
    CHECK_FALSE(status.ok());
    return status.code();
  };
  using absl::StatusCode;
  CHECK(code_after([](ModelFile& m) { m.bytes.back() ^= 1; }) == StatusCode::kInvalidArgument);
  CHECK(code_after([](ModelFile& m) {
          m.bytes.pop_back();
          m.info.digest = Sha256Hex(m.bytes);
        }) == StatusCode::kDataLoss);
  for (const auto& [columns, columns_used] :
       {std::pair(1, 0),
        {1, 1},
        {costmodel::FeatureCount(ir::TargetKind::kX86) + 1, 0},
        {1'000'000'000, 0}}) {
    CAPTURE(columns, columns_used);
    CHECK(code_after([&](ModelFile& m) {
            m.bytes = test::ModelOfNoTrees(columns, columns_used);
            m.info.digest = Sha256Hex(m.bytes);
          }) == StatusCode::kFailedPrecondition);
  }
  for (const int columns_used : {-1, costmodel::FeatureCount(ir::TargetKind::kX86) + 1}) {
    CAPTURE(columns_used);
    CHECK(code_after([&](ModelFile& m) {
            m.bytes =
                test::ModelOfNoTrees(costmodel::FeatureCount(ir::TargetKind::kX86), columns_used);
            m.info.digest = Sha256Hex(m.bytes);
          }) == StatusCode::kDataLoss);
  }
  CHECK(code_after([](ModelFile& m) { m.info.cost_model = "tarot"; }) ==
        StatusCode::kInvalidArgument);
  CHECK(code_after([](ModelFile& m) { m.info.cost_model = "ensemble"; }) ==
        StatusCode::kFailedPrecondition);
  CHECK(code_after([](ModelFile& m) { ++m.info.feature_version; }) ==
        StatusCode::kFailedPrecondition);
  CHECK(code_after([](ModelFile& m) { m.info.name = "auto"; }) == StatusCode::kInvalidArgument);
  CHECK(code_after([](ModelFile& m) { m.info.name.clear(); }) == StatusCode::kInvalidArgument);
  CHECK(rig.Names().empty());
  CHECK(absl::IsNotFound(rig.store->GetBlob(good.info.digest).status()));

  REQUIRE(rig.Put(good).ok());
  const ModelFile other = SmallModel("x86-1", 2);
  CHECK(absl::IsAlreadyExists(rig.Put(other)));
  CHECK(absl::IsNotFound(rig.store->GetBlob(other.info.digest).status()));
}

TEST_CASE("an upload of no model is refused", "[server]") {
  ModelRig rig;
  grpc::ClientContext context;
  v1::PutModelReply reply;
  const auto writer = rig.log->PutModel(&context, &reply);
  writer->WritesDone();
  CHECK(proto::FromRpc(writer->Finish()) == absl::InvalidArgumentError("model: no chunk came"));
}

TEST_CASE("comparisons are listed, newest first, of a task and class", "[server]") {
  ModelRig rig;
  std::vector<db::Record> records(2);
  for (size_t i = 0; i < records.size(); ++i) {
    records[i].task_key = Rig::Task().Key();
    records[i].attempt_key = absl::StrCat(i);
    records[i].measurement.outcome = db::Outcome::kTimeout;
  }
  REQUIRE(rig.store->Append(records, {}).ok());
  db::Comparison comparison;
  comparison.task_key = Rig::Task().Key();
  comparison.device_class = "x86/fake";
  comparison.record_ids = {1, 2};
  comparison.sample_seconds = {{2e-3, 2e-3}, {1e-3, 1e-3}};
  comparison.promoted = 2;
  comparison.ratio_low = comparison.ratio = comparison.ratio_high = 0.5;
  for (int i = 0; i < 3; ++i) REQUIRE(rig.store->AppendComparison(comparison).ok());
  comparison.purpose = db::ComparisonPurpose::kSame;
  comparison.record_ids = {2};
  REQUIRE(rig.store->AppendComparison(comparison).ok());
  const auto ids = [&](const std::string& task_key, const std::string& device_class, int limit,
                       int purpose = v1::COMPARISON_PURPOSE_UNSPECIFIED) {
    grpc::ClientContext context;
    v1::ListComparisonsRequest request;
    request.set_task_key(task_key);
    request.set_device_class(device_class);
    request.set_limit(limit);
    request.set_purpose(static_cast<v1::ComparisonPurpose>(purpose));
    v1::ListComparisonsReply reply;
    const absl::Status status = proto::FromRpc(rig.log->ListComparisons(&context, request, &reply));
    std::vector<int64_t> listed;
    if (!status.ok()) return std::vector<int64_t>{-static_cast<int64_t>(status.code())};
    for (const v1::Comparison& one : reply.comparisons()) listed.push_back(one.id());
    return listed;
  };
  using Ids = std::vector<int64_t>;
  CHECK(ids("", "", 0) == Ids{4, 3, 2, 1});
  CHECK(ids(comparison.task_key, "x86/fake", 2) == Ids{4, 3});
  CHECK(ids("", "", 0, v1::COMPARISON_PURPOSE_SAME) == Ids{4});
  CHECK(ids("", "", 2, v1::COMPARISON_PURPOSE_PROMOTION) == Ids{3, 2});
  CHECK(ids("", "x86/other", 0).empty());
  constexpr auto kRefused = -static_cast<int64_t>(absl::StatusCode::kInvalidArgument);
  CHECK(ids("no key", "", 0) == Ids{kRefused});
  CHECK(ids("", "", -1) == Ids{kRefused});
  CHECK(ids("", "", 1001) == Ids{kRefused});
  CHECK(ids("", "", 0, 7) == Ids{kRefused});
}

}  // namespace
}  // namespace tessera::server
