#include "cli/build_plan.h"

#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "base/view.h"
#include "cli/device_class.h"
#include "cli/tune_target.h"
#include "compiler/ir/target.h"
#include "compiler/schedule/default_trace.h"
#include "compiler/te/dag.h"

namespace tessera::cli {
namespace {

// The target of a class: of a device that has it, else the richest of those that it measured
// lately, because devices run the code of lesser ones, too. Empty where neither tells.
absl::StatusOr<std::string> TargetOf(Client& client, absl::Span<const db::Device> devices,
                                     const std::string& device_class) {
  for (const db::Device& device : devices) {
    if (device.device_class.name == device_class) return device.target;
  }
  db::RecordFilter lately;
  lately.device_class = device_class;
  lately.outcomes = {db::Outcome::kOk};
  lately.limit = 1000;
  lately.newest_first = true;
  std::set<std::string> measured;  // keys of tasks
  TESSERA_RETURN_IF_ERROR(client.QueryRecords(
      lately, [&](const db::Record& record) { measured.insert(record.task_key); }));
  if (measured.empty()) return std::string();
  TESSERA_ASSIGN_OR_RETURN(const std::vector<db::Task> tasks, client.ListTasks());
  std::set<std::string> targets;
  for (const db::Task& task : tasks) {
    if (measured.contains(task.Key())) targets.insert(task.target);
  }
  return RichestTarget({targets.begin(), targets.end()});
}

absl::Status CheckDeviceClasses(Client& client, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    TESSERA_RETURN_IF_ERROR(CheckDeviceClass(client, name));
  }
  return absl::OkStatus();
}

bool IsForDevice(const PlannedVersion& version) {
  const auto target = ir::ParseTarget(version.tasks.empty() ? "" : version.tasks[0].target);
  return target.ok() && !ir::IsCpu(target->kind);
}

std::vector<std::string> KeysOf(absl::Span<const db::Task> tasks) {
  std::vector<std::string> keys;
  for (const db::Task& task : tasks) keys.push_back(task.Key());
  return keys;
}

std::vector<db::Device> Without(std::vector<db::Device> devices,
                                const std::set<std::string>& classes) {
  std::erase_if(devices, [&](const db::Device& device) {
    return classes.contains(device.device_class.name);
  });
  return devices;
}

// InvalidArgument where the target is an accelerator that can run none of them.
absl::Status CheckRunsSome(absl::Span<const db::Task> tasks, const ir::Target& target) {
  if (target.kind != ir::TargetKind::kVta) return absl::OkStatus();
  absl::Status first;
  for (const db::Task& task : tasks) {
    TESSERA_ASSIGN_OR_RETURN(const te::Workload workload, te::ParseWorkload(task.workload));
    const absl::Status status = schedule::DefaultTrace(workload.dag, target).status();
    if (status.ok()) return status;
    first.Update(Annotate(status, task.name));
  }
  return first.ok() ? first
                    : absl::InvalidArgumentError(absl::StrCat("target ", ir::ToString(target),
                                                              " runs none of the operators; ",
                                                              first.message()));
}

absl::StatusOr<std::vector<db::Task>> LibraryTasks(const JobFile& file,
                                                   const std::string& target_text) {
  TESSERA_ASSIGN_OR_RETURN(const ir::Target target, ir::ParseTarget(target_text));
  // The threads of a file for an accelerator are those of the CPU beside it.
  const int threads = target.kind == ir::TargetKind::kVta ? 1 : file.options.threads;
  TESSERA_ASSIGN_OR_RETURN(std::vector<db::Task> tasks, MakeTasks(file, target_text, threads));
  TESSERA_RETURN_IF_ERROR(CheckRunsSome(tasks, target));
  return tasks;
}

// The same operators for another target.
std::vector<db::Task> Retarget(std::vector<db::Task> tasks, const std::string& target,
                               int threads) {
  for (db::Task& task : tasks) {
    task.target = target;
    task.threads = threads;
  }
  return tasks;
}

// Adds what a library for a device runs where there is none, or the device can't, unless that was
// named: versions for the CPUs that have records of the operators, else default schedules, for
// `cpu` or every CPU of this machine's kind. Where `cpu` is not empty, only what it can run counts.
// With `threads`, unless `cpu` names more.
absl::Status AddCpus(Client& client, const std::string& cpu, int threads, BuildPlan& plan) {
  if (plan.versions.empty() || !std::ranges::all_of(plan.versions, IsForDevice)) {
    if (cpu.empty()) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("--cpu ", cpu,
                     " is for libraries for a device that have no other version for CPUs; name the "
                     "CPU as --target, or no CPU as --device-class"));
  }
  TESSERA_ASSIGN_OR_RETURN(ir::Target any, ir::ParseTarget(cpu.empty() ? kAnyCpuTarget : cpu));
  if (!ir::IsCpu(any.kind)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--cpu ", cpu, " is no CPU; say x86/avx2, aarch64/neon or arm/neon"));
  }
  if (any.max_threads > 1) threads = any.max_threads;
  any.max_threads = threads;
  const std::vector<db::Task> tasks = plan.versions[0].tasks;
  TESSERA_ASSIGN_OR_RETURN(const std::vector<db::Device> devices, client.ListDevices());
  TESSERA_ASSIGN_OR_RETURN(const std::vector<RecordedClass> known, client.ListDeviceClasses({}));
  std::vector<RecordedClass> recorded;
  std::map<std::string, std::string> targets;
  for (const RecordedClass& one : known) {
    TESSERA_ASSIGN_OR_RETURN(const std::string target, TargetOf(client, devices, one.name));
    const absl::StatusOr<ir::Target> parsed = ir::ParseTarget(target);
    if (!parsed.ok() || !ir::IsCpu(parsed->kind) || parsed->max_threads < threads) continue;
    if (!cpu.empty() && parsed->kind != any.kind) continue;
    targets[one.name] = ir::ToString(*parsed);
    TESSERA_ASSIGN_OR_RETURN(
        const std::vector<RecordedClass> of_tasks,
        client.ListDeviceClasses(KeysOf(Retarget(tasks, targets[one.name], threads))));
    for (const RecordedClass& found : of_tasks) {
      if (found.name != one.name || found.tasks == 0) continue;
      if (cpu.empty() || ir::CanRun(any, *parsed, threads)) {
        recorded.push_back(found);
      } else {
        plan.warnings.push_back(absl::StrCat("device class ", one.name,
                                             " is left out, because --cpu ", cpu,
                                             " can't run code for ", targets[one.name]));
      }
    }
  }
  const std::string with =
      threads == 1 ? std::string() : absl::StrCat(" with ", threads, " threads");
  if (recorded.empty()) {
    const std::string name(ir::KindName(any.kind));
    plan.versions.push_back(
        {absl::StrCat(name, "/any"), Retarget(tasks, ir::ToString(any), threads)});
    plan.warnings.push_back(absl::StrCat(
        "no CPU", cpu.empty() ? "" : absl::StrCat(" whose code ", cpu, " runs"),
        " has records of these operators", with,
        ": what runs on the CPU has default schedules for ", cpu.empty() ? kAnyCpuTarget : cpu,
        cpu.empty() ? "; name another with --cpu, or a CPU's class beside the device's with "
                      "--device-class"
                    : ""));
    return absl::OkStatus();
  }
  absl::StatusOr<BuildClasses> chosen =
      ChooseBuildClasses({}, recorded, targets, static_cast<int>(tasks.size()), {});
  if (!chosen.ok()) return Annotate(chosen.status(), "for where the device is missing");
  for (const std::string& name : chosen->names) {
    plan.versions.push_back({name, Retarget(tasks, targets[name], threads)});
  }
  for (std::string& warning : chosen->warnings) plan.warnings.push_back(std::move(warning));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<BuildPlan> PlanFromJob(Client& client, int64_t job,
                                      const std::vector<std::string>& device_classes,
                                      const std::string& cpu) {
  TESSERA_ASSIGN_OR_RETURN(const db::Job stored, client.GetJob(job));
  TESSERA_RETURN_IF_ERROR(CheckDeviceClasses(client, device_classes));
  TESSERA_ASSIGN_OR_RETURN(const std::vector<db::Device> devices, client.ListDevices());
  TESSERA_ASSIGN_OR_RETURN(const std::vector<RecordedClass> recorded,
                           client.ListDeviceClasses(KeysOf(stored.tasks)));
  std::map<std::string, std::string> targets;
  if (!stored.tasks.empty()) {
    for (const RecordedClass& one : recorded) targets[one.name] = stored.tasks[0].target;
    for (const std::string& name : device_classes) targets[name] = stored.tasks[0].target;
  }
  TESSERA_ASSIGN_OR_RETURN(
      BuildClasses chosen,
      ChooseBuildClasses(devices, recorded, targets, static_cast<int>(stored.tasks.size()),
                         device_classes));
  BuildPlan plan;
  plan.warnings = std::move(chosen.warnings);
  if (stored.selection != 0) {
    plan.warnings.push_back(
        absl::StrCat("job ", job,
                     " is a model's, and this is a library of its kernels; build the "
                     "model's file for one of the model"));
  }
  for (const std::string& name : chosen.names) plan.versions.push_back({name, stored.tasks});
  const int threads = stored.tasks.empty() ? 1 : stored.tasks[0].threads;
  TESSERA_RETURN_IF_ERROR(AddCpus(client, cpu, threads, plan));
  return plan;
}

absl::StatusOr<BuildPlan> PlanFromFile(Client& client, const JobFile& file,
                                       const std::vector<std::string>& device_classes,
                                       const std::string& target, const std::string& cpu) {
  if (target.empty()) {
    TESSERA_RETURN_IF_ERROR(CheckDeviceClasses(client, device_classes));
  } else if (!NamesKindAlone(target)) {
    // A kind alone stands for what its devices have: more threads than it says, other limits.
    TESSERA_RETURN_IF_ERROR(LibraryTasks(file, target).status());
  }
  TESSERA_ASSIGN_OR_RETURN(const std::vector<db::Device> devices, client.ListDevices());
  TESSERA_ASSIGN_OR_RETURN(const std::vector<RecordedClass> known, client.ListDeviceClasses({}));
  const std::set<std::string> wanted(device_classes.begin(), device_classes.end());
  std::set<std::string> classes = wanted;
  for (const RecordedClass& one : known) classes.insert(one.name);
  for (const db::Device& device : devices) classes.insert(device.device_class.name);

  std::map<std::string, std::string> targets;  // by class, as the next
  std::map<std::string, std::vector<db::Task>> tasks_of;
  std::vector<RecordedClass> recorded;
  std::set<std::string> unfit;
  absl::Status problem;  // of the first unfit class
  for (const std::string& name : classes) {
    TESSERA_ASSIGN_OR_RETURN(std::string class_target, TargetOf(client, devices, name));
    if (!target.empty()) {
      // What is of another kind can't be meant.
      const absl::StatusOr<ir::Target> own = ir::ParseTarget(class_target);
      if (own.ok() && own->kind != ir::ParseTarget(target)->kind && !wanted.contains(name)) {
        unfit.insert(name);
        continue;
      }
      if (!NamesKindAlone(target) || class_target.empty()) class_target = target;
    }
    if (class_target.empty()) continue;
    absl::StatusOr<std::vector<db::Task>> tasks = LibraryTasks(file, class_target);
    if (!tasks.ok()) {
      if (class_target == target) return tasks.status();
      const absl::Status why = Annotate(tasks.status(), absl::StrCat("device class ", name));
      if (wanted.contains(name)) return why;
      unfit.insert(name);
      problem.Update(why);
      continue;
    }
    TESSERA_ASSIGN_OR_RETURN(const std::vector<RecordedClass> of_tasks,
                             client.ListDeviceClasses(KeysOf(*tasks)));
    for (const RecordedClass& one : of_tasks) {
      if (one.name == name) recorded.push_back(one);
    }
    targets.emplace(name, class_target);
    tasks_of.emplace(name, *std::move(tasks));
  }
  if (tasks_of.empty() && !problem.ok()) return problem;
  if (tasks_of.empty() && !target.empty()) {
    TESSERA_ASSIGN_OR_RETURN(const ir::Target parsed, ir::ParseTarget(target));
    // What no accelerator runs is not for want of one.
    if (parsed.kind == ir::TargetKind::kVta) {
      TESSERA_RETURN_IF_ERROR(LibraryTasks(file, target).status());
    }
    if (!unfit.empty()) {
      return absl::FailedPreconditionError(absl::StrCat(
          "no device of kind ", AbslView(ir::KindName(parsed.kind)),
          " has ever connected; there are ", absl::StrJoin(unfit, ", "),
          "; name with --device-class what the library is for, or start a worker that has one"));
    }
  }
  TESSERA_ASSIGN_OR_RETURN(
      BuildClasses chosen,
      ChooseBuildClasses(Without(devices, unfit), recorded, targets,
                         static_cast<int>(file.operators.size()), device_classes));
  BuildPlan plan;
  plan.warnings = std::move(chosen.warnings);
  for (const std::string& name : chosen.names) {
    const auto tasks = tasks_of.find(name);
    if (tasks == tasks_of.end()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the target of device class ", name,
          " is not known: no device has it and no run on it succeeded; name a --target"));
    }
    plan.versions.push_back({name, std::move(tasks->second)});
  }
  TESSERA_RETURN_IF_ERROR(AddCpus(client, cpu, file.options.threads, plan));
  return plan;
}

absl::StatusOr<std::vector<std::string>> UnusedRecords(Client& client,
                                                       const db::Selection& chosen) {
  std::map<std::string, std::vector<std::string>> operators;  // by class
  for (const db::SelectionItem& item : chosen.items) {
    if (item.record_id != 0) continue;
    TESSERA_ASSIGN_OR_RETURN(const std::vector<db::Record> best,
                             client.Best(item.task.Key(), item.device_class, 1));
    if (!best.empty()) operators[item.device_class].push_back(item.op);
  }
  std::vector<std::string> warnings;
  for (const auto& [name, ops] : operators) {
    warnings.push_back(absl::StrCat(
        "device class ", name, " has records of ", absl::StrJoin(ops, ", "),
        ", but none that stores inputs and outputs as the library does, so the default schedule "
        "runs there; choose a layout for them in the job file (layout: nchw, not any), tune them "
        "on each class and build again"));
  }
  return warnings;
}

}  // namespace tessera::cli
