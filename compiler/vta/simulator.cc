#include "compiler/vta/simulator.h"

#include <algorithm>
#include <deque>
#include <limits>
#include <optional>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/view.h"
#include "compiler/vta/encoding.h"
#include "compiler/vta/execute.h"
#include "compiler/vta/order.h"
#include "compiler/vta/text.h"

namespace tessera::vta {
namespace {

constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
constexpr int64_t kInstructionBytes = 16;
// Engines that execute, in the row in which tokens pass.
constexpr Engine kWorkers[] = {Engine::kLoad, Engine::kCompute, Engine::kStore};

Engine EngineOf(const Instruction& instruction) {
  const auto* transfer = std::get_if<Transfer>(&instruction.operation);
  if (transfer == nullptr) return Engine::kCompute;
  if (transfer->is_store) return Engine::kStore;
  const bool is_operand = transfer->memory == Memory::kInp || transfer->memory == Memory::kWgt;
  return is_operand ? Engine::kLoad : Engine::kCompute;
}

// Of the loops around micro-ops.
int64_t Turns(const Loop& outer, const Loop& inner) { return outer.turns * inner.turns; }

// Of a Gemm or Alu; 0 of others. Not for what can't be encoded.
int64_t Steps(const Instruction& instruction) {
  const auto count = [](const auto& of) {
    return Turns(of.outer, of.inner) * std::max<int64_t>(of.uop_end - of.uop_begin, 1);
  };
  if (const auto* gemm = std::get_if<Gemm>(&instruction.operation)) return count(*gemm);
  if (const auto* alu = std::get_if<Alu>(&instruction.operation)) return count(*alu);
  return 0;
}

// An instruction that has started.
struct Running {
  TimelineEntry entry;
  Footprint footprint;
  std::vector<int64_t> rows;  // bytes of those that are still to go over the bus, the last first
  int64_t other_cycles;       // behind its rows
};

// The bus carries what is read and what is written at once.
enum class Way : uint8_t { kRead, kWrite };

struct Worker {
  std::deque<std::pair<int64_t, int64_t>> queue;  // instructions, and the cycles of their arrival
  std::optional<Running> running;
  bool has_ended = false;       // what runs has, but its tokens found no place yet
  int64_t wake_cycle = kNever;  // at which the running one goes on
  int64_t idle_since = 0;
};

struct Fetch {
  int64_t fetched = 0;     // instructions that have arrived
  int64_t dispatched = 0;  // of them, to the engines
  int64_t wake_cycle = 0;
  int64_t blocked_since = kNever;
  bool is_waiting = false;  // for a row that it has asked for
};

class Simulation {
 public:
  Simulation(absl::Span<const Instruction> program, const Config& config, const Timing& timing,
             absl::Span<uint8_t> dram)
      : program_(program),
        config_(config),
        timing_(timing),
        dram_(dram),
        memories_(config),
        order_(config) {}

  absl::StatusOr<Report> Run() {
    TESSERA_RETURN_IF_ERROR(CheckProgram());
    for (;;) {
      TESSERA_RETURN_IF_ERROR(StartAll());
      if (!NextEvent()) break;
    }
    TESSERA_RETURN_IF_ERROR(CheckEnd());
    report_.cycles = now_;
    std::ranges::stable_sort(report_.timeline, {}, &TimelineEntry::begin_cycle);
    return std::move(report_);
  }

 private:
  Worker& worker(Engine engine) { return workers_[static_cast<size_t>(engine)]; }
  EngineReport& report(Engine engine) { return report_.engines[static_cast<size_t>(engine)]; }
  // Tokens that went from one engine to its neighbour and wait there.
  std::deque<Clock>& tokens(Engine from, Engine to) {
    return tokens_[static_cast<size_t>(from)][static_cast<size_t>(to)];
  }
  bool IsFull(const std::deque<Clock>& queue) const {
    return static_cast<int64_t>(queue.size()) == timing_.token_entries;
  }

  absl::Status Fault(int64_t instruction, std::string_view what) const {
    return absl::FailedPreconditionError(absl::StrCat(
        "VTA: instruction ", instruction, " (", Print(program_[static_cast<size_t>(instruction)]),
        ") at cycle ", now_, ": ", AbslView(what)));
  }

  // The engine to the left (-1) or right (1), if there is one.
  static std::optional<Engine> Neighbour(Engine engine, int side) {
    const int place = static_cast<int>(engine) + side;
    if (place < static_cast<int>(Engine::kLoad) || place > static_cast<int>(Engine::kStore)) {
      return std::nullopt;
    }
    return static_cast<Engine>(place);
  }

  absl::Status CheckProgram() const {
    int64_t steps = 0;
    for (size_t i = 0; i < program_.size(); ++i) {
      const Engine engine = EngineOf(program_[i]);
      const Dependences& wants = program_[i].dependences;
      const int64_t number = static_cast<int64_t>(i);
      if ((wants.pops_previous || wants.pushes_previous) && !Neighbour(engine, -1)) {
        return Fault(number, "there is no engine before load");
      }
      if ((wants.pops_next || wants.pushes_next) && !Neighbour(engine, 1)) {
        return Fault(number, "there is no engine behind store");
      }
      const bool is_finish = std::holds_alternative<Finish>(program_[i].operation);
      if (is_finish != (i + 1 == program_.size())) {
        return Fault(number, "a program ends with its only finish");
      }
      const absl::Status status = Encode(program_[i], config_).status();
      if (!status.ok()) return Fault(number, StdView(status.message()));
      steps += Steps(program_[i]);
      if (steps > kMaxSteps) {
        return Fault(number, absl::StrCat("the program has ", steps,
                                          " steps up to here, the limit is ", kMaxSteps));
      }
    }
    return program_.empty() ? absl::InvalidArgumentError("VTA: the program is empty")
                            : absl::OkStatus();
  }

  // What can go on at this cycle without time passing.
  absl::Status StartAll() {
    for (bool changed = true; changed;) {
      changed = Dispatch();
      for (const Engine engine : kWorkers) {
        changed |= End(engine);
        TESSERA_ASSIGN_OR_RETURN(const bool started, Start(engine));
        changed |= started;
      }
    }
    return absl::OkStatus();
  }

  // The next fetched instruction to its engine's queue. One a cycle.
  bool Dispatch() {
    if (fetch_.dispatched == fetch_.fetched || fetch_.wake_cycle > now_) return false;
    Worker& to = worker(EngineOf(program_[static_cast<size_t>(fetch_.dispatched)]));
    if (static_cast<int64_t>(to.queue.size()) == timing_.queue_entries) {
      fetch_.blocked_since = std::min(fetch_.blocked_since, now_);
      return false;
    }
    if (fetch_.blocked_since != kNever) {
      report(Engine::kFetch).queue_full += now_ - fetch_.blocked_since;
      fetch_.blocked_since = kNever;
    }
    to.queue.push_back({fetch_.dispatched, now_});
    ++fetch_.dispatched;
    const bool has_more = fetch_.dispatched < static_cast<int64_t>(program_.size());
    fetch_.wake_cycle = has_more ? now_ + 1 : kNever;
    return true;
  }

  absl::StatusOr<bool> Start(Engine engine) {
    Worker& of = worker(engine);
    if (of.running || of.queue.empty()) return false;
    const auto [number, arrival] = of.queue.front();
    const Instruction& instruction = program_[static_cast<size_t>(number)];
    const Dependences& wants = instruction.dependences;
    const auto before = Neighbour(engine, -1), behind = Neighbour(engine, 1);
    std::vector<std::deque<Clock>*> popped;
    if (wants.pops_previous) popped.push_back(&tokens(*before, engine));
    if (wants.pops_next) popped.push_back(&tokens(*behind, engine));
    if (std::ranges::any_of(popped, [](const auto* queue) { return queue->empty(); })) return false;
    std::vector<Clock> known;
    for (std::deque<Clock>* queue : popped) {
      known.push_back(queue->front());
      queue->pop_front();
    }
    order_.Start(engine, number, known);
    of.queue.pop_front();
    EngineReport& counts = report(engine);
    ++counts.instructions;
    const int64_t waited_from = std::max(of.idle_since, arrival);
    const TimelineEntry entry = {.engine = engine,
                                 .instruction = number,
                                 .begin_cycle = now_,
                                 .end_cycle = now_,
                                 .no_instruction = waited_from - of.idle_since,
                                 .no_token = now_ - waited_from};
    counts.no_instruction += entry.no_instruction;
    counts.no_token += entry.no_token;

    if (std::holds_alternative<Finish>(instruction.operation)) {
      TESSERA_RETURN_IF_ERROR(CheckFinish(number));
    }
    auto footprint =
        Execute(instruction, config_, {timing_.gemm_depth, timing_.alu_depth}, memories_, dram_);
    if (!footprint.ok()) return Fault(number, StdView(footprint.status().message()));
    if (const auto conflict = order_.Use(engine, *footprint)) {
      return Fault(number,
                   absl::StrCat("uses ", conflict->what, " as instruction ", conflict->instruction,
                                " of ", AbslView(EngineName(conflict->engine)),
                                " does; no token puts one behind the other"));
    }
    of.running = {entry, *std::move(footprint), {}, 0};
    Schedule(engine, instruction);
    return true;
  }

  // That tokens put the end behind all that the other engines have to do, which were given it
  // before.
  absl::Status CheckFinish(int64_t number) {
    for (const Engine other : {Engine::kLoad, Engine::kStore}) {
      const int64_t known = order_.TokenOf(Engine::kCompute)[static_cast<size_t>(other)];
      if (worker(other).queue.empty() && known == report(other).instructions) continue;
      return Fault(number, absl::StrCat("no token puts it behind the last instruction of ",
                                        AbslView(EngineName(other))));
    }
    return absl::OkStatus();
  }

  int64_t BetweenTurns(const Loop& outer, const Loop& inner) const {
    return std::max<int64_t>(Turns(outer, inner) - 1, 0) * timing_.turn_cycles;
  }

  // What the instruction that has just started will take.
  void Schedule(Engine engine, const Instruction& instruction) {
    Running& running = *worker(engine).running;
    const Footprint& footprint = running.footprint;
    for (const auto* ranges : {&footprint.dram_reads, &footprint.dram_writes}) {
      for (const DramRange& row : *ranges) running.rows.push_back(row.end - row.begin);
    }
    std::ranges::reverse(running.rows);
    running.other_cycles = footprint.padded_tiles;
    if (const auto* gemm = std::get_if<Gemm>(&instruction.operation)) {
      running.other_cycles = timing_.gemm_depth + BetweenTurns(gemm->outer, gemm->inner) +
                             footprint.steps * timing_.gemm_interval;
      report_.gemm_steps += footprint.steps;
    } else if (const auto* alu = std::get_if<Alu>(&instruction.operation)) {
      running.other_cycles = timing_.alu_depth + BetweenTurns(alu->outer, alu->inner) +
                             footprint.steps * (alu->uses_immediate ? timing_.alu_immediate_interval
                                                                    : timing_.alu_interval);
      report_.alu_steps += footprint.steps;
    }
    for (const DramRange& row : footprint.dram_reads)
      report_.dram_bytes_read += row.end - row.begin;
    for (const DramRange& row : footprint.dram_writes) {
      report_.dram_bytes_written += row.end - row.begin;
    }
    worker(engine).wake_cycle =
        now_ + (running.rows.empty() ? running.other_cycles : timing_.row_latency);
  }

  // Hands over the tokens of an instruction that has ended, once all of them find a place.
  bool End(Engine engine) {
    Worker& of = worker(engine);
    if (!of.has_ended) return false;
    TimelineEntry& entry = of.running->entry;
    const Dependences& gives = program_[static_cast<size_t>(entry.instruction)].dependences;
    const auto before = Neighbour(engine, -1), behind = Neighbour(engine, 1);
    if ((gives.pushes_previous && IsFull(tokens(engine, *before))) ||
        (gives.pushes_next && IsFull(tokens(engine, *behind)))) {
      return false;
    }
    if (gives.pushes_previous) tokens(engine, *before).push_back(order_.TokenOf(engine));
    if (gives.pushes_next) tokens(engine, *behind).push_back(order_.TokenOf(engine));
    entry.end_cycle = of.idle_since;
    entry.queue_full = now_ - entry.end_cycle;
    report(engine).queue_full += entry.queue_full;
    report(engine).busy += entry.end_cycle - entry.begin_cycle;
    report(engine).bus += entry.bus;
    report_.timeline.push_back(entry);
    of.running.reset();
    of.has_ended = false;
    of.idle_since = now_;
    return true;
  }

  // Goes to the next cycle at which something happens, and lets it. False: nothing ever will.
  bool NextEvent() {
    Engine next = Engine::kFetch;
    int64_t cycle = FetchCycle();
    for (const Engine engine : kWorkers) {
      if (worker(engine).wake_cycle >= cycle) continue;
      next = engine;
      cycle = worker(engine).wake_cycle;
    }
    if (cycle == kNever) return false;
    now_ = cycle;
    if (next == Engine::kFetch) {
      ContinueFetch();
    } else {
      Continue(next);
    }
    return true;
  }

  // Fetch sleeps while it waits for a place in a queue.
  int64_t FetchCycle() const { return fetch_.blocked_since != kNever ? kNever : fetch_.wake_cycle; }

  // Moves `bytes` over one way of the bus as soon as nobody else does. The cycle at which they have
  // arrived.
  int64_t UseBus(Way way, int64_t bytes, int64_t& waited) {
    int64_t& free_cycle = bus_free_cycles_[static_cast<size_t>(way)];
    const int64_t begin = std::max(now_, free_cycle);
    waited += begin - now_;
    free_cycle = begin + (bytes + timing_.bus_bytes - 1) / timing_.bus_bytes;
    return free_cycle;
  }

  void ContinueFetch() {
    // There are fetched instructions: this was their turn to be dispatched, which StartAll does.
    if (fetch_.dispatched < fetch_.fetched) return;
    // Rows behind the first are requested ahead.
    const int64_t latency = fetch_.fetched == 0 ? timing_.row_latency : 0;
    if (!fetch_.is_waiting) {
      fetch_.is_waiting = true;
      fetch_.wake_cycle = now_ + latency;
      return;
    }
    const int64_t count =
        std::min(timing_.fetch_burst, static_cast<int64_t>(program_.size()) - fetch_.fetched);
    TimelineEntry entry = {.engine = Engine::kFetch,
                           .instruction = fetch_.fetched,
                           .begin_cycle = now_ - latency,
                           .end_cycle = now_};
    entry.end_cycle = UseBus(Way::kRead, count * kInstructionBytes, entry.bus);
    EngineReport& counts = report(Engine::kFetch);
    counts.instructions += count;
    counts.bus += entry.bus;
    counts.busy += entry.end_cycle - entry.begin_cycle;
    report_.dram_bytes_read += count * kInstructionBytes;
    fetch_.fetched += count;
    fetch_.wake_cycle = entry.end_cycle;
    fetch_.is_waiting = false;
    report_.timeline.push_back(entry);
  }

  void Continue(Engine engine) {
    Worker& of = worker(engine);
    Running& running = *of.running;
    if (!running.rows.empty()) {
      const Way way = engine == Engine::kStore ? Way::kWrite : Way::kRead;
      const int64_t arrival = UseBus(way, running.rows.back(), running.entry.bus);
      running.rows.pop_back();
      of.wake_cycle = arrival + (running.rows.empty() ? running.other_cycles : timing_.row_latency);
      return;
    }
    of.wake_cycle = kNever;
    of.has_ended = true;
    of.idle_since = now_;
  }

  absl::Status CheckEnd() const {
    for (const Engine engine : kWorkers) {
      const Worker& of = workers_[static_cast<size_t>(engine)];
      if (of.has_ended) {
        return Fault(of.running->entry.instruction,
                     "the queue of tokens that it pushes to stays full");
      }
      if (of.queue.empty()) continue;
      return Fault(of.queue.front().first, "waits for a token that nobody pushes any more");
    }
    if (fetch_.dispatched < static_cast<int64_t>(program_.size())) {
      return Fault(fetch_.dispatched, "the queue of its engine stays full");
    }
    for (const Engine from : kWorkers) {
      for (const Engine to : kWorkers) {
        const size_t left = tokens_[static_cast<size_t>(from)][static_cast<size_t>(to)].size();
        if (left == 0) continue;
        return absl::FailedPreconditionError(
            absl::StrCat("VTA: the program leaves ", left, left == 1 ? " token" : " tokens",
                         " from ", AbslView(EngineName(from)), " to ", AbslView(EngineName(to))));
      }
    }
    return absl::OkStatus();
  }

  absl::Span<const Instruction> program_;
  const Config& config_;
  const Timing& timing_;
  absl::Span<uint8_t> dram_;
  Memories memories_;
  std::array<Worker, kEngines> workers_;
  Fetch fetch_;
  std::array<std::array<std::deque<Clock>, kEngines>, kEngines> tokens_;
  Order order_;
  std::array<int64_t, 2> bus_free_cycles_ = {};  // by way
  int64_t now_ = 0;
  Report report_;
};

}  // namespace

absl::StatusOr<Report> Simulate(absl::Span<const Instruction> program, const Config& config,
                                const Timing& timing, absl::Span<uint8_t> dram) {
  TESSERA_RETURN_IF_ERROR(CheckTiming(timing));
  return Simulation(program, config, timing, dram).Run();
}

}  // namespace tessera::vta
