#include "cli/client.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <map>

#include "absl/base/thread_annotations.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/mutex.h"
#include "base/status.h"
#include "base/view.h"
#include "proto/artifact_upload.h"
#include "proto/checks.h"
#include "proto/convert.h"
#include "proto/limits.h"
#include "proto/rpc_status.h"
#include "proto/services.grpc.pb.h"

namespace tessera::cli {
namespace {

constexpr std::string_view kRepeatStep = "; start it again and repeat this command";
constexpr std::string_view kCreateStep =
    "; start it again. The job may have been made all the same: `tessera jobs` shows it. Repeating "
    "a command makes no second job when it has a --key";

using proto::FromProto;
using proto::ToProto;

class GrpcClient final : public Client {
 public:
  GrpcClient(const std::shared_ptr<grpc::Channel>& channel, std::string address)
      : address_(std::move(address)),
        jobs_(v1::JobService::NewStub(channel)),
        log_(v1::LogService::NewStub(channel)),
        library_(v1::LibraryService::NewStub(channel)),
        devices_(v1::DeviceService::NewStub(channel)),
        artifacts_(v1::ArtifactService::NewStub(channel)) {}

  absl::StatusOr<int64_t> CreateJob(const db::Job& job) override {
    v1::CreateJobRequest request;
    request.set_name(job.name);
    *request.mutable_options() = ToProto(job.options);
    for (const db::Task& task : job.tasks) *request.add_tasks() = ToProto(task);
    request.set_selection(job.selection);
    v1::CreateJobReply reply;
    grpc::ClientContext context;
    const grpc::Status status = jobs_->CreateJob(&context, request, &reply);
    TESSERA_RETURN_IF_ERROR(job.options.idempotency_key.empty()
                                ? WithNextStep(Answer(status), kCreateStep)
                                : Answer(status));
    return reply.job_id();
  }

  absl::StatusOr<db::Job> GetJob(int64_t id) override {
    v1::GetJobRequest request;
    request.set_job_id(id);
    v1::Job reply;
    grpc::ClientContext context;
    TESSERA_RETURN_IF_ERROR(Answer(jobs_->GetJob(&context, request, &reply)));
    return FromProto(reply);
  }

  absl::StatusOr<std::optional<db::Job>> FindJob(const std::string& key) override {
    v1::GetJobRequest request;
    request.set_idempotency_key(key);
    v1::Job reply;
    grpc::ClientContext context;
    const absl::Status found = Answer(jobs_->GetJob(&context, request, &reply));
    if (absl::IsNotFound(found)) return std::nullopt;
    TESSERA_RETURN_IF_ERROR(found);
    return FromProto(reply);
  }

  absl::StatusOr<std::vector<db::Job>> ListJobs(int limit) override {
    v1::ListJobsRequest request;
    request.set_limit(limit);
    v1::ListJobsReply reply;
    grpc::ClientContext context;
    TESSERA_RETURN_IF_ERROR(Answer(jobs_->ListJobs(&context, request, &reply)));
    std::vector<db::Job> jobs;
    for (const v1::Job& message : reply.jobs()) {
      // Listed jobs come without their tasks' texts; what is shown of them needs none.
      v1::Job without_tasks = message;
      without_tasks.clear_tasks();
      TESSERA_ASSIGN_OR_RETURN(db::Job job, FromProto(without_tasks));
      for (const v1::Task& task : message.tasks()) {
        job.tasks.emplace_back();
        job.tasks.back().name = task.name();
      }
      jobs.push_back(std::move(job));
    }
    return jobs;
  }

  absl::Status CancelJob(int64_t id) override {
    v1::CancelJobRequest request;
    request.set_job_id(id);
    v1::CancelJobReply reply;
    grpc::ClientContext context;
    return Answer(jobs_->CancelJob(&context, request, &reply));
  }

  absl::Status WatchJob(int64_t id,
                        const std::function<void(const proto::JobProgress&)>& show) override {
    v1::WatchJobRequest request;
    request.set_job_id(id);
    grpc::ClientContext context;
    TESSERA_RETURN_IF_ERROR(BeginWaiting(context));
    const auto reader = jobs_->WatchJob(&context, request);
    absl::Status status;
    v1::JobProgress message;
    while (status.ok() && reader->Read(&message)) {
      const absl::StatusOr<proto::JobProgress> progress = FromProto(message);
      status = progress.status();
      if (status.ok()) show(*progress);
    }
    if (!status.ok()) context.TryCancel();
    const absl::Status ended = EndWaiting(reader->Finish());
    return status.ok() ? ended : status;
  }

  void Interrupt() override {
    absl::MutexLock lock(&mutex_);
    interrupted_ = true;
    if (waiting_ != nullptr) waiting_->TryCancel();
  }

  absl::Status QueryRecords(const db::RecordFilter& filter,
                            const std::function<void(const db::Record&)>& take) override {
    grpc::ClientContext context;
    const auto reader = log_->QueryRecords(&context, ToProto(filter));
    v1::Record message;
    while (reader->Read(&message)) {
      TESSERA_ASSIGN_OR_RETURN(const db::Record record, FromProto(message));
      take(record);
    }
    return Answer(reader->Finish());
  }

  absl::StatusOr<std::vector<db::Record>> Best(const std::string& task_key,
                                               const std::string& device_class, int count,
                                               const std::string& allowed) override {
    v1::BestRequest request;
    request.set_task_key(task_key);
    request.set_device_class(device_class);
    request.set_count(count);
    request.set_allow(allowed);
    v1::BestReply reply;
    grpc::ClientContext context;
    TESSERA_RETURN_IF_ERROR(Answer(log_->Best(&context, request, &reply)));
    return Convert<db::Record>(reply.records());
  }

  absl::StatusOr<std::vector<db::Task>> ListTasks() override {
    v1::ListTasksReply reply;
    grpc::ClientContext context;
    TESSERA_RETURN_IF_ERROR(Answer(log_->ListTasks(&context, {}, &reply)));
    return Convert<db::Task>(reply.tasks());
  }

  absl::StatusOr<std::vector<RecordedClass>> ListDeviceClasses(
      const std::vector<std::string>& task_keys) override {
    v1::ListDeviceClassesRequest request;
    for (const std::string& key : task_keys) request.add_task_keys(key);
    v1::ListDeviceClassesReply reply;
    grpc::ClientContext context;
    TESSERA_RETURN_IF_ERROR(Answer(log_->ListDeviceClasses(&context, request, &reply)));
    std::vector<RecordedClass> classes;
    for (const v1::RecordedDeviceClass& one : reply.classes()) {
      classes.push_back({one.name(), one.tasks()});
    }
    return classes;
  }

  absl::StatusOr<std::vector<db::ModelInfo>> ListModels() override {
    v1::ListModelsReply reply;
    grpc::ClientContext context;
    TESSERA_RETURN_IF_ERROR(Answer(log_->ListModels(&context, {}, &reply)));
    return Convert<db::ModelInfo>(reply.models());
  }

  absl::StatusOr<tuner::ModelFile> GetModel(const std::string& name) override {
    v1::GetModelRequest request;
    request.set_name(name);
    grpc::ClientContext context;
    const auto reader = log_->GetModel(&context, request);
    v1::ModelInfo info;
    tuner::ModelFile model;
    v1::ModelChunk chunk;
    while (reader->Read(&chunk)) {
      if (chunk.has_info()) info = chunk.info();
      model.bytes += chunk.data();
    }
    TESSERA_RETURN_IF_ERROR(Answer(reader->Finish()));
    TESSERA_ASSIGN_OR_RETURN(model.info, FromProto(info));
    return model;
  }

  absl::Status PutModel(const tuner::ModelFile& model) override {
    grpc::ClientContext context;
    v1::PutModelReply reply;
    const auto writer = log_->PutModel(&context, &reply);
    v1::ModelChunk chunk;
    *chunk.mutable_info() = ToProto(model.info);
    for (size_t at = 0; at == 0 || at < model.bytes.size(); at += proto::kMaxChunkBytes) {
      chunk.set_data(model.bytes.substr(at, proto::kMaxChunkBytes));
      if (!writer->Write(chunk)) break;  // the server has its reasons, which Finish tells
      chunk.Clear();
    }
    writer->WritesDone();
    return Answer(writer->Finish());
  }

  absl::StatusOr<std::vector<db::Device>> ListDevices() override {
    v1::ListDevicesReply reply;
    grpc::ClientContext context;
    TESSERA_RETURN_IF_ERROR(Answer(devices_->ListDevices(&context, {}, &reply)));
    return Convert<db::Device>(reply.devices());
  }

  absl::Status DrainDevice(const std::string& device, const std::string& reason) override {
    v1::DrainRequest request;
    request.set_device(device);
    request.set_reason(reason);
    v1::DrainReply reply;
    grpc::ClientContext context;
    return Answer(devices_->Drain(&context, request, &reply));
  }

  absl::Status ResumeDevice(const std::string& device) override {
    v1::ResumeRequest request;
    request.set_device(device);
    v1::ResumeReply reply;
    grpc::ClientContext context;
    return Answer(devices_->Resume(&context, request, &reply));
  }

  absl::StatusOr<std::vector<db::Comparison>> ListComparisons(
      const std::string& task_key, const std::string& device_class,
      db::ComparisonPurpose purpose) override {
    v1::ListComparisonsRequest request;
    request.set_task_key(task_key);
    request.set_device_class(device_class);
    request.set_purpose(ToProto(purpose));
    request.set_limit(kMaxListedComparisons);
    v1::ListComparisonsReply reply;
    grpc::ClientContext context;
    TESSERA_RETURN_IF_ERROR(Answer(log_->ListComparisons(&context, request, &reply)));
    return Convert<db::Comparison>(reply.comparisons());
  }

  absl::StatusOr<db::Comparison> CompareWithItself(int64_t record) override {
    v1::CompareWithItselfRequest request;
    request.set_record_id(record);
    v1::Comparison reply;
    grpc::ClientContext context;
    TESSERA_RETURN_IF_ERROR(BeginWaiting(context));
    TESSERA_RETURN_IF_ERROR(EndWaiting(devices_->CompareWithItself(&context, request, &reply)));
    return FromProto(reply);
  }

  absl::StatusOr<std::vector<std::string>> FindMissing(
      const std::vector<std::string>& digests) override {
    std::vector<std::string> missing;
    for (size_t at = 0; at < digests.size(); at += proto::kMaxConstants) {
      v1::FindMissingRequest request;
      const size_t end = std::min<size_t>(digests.size(), at + proto::kMaxConstants);
      for (size_t i = at; i < end; ++i) request.add_digests(digests[i]);
      v1::FindMissingReply reply;
      grpc::ClientContext context;
      TESSERA_RETURN_IF_ERROR(Answer(artifacts_->FindMissing(&context, request, &reply)));
      missing.insert(missing.end(), reply.digests().begin(), reply.digests().end());
    }
    return missing;
  }

  absl::Status Upload(const std::string& digest, const std::string& bytes) override {
    if (IsInterrupted()) return absl::CancelledError("interrupted");
    return WithAddress(proto::UploadArtifact(*artifacts_, digest, bytes));
  }

  absl::StatusOr<db::Selection> CreateSelection(const db::Selection& selection,
                                                const std::string& allowed) override {
    v1::CreateSelectionRequest request;
    request.set_allow(allowed);
    request.set_name(selection.name);
    for (const db::SelectionItem& item : selection.items) {
      v1::LibraryOp* op = request.add_ops();
      op->set_op(item.op);
      *op->mutable_task() = ToProto(item.task);
      op->set_device_class(item.device_class);
    }
    if (selection.model) *request.mutable_model() = ToProto(*selection.model);
    v1::Selection reply;
    grpc::ClientContext context;
    TESSERA_RETURN_IF_ERROR(Answer(library_->CreateSelection(&context, request, &reply)));
    return FromProto(reply);
  }

  absl::StatusOr<db::Selection> ChooseInPlace(
      int64_t selection, const std::string& allowed,
      const std::function<void(const std::string&)>& doing) override {
    v1::ChooseInPlaceRequest request;
    request.set_allow(allowed);
    request.set_selection_id(selection);
    grpc::ClientContext context;
    TESSERA_RETURN_IF_ERROR(BeginWaiting(context));
    const auto reader = library_->ChooseInPlace(&context, request);
    std::optional<v1::Selection> chosen;
    v1::ChooseInPlaceReply reply;
    while (reader->Read(&reply)) {
      if (reply.has_chosen()) chosen = reply.chosen();
      if (!reply.doing().empty()) doing(proto::CleanText(reply.doing(), proto::kMaxTextBytes));
    }
    TESSERA_RETURN_IF_ERROR(EndWaiting(reader->Finish()));
    if (!chosen) return absl::DataLossError("the server sent no choice");
    return proto::FromProto(*chosen);
  }

  absl::StatusOr<std::vector<BuiltFile>> BuildLibrary(const LibraryOrder& order) override {
    v1::BuildLibraryRequest request;
    request.set_selection_id(order.selection);
    request.set_name(order.name);
    request.set_static_library(order.static_library);
    grpc::ClientContext context;
    TESSERA_RETURN_IF_ERROR(BeginWaiting(context));
    const auto reader = library_->BuildLibrary(&context, request);
    std::vector<BuiltFile> files;
    v1::FileChunk chunk;
    bool is_whole = true;
    while (reader->Read(&chunk)) {
      if (!chunk.name().empty()) files.push_back({chunk.name(), ""});
      is_whole = is_whole && !files.empty();
      if (is_whole) files.back().bytes += chunk.data();
    }
    TESSERA_RETURN_IF_ERROR(EndWaiting(reader->Finish()));
    if (!is_whole) return absl::DataLossError("the server sent bytes of no file");
    for (const BuiltFile& file : files) {
      if (file.name.find('/') == std::string::npos && !file.name.starts_with(".")) continue;
      return absl::DataLossError(absl::StrCat("the server sent a file named \"", file.name, "\""));
    }
    return files;
  }

 private:
  // What the server said, or that it is there no more.
  absl::Status Answer(const grpc::Status& status) const {
    return WithAddress(proto::FromRpc(status));
  }
  absl::Status WithAddress(const absl::Status& status) const {
    // A server that stops cancels its calls.
    const bool by_server = absl::IsCancelled(status) && !IsInterrupted();
    if (!absl::IsUnavailable(status) && !by_server) return status;
    return WentAway(address_, StdView(status.message()));
  }
  bool IsInterrupted() const {
    absl::MutexLock lock(&mutex_);
    return interrupted_;
  }

  template <typename Domain, typename Messages>
  static absl::StatusOr<std::vector<Domain>> Convert(const Messages& messages) {
    std::vector<Domain> values;
    for (const auto& message : messages) {
      TESSERA_ASSIGN_OR_RETURN(Domain value, FromProto(message));
      values.push_back(std::move(value));
    }
    return values;
  }

  // For a call that Interrupt ends.
  absl::Status BeginWaiting(grpc::ClientContext& context) {
    absl::MutexLock lock(&mutex_);
    if (interrupted_) return absl::CancelledError("interrupted");
    waiting_ = &context;
    return absl::OkStatus();
  }
  absl::Status EndWaiting(const grpc::Status& ended) {
    {
      absl::MutexLock lock(&mutex_);
      waiting_ = nullptr;
    }
    return Answer(ended);
  }

  mutable absl::Mutex mutex_;
  grpc::ClientContext* waiting_ ABSL_GUARDED_BY(mutex_) = nullptr;
  bool interrupted_ ABSL_GUARDED_BY(mutex_) = false;
  const std::string address_;
  const std::unique_ptr<v1::JobService::Stub> jobs_;
  const std::unique_ptr<v1::LogService::Stub> log_;
  const std::unique_ptr<v1::LibraryService::Stub> library_;
  const std::unique_ptr<v1::DeviceService::Stub> devices_;
  const std::unique_ptr<v1::ArtifactService::Stub> artifacts_;
};

}  // namespace

absl::StatusOr<const BuiltFile*> FindFile(absl::Span<const BuiltFile> files,
                                          const std::string& name) {
  const auto found = std::ranges::find(files, name, &BuiltFile::name);
  if (found != files.end()) return &*found;
  return absl::DataLossError(absl::StrCat("the library came without ", name, "; build it again"));
}

absl::Status WentAway(std::string_view address, std::string_view heard) {
  return absl::UnavailableError(absl::StrCat("the server at ", AbslView(address), " went away (",
                                             AbslView(heard), ")", AbslView(kRepeatStep)));
}

absl::Status WithNextStep(const absl::Status& status, std::string_view step) {
  absl::string_view fact = status.message();
  if (!absl::IsUnavailable(status) || !absl::ConsumeSuffix(&fact, AbslView(kRepeatStep))) {
    return status;
  }
  return absl::UnavailableError(absl::StrCat(fact, AbslView(step)));
}

absl::StatusOr<std::unique_ptr<Client>> Client::Connect(const std::string& address) {
  TESSERA_RETURN_IF_ERROR(proto::CheckAddress("--server", address, 1));
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(static_cast<int>(proto::kMaxMessageBytes));
  const auto channel =
      grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
  if (!channel->WaitForConnected(std::chrono::system_clock::now() + std::chrono::seconds(2))) {
    return absl::UnavailableError(
        absl::StrCat("no server answers at ", address,
                     "; start one with `tessera up`, or name yours with --server"));
  }
  return std::make_unique<GrpcClient>(channel, address);
}

}  // namespace tessera::cli
