#include "compiler/graph/fuse.h"

#include <algorithm>
#include <numeric>

#include "compiler/graph/operators.h"
#include "compiler/graph/views.h"

namespace tessera::graph {
namespace {

constexpr size_t kMostNodes = 48;  // of a group

Pattern PatternOf(const Node& node) { return FindOperator(node.op)->pattern; }

bool IsLoose(Pattern pattern) {
  return pattern == Pattern::kElementwise || pattern == Pattern::kInjective;
}

class Fuser {
 public:
  explicit Fuser(const Graph& graph)
      : graph_(graph),
        users_(graph.Users()),
        stays_alone_(graph.nodes.size()),
        group_(graph.nodes.size()) {
    // Whatever layouts are, so that kernels don't depend on what is chosen for them.
    Graph rows = graph;
    for (Node& node : rows.nodes) node.type.layout.clear();
    const std::vector<View> views = FindViews(rows);
    for (size_t i = 0; i < views.size(); ++i) {
      stays_alone_[i] = views[i].of >= 0 && graph.nodes[i].op == "slice";
    }
    for (const View& part : FindParts(rows)) {
      if (part.of >= 0) stays_alone_[part.of] = true;
    }

    std::iota(group_.begin(), group_.end(), 0);
    for (size_t i = 0; i < graph.nodes.size(); ++i) {
      members_.push_back({static_cast<int>(i)});
      const Node& node = graph.nodes[i];
      patterns_.push_back(IsComputed(static_cast<int>(i)) ? PatternOf(node)
                                                          : Pattern::kElementwise);
    }
  }

  std::vector<Group> Run() {
    const std::vector<int> exits = PostDominators(graph_);
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      const auto node = static_cast<int>(i);
      if (IsComputed(node) && !StaysAlone(node) && exits[i] >= 0) TryTo(node, exits[i]);
    }
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      if (exits[i] >= 0 && group_[i] != group_[exits[i]]) GiveTail(static_cast<int>(i), exits[i]);
    }
    std::vector<Group> groups;
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      Group& members = members_[group_[i]];
      // A group runs where its last member is.
      if (!IsComputed(static_cast<int>(i)) ||
          *std::ranges::max_element(members) != static_cast<int>(i)) {
        continue;
      }
      std::ranges::sort(members);
      groups.push_back(members);
    }
    return groups;
  }

 private:
  bool IsComputed(int node) const {
    return !graph_.nodes[node].is_input() && !graph_.nodes[node].is_constant();
  }

  bool StaysAlone(int node) const { return stays_alone_[node]; }

  // The nodes on the ways from `from` to `to`, without `from`.
  std::vector<int> Between(int from, int to) const {
    std::vector<int> found, open{from};
    while (!open.empty()) {
      const int node = open.back();
      open.pop_back();
      for (const int user : users_[node]) {
        if (std::ranges::count(found, user) > 0) continue;
        found.push_back(user);
        if (found.size() > kMostNodes) return found;
        if (user != to) open.push_back(user);
      }
    }
    return found;
  }

  // Whether a group computes something, rather than moving elements.
  bool HasWork(int group) const {
    return std::ranges::any_of(members_[group], [&](int member) {
      return PatternOf(graph_.nodes[member]) == Pattern::kElementwise;
    });
  }

  // What these groups together read from outside, and their result.
  int TensorsOf(const std::vector<int>& groups) const {
    std::vector<int> read;
    for (const int group : groups) {
      for (const int member : members_[group]) {
        for (const int operand : graph_.nodes[member].operands) {
          if (std::ranges::count(groups, group_[operand]) == 0) read.push_back(operand);
        }
      }
    }
    std::ranges::sort(read);
    const auto twice = std::ranges::unique(read);
    return static_cast<int>(read.size() - twice.size()) + 1;
  }

  // Whether all that a group does is to compute the element of another tensor for each of `shape`.
  bool IsElementwise(int group, const std::vector<int64_t>& shape) const {
    return std::ranges::all_of(members_[group], [&](int member) {
      const Node& node = graph_.nodes[member];
      return PatternOf(node) == Pattern::kElementwise && node.type.shape == shape;
    });
  }

  // The members of a group, ascending, behind the last one of fewer bits than the result, if they
  // read no others: what widens it again. Empty: there is none.
  Group TailOf(int group, int result) const {
    Group members = members_[group];
    std::ranges::sort(members);
    const auto bits = [&](int node) { return graph_.nodes[node].type.element.bits; };
    const auto narrow = std::find_if(members.rbegin(), members.rend(),
                                     [&](int member) { return bits(member) < bits(result); });
    if (narrow == members.rend()) return {};
    const Group before(members.begin(), narrow.base() - 1), tail(narrow.base(), members.end());
    for (const int member : tail) {
      for (const int operand : graph_.nodes[member].operands) {
        if (std::ranges::binary_search(before, operand)) return {};
      }
    }
    return tail;
  }

  // Lets the group of what reads a result compute the last of it, where fewer bytes are stored so.
  void GiveTail(int result, int reader) {
    const int group = group_[result];
    if (!IsComputed(result) || StaysAlone(result)) return;
    const Group all = members_[group], tail = TailOf(group, result);
    if (tail.empty()) return;
    const auto own = static_cast<int>(members_.size());
    members_.push_back(tail);
    patterns_.push_back(Pattern::kElementwise);
    for (const int member : tail) group_[member] = own;
    std::erase_if(members_[group], [&](int m) { return std::ranges::binary_search(tail, m); });
    TryTo(result, reader);
    if (group_[reader] == own) return;
    for (const int member : tail) group_[member] = group;
    members_[group] = all;
    members_[own].clear();
  }

  void TryTo(int from, int to) {
    const std::vector<int> between = Between(from, to);
    if (between.size() > kMostNodes) return;
    const Pattern first = patterns_[group_[from]];
    const std::vector<int64_t>& shape = graph_.nodes[from].type.shape;
    std::vector<int> merged{group_[from]};
    for (const int node : between) {
      if (StaysAlone(node)) return;
      const Pattern pattern = patterns_[group_[node]];
      const bool is_last = node == to;
      bool fits = false;
      if (IsLoose(first)) {
        // Broadcasting what is computed would compute it again for each element.
        const bool grows =
            graph_.nodes[node].type.ElementCount() > graph_.nodes[from].type.ElementCount() &&
            HasWork(group_[from]);
        // Beside an anchor or a reduction it is computed where its reader is.
        const bool is_beside = PatternOf(graph_.nodes[node]) == Pattern::kElementwise &&
                               graph_.nodes[node].type.shape == shape &&
                               IsElementwise(group_[from], shape);
        fits = (IsLoose(pattern) && !grows) ||
               (is_last && (pattern == Pattern::kReduction || is_beside));
      } else {
        fits = pattern == Pattern::kElementwise && graph_.nodes[node].type.shape == shape;
      }
      if (!fits) return;
      if (std::ranges::count(merged, group_[node]) == 0) merged.push_back(group_[node]);
    }
    size_t size = 0;
    for (const int group : merged) size += members_[group].size();
    if (size > kMostNodes || TensorsOf(merged) > kMaxKernelTensors) return;
    Pattern pattern = first;
    for (const int group : merged) pattern = std::max(pattern, patterns_[group]);
    const int into = merged[0];
    for (size_t i = 1; i < merged.size(); ++i) {
      for (const int member : members_[merged[i]]) {
        group_[member] = into;
        members_[into].push_back(member);
      }
      members_[merged[i]].clear();
    }
    patterns_[into] = pattern;
  }

  const Graph& graph_;
  const std::vector<std::vector<int>> users_;
  std::vector<bool> stays_alone_;  // by node
  std::vector<int> group_;         // by node
  std::vector<Group> members_;
  std::vector<Pattern> patterns_;  // by group
};

}  // namespace

std::vector<int> PostDominators(const Graph& graph) {
  const auto count = static_cast<int>(graph.nodes.size());
  const std::vector<std::vector<int>> users = graph.Users();
  std::vector<int> exits(count, -1), depth(count, 1);  // -1: the end of all, at depth 0
  const auto depth_of = [&](int node) { return node < 0 ? 0 : depth[node]; };
  for (int node = count; node-- > 0;) {
    if (graph.IsOutput(node) || users[node].empty()) continue;
    int common = users[node][0];
    for (const int user : users[node]) {
      int other = user;
      while (common != other) {
        int& deeper = depth_of(common) >= depth_of(other) ? common : other;
        deeper = exits[deeper];
      }
    }
    exits[node] = common;
    depth[node] = depth_of(common) + 1;
  }
  return exits;
}

std::vector<Group> Fuse(const Graph& graph) { return Fuser(graph).Run(); }

}  // namespace tessera::graph
