// The command line: parses arguments and hands them to commands.h.

#include <grpc/support/log.h>
#include <malloc.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <limits>

#include "absl/strings/str_cat.h"
#include "base/durable_file.h"
#include "base/version.h"
#include "base/view.h"
#include "cli/aa.h"
#include "cli/child_process.h"
#include "cli/command_options.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/path_status.h"
#include "cli/text.h"
#include "compiler/te/operators.h"
#include "costmodel/cost_model.h"
#include "proto/limits.h"
#include "tuner/explorer.h"
#include "tuner/task_programs.h"
#include "tuner/task_scheduler.h"

namespace {

using namespace tessera;  // NOLINT: this file is the program

constexpr int64_t kMaxId = 1'000'000'000'000'000;

}  // namespace

int main(int argc, char** argv) {
  // What gRPC has to say about a failed call comes back as its status.
  gpr_set_log_function([](gpr_log_func_args*) {});
  // A model's weights are copied a few times: memory that was let go is taken again rather than
  // cleared anew by the system, which a repeated request of a large model spent a quarter of its
  // time on.
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
  CLI::App app{"Tessera: a learned tuning service for tensor programs"};
  app.require_subcommand(0, 1);  // one, but an unknown one is better told by its name
  app.set_version_flag("--version", absl::StrCat("tessera ", std::string(Version())));
  app.footer("Exit codes: 0 done, 1 failed, 2 bad input, 3 demands not met, 130 interrupted.");
  app.failure_message([](const CLI::App*, const CLI::Error& error) {
    return absl::StrCat("tessera: ", error.what(), "; --help lists what there is\n");
  });
  absl::Status status;

  cli::UpOptions up;
  CLI::App* command = app.add_subcommand("up", "start a server and a local worker");
  command->add_option("--listen", up.listen, "address; port 0 picks a free one")
      ->capture_default_str();
  command->add_option("--data", up.data, "folder of the database and artifacts")
      ->capture_default_str()
      ->check(cli::NotEmpty());
  command->add_option("--isa", up.isa, "ceiling of the worker; default: what the machine has")
      ->check(CLI::IsMember({"sse4.2", "avx2", "avx512", "neon"}));
  cli::AddAllow(command, up.allow,
                "libraries that the worker loads for programs that call them: openblas, onednn");
  command->add_option("--cores", up.cores, "cores of the worker; 0: all")
      ->check(cli::WholeNumber(0, 1024));
  command->add_flag_callback("--no-worker", [&] { up.worker = false; }, "start the server alone");
  command->callback([&] { status = cli::RunUp(up); });

  cli::TuneOptions tune;
  command = app.add_subcommand("tune", "tune operators, or a model, and show the progress");
  cli::AddServer(command, tune.server);
  cli::AddSource(command, tune.source);
  cli::AddExtents(command, tune.source);
  cli::AddLayouts(command, tune.source);
  command
      ->add_option(
          "--target", tune.target,
          "what to generate code for; a kind alone (opencl, vta) is the connected device's; "
          "default: that of any")
      ->check(cli::NotEmpty());
  command->add_option("--device-class", tune.device_class,
                      "whose devices measure; default: that of the connected ones");
  command->add_option("--trials", tune.trials, "an operator; default: the file's, or 64")
      ->check(cli::WholeNumber(1, proto::kMaxTrialsPerTask));
  command->add_option("--budget", tune.budget, "trials of all operators together")
      ->check(cli::WholeNumber(1, proto::kMaxTrialsPerTask))
      ->excludes("--trials");
  command->add_option("--threads", tune.threads, "of a kernel; default: the file's, or 1")
      ->check(cli::WholeNumber(1, proto::kMaxThreads));
  command->add_option("--seed", tune.seed, "of the search; default: the file's, or 0")
      ->check(cli::WholeNumber(0, proto::kMaxSeed));
  command->add_option("--max-seconds", tune.max_seconds, "stop after this long")
      ->check(cli::Seconds());
  const db::JobOptions defaults;
  command->add_option("--explorer", tune.explorer,
                      absl::StrCat(tuner::ExplorerNames(), "; default: ", defaults.explorer));
  command->add_option(
      "--cost-model", tune.cost_model,
      absl::StrCat(costmodel::CostModelNames(), "; default: ", defaults.cost_model));
  command->add_option("--prior", tune.prior,
                      "what to begin with: auto, none, or a model's name; default: auto");
  command->add_option(
      "--scheduler", tune.scheduler,
      absl::StrCat(tuner::TaskSchedulerNames(),
                   ": which operator gets the next trial; default: the file's, gradient for a "
                   "model, else ",
                   defaults.scheduler));
  command->add_option("--key", tune.key, "idempotency key: an equal key finds the same job");
  cli::AddAllow(command, tune.allow,
                "libraries that programs may call: openblas, onednn; default: none");
  command->add_option("--report", tune.report, "also write the table as JSON to this file");
  command->add_flag("--detach", tune.detach, "print the job's number and return");
  command->callback([&] { status = cli::RunTune(tune); });

  cli::JobOptions watch;
  command = app.add_subcommand("watch", "show a job's progress until it has ended");
  cli::AddServer(command, watch.server);
  command->add_option("job", watch.job, "number")->required()->check(cli::WholeNumber(1, kMaxId));
  command->callback([&] { status = cli::RunWatch(watch); });

  cli::JobOptions jobs;
  command = app.add_subcommand("jobs", "list jobs, or report on one");
  cli::AddServer(command, jobs.server);
  command->add_option("job", jobs.job, "number; default: all")->check(cli::WholeNumber(1, kMaxId));
  command->add_flag("--cancel", jobs.cancel, "end it");
  command->add_flag("--json", jobs.json, "for programs");
  command->callback([&] { status = cli::RunJobs(jobs); });

  cli::BestOptions best;
  command = app.add_subcommand("best", "the fastest measured programs");
  cli::AddServer(command, best.server);
  command->add_option("task", best.task, "name, or how its key begins; default: all");
  command->add_option("--device-class", best.device_class, "default: any");
  command->add_option("--count", best.count, "of a task")
      ->capture_default_str()
      ->check(cli::WholeNumber(1, 1000));
  cli::AddAllow(command, best.allow, "what they may call, as of `tessera tune`");
  command->add_flag("--trace", best.trace, "print the traces too");
  command->add_flag("--json", best.json, "one JSON object a line");
  command->callback([&] { status = cli::RunBest(best); });

  cli::LogOptions log;
  command = app.add_subcommand("log", "the measurements, the newest by default");
  cli::AddServer(command, log.server);
  command->add_option("--task", log.task, "name, or how its key begins");
  command->add_option("--device-class", log.device_class, "default: any");
  command->add_option("--outcome", log.outcomes, "ok, build_error, timeout, …; repeatable");
  command->add_option("--job", log.job, "number; 0: all")->check(cli::WholeNumber(0, kMaxId));
  command->add_option("--after", log.after, "the first of the ids above; default: the newest")
      ->check(cli::WholeNumber(0, kMaxId));
  command->add_option("--limit", log.limit, "how many at most; says when there are more")
      ->capture_default_str()
      ->check(cli::WholeNumber(1, proto::kMaxQueryLimit));
  command->add_option("--format", log.format, "of the output")
      ->capture_default_str()
      ->check(CLI::IsMember({"table", "csv", "jsonl"}));
  command->callback([&] { status = cli::RunLog(log); });

  cli::ImportanceOptions importance;
  command = app.add_subcommand("importance", "which features a task's cost model looks at");
  cli::AddServer(command, importance.server);
  command->add_option("task", importance.task, "name, or how its key begins")
      ->required()
      ->check(cli::NotEmpty());
  command->add_option("--device-class", importance.device_class,
                      "default: the only one that measured it");
  command->add_option("--count", importance.count, "of the features")
      ->capture_default_str()
      ->check(cli::WholeNumber(1, 10'000));
  command->add_flag("--json", importance.json, "for programs");
  command->callback([&] { status = cli::RunImportance(importance); });

  cli::AaOptions aa;
  command = app.add_subcommand(
      "aa", "measure programs against themselves: how often is a difference found?");
  cli::AddServer(command, aa.server);
  command->add_option("task", aa.task, "name, or how its key begins; default: all with records");
  command->add_option("--device-class", aa.device_class,
                      "whose devices measure; default: that of the connected ones");
  command
      ->add_option("--pairs", aa.pairs,
                   absl::StrCat("over all tasks in turn; at most ", cli::kMaxPairs,
                                ", which --after can read back"))
      ->capture_default_str()
      ->check(cli::WholeNumber(1, cli::kMaxPairs));
  command->add_option("--after", aa.after, "go on with an interrupted campaign, as it said")
      ->check(cli::WholeNumber(0, kMaxId));
  command->add_flag("--json", aa.json, "for programs");
  command->callback([&] { status = cli::RunAa(aa); });

  cli::RequestOptions request;
  command = app.add_subcommand(
      "request", "have a library: tune what was not tuned before, build; a repeated call is quick");
  cli::AddServer(command, request.server);
  command->add_option("file,--model", request.source.file, "model (ONNX) or job file (YAML)");
  command->add_option("--op", request.source.words,
                      "one operator instead: matmul m=512 n=512 k=512");
  cli::AddExtents(command, request.source);
  cli::AddLayouts(command, request.source);
  command->add_option("--target", request.target, "as of `tessera tune`")->check(cli::NotEmpty());
  command->add_option("--device-class", request.device_class, "as of `tessera tune`");
  command->add_option("--budget", request.budget, "trials of all operators together")
      ->check(cli::WholeNumber(1, proto::kMaxTrialsPerTask))
      ->capture_default_str();
  command
      ->add_option("--max-wait", request.max_wait,
                   "for tuning: 20m, 1h30m; then what was measured until then counts")
      ->capture_default_str();
  command->add_option("--threads", request.threads, "of a kernel; default: the file's, or 1")
      ->check(cli::WholeNumber(1, proto::kMaxThreads));
  command
      ->add_option("--min-speedup", request.min_speedup,
                   "over the default schedules that has to be reached, else exit code 3")
      ->check(CLI::PositiveNumber);
  command->add_option(
      "--max-latency", request.max_latency,
      "that a run of the model (of each bucket together), or the kernels together, may take, 5ms, "
      "else exit code 3");
  command
      ->add_option("--max-error", request.max_error,
                   "that a model's outputs may be off, in parts of their largest value, 0.01, else "
                   "exit code 3")
      ->check(CLI::PositiveNumber);
  cli::AddAllow(command, request.allow, "as of `tessera tune`");
  command->add_option("--name", request.name, "as of `tessera build`");
  command->add_option("--out", request.out, "folder")->capture_default_str();
  command->add_flag("--static", request.static_library, "as of `tessera build`");
  command->add_option("--report", request.report, "file for a report (JSON)");
  cli::AddAlone(command, request.alone);
  command->callback([&] { status = cli::RunRequest(request); });

  cli::BuildOptions build;
  command = app.add_subcommand("build", "build a library of operators or a model from the log");
  cli::AddServer(command, build.server);
  cli::AddSource(command, build.source);
  cli::AddExtents(command, build.source);
  cli::AddLayouts(command, build.source);
  command->add_option("--job", build.job, "build for this job's operators")
      ->check(cli::WholeNumber(1, kMaxId));
  command
      ->add_option("--device-class", build.device_classes,
                   "whose records count; repeatable: a version each; default: all with records")
      ->allow_extra_args(false);
  command->add_option(
      "--target", build.target,
      "what to generate code for, as of `tessera tune`; default: the device class's");
  command->add_option("--cpu", build.cpu,
                      "of a library for a device, what its versions for CPUs are for, such as "
                      "arm/neon; default: those with records, else this machine's kind");
  command->add_option("--threads", build.threads, "tuned for this many")
      ->check(cli::WholeNumber(1, proto::kMaxThreads));
  cli::AddAllow(
      command, build.allow,
      "libraries that it may need, as of `tessera tune`; without it such records don't count");
  command->add_option("--name", build.name,
                      "gives libNAME.so and NAME.h; default: ops, or the model's file's name");
  command->add_option("--out", build.out, "folder")->capture_default_str();
  cli::AddAlone(command, build.alone);
  command->add_flag("--static", build.static_library, "also a static library, libNAME.a");
  command->callback([&] { status = cli::RunBuild(build); });

  cli::VerifyOptions verify;
  command = app.add_subcommand("verify", "check a library that was built, and run it");
  command->add_option("folder", verify.folder, "of `tessera build --out`")
      ->required()
      ->check(cli::NotEmpty());
  command->add_flag("--json", verify.json, "for programs");
  command->add_option("--max-seconds", verify.max_seconds, "that the library may run")
      ->check(cli::WholeNumber(1, 86400))
      ->capture_default_str();
  command->callback([&] { status = cli::RunVerify(verify); });

  cli::DevicesOptions devices;
  command = app.add_subcommand("devices", "list devices, drain or resume one");
  cli::AddServer(command, devices.server);
  CLI::Option* drain = command->add_option("--drain", devices.drain, "give this device nothing new")
                           ->check(cli::NotEmpty());
  command->add_option("--resume", devices.resume, "end draining or quarantine")
      ->check(cli::NotEmpty())
      ->excludes(drain);
  command->add_option("--reason", devices.reason, "of draining, for others to read")->needs(drain);
  command->add_flag("--all", devices.all, "those not seen for a day, too; --json lists all");
  command->add_flag("--json", devices.json, "for programs");
  command->callback([&] { status = cli::RunDevices(devices); });

  cli::GraphOptions graph;
  command = app.add_subcommand("graph", "what a model becomes: kernels, their work and memory");
  command->add_option("file", graph.source.file, "model (ONNX)")->required();
  cli::AddExtents(command, graph.source);
  command
      ->add_option("--target", graph.target,
                   "as it is stored for a target, x86/avx512 or what `tessera devices` shows; "
                   "default: row-major")
      ->check(cli::NotEmpty());
  CLI::Option* graph_class = command->add_option(
      "--device-class", graph.device_class,
      "as `tessera build` stores it for a device class, by what was measured there");
  graph_class->check(cli::NotEmpty());
  command->add_option("--threads", graph.threads, "of the kernels that were measured; default: 1")
      ->check(cli::WholeNumber(1, proto::kMaxThreads))
      ->needs(graph_class);
  cli::AddServer(command, graph.server, "with --device-class and --int8: address of the server");
  command->add_flag("--text", graph.text, "the graph itself, after all passes");
  command->add_option("--report", graph.report, "with --int8: file for the accuracy, JSON")
      ->check(cli::NotEmpty())
      ->needs("--int8");
  command->callback([&] { status = cli::RunGraph(graph); });

  cli::SpaceOptions space;
  command = app.add_subcommand("space", "size of a schedule space, with its proof by sampling");
  cli::AddSource(command, space.source);
  cli::AddExtents(command, space.source);
  cli::AddServer(command, space.server, "with --int8: address of the server");
  command
      ->add_option("--target", space.target,
                   absl::StrCat("what to generate code for; default: ", cli::kDefaultSpaceTarget))
      ->check(cli::NotEmpty());
  command->add_option("--threads", space.threads, "of a kernel")
      ->check(cli::WholeNumber(1, proto::kMaxThreads));
  command->add_option("--samples", space.samples, "configs to draw")
      ->capture_default_str()
      ->check(cli::WholeNumber(1, 10'000'000));
  command->add_option("--seed", space.seed, "of the drawing")
      ->capture_default_str()
      ->check(cli::WholeNumber(0, proto::kMaxSeed));
  command->callback([&] { status = cli::RunSpace(space); });

  cli::DatasetOptions dataset;
  command = app.add_subcommand("dataset", "write a task's measurements to a file, for replays");
  cli::AddServer(command, dataset.server);
  command->add_option("--task", dataset.task, "name, or how its key begins")
      ->required()
      ->check(cli::NotEmpty());
  command->add_option("--device-class", dataset.device_class,
                      "default: the only one that measured it");
  command
      ->add_option("--job", dataset.jobs,
                   "only what this job measured, within its pins; repeatable, the first one's pins")
      ->allow_extra_args(false)
      ->check(cli::WholeNumber(1, kMaxId));
  command
      ->add_option("--kind", dataset.kind,
                   "enumerated: every program within the job's pins was measured, which is checked")
      ->capture_default_str()
      ->check(CLI::IsMember({"sampled", "enumerated"}));
  command->add_option("--commit", dataset.commit, "of the build that measured, to be kept with it");
  command->add_option("--remark", dataset.remark, "on how it was measured, to be kept with it");
  command->add_option("--out", dataset.out, "file")->required()->check(cli::NotEmpty());
  command->callback([&] { status = cli::RunDataset(dataset); });

  cli::ReplayOptions replay;
  command = app.add_subcommand("replay", "search recorded measurements, without devices");
  command->add_option("--data", replay.data, "files of `tessera dataset`; repeatable")
      ->required()
      ->check(cli::NotEmpty());
  command
      ->add_option("--explorer", replay.explorers,
                   absl::StrCat(tuner::ExplorerNames(), "; several: X,Y (random always is)"))
      ->delimiter(',')
      ->capture_default_str();
  command
      ->add_option("--cost-model,--model", replay.cost_models,
                   absl::StrCat(costmodel::CostModelNames(), "; several: X,Y"))
      ->delimiter(',')
      ->capture_default_str();
  command
      ->add_option("--scheduler", replay.schedulers,
                   absl::StrCat("also one job over all data sets by each of ",
                                tuner::TaskSchedulerNames(), "; several: X,Y"))
      ->delimiter(',');
  command->add_option("--seeds", replay.seeds, "runs of each, by seeds from 0")
      ->capture_default_str()
      ->check(cli::WholeNumber(1, 10'000));
  command->add_option("--trials", replay.trials, "of a run")
      ->capture_default_str()
      ->check(cli::WholeNumber(1, 1'000'000));
  command
      ->add_option("--in-flight", replay.in_flight,
                   "trials that have no result when the next are proposed")
      ->capture_default_str()
      ->check(cli::WholeNumber(1, 1024));
  command->add_option("--prior", replay.prior,
                      "file of `tessera model export`: xgboost also begins with that model");
  bool ranking = false;
  cli::RankingOptions rank;
  command->add_flag("--ranking", ranking,
                    "judge how a model of the other data sets ranks each one, without searching");
  command->add_option("--others", rank.others,
                      "data sets that --ranking learns from, too, but does not judge; repeatable");
  command
      ->add_option("--hold-out", rank.hold_out,
                   "what differs from the others: workload, kind, class (or threads)")
      ->capture_default_str();
  command
      ->add_option("--target-rows", rank.target_rows,
                   "of the judged data set, to learn from as well; several: N,M")
      ->delimiter(',')
      ->capture_default_str()
      ->check(cli::WholeNumber(0, 100'000));
  command->add_option("--draws", rank.draws, "of those rows, by seeds from 0")
      ->capture_default_str()
      ->check(cli::WholeNumber(1, 1000));
  command->add_option("--max-rows", rank.max_rows, "of a data set, drawn at random")
      ->capture_default_str()
      ->check(cli::WholeNumber(1, 500'000));
  command->add_option("--out", replay.out, "folder")->capture_default_str();
  command->callback([&] {
    if (!ranking) {
      status = cli::RunReplay(replay);
      return;
    }
    rank.data = replay.data;
    rank.out = replay.out;
    rank.cost_models = replay.cost_models;
    status = cli::RunRanking(rank);
  });

  cli::CodesignOptions codesign;
  command = app.add_subcommand(
      "codesign", "explore variants of VTA for a network: which is the best in an FPGA?");
  cli::AddSource(command, codesign.source);
  command->add_option("--device", codesign.device, "the FPGA: XC7Z020 or ZU3EG")
      ->capture_default_str();
  command->add_option("--variants", codesign.variants, "that are tuned, of those that fit")
      ->capture_default_str()
      ->check(cli::WholeNumber(1, 10'000));
  command
      ->add_option("--trials", codesign.trials,
                   "of each operator on the best quarter; others have a half or a quarter of them")
      ->capture_default_str()
      ->check(cli::WholeNumber(1, proto::kMaxTrialsPerTask));
  command->add_option("--seed", codesign.seed, "of estimates and searches")
      ->capture_default_str()
      ->check(cli::WholeNumber(0, proto::kMaxSeed));
  command->add_option("--threads", codesign.threads, "that work, whatever is found; 0: one a core")
      ->capture_default_str()
      ->check(cli::WholeNumber(0, 1024));
  command->add_flag("!--no-transfer", codesign.transfer,
                    "let every variant begin without what others taught");
  command
      ->add_option("--resume", codesign.resume,
                   "file that keeps what was measured; where it is there, the run goes on from it")
      ->check(cli::NotEmpty());
  command->add_option("--csv", codesign.csv, "write all that were tuned to this file")
      ->check(cli::NotEmpty());
  command->add_option("--svg", codesign.svg, "draw them to this file")->check(cli::NotEmpty());
  command->add_flag("--json", codesign.json, "for programs");
  command->callback([&] { status = cli::RunCodesign(codesign); });

  CLI::App* const models = app.add_subcommand("model", "cost models trained on many tasks");
  models->require_subcommand(0, 1);
  cli::ModelTrainOptions train;
  command = models->add_subcommand("train", "train one on the log and store it");
  cli::AddServer(command, train.server);
  command->add_option("name", train.name, "what it is to be called")->required();
  command->add_option("--cost-model", train.cost_model, costmodel::CostModelNames())
      ->capture_default_str();
  command->add_option("--device-class", train.device_classes,
                      "whose measurements; repeatable; default: all");
  command->add_option("--without", train.without,
                      "task whose workload is left out, by name or how its key begins; repeatable");
  command->add_option("--note", train.note, "where the measurements come from, to be kept with it");
  command
      ->add_option("--programs", train.programs,
                   "of a task and device class at most, a random sample")
      ->capture_default_str()
      ->check(cli::WholeNumber(tuner::ProgramSet::kMinPrograms, 1'000'000));
  command
      ->add_option("--folds", train.folds,
                   "parts of the workloads, each judged by a model of the others; 0: none")
      ->capture_default_str()
      ->check(cli::WholeNumber(0, 1000));
  command->add_option("--seed", train.seed, "of samples, parts and fits")
      ->capture_default_str()
      ->check(cli::WholeNumber(0, proto::kMaxSeed));
  command->add_flag("--json", train.json, "for programs");
  command->callback([&] { status = cli::RunModelTrain(train); });

  cli::ModelOptions model;
  command = models->add_subcommand("list", "those that the server has, the last stored first");
  cli::AddServer(command, model.server);
  command->add_flag("--json", model.json, "for programs");
  command->callback([&] { status = cli::RunModelList(model); });
  command = models->add_subcommand("show", "what one was trained on and how well it ranks");
  cli::AddServer(command, model.server);
  command->add_option("name", model.name, "of the model")->required();
  command->add_flag("--json", model.json, "for programs");
  command->callback([&] { status = cli::RunModelShow(model); });
  command = models->add_subcommand("export", "write one to a file");
  cli::AddServer(command, model.server);
  command->add_option("name", model.name, "of the model")->required();
  command->add_option("--out", model.file, "file; default: NAME.tsm")->check(cli::NotEmpty());
  command->callback([&] { status = cli::RunModelExport(model); });
  command = models->add_subcommand("import", "store one from a file");
  cli::AddServer(command, model.server);
  command->add_option("file", model.file, "of `tessera model export`")
      ->required()
      ->check(cli::NotEmpty());
  command->add_option("--name", model.name, "what it is to be called; default: as in the file")
      ->check(cli::NotEmpty());
  command->callback([&] { status = cli::RunModelImport(model); });
  models->callback([&] {
    if (models->get_subcommands().empty()) throw CLI::RequiredError("model: a subcommand");
  });

  command = app.add_subcommand("worker", "run a worker (all arguments go to tessera-worker)");
  command->prefix_command();
  command->set_help_flag();  // it is the worker's to answer
  command->callback([&, command] {
    std::vector<std::string> words = command->remaining();
    const std::string path = cli::SiblingProgram("tessera-worker");
    std::vector<char*> arguments{const_cast<char*>(path.c_str())};
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    execv(path.c_str(), arguments.data());
    status = ErrnoStatus(errno, "cannot start", path);
    if (absl::IsNotFound(status)) status = absl::FailedPreconditionError(status.message());
  });

  std::string op;
  command = app.add_subcommand("operators", "list operators and their attributes");
  command->add_option("name", op, "default: all")
      ->check(CLI::IsMember(te::OperatorNames()).description(""));
  command->callback([&] { std::fputs(te::OperatorHelp(op).c_str(), stdout); });
  app.add_subcommand("version", "print the version")->callback([] {
    std::printf("tessera %s\n", std::string(Version()).c_str());
  });

  try {
    app.parse(argc, argv);
    if (app.get_subcommands().empty()) throw CLI::RequiredError("A subcommand");
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : cli::kUsageExitCode;
  }
  // Results that did not get out (a full disk, a closed pipe) are no success.
  if (status.ok()) status = cli::FlushOutput();
  if (!status.message().empty()) {
    std::fprintf(stderr, "tessera: %s\n", cli::OneLine(StdView(status.message())).c_str());
  }
  return cli::ExitCode(status);
}
