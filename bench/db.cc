// Appends and queries of the SQLite store.
//   build/bin/bench_db [--records N] [--out FILE]

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/rng.h"
#include "db/sqlite/sqlite_store.h"

namespace tessera::db {
namespace {

constexpr int kTasks = 20;
constexpr char kDeviceClass[] = "x86/bench/2c";

[[noreturn]] void Fail(const std::string& message) {
  std::fprintf(stderr, "bench_db: %s\n", message.c_str());
  std::exit(1);
}

template <typename T>
T OrFail(absl::StatusOr<T> value) {
  if (!value.ok()) Fail(value.status().ToString());
  return std::move(value).value();
}

std::string TaskKey(int64_t number) { return absl::StrFormat("%064d", number % kTasks); }

// As long as records of real trials.
Record MakeRecord(Rng& rng, int64_t number) {
  Record record;
  record.task_key = TaskKey(number);
  record.trial = number;
  record.attempt_key = absl::StrCat("1/", number, "/0/1");
  record.trace = absl::StrCat("trace ", number, " ") + std::string(800, 't');
  record.config = std::string(200, 'c');
  record.loop_hash = absl::StrFormat("%016x", rng.Next());
  record.artifact = std::string(64, 'a');
  record.device = "bench/cpu";
  record.device_class = kDeviceClass;
  record.explorer = "annealing";
  record.seed = rng.Next();
  record.measurement.outcome = Outcome::kOk;
  for (int i = 0; i < 5; ++i) {
    record.measurement.sample_seconds.push_back(1e-4 + 1e-3 * rng.Uniform());
    record.measurement.sample_calls.push_back(100);
  }
  record.tessera_version = "bench";
  return record;
}

Event MakeEvent(int64_t job_id, int64_t sequence, const Record& record) {
  Event event;
  event.job_id = job_id;
  event.sequence = sequence;
  event.kind = EventKind::kResult;
  event.trial = record.trial;
  event.task_index = 0;
  event.outcome = record.measurement.outcome;
  event.cost_seconds = record.measurement.CostSeconds();
  return event;
}

// The median of three runs of `work`, which returns how many things it did.
double PerSecond(const std::function<int64_t()>& work) {
  std::vector<double> rates;
  for (int run = 0; run < 3; ++run) {
    const auto start = std::chrono::steady_clock::now();
    const int64_t count = work();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    rates.push_back(static_cast<double>(count) / took.count());
  }
  std::sort(rates.begin(), rates.end());
  return rates[1];
}

class Bench {
 public:
  explicit Bench(const std::string& path)
      : store_(OrFail(SqliteStore::Open(path, Clock::Real()))) {}

  // A record and its event an append, as results arrive.
  double AppendSingle(int64_t count) {
    return PerSecond([&] {
      AppendAlone(count);
      return count;
    });
  }

  double AppendBatches(int64_t count, int64_t batch) {
    return PerSecond([&] {
      for (int64_t done = 0; done < count; done += batch) {
        std::vector<Record> records;
        for (int64_t i = 0; i < batch; ++i) records.push_back(MakeRecord(rng_, next_++));
        OrFail(store_->Append(records, {}));
      }
      return count;
    });
  }

  double AppendConcurrently(int64_t count, int thread_count) {
    return PerSecond([&] {
      const int64_t share = count / thread_count;
      std::vector<std::thread> threads;
      for (int t = 0; t < thread_count; ++t) {
        threads.emplace_back([this, share, first = next_ + t * share] {
          Rng rng(static_cast<uint64_t>(first));
          for (int64_t i = 0; i < share; ++i) {
            OrFail(store_->Append({MakeRecord(rng, first + i)}, {}));
          }
        });
      }
      next_ += share * thread_count;
      for (std::thread& thread : threads) thread.join();
      return share * thread_count;
    });
  }

  void FillUpTo(int64_t count) {
    while (next_ < count) {
      std::vector<Record> records;
      for (int i = 0; i < 1000; ++i) records.push_back(MakeRecord(rng_, next_++));
      OrFail(store_->Append(records, {}));
    }
  }

  double BestTen(int64_t count, std::string_view device_class) {
    return PerSecond([&] {
      for (int64_t i = 0; i < count; ++i) {
        if (OrFail(store_->Best(TaskKey(i), device_class, 10)).size() != 10) Fail("best: not ten");
      }
      return count;
    });
  }

  // Pages of 1000 records, in records a second.
  double ReadPages(int64_t count) {
    return PerSecond([&] {
      RecordFilter filter;
      int64_t read = 0;
      while (read < count) {
        const std::vector<Record> page = OrFail(store_->QueryRecords(filter));
        if (page.empty()) break;
        read += static_cast<int64_t>(page.size());
        filter.after_id = page.back().id;
      }
      return read;
    });
  }

  int64_t records() const { return next_; }

 private:
  void AppendAlone(int64_t count) {
    const int64_t job = OrFail(store_->CreateJob(Job()));
    for (int64_t i = 0; i < count; ++i) {
      const Record record = MakeRecord(rng_, next_++);
      OrFail(store_->Append({record}, {MakeEvent(job, i + 1, record)}));
    }
  }

  std::unique_ptr<SqliteStore> store_;
  Rng rng_{1};
  int64_t next_ = 0;
};

int Main(int argc, char** argv) {
  int64_t records = 100'000;
  std::string out = "build/bench/db.json";
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string flag = argv[i];
    if (flag == "--records" && absl::SimpleAtoi(argv[i + 1], &records)) continue;
    if (flag == "--out") {
      out = argv[i + 1];
      continue;
    }
    Fail("usage: bench_db [--records N] [--out FILE]");
  }
  // Beside the result, so that the disk measured is that of the build folder.
  const std::filesystem::path folder = std::filesystem::path(out).parent_path();
  if (!folder.empty()) std::filesystem::create_directories(folder);
  const std::filesystem::path scratch = folder / "db_scratch";
  std::filesystem::remove_all(scratch);
  std::filesystem::create_directories(scratch);

  std::string json;
  {
    Bench bench((scratch / "bench.db").string());
    std::vector<std::pair<std::string, double>> figures;
    auto note = [&](const std::string& name, double rate) {
      std::printf("%-32s %12.0f\n", name.c_str(), rate);
      figures.emplace_back(name, rate);
    };
    note("appends_per_s_single", bench.AppendSingle(2'000));
    note("appends_per_s_8_threads", bench.AppendConcurrently(8'000, 8));
    note("appends_per_s_32_threads", bench.AppendConcurrently(16'000, 32));
    note("records_per_s_batches_of_64", bench.AppendBatches(12'800, 64));
    bench.FillUpTo(records);
    note("best10_per_s", bench.BestTen(5'000, kDeviceClass));
    note("best10_per_s_any_device_class", bench.BestTen(5'000, ""));
    note("records_read_per_s", bench.ReadPages(50'000));
    json = absl::StrCat("{\n  \"records\": ", bench.records());
    for (const auto& [name, rate] : figures) {
      absl::StrAppendFormat(&json, ",\n  \"%s\": %.1f", name, rate);
    }
    json += "\n}\n";
  }
  std::filesystem::remove_all(scratch);
  std::ofstream file(out);
  file << json;
  file.close();
  if (!file) Fail("cannot write " + out);
  return 0;
}

}  // namespace
}  // namespace tessera::db

int main(int argc, char** argv) { return tessera::db::Main(argc, argv); }
