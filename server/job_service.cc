#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "proto/checks.h"
#include "proto/convert.h"
#include "proto/limits.h"
#include "server/client_services.h"

namespace tessera::server {
namespace {

constexpr int kDefaultJobs = 100;
constexpr int kMaxJobs = 10'000;
constexpr absl::Duration kWatchInterval = absl::Milliseconds(100);

}  // namespace

grpc::Status JobServiceImpl::CreateJob(grpc::ServerContext*, const v1::CreateJobRequest* request,
                                       v1::CreateJobReply* reply) {
  absl::StatusOr<db::Job> job = proto::FromProto(*request);
  if (!job.ok()) return ToClient(job.status());
  const absl::StatusOr<int64_t> id = jobs_.Create(*std::move(job));
  if (!id.ok()) return ToClient(id.status());
  reply->set_job_id(*id);
  return grpc::Status::OK;
}

grpc::Status JobServiceImpl::GetJob(grpc::ServerContext*, const v1::GetJobRequest* request,
                                    v1::Job* reply) {
  proto::Checks check;
  const std::string key =
      check.Name("idempotency_key", request->idempotency_key(), proto::kMaxNameBytes);
  if (!check.status().ok()) return ToClient(check.status());
  absl::StatusOr<db::Job> job =
      key.empty() ? store_.GetJob(request->job_id()) : store_.FindJob(key);
  if (!job.ok()) return ToClient(job.status());
  if (!db::HasEnded(job->state)) job->message = jobs_.Remark(job->id);
  *reply = proto::ToProto(*job);
  return grpc::Status::OK;
}

grpc::Status JobServiceImpl::ListJobs(grpc::ServerContext*, const v1::ListJobsRequest* request,
                                      v1::ListJobsReply* reply) {
  if (request->limit() < 0 || request->limit() > kMaxJobs) {
    return ToClient(absl::InvalidArgumentError(
        absl::StrCat("limit: ", request->limit(), " is outside 0 to ", kMaxJobs)));
  }
  absl::StatusOr<std::vector<db::Job>> jobs =
      store_.ListJobs(request->limit() == 0 ? kDefaultJobs : request->limit());
  if (!jobs.ok()) return ToClient(jobs.status());
  for (db::Job& job : *jobs) {
    if (!db::HasEnded(job.state)) job.message = jobs_.Remark(job.id);
    for (db::Task& task : job.tasks) task.workload.clear();
    *reply->add_jobs() = proto::ToProto(job);
  }
  return grpc::Status::OK;
}

grpc::Status JobServiceImpl::WatchJob(grpc::ServerContext* context,
                                      const v1::WatchJobRequest* request,
                                      grpc::ServerWriter<v1::JobProgress>* writer) {
  const absl::StatusOr<CallLimit::Slot> slot = watches_.Enter();
  if (!slot.ok()) return ToClient(slot.status());
  std::string sent;
  using Seen = std::pair<JobManager::Version, std::optional<proto::ModelTime>>;
  std::optional<Seen> seen;
  while (!context->IsCancelled()) {
    const Seen now(jobs_.ProgressVersion(request->job_id()), times_.Latest(request->job_id()));
    if (seen == now) {
      clock_.SleepFor(kWatchInterval);
      continue;
    }
    seen = now;
    absl::StatusOr<proto::JobProgress> progress = jobs_.Progress(request->job_id());
    if (!progress.ok()) return ToClient(progress.status());
    progress->model = now.second;
    const v1::JobProgress message = proto::ToProto(*progress);
    const std::string bytes = message.SerializeAsString();
    if (bytes != sent && !writer->Write(message)) break;
    sent = bytes;
    if (db::HasEnded(progress->state)) break;
  }
  return grpc::Status::OK;
}

grpc::Status JobServiceImpl::CancelJob(grpc::ServerContext*, const v1::CancelJobRequest* request,
                                       v1::CancelJobReply*) {
  return ToClient(jobs_.Cancel(request->job_id()));
}

}  // namespace tessera::server
