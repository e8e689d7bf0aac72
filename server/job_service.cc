#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status.h"
#include "proto/convert.h"
#include "proto/rpc_status.h"
#include "server/client_services.h"

namespace tessera::server {
namespace {

constexpr int kDefaultJobs = 100;
constexpr int kMaxJobs = 10'000;
constexpr absl::Duration kWatchInterval = absl::Milliseconds(100);

// What is worth a line between two looks at a job.
std::vector<std::string> News(const proto::JobProgress& before, const proto::JobProgress& now) {
  std::vector<std::string> lines;
  for (size_t i = 0; i < now.tasks.size(); ++i) {
    const proto::TaskProgress& task = now.tasks[i];
    const bool known = i < before.tasks.size();
    const double best_before = known ? before.tasks[i].best_seconds : 0;
    if (task.best_seconds > 0 && task.best_seconds != best_before) {
      lines.push_back(absl::StrFormat("%s: best %.4g ms after %d of %d trials", task.name,
                                      task.best_seconds * 1e3, task.trials_done,
                                      task.trials_total));
    }
    if (task.done && !(known && before.tasks[i].done)) {
      lines.push_back(absl::StrCat(task.name, ": done after ", task.trials_done, " trials"));
    }
  }
  if (now.message != before.message && !now.message.empty()) lines.push_back(now.message);
  return lines;
}

bool Ended(db::JobState state) {
  return state != db::JobState::kQueued && state != db::JobState::kRunning;
}

}  // namespace

grpc::Status JobServiceImpl::CreateJob(grpc::ServerContext*, const v1::CreateJobRequest* request,
                                       v1::CreateJobReply* reply) {
  absl::StatusOr<db::Job> job = proto::FromProto(*request);
  if (!job.ok()) return proto::ToRpc(job.status());
  const absl::StatusOr<int64_t> id = jobs_.Create(*std::move(job));
  if (!id.ok()) return proto::ToRpc(id.status());
  reply->set_job_id(*id);
  return grpc::Status::OK;
}

grpc::Status JobServiceImpl::GetJob(grpc::ServerContext*, const v1::GetJobRequest* request,
                                    v1::Job* reply) {
  const absl::StatusOr<db::Job> job = store_.GetJob(request->job_id());
  if (!job.ok()) return proto::ToRpc(job.status());
  *reply = proto::ToProto(*job);
  return grpc::Status::OK;
}

grpc::Status JobServiceImpl::ListJobs(grpc::ServerContext*, const v1::ListJobsRequest* request,
                                      v1::ListJobsReply* reply) {
  if (request->limit() < 0 || request->limit() > kMaxJobs) {
    return proto::ToRpc(absl::InvalidArgumentError(
        absl::StrCat("limit: ", request->limit(), " is outside 0 to ", kMaxJobs)));
  }
  absl::StatusOr<std::vector<db::Job>> jobs =
      store_.ListJobs(request->limit() == 0 ? kDefaultJobs : request->limit());
  if (!jobs.ok()) return proto::ToRpc(jobs.status());
  for (db::Job& job : *jobs) {
    for (db::Task& task : job.tasks) task.workload.clear();
    *reply->add_jobs() = proto::ToProto(job);
  }
  return grpc::Status::OK;
}

grpc::Status JobServiceImpl::WatchJob(grpc::ServerContext* context,
                                      const v1::WatchJobRequest* request,
                                      grpc::ServerWriter<v1::JobProgress>* writer) {
  proto::JobProgress before;
  std::string sent;
  while (!context->IsCancelled()) {
    absl::StatusOr<proto::JobProgress> progress = jobs_.Progress(request->job_id());
    if (!progress.ok()) return proto::ToRpc(progress.status());
    progress->log_lines = News(before, *progress);
    const v1::JobProgress message = proto::ToProto(*progress);
    const std::string bytes = message.SerializeAsString();
    if (bytes != sent && !writer->Write(message)) break;
    sent = bytes;
    if (Ended(progress->state)) break;
    before = *std::move(progress);
    clock_.SleepFor(kWatchInterval);
  }
  return grpc::Status::OK;
}

grpc::Status JobServiceImpl::CancelJob(grpc::ServerContext*, const v1::CancelJobRequest* request,
                                       v1::CancelJobReply*) {
  return proto::ToRpc(jobs_.Cancel(request->job_id()));
}

}  // namespace tessera::server
