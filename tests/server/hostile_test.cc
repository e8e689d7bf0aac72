#include "server/server.h"

#include <google/protobuf/stubs/logging.h>

#include <catch2/catch.hpp>
#include <fstream>

#include "proto/limits.h"
#include "tests/server/rig.h"

namespace tessera::server {
namespace {

using test::FakeMeasurement;
using test::FakeWorker;

TEST_CASE("a corrupt artifact upload is refused", "[server]") {
  Rig rig;
  FakeWorker worker(rig.server->port(), {});
  CHECK(absl::IsDataLoss(worker.Upload(Sha256Hex("good"), "evil")));
  CHECK(absl::IsInvalidArgument(worker.Upload("../../etc/passwd", "x")));
  CHECK(worker.Upload(Sha256Hex("good"), "good").ok());
  CHECK(worker.Upload(Sha256Hex("good"), "good").ok());
  auto artifacts = v1::ArtifactService::NewStub(rig.channel);
  const auto download = [&](const std::string& digest, std::string* bytes) {
    grpc::ClientContext context;
    v1::DownloadRequest request;
    request.set_digest(digest);
    auto reader = artifacts->Download(&context, request);
    v1::Chunk chunk;
    while (reader->Read(&chunk)) bytes->append(chunk.data());
    return proto::FromRpc(reader->Finish());
  };
  std::string bytes;
  CHECK(download(Sha256Hex("good"), &bytes).ok());
  CHECK(bytes == "good");
  CHECK(absl::IsNotFound(download(Sha256Hex("evil"), &bytes)));
  std::ofstream(absl::StrCat(rig.directory.path, "/artifacts/", Sha256Hex("good"))) << "evil";
  CHECK(absl::IsDataLoss(download(Sha256Hex("good"), &bytes)));
}

TEST_CASE("an upload that stops early is refused", "[server]") {
  Rig rig;
  auto artifacts = v1::ArtifactService::NewStub(rig.channel);
  grpc::ClientContext context;
  v1::UploadReply reply;
  auto writer = artifacts->Upload(&context, &reply);
  v1::Chunk chunk;
  chunk.set_digest(Sha256Hex("whole"));
  chunk.set_size(5);
  chunk.set_data("who");
  writer->Write(chunk);
  writer->WritesDone();
  CHECK(absl::IsInvalidArgument(proto::FromRpc(writer->Finish())));
}

TEST_CASE("uploads that state too much together wait for others", "[server]") {
  Rig rig;
  auto artifacts = v1::ArtifactService::NewStub(rig.channel);
  struct Upload {
    grpc::ClientContext context;
    v1::UploadReply reply;
    std::unique_ptr<grpc::ClientWriter<v1::Chunk>> writer;
  };
  std::vector<std::unique_ptr<Upload>> held;
  const auto begin = [&](int64_t size) {
    held.push_back(std::make_unique<Upload>());
    Upload& upload = *held.back();
    upload.writer = artifacts->Upload(&upload.context, &upload.reply);
    v1::Chunk chunk;
    chunk.set_digest(Sha256Hex(absl::StrCat(held.size())));
    chunk.set_size(size);
    upload.writer->Write(chunk);
  };
  for (int i = 0; i < 4; ++i) begin(proto::kMaxArtifactBytes);
  FakeWorker worker(rig.server->port(), {});
  CHECK(test::Eventually(
      [&] { return absl::IsResourceExhausted(worker.Upload(Sha256Hex("a"), "a")); }));
  held.back()->context.TryCancel();
  CHECK(test::Eventually([&] { return worker.Upload(Sha256Hex("a"), "a").ok(); }));
  for (auto& upload : held) upload->context.TryCancel();
}

TEST_CASE("what a server doesn't have is named, and a model without it is refused", "[server]") {
  Rig rig;
  FakeWorker worker(rig.server->port(), {});
  REQUIRE(worker.Upload(Sha256Hex("graph"), "graph").ok());
  auto artifacts = v1::ArtifactService::NewStub(rig.channel);
  const auto missing = [&](const std::vector<std::string>& digests) {
    grpc::ClientContext context;
    v1::FindMissingRequest request;
    v1::FindMissingReply reply;
    for (const std::string& digest : digests) request.add_digests(digest);
    const absl::Status status = proto::FromRpc(artifacts->FindMissing(&context, request, &reply));
    return status.ok() ? absl::StatusOr<std::vector<std::string>>(std::vector<std::string>(
                             reply.digests().begin(), reply.digests().end()))
                       : status;
  };
  CHECK(missing({Sha256Hex("a"), Sha256Hex("graph"), Sha256Hex("b")}).value() ==
        std::vector<std::string>{Sha256Hex("a"), Sha256Hex("b")});
  CHECK(absl::IsInvalidArgument(missing({"../graph"}).status()));
  CHECK(absl::IsInvalidArgument(
      missing(std::vector<std::string>(proto::kMaxConstants + 1, Sha256Hex("a"))).status()));

  auto libraries = v1::LibraryService::NewStub(rig.channel);
  v1::CreateSelectionRequest select;
  select.set_name("net");
  v1::LibraryOp* op = select.add_ops();
  op->set_op("rows");
  *op->mutable_task() = proto::ToProto(Rig::Task(8));
  select.mutable_model()->set_graph(Sha256Hex("graph"));
  select.mutable_model()->add_constants(Sha256Hex("weights"));
  const auto create = [&] {
    grpc::ClientContext context;
    v1::Selection selection;
    return proto::FromRpc(libraries->CreateSelection(&context, select, &selection));
  };
  CHECK_THAT(std::string(create().message()),
             Catch::Contains("1 of the model's 2 artifacts are not there; upload them"));
  REQUIRE(worker.Upload(Sha256Hex("weights"), "weights").ok());
  CHECK(create().ok());
}

TEST_CASE("a hostile worker is cut off and the server serves on", "[server]") {
  const google::protobuf::LogSilencer silencer;
  Rig rig;
  {
    FakeWorker worker(rig.server->port(), {});
    worker.ConnectRaw();
    worker.Send(proto::Heartbeat{});  // before hello
    CHECK(absl::IsInvalidArgument(worker.WaitForEnd()));
  }
  {
    FakeWorker worker(rig.server->port(), {});
    worker.ConnectRaw();
    worker.Send(proto::Hello{.protocol_version = 99});
    CHECK(absl::IsFailedPrecondition(worker.WaitForEnd()));
  }
  {
    FakeWorker worker(rig.server->port(), {});
    worker.ConnectRaw();
    worker.Send(proto::Hello{
        .worker = "w",
        .instance = "i",
        .devices = {{.id = "w/cpu", .device_class = {"c", ""}, .target = "z80", .cores = 1}}});
    CHECK(absl::IsInvalidArgument(worker.WaitForEnd()));
  }
  {
    FakeWorker worker(rig.server->port(), {});
    worker.Connect();
    worker.Send(
        proto::Hello{.worker = "again", .instance = "i", .devices = {test::FakeDevice("x")}});
    CHECK(absl::IsInvalidArgument(worker.WaitForEnd()));
  }
  {
    FakeWorker worker(rig.server->port(), {});
    worker.Connect();
    v1::WorkerMessage message;
    v1::Measurement* measurement = message.mutable_run_result()->add_measurements();
    measurement->set_outcome(v1::OUTCOME_OK);
    measurement->add_sample_seconds(-1);
    worker.SendRaw(message);
    CHECK(absl::IsInvalidArgument(worker.WaitForEnd()));
  }
  for (uint64_t seed = 0; seed < 50; ++seed) {
    CAPTURE(seed);
    Rng rng(seed);
    FakeWorker worker(rig.server->port(), {});
    worker.Connect();
    std::string bytes =
        proto::ToProto(proto::WorkerMessage(proto::RunResult{
                           {1, 0, 1, 0, 1 + rng.Below(99)}, "fake/cpu", {FakeMeasurement()}}))
            .SerializeAsString();
    for (int i = 0; i < 4; ++i) bytes[rng.Below(bytes.size())] = static_cast<char>(rng.Next());
    v1::WorkerMessage message;
    message.ParsePartialFromString(bytes);
    worker.SendRaw(message);
  }
  FakeWorker worker(rig.server->port(), {.name = "good"});
  worker.Connect();
  const auto id = rig.Create(Rig::Request(5));
  REQUIRE(id.ok());
  CHECK(rig.WatchToEnd(*id).state() == v1::JOB_STATE_DONE);
}

// Says hello and that it holds what nobody knows, each of which is answered; reads nothing by
// itself. Its window does not grow: what is not read waits at the server.
struct DeafWorker {
  explicit DeafWorker(int port) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
    stub = v1::WorkerService::NewStub(grpc::CreateCustomChannel(
        absl::StrCat("127.0.0.1:", port), grpc::InsecureChannelCredentials(), arguments));
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    stream = stub->Connect(&context);
    for (uint64_t fence = 1; fence <= proto::kMaxHeld; ++fence) hello.held.push_back(fence);
    REQUIRE(Write(hello));
  }
  bool Write(const proto::WorkerMessage& message) { return stream->Write(proto::ToProto(message)); }
  // Reads to the end and returns how much there was.
  int ReadAll() {
    v1::ServerMessage message;
    int count = 0;
    while (stream->Read(&message)) ++count;
    return count;
  }

  proto::Hello hello{.worker = "deaf",
                     .instance = "i",
                     .devices = {test::FakeDevice("deaf/cpu")},
                     .build_slots = 1};
  std::unique_ptr<v1::WorkerService::Stub> stub;
  grpc::ClientContext context;
  std::unique_ptr<grpc::ClientReaderWriter<v1::WorkerMessage, v1::ServerMessage>> stream;
};

TEST_CASE("a worker that does not read what it is sent is cut off", "[server]") {
  Rig rig;
  DeafWorker worker(rig.server->port());
  const proto::BuildResult late{.fence = 1, .outcome = db::Outcome::kBuildError};
  int sent = 0;
  while (sent < 200'000 && worker.Write(late)) ++sent;
  CHECK(sent < 200'000);
  // Only now does it read: what was on its way, but not all answers.
  CHECK(worker.ReadAll() < proto::kMaxHeld);
  const grpc::StatusCode end = worker.stream->Finish().error_code();
  CHECK(end != grpc::StatusCode::OK);
  CHECK(end != grpc::StatusCode::DEADLINE_EXCEEDED);  // that is the test's own
}

TEST_CASE("a stream that ends does not wait for a worker that does not read", "[server]") {
  Rig rig;
  // Where the window is not full yet when the stream ends, there is nothing to wait for.
  grpc::StatusCode end = grpc::StatusCode::INVALID_ARGUMENT;
  for (int i = 0; i < 10 && end == grpc::StatusCode::INVALID_ARGUMENT; ++i) {
    DeafWorker worker(rig.server->port());
    absl::SleepFor(absl::Milliseconds(300));  // answers fill the window and wait to be read
    REQUIRE(worker.Write(worker.hello));      // the second hello ends the stream
    while (worker.Write(proto::Heartbeat{})) absl::SleepFor(absl::Milliseconds(10));
    worker.ReadAll();
    end = worker.stream->Finish().error_code();
  }
  CHECK(end == grpc::StatusCode::CANCELLED);
}

TEST_CASE("only loopback addresses are served", "[server]") {
  for (const char* good : {"127.0.0.1:0", "localhost:80", "[::1]:65535", "127.1.2.3:1"}) {
    CAPTURE(good);
    CHECK(CheckLoopback(good).ok());
  }
  for (const char* bad : {"0.0.0.0:1", "192.168.0.1:1", "127.0.0.1", "127.0.0.1:99999", ":1",
                          "127.evil.example:1", "127.0.0.1:x", ""}) {
    CAPTURE(bad);
    CHECK(absl::IsInvalidArgument(CheckLoopback(bad)));
  }
}

TEST_CASE("a port in use is one clear error", "[server]") {
  Rig rig;
  test::TemporaryDirectory other;
  ServerOptions options;
  options.listen = absl::StrCat("127.0.0.1:", rig.server->port());
  options.data_directory = other.path;
  const auto second =
      Server::Start(options, std::make_unique<SharedStore>(rig.store), Clock::Real(), ToySearch());
  REQUIRE_FALSE(second.ok());
  CHECK(second.status().message().find("is the port in use?") != absl::string_view::npos);
}

}  // namespace
}  // namespace tessera::server
