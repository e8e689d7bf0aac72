#include "db/record/export.h"

#include <catch2/catch.hpp>

#include <cmath>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/rng.h"
#include "tests/db/record/samples.h"

namespace tessera::db {
namespace {

using nlohmann::json;

// The rows of an RFC 4180 text.
std::vector<std::vector<std::string>> ParseCsv(const std::string& text) {
  std::vector<std::vector<std::string>> rows = {{""}};
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    std::string& field = rows.back().back();
    if (quoted && text[i] == '"' && i + 1 < text.size() && text[i + 1] == '"') {
      field += text[++i];
    } else if (text[i] == '"') {
      quoted = !quoted;
    } else if (quoted || (text[i] != ',' && text[i] != '\n')) {
      field += text[i];
    } else if (text[i] == ',') {
      rows.back().emplace_back();
    } else {
      rows.push_back({""});
    }
  }
  CHECK_FALSE(quoted);
  CHECK(rows.back() == std::vector<std::string>{""});  // the text ends with a line
  rows.pop_back();
  return rows;
}

std::map<std::string, std::string> CsvFields(const Record& record) {
  const auto rows = ParseCsv(RecordCsvHeader() + ToCsvLine(record));
  REQUIRE(rows.size() == 2);
  REQUIRE(rows[0].size() == rows[1].size());
  std::map<std::string, std::string> fields;
  for (size_t i = 0; i < rows[0].size(); ++i) fields[rows[0][i]] = rows[1][i];
  REQUIRE(fields.size() == rows[0].size());
  return fields;
}

TEST_CASE("CSV quotes what needs it and reads back", "[db]") {
  Record record = SampleRecord("task", "1/2/3/4");
  record.trace = "split i 4, 8\nfuse \"a\"\r\n";
  auto fields = CsvFields(record);
  CHECK(fields["trace"] == record.trace);
  CHECK(fields["config"] == record.config);
  CHECK(fields["seed"] == "18446744073709551615");
  CHECK(fields["outcome"] == "ok");
  CHECK(fields["stale"] == "false");
  CHECK(fields["created"] == "2023-11-14T22:13:20.123456Z");
  CHECK(fields["sample_calls"] == "10;11;12");
  CHECK(std::strtod(fields["cost_seconds"].c_str(), nullptr) == 1e-3);
}

TEST_CASE("a JSON line holds every field exactly", "[db]") {
  Record record = SampleRecord("task", "1/2/3/4", 1.0 / 3);
  record.id = 42;
  record.measurement.reason = "tab\t quote\" backslash\\ bell\x07 newline\n µ€𝄞";
  const std::string line = ToJsonLine(record);
  CHECK(line.find('\n') == line.size() - 1);
  const json object = json::parse(line);
  CHECK(object["id"] == 42);
  CHECK(object["reason"] == record.measurement.reason);
  CHECK(object["sample_seconds"].get<std::vector<double>>() == record.measurement.sample_seconds);
  CHECK(object["sample_calls"].get<std::vector<int64_t>>() == record.measurement.sample_calls);
  CHECK(object["cost_seconds"].get<double>() == 1.0 / 3);
  CHECK(object["seed"] == "18446744073709551615");
  CHECK(object["peak_memory_bytes"] == int64_t{1} << 40);
  CHECK(object["stale"] == false);
  CHECK(object["trace"] == record.trace);
}

TEST_CASE("what is unknown is null in JSON and empty in CSV", "[db]") {
  const Record failed = FailedRecord("task", "a", Outcome::kTimeout);
  const json object = json::parse(ToJsonLine(failed));
  auto fields = CsvFields(failed);
  for (const char* name : {"cost_seconds", "cpu_mhz", "load_average", "temperature_celsius",
                           "reference_gflops", "peak_memory_bytes"}) {
    CAPTURE(name);
    CHECK(object.at(name).is_null());
    CHECK(fields.at(name).empty());
  }
  CHECK(object["sample_seconds"] == json::array());
  CHECK(object["outcome"] == "timeout");
}

TEST_CASE("both formats have the same fields", "[db]") {
  const Record record = SampleRecord("task", "a");
  const json object = json::parse(ToJsonLine(record));
  auto fields = CsvFields(record);
  CHECK(object.size() == fields.size());
  for (const auto& [name, value] : fields) CHECK(object.contains(name));
}

TEST_CASE("bytes that are not UTF-8 become the replacement character in JSON", "[db]") {
  const std::pair<std::string, std::string> cases[] = {
      {"a\xff"
       "b",
       "a\uFFFDb"},
      {"\xc3", "\uFFFD"},
      {"\xc0\x80", "\uFFFD\uFFFD"},
      {"\xed\xa0\x80", "\uFFFD\uFFFD\uFFFD"},
      {"\xf4\x90\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD"},
      {"\xe2\x82x", "\uFFFD\uFFFDx"}};
  for (const auto& [bytes, expected] : cases) {
    Record record = SampleRecord("task", "a");
    record.measurement.reason = bytes;
    CHECK(json::parse(ToJsonLine(record))["reason"] == expected);
  }
}

TEST_CASE("records of random bytes and numbers stay one valid line each", "[db]") {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    CAPTURE(seed);
    Rng rng(seed);
    const double seconds = std::ldexp(rng.Uniform() + 0.5, static_cast<int>(rng.Between(-40, 10)));
    Record record = SampleRecord("task", absl::StrCat(seed), seconds);
    for (int64_t i = rng.Between(0, 40); i > 0; --i) {
      record.trace += static_cast<char>(rng.Below(256));
    }
    const std::string line = ToJsonLine(record);
    CHECK(line.find('\n') == line.size() - 1);
    CHECK(json::parse(line)["cost_seconds"].get<double>() == record.measurement.CostSeconds());
    CHECK(CsvFields(record)["trace"] == record.trace);
  }
}

}  // namespace
}  // namespace tessera::db
