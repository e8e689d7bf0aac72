#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/third_party.h"
#include "proto/convert.h"
#include "proto/limits.h"
#include "server/client_services.h"

namespace tessera::server {
namespace {

constexpr int64_t kPageRecords = 500;
constexpr int kMaxBest = 1000;
constexpr int kDefaultComparisons = 100, kMaxComparisons = 1000;

absl::StatusOr<std::vector<db::Record>> FindBest(db::Store& store, const v1::BestRequest& request) {
  TESSERA_RETURN_IF_ERROR(proto::CheckDigest("task_key", request.task_key()));
  if (request.count() < 0 || request.count() > kMaxBest) {
    return absl::InvalidArgumentError(
        absl::StrCat("count: ", request.count(), " is outside 0 to ", kMaxBest));
  }
  TESSERA_ASSIGN_OR_RETURN(const std::string allowed, ParseAllowed(request.allow()));
  return store.Best(request.task_key(), request.device_class(), std::max(1, request.count()),
                    allowed);
}

absl::StatusOr<std::vector<db::Comparison>> FindComparisons(
    db::Store& store, const v1::ListComparisonsRequest& request) {
  if (!request.task_key().empty()) {
    TESSERA_RETURN_IF_ERROR(proto::CheckDigest("task_key", request.task_key()));
  }
  if (request.limit() < 0 || request.limit() > kMaxComparisons) {
    return absl::InvalidArgumentError(
        absl::StrCat("limit: ", request.limit(), " is outside 0 to ", kMaxComparisons));
  }
  std::optional<db::ComparisonPurpose> purpose;
  if (request.purpose() != v1::COMPARISON_PURPOSE_UNSPECIFIED) {
    TESSERA_ASSIGN_OR_RETURN(purpose, proto::FromProto(request.purpose()));
  }
  return store.ListComparisons(request.task_key(), request.device_class(), purpose,
                               request.limit() == 0 ? kDefaultComparisons : request.limit());
}

// How many of the tasks have a record that Best may give, by device class.
absl::StatusOr<std::map<std::string, int>> CountTasksOfClasses(
    db::Store& store, const v1::ListDeviceClassesRequest& request) {
  if (request.task_keys_size() > proto::kMaxTasks) {
    return absl::InvalidArgumentError(
        absl::StrCat("task_keys: ", request.task_keys_size(), " are more than ", proto::kMaxTasks));
  }
  std::map<std::string, int> counts;
  TESSERA_ASSIGN_OR_RETURN(const std::vector<std::string> classes, store.ListDeviceClasses());
  for (const std::string& name : classes) counts[name] = 0;
  for (const std::string& key : request.task_keys()) {
    TESSERA_RETURN_IF_ERROR(proto::CheckDigest("task_key", key));
    TESSERA_ASSIGN_OR_RETURN(const std::vector<std::string> ranked,
                             store.ListRankedDeviceClasses(key));
    for (const std::string& name : ranked) ++counts[name];
  }
  return counts;
}

}  // namespace

grpc::Status LogServiceImpl::QueryRecords(grpc::ServerContext* context,
                                          const v1::RecordFilter* request,
                                          grpc::ServerWriter<v1::Record>* writer) {
  absl::StatusOr<db::RecordFilter> filter = proto::FromProto(*request);
  if (!filter.ok()) return ToClient(filter.status());
  // In pages, so that neither side ever holds the whole log.
  int64_t left = filter->limit;
  while (left > 0 && !context->IsCancelled()) {
    filter->limit = std::min(left, kPageRecords);
    const absl::StatusOr<std::vector<db::Record>> page = store_.QueryRecords(*filter);
    if (!page.ok()) return ToClient(page.status());
    for (const db::Record& record : *page) {
      if (!writer->Write(proto::ToProto(record))) return grpc::Status::OK;
    }
    if (static_cast<int64_t>(page->size()) < filter->limit) break;
    left -= filter->limit;
    (filter->newest_first ? filter->before_id : filter->after_id) = page->back().id;
  }
  return grpc::Status::OK;
}

grpc::Status LogServiceImpl::Best(grpc::ServerContext*, const v1::BestRequest* request,
                                  v1::BestReply* reply) {
  const absl::StatusOr<std::vector<db::Record>> records = FindBest(store_, *request);
  if (!records.ok()) return ToClient(records.status());
  for (const db::Record& record : *records) *reply->add_records() = proto::ToProto(record);
  return grpc::Status::OK;
}

grpc::Status LogServiceImpl::ListTasks(grpc::ServerContext*, const v1::ListTasksRequest*,
                                       v1::ListTasksReply* reply) {
  const absl::StatusOr<std::vector<db::Task>> tasks = store_.ListTasks();
  if (!tasks.ok()) return ToClient(tasks.status());
  for (const db::Task& task : *tasks) *reply->add_tasks() = proto::ToProto(task);
  return grpc::Status::OK;
}

grpc::Status LogServiceImpl::ListComparisons(grpc::ServerContext*,
                                             const v1::ListComparisonsRequest* request,
                                             v1::ListComparisonsReply* reply) {
  const absl::StatusOr<std::vector<db::Comparison>> comparisons = FindComparisons(store_, *request);
  if (!comparisons.ok()) return ToClient(comparisons.status());
  for (const db::Comparison& comparison : *comparisons) {
    *reply->add_comparisons() = proto::ToProto(comparison);
  }
  return grpc::Status::OK;
}

grpc::Status LogServiceImpl::ListDeviceClasses(grpc::ServerContext*,
                                               const v1::ListDeviceClassesRequest* request,
                                               v1::ListDeviceClassesReply* reply) {
  const auto counts = CountTasksOfClasses(store_, *request);
  if (!counts.ok()) return ToClient(counts.status());
  for (const auto& [name, tasks] : *counts) {
    v1::RecordedDeviceClass* one = reply->add_classes();
    one->set_name(name);
    one->set_tasks(tasks);
  }
  return grpc::Status::OK;
}

}  // namespace tessera::server
