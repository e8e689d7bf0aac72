#pragma once

#include <grpcpp/grpcpp.h>

#include "base/clock.h"
#include "base/content_store.h"
#include "db/record/store.h"
#include "proto/services.grpc.pb.h"
#include "server/call_limit.h"
#include "server/dispatcher.h"
#include "server/jobs.h"
#include "server/model_times.h"

// What clients call (proto/services.proto). The handlers validate, convert and delegate.

namespace tessera::server {

// Of the server's threads (kMaxServerThreads in server.cc).
inline constexpr int kMaxWatches = 64;
inline constexpr int kMaxLibraryBuilds = 16;
inline constexpr int kMaxSelections = 8;
inline constexpr int kMaxModelTransfers = 4;  // each holds the bytes of one
inline constexpr int kMaxSelfComparisons = 8;

// As a client is answered. UNAVAILABLE would say that the server is going down, so that trouble of
// its store or of a worker, which a server that runs on names, is ABORTED.
grpc::Status ToClient(const absl::Status& status);

class JobServiceImpl final : public v1::JobService::Service {
 public:
  JobServiceImpl(JobManager& jobs, const ModelTimes& times, db::Store& store, Clock& clock)
      : jobs_(jobs), times_(times), store_(store), clock_(clock) {}

  grpc::Status CreateJob(grpc::ServerContext* context, const v1::CreateJobRequest* request,
                         v1::CreateJobReply* reply) override;
  grpc::Status GetJob(grpc::ServerContext* context, const v1::GetJobRequest* request,
                      v1::Job* reply) override;
  grpc::Status ListJobs(grpc::ServerContext* context, const v1::ListJobsRequest* request,
                        v1::ListJobsReply* reply) override;
  grpc::Status WatchJob(grpc::ServerContext* context, const v1::WatchJobRequest* request,
                        grpc::ServerWriter<v1::JobProgress>* writer) override;
  grpc::Status CancelJob(grpc::ServerContext* context, const v1::CancelJobRequest* request,
                         v1::CancelJobReply* reply) override;

 private:
  JobManager& jobs_;
  const ModelTimes& times_;
  db::Store& store_;
  Clock& clock_;
  CallLimit watches_{"watches of jobs", kMaxWatches};
};

class LogServiceImpl final : public v1::LogService::Service {
 public:
  explicit LogServiceImpl(db::Store& store) : store_(store) {}

  grpc::Status QueryRecords(grpc::ServerContext* context, const v1::RecordFilter* request,
                            grpc::ServerWriter<v1::Record>* writer) override;
  grpc::Status Best(grpc::ServerContext* context, const v1::BestRequest* request,
                    v1::BestReply* reply) override;
  grpc::Status ListTasks(grpc::ServerContext* context, const v1::ListTasksRequest* request,
                         v1::ListTasksReply* reply) override;
  grpc::Status ListDeviceClasses(grpc::ServerContext* context,
                                 const v1::ListDeviceClassesRequest* request,
                                 v1::ListDeviceClassesReply* reply) override;
  grpc::Status ListModels(grpc::ServerContext* context, const v1::ListModelsRequest* request,
                          v1::ListModelsReply* reply) override;
  grpc::Status GetModel(grpc::ServerContext* context, const v1::GetModelRequest* request,
                        grpc::ServerWriter<v1::ModelChunk>* writer) override;
  grpc::Status PutModel(grpc::ServerContext* context, grpc::ServerReader<v1::ModelChunk>* reader,
                        v1::PutModelReply* reply) override;
  grpc::Status ListComparisons(grpc::ServerContext* context,
                               const v1::ListComparisonsRequest* request,
                               v1::ListComparisonsReply* reply) override;

 private:
  db::Store& store_;
  CallLimit model_transfers_{"transfers of models", kMaxModelTransfers};
};

class LibraryServiceImpl final : public v1::LibraryService::Service {
 public:
  LibraryServiceImpl(db::Store& store, Dispatcher& dispatcher, ContentStore& artifacts,
                     Clock& clock)
      : store_(store), dispatcher_(dispatcher), artifacts_(artifacts), clock_(clock) {}

  grpc::Status CreateSelection(grpc::ServerContext* context,
                               const v1::CreateSelectionRequest* request,
                               v1::Selection* reply) override;
  grpc::Status BuildLibrary(grpc::ServerContext* context, const v1::BuildLibraryRequest* request,
                            grpc::ServerWriter<v1::FileChunk>* writer) override;
  grpc::Status ChooseInPlace(grpc::ServerContext* context, const v1::ChooseInPlaceRequest* request,
                             grpc::ServerWriter<v1::ChooseInPlaceReply>* writer) override;

 private:
  grpc::Status Send(absl::Span<const db::LibraryFile> files,
                    grpc::ServerWriter<v1::FileChunk>* writer);

  db::Store& store_;
  Dispatcher& dispatcher_;
  ContentStore& artifacts_;
  Clock& clock_;
  CallLimit selections_{"choices of records", kMaxSelections};
  CallLimit builds_{"builds of libraries", kMaxLibraryBuilds};
};

class DeviceServiceImpl final : public v1::DeviceService::Service {
 public:
  DeviceServiceImpl(DeviceRegistry& devices, Dispatcher& dispatcher, db::Store& store, Clock& clock)
      : devices_(devices), dispatcher_(dispatcher), store_(store), clock_(clock) {}

  grpc::Status ListDevices(grpc::ServerContext* context, const v1::ListDevicesRequest* request,
                           v1::ListDevicesReply* reply) override;
  grpc::Status Drain(grpc::ServerContext* context, const v1::DrainRequest* request,
                     v1::DrainReply* reply) override;
  grpc::Status Resume(grpc::ServerContext* context, const v1::ResumeRequest* request,
                      v1::ResumeReply* reply) override;
  grpc::Status CompareWithItself(grpc::ServerContext* context,
                                 const v1::CompareWithItselfRequest* request,
                                 v1::Comparison* reply) override;

 private:
  DeviceRegistry& devices_;
  Dispatcher& dispatcher_;
  db::Store& store_;
  Clock& clock_;
  CallLimit comparisons_{"comparisons", kMaxSelfComparisons};
};

}  // namespace tessera::server
