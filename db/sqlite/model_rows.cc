#include "db/sqlite/model_rows.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/view.h"
#include "db/record/store.h"
#include "db/record/validate.h"
#include "db/sqlite/json_numbers.h"
#include "db/sqlite/rows.h"

namespace tessera::db {
namespace {

constexpr char kModelColumns[] =
    "id, name, digest, cost_model, feature_version, tasks, records, origin, pairwise_accuracy, "
    "top1, top5, created_us";

struct ModelRow {
  int64_t id = 0;
  ModelInfo model;  // without device classes
};

absl::StatusOr<ModelRow> ReadModelRow(const Cursor& row) {
  ModelRow read;
  ModelInfo& m = read.model;
  int c = 0;
  read.id = row.Int(c++);
  m.name = row.Text(c++);
  m.digest = row.Text(c++);
  m.cost_model = row.Text(c++);
  m.feature_version = static_cast<int>(row.Int(c++));
  m.tasks = row.Int(c++);
  m.records = row.Int(c++);
  m.origin = row.Text(c++);
  m.pairwise_accuracy = row.Real(c++);
  m.top1 = row.Real(c++);
  m.top5 = row.Real(c++);
  m.created = FromMicros(row.Int(c++));
  return read;
}

absl::StatusOr<ModelInfo> WithClasses(Connection& connection, ModelRow row) {
  TESSERA_ASSIGN_OR_RETURN(
      Cursor cursor,
      connection.Query(
          "SELECT device_class FROM model_classes WHERE model_id = ? ORDER BY position", {row.id}));
  TESSERA_ASSIGN_OR_RETURN(row.model.device_classes,
                           ReadAll<std::string>(std::move(cursor), [](const Cursor& r) {
                             return absl::StatusOr<std::string>(r.Text(0));
                           }));
  return std::move(row.model);
}

absl::StatusOr<std::optional<ModelInfo>> FindModel(Connection& connection, std::string_view name) {
  static const std::string sql =
      absl::StrCat("SELECT ", kModelColumns, " FROM models WHERE name=?");
  std::optional<ModelRow> found;
  {
    TESSERA_ASSIGN_OR_RETURN(Cursor cursor, connection.Query(sql, {name}));
    TESSERA_ASSIGN_OR_RETURN(const bool row, cursor.Next());
    if (!row) return std::nullopt;
    TESSERA_ASSIGN_OR_RETURN(found, ReadModelRow(cursor));
  }
  TESSERA_ASSIGN_OR_RETURN(ModelInfo model, WithClasses(connection, *std::move(found)));
  return model;
}

// NotFound naming `what` unless `count_sql` counts a row for the value.
absl::Status Require(Connection& connection, std::string_view count_sql, const char* what,
                     int64_t id) {
  TESSERA_ASSIGN_OR_RETURN(const int64_t count, connection.QueryInt(count_sql, {id}));
  return count == 0 ? NoSuch(what, id) : absl::OkStatus();
}

absl::StatusOr<Comparison> ReadComparisonRow(const Cursor& row) {
  Comparison comparison;
  int c = 0;
  comparison.id = row.Int(c++);
  comparison.job_id = row.Int(c++);
  comparison.task_key = row.Text(c++);
  comparison.device = row.Text(c++);
  comparison.device_class = row.Text(c++);
  const absl::StatusOr<ComparisonPurpose> purpose = ParseComparisonPurpose(row.Text(c++));
  if (!purpose.ok()) {
    return absl::DataLossError(
        absl::StrCat("table comparisons, row ", comparison.id, ": ", purpose.status().message()));
  }
  comparison.purpose = *purpose;
  comparison.promoted = row.Int(c++);
  comparison.ratio_low = row.Real(c++);
  comparison.ratio = row.Real(c++);
  comparison.ratio_high = row.Real(c++);
  comparison.tessera_version = row.Text(c++);
  comparison.created = FromMicros(row.Int(c++));
  return comparison;
}

absl::Status ReadPrograms(Connection& connection, Comparison& comparison) {
  TESSERA_ASSIGN_OR_RETURN(
      Cursor cursor, connection.Query("SELECT record_id, sample_seconds FROM comparison_programs "
                                      "WHERE comparison_id = ? ORDER BY position",
                                      {comparison.id}));
  while (true) {
    TESSERA_ASSIGN_OR_RETURN(const bool row, cursor.Next());
    if (!row) return absl::OkStatus();
    if (comparison.purpose != ComparisonPurpose::kSame || comparison.record_ids.empty()) {
      comparison.record_ids.push_back(cursor.Int(0));
    }
    absl::StatusOr<std::vector<double>> samples = DoublesFromJson(cursor.Text(1));
    if (!samples.ok()) {
      return Annotate(samples.status(),
                      absl::StrCat("table comparison_programs, comparison ", comparison.id));
    }
    comparison.sample_seconds.push_back(*std::move(samples));
  }
}

}  // namespace

absl::Status InsertModel(Connection& connection, const ModelInfo& model, absl::Time now) {
  TESSERA_ASSIGN_OR_RETURN(
      const int64_t blobs,
      connection.QueryInt("SELECT count(*) FROM blobs WHERE digest = ?", {model.digest}));
  if (blobs == 0) return NoSuchBlob(model.digest);
  TESSERA_ASSIGN_OR_RETURN(const std::optional<ModelInfo> stored,
                           FindModel(connection, model.name));
  if (stored) return CheckIsSameModel(*stored, model);
  TESSERA_RETURN_IF_ERROR(connection.Execute(
      "INSERT INTO models (name, digest, cost_model, feature_version, tasks, records, origin, "
      "pairwise_accuracy, top1, top5, created_us) VALUES (?,?,?,?,?,?,?,?,?,?,?)",
      {model.name, model.digest, model.cost_model, int64_t{model.feature_version}, model.tasks,
       model.records, model.origin, model.pairwise_accuracy, model.top1, model.top5,
       absl::ToUnixMicros(StampOf(model.created, now))}));
  const int64_t id = connection.last_insert_id();
  for (size_t i = 0; i < model.device_classes.size(); ++i) {
    TESSERA_RETURN_IF_ERROR(connection.Execute(
        "INSERT INTO model_classes (model_id, position, device_class) VALUES (?,?,?)",
        {id, static_cast<int64_t>(i), model.device_classes[i]}));
  }
  return absl::OkStatus();
}

absl::StatusOr<ModelInfo> SelectModel(Connection& connection, std::string_view name) {
  TESSERA_ASSIGN_OR_RETURN(std::optional<ModelInfo> model, FindModel(connection, name));
  if (!model) return NoSuchModel(name);
  return *std::move(model);
}

absl::StatusOr<std::vector<ModelInfo>> SelectModels(Connection& connection) {
  static const std::string sql =
      absl::StrCat("SELECT ", kModelColumns, " FROM models ORDER BY id DESC");
  TESSERA_ASSIGN_OR_RETURN(Cursor cursor, connection.Query(sql));
  TESSERA_ASSIGN_OR_RETURN(std::vector<ModelRow> rows,
                           ReadAll<ModelRow>(std::move(cursor), ReadModelRow));
  std::vector<ModelInfo> models;
  for (ModelRow& row : rows) {
    TESSERA_ASSIGN_OR_RETURN(ModelInfo model, WithClasses(connection, std::move(row)));
    models.push_back(std::move(model));
  }
  return models;
}

absl::StatusOr<int64_t> InsertComparison(Connection& connection, const Comparison& comparison,
                                         absl::Time now) {
  if (comparison.job_id != 0) {
    TESSERA_RETURN_IF_ERROR(
        Require(connection, "SELECT count(*) FROM jobs WHERE id = ?", "job", comparison.job_id));
  }
  for (const int64_t id : comparison.record_ids) {
    TESSERA_RETURN_IF_ERROR(
        Require(connection, "SELECT count(*) FROM records WHERE id = ?", "record", id));
  }
  TESSERA_RETURN_IF_ERROR(connection.Execute(
      "INSERT INTO comparisons (job_id, task_key, device, device_class, purpose, promoted, "
      "ratio_low, ratio, ratio_high, tessera_version, created_us) VALUES (?,?,?,?,?,?,?,?,?,?,?)",
      {comparison.job_id, comparison.task_key, comparison.device, comparison.device_class,
       ToString(comparison.purpose), comparison.promoted, comparison.ratio_low, comparison.ratio,
       comparison.ratio_high, comparison.tessera_version,
       absl::ToUnixMicros(StampOf(comparison.created, now))}));
  const int64_t id = connection.last_insert_id();
  for (size_t i = 0; i < comparison.sample_seconds.size(); ++i) {
    const size_t program = std::min(i, comparison.record_ids.size() - 1);
    const std::string samples = NumbersToJson(comparison.sample_seconds[i]);
    TESSERA_RETURN_IF_ERROR(connection.Execute(
        "INSERT INTO comparison_programs (comparison_id, position, record_id, sample_seconds) "
        "VALUES (?,?,?,?)",
        {id, static_cast<int64_t>(i), comparison.record_ids[program], samples}));
  }
  return id;
}

absl::StatusOr<std::vector<Comparison>> SelectComparisons(Connection& connection,
                                                          std::string_view task_key,
                                                          std::string_view device_class,
                                                          std::optional<ComparisonPurpose> purpose,
                                                          int limit) {
  std::string sql =
      "SELECT id, job_id, task_key, device, device_class, purpose, promoted, ratio_low, ratio, "
      "ratio_high, tessera_version, created_us FROM comparisons WHERE id > 0";
  std::vector<SqlValue> values;
  if (!task_key.empty()) {
    sql += " AND task_key = ?";
    values.emplace_back(task_key);
  }
  if (!device_class.empty()) {
    sql += " AND device_class = ?";
    values.emplace_back(device_class);
  }
  if (purpose) {
    sql += " AND purpose = ?";
    values.emplace_back(ToString(*purpose));
  }
  sql += " ORDER BY id DESC LIMIT ?";
  values.emplace_back(int64_t{std::max(limit, 0)});
  TESSERA_ASSIGN_OR_RETURN(Cursor cursor, connection.Query(sql, values.data(), values.size()));
  TESSERA_ASSIGN_OR_RETURN(std::vector<Comparison> comparisons,
                           ReadAll<Comparison>(std::move(cursor), ReadComparisonRow));
  for (Comparison& comparison : comparisons) {
    TESSERA_RETURN_IF_ERROR(ReadPrograms(connection, comparison));
  }
  return comparisons;
}

}  // namespace tessera::db
