#include "compiler/ir/witness.h"

#include <algorithm>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "base/rng.h"
#include "compiler/ir/interpreter.h"
#include "compiler/ir/visitor.h"

namespace tessera::ir {
namespace {

class Reads final : public Visitor {
 public:
  absl::flat_hash_set<const Var*> vars;
  bool memory = false;

 protected:
  void VisitVar(const Var& node) override { vars.insert(&node); }
  void VisitLoad(const Load&) override { memory = true; }
};

class Search {
 public:
  Search(const Place& place, const Expr& index, int64_t last) : last_(last) {
    interpreter::Compiler compiler(machine_);
    Reads reads;
    reads.Visit(index);
    index_ = compiler.CompileInt(index);
    lanes_ = index.type().lanes;
    for (const Place::Condition& condition : place.conditions) {
      reads.Visit(condition.condition);
      conditions_.push_back({compiler.CompileInt(condition.condition), condition.holds,
                             condition.condition.type().is_vector()});
      // A vector condition goes with this access's lanes only where the widths agree.
      undecided_ = undecided_ || (condition.condition.type().is_vector() &&
                                  condition.condition.type().lanes != lanes_);
    }
    undecided_ = undecided_ || reads.memory || machine_.failed();
    for (const Place::Loop& loop : place.loops) {
      if (reads.vars.contains(loop.var)) {
        loops_.push_back(loop);
        slots_.push_back(machine_.SlotOf(loop.var));
      }
    }
  }

  std::optional<std::string> Run() {
    if (undecided_) return std::nullopt;
    constexpr __int128 kExhaustive = 50000;
    __int128 count = 1;
    for (const Place::Loop& loop : loops_) {
      count = std::min<__int128>(count * loop.extent, kExhaustive + 1);
    }
    if (count <= kExhaustive) return TryAll();
    if (auto found = TryCorners()) return found;
    return TrySamples();
  }

 private:
  struct Condition {
    interpreter::IntCode* code;
    bool holds, vector;
  };

  std::optional<std::string> Try() {
    for (int lane = 0; lane < lanes_; ++lane) {
      const bool reached = std::all_of(
          conditions_.begin(), conditions_.end(),
          [&](const Condition& c) { return (c.code->Run(c.vector ? lane : 0) != 0) == c.holds; });
      if (!reached || machine_.failed()) continue;
      const int64_t at = index_->Run(lane);
      if (machine_.failed() || (at >= 0 && at <= last_)) continue;
      std::string text;
      for (size_t i = 0; i < loops_.size(); ++i) {
        absl::StrAppend(&text, loops_[i].var->name, "=", *slots_[i], ", ");
      }
      if (lanes_ > 1) absl::StrAppend(&text, "lane ", lane, ", ");
      return absl::StrCat(text, "where it is ", at);
    }
    return std::nullopt;
  }

  std::optional<std::string> TryAll() {
    for (size_t i = 0; i < loops_.size(); ++i) *slots_[i] = loops_[i].min;
    while (true) {
      if (auto found = Try()) return found;
      size_t i = loops_.size();
      for (; i > 0; --i) {
        if (++*slots_[i - 1] < loops_[i - 1].min + loops_[i - 1].extent) break;
        *slots_[i - 1] = loops_[i - 1].min;
      }
      if (i == 0) return std::nullopt;
    }
  }

  std::optional<std::string> TryCorners() {
    constexpr size_t kMaxLoops = 12;
    const size_t used = std::min(loops_.size(), kMaxLoops);
    for (size_t corner = 0; corner < size_t{1} << used; ++corner) {
      for (size_t i = 0; i < loops_.size(); ++i) {
        const bool high = i < used && (corner >> i & 1);
        *slots_[i] = loops_[i].min + (high ? loops_[i].extent - 1 : 0);
      }
      if (auto found = Try()) return found;
    }
    return std::nullopt;
  }

  // Each variable at an end, or near one, or anywhere.
  std::optional<std::string> TrySamples() {
    constexpr int kSamples = 20000;
    Rng rng(20210817);
    for (int sample = 0; sample < kSamples; ++sample) {
      for (size_t i = 0; i < loops_.size(); ++i) {
        const int64_t span = loops_[i].extent - 1;
        const int64_t near = std::min<int64_t>(span, rng.Between(0, 3));
        switch (rng.Below(4)) {
          case 0:
            *slots_[i] = loops_[i].min + near;
            break;
          case 1:
            *slots_[i] = loops_[i].min + span - near;
            break;
          default:
            *slots_[i] = loops_[i].min + rng.Between(0, span);
        }
      }
      if (auto found = Try()) return found;
    }
    return std::nullopt;
  }

  interpreter::Machine machine_;
  interpreter::IntCode* index_ = nullptr;
  int lanes_ = 1;
  int64_t last_;
  std::vector<Condition> conditions_;
  std::vector<Place::Loop> loops_;
  std::vector<int64_t*> slots_;
  bool undecided_ = false;
};

}  // namespace

std::optional<std::string> FindOutside(const Place& place, const Expr& index, int64_t last) {
  return Search(place, index, last).Run();
}

}  // namespace tessera::ir
