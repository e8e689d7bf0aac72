#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "db/record/validate.h"
#include "proto/convert.h"
#include "server/answer.h"
#include "server/client_services.h"
#include "server/tasks.h"
#include "tuner/promotion.h"

namespace tessera::server {
namespace {

using Run = absl::StatusOr<tuner::ComparisonRun>;

// The program of a record, twice.
absl::StatusOr<tuner::ComparisonRequest> Twice(db::Store& store, int64_t record_id) {
  TESSERA_ASSIGN_OR_RETURN(const db::Record record, db::GetRecord(store, record_id));
  tuner::ComparisonRequest request;
  TESSERA_ASSIGN_OR_RETURN(request.task, FindTask(store, record.task_key));
  request.device_class = record.device_class;
  request.purpose = db::ComparisonPurpose::kSame;
  request.programs = {record, record};
  return request;
}

}  // namespace

grpc::Status DeviceServiceImpl::ListDevices(grpc::ServerContext*, const v1::ListDevicesRequest*,
                                            v1::ListDevicesReply* reply) {
  for (const db::Device& device : devices_.List()) *reply->add_devices() = proto::ToProto(device);
  return grpc::Status::OK;
}

grpc::Status DeviceServiceImpl::Drain(grpc::ServerContext*, const v1::DrainRequest* request,
                                      v1::DrainReply*) {
  return ToClient(dispatcher_.Drain(request->device(), request->reason()));
}

grpc::Status DeviceServiceImpl::Resume(grpc::ServerContext*, const v1::ResumeRequest* request,
                                       v1::ResumeReply*) {
  return ToClient(dispatcher_.Resume(request->device()));
}

grpc::Status DeviceServiceImpl::CompareWithItself(grpc::ServerContext* context,
                                                  const v1::CompareWithItselfRequest* request,
                                                  v1::Comparison* reply) {
  const absl::StatusOr<CallLimit::Slot> slot = comparisons_.Enter();
  if (!slot.ok()) return ToClient(slot.status());
  const absl::StatusOr<tuner::ComparisonRequest> twice = Twice(store_, request->record_id());
  if (!twice.ok()) return ToClient(twice.status());
  const std::string missing = dispatcher_.Missing(twice->task, twice->device_class);
  if (!missing.empty()) return ToClient(absl::FailedPreconditionError(missing));

  const auto answer = std::make_shared<Answer<Run>>();
  const uint64_t number =
      dispatcher_.StartComparison(*twice, [answer](Run run) { answer->Set(std::move(run)); });
  const std::optional<Run> run = answer->Await([context] { return context->IsCancelled(); });
  if (!run) {
    dispatcher_.CancelComparison(number);
    return grpc::Status::CANCELLED;
  }
  // Given back: its device has gone.
  if (absl::IsCancelled(run->status())) {
    return ToClient(absl::AbortedError(run->status().message()));
  }
  if (!run->ok()) return ToClient(run->status());
  absl::StatusOr<db::Comparison> comparison =
      tuner::Judge(db::ComparisonPurpose::kSame, twice->programs, **run);
  if (!comparison.ok()) return ToClient(comparison.status());
  comparison->created = db::ToStoredPrecision(clock_.Now());
  const absl::StatusOr<int64_t> id = store_.AppendComparison(*comparison);
  if (!id.ok()) return ToClient(id.status());
  comparison->id = *id;
  *reply = proto::ToProto(*comparison);
  return grpc::Status::OK;
}

}  // namespace tessera::server
