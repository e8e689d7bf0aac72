#include "schedule_space/winograd_group.h"

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "schedule_space/layout_rules.h"
#include "schedule_space/nest_loops.h"
#include "schedule_space/tile_group.h"
#include "schedule_space/tile_sizes.h"

namespace tessera::space {
namespace {

// Axes of M and V.
constexpr int kElement = 0, kImage = 1, kTileRow = 2, kChannel = 4;
// Of the product: its loops are long, the program has the transforms beside them.
constexpr int64_t kMaxBodies = 256;
// The loop of Bd over a tile's columns.
constexpr int kBdColumn = 3;

class WinogradGroup final : public Group {
 public:
  WinogradGroup(const WinogradSpec& spec, std::unique_ptr<Group> product, const ir::Target& target)
      : base_(*spec.base),
        conv_(spec.conv),
        m_(spec.m),
        store_(spec.store),
        block_rows_(spec.block_rows),
        threads_(spec.threads),
        lanes_(target.Lanes(32)),
        product_(std::move(product)),
        knobs_(product_->knobs()) {
    for (const te::Input& input : base_.inputs()) OfferBlocks(input.buffer);
    OfferBlocks(base_.stages()[store_].stage->output());
    const auto& input = *base_.stages()[base_.StageNamed(Name("d"))].analysis;
    if (input.operations.select == 0) return;
    // Reading padding around every tile takes a copy of the transform for each edge and corner.
    input_knob_ = static_cast<int>(knobs_.size());
    knobs_.push_back(FreeKnob("input", {"padded_at_root"}, {{0}, {1}}));
  }

  const std::vector<Knob>& knobs() const override { return knobs_; }

  void Canonicalize(absl::Span<int> choices) const override {
    product_->Canonicalize(choices.subspan(0, product_->knobs().size()));
  }

  Decisions Decide(absl::Span<const int> choices) const override {
    const size_t inner = product_->knobs().size();
    Decisions decisions;
    DecideOutput(decisions.nests);
    Decisions product = product_->Decide(choices.subspan(0, inner));
    decisions.layouts = std::move(product.layouts);
    if (IsBlocked()) {
      const int m = base_.StageNamed(Name("M"));
      for (schedule::Nest& nest : product.nests) {
        if (nest.stage == m) nest = At(store_, BlockLoop(), std::move(nest));
      }
    }
    std::move(product.nests.begin(), product.nests.end(), std::back_inserter(decisions.nests));
    for (size_t b = 0; b < blocked_.size(); ++b) {
      const int64_t size = knobs_[inner + b].options[choices[inner + b]][0];
      if (size == 1) continue;
      decisions.layouts.emplace_back(blocked_[b],
                                     BlockedLayout(*blocked_[b], blocked_[b]->block_axis, size));
    }
    DecideInput(input_knob_ >= 0 && choices[input_knob_] == 1, decisions);
    DecideWeights(decisions);
    return decisions;
  }

 private:
  // Vectors run along channels: blocks hold whole ones where that is possible.
  void OfferBlocks(const ir::Buffer& buffer) {
    if (buffer->policy != ir::LayoutPolicy::kBlocked || buffer->shape[buffer->block_axis] == 1) {
      return;
    }
    const int64_t channels = buffer->shape[buffer->block_axis];
    std::vector<Option> options;
    for (int64_t size : BlockChoices(channels)) {
      if (size % lanes_ == 0 || size == channels) options.push_back({size});
    }
    knobs_.push_back(
        FreeKnob(absl::StrCat("block.", buffer->name), {"channels"}, std::move(options)));
    blocked_.push_back(buffer);
  }

  std::string Name(const char* part) const { return absl::StrCat(conv_, ".", part); }
  const te::Stage& Stage(const char* part) const {
    return *base_.stages()[base_.StageNamed(Name(part))].stage;
  }

  using Digits = std::vector<schedule::Digit>;

  // Of an axis that one loop covers.
  static schedule::Digit Whole(int axis) { return {axis, 1, kRest}; }

  // The loops of an axis of channels in vectors: the outer one, if there is more than one vector,
  // before `places`; and the vector's.
  schedule::Digit Vector(const te::Stage& stage, int axis) const {
    return {axis, 1, stage.axes[axis].extent <= lanes_ ? kRest : lanes_};
  }
  // Vectors come first: threads share them, and loops over tiles, which nothing fuses, can be cut
  // where padding ends.
  Digits Outer(const te::Stage& stage, int axis, const Digits& places) const {
    Digits outer;
    if (stage.axes[axis].extent > lanes_) outer.push_back({axis, lanes_, kRest});
    outer.insert(outer.end(), places.begin(), places.end());
    return outer;
  }

  // `outer` loops, the first two of which threads share if they are to, then unrolled ones, then a
  // vector.
  schedule::Nest Arrange(const std::string& stage, const Digits& outer, const Digits& unrolled,
                         schedule::Digit vector, bool is_shared = false) const {
    schedule::Nest nest{base_.StageNamed(stage), {}};
    for (const schedule::Digit& digit : outer) nest.loops.push_back(Loop(digit));
    if (threads_ > 1 && is_shared) {
      nest.loops[0].kind = ir::LoopKind::kParallel;
      nest.loops[0].digits.push_back(outer[1]);
      nest.loops.erase(nest.loops.begin() + 1);
    }
    for (const schedule::Digit& digit : unrolled) {
      nest.loops.push_back(Loop(digit, ir::LoopKind::kUnrolled));
    }
    nest.loops.push_back(Loop(vector, ir::LoopKind::kVectorized));
    return nest;
  }

  // Computes `nest` in the body of loop `loop` of `consumer`.
  static schedule::Nest At(int consumer, int loop, schedule::Nest nest) {
    nest.at_stage = consumer;
    nest.at_loop = loop;
    return nest;
  }

  // A vector of channels, the last dimension, stays together; next to it lie those of other
  // places. `first` dimensions stay outermost.
  void KeepVectorsTogether(const te::Stage& stage, int first, Decisions& decisions) const {
    const std::vector<int64_t>& shape = stage.output()->shape;
    const int channel = static_cast<int>(shape.size()) - 1;
    if (shape[channel] <= lanes_) return;
    std::vector<ir::LayoutDim> layout;
    for (int d = 0; d < channel; ++d) {
      if (d == first) layout.push_back({channel, lanes_, CeilDiv(shape[channel], lanes_)});
      layout.push_back({d, 1, shape[d]});
    }
    layout.push_back({channel, 1, lanes_});
    decisions.layouts.emplace_back(stage.output(), std::move(layout));
  }

  // Of a transform, one dimension of the tile is unrolled, which the rows of the matrix are chosen
  // by, and one is a loop: both unrolled, code grows and registers run out.
  void DecideInput(bool padded_at_root, Decisions& decisions) const {
    std::vector<schedule::Nest>& nests = decisions.nests;
    const te::Stage &v = Stage("V"), &d = Stage("d");
    const int64_t alpha = m_ + 2;
    KeepVectorsTogether(v, kElement + 1, decisions);
    Digits places = {Whole(1), Whole(2), Whole(3)};
    const int at = static_cast<int>(Outer(v, kChannel, places).size()) - 1;  // tile columns
    places.push_back({kElement, alpha, kRest});
    nests.push_back(Arrange(v.name(), Outer(v, kChannel, places), {{kElement, 1, alpha}},
                            Vector(v, kChannel), !IsBlocked()));
    if (IsBlocked()) nests.back() = At(store_, BlockLoop(), std::move(nests.back()));
    const int consumer = nests.back().stage;
    nests.push_back(
        At(consumer, IsBlocked() ? at : AtOrBefore(at),
           Arrange(Name("Bd"), {Whole(2), Whole(3), Whole(4), Whole(1)}, {Whole(0)}, Whole(5))));
    if (!padded_at_root) {
      nests.push_back(At(nests.back().stage, kBdColumn,
                         Arrange(d.name(), {Whole(0), Whole(2)}, {Whole(1)}, Whole(3))));
      return;
    }
    KeepVectorsTogether(d, 0, decisions);
    nests.push_back(
        Arrange(d.name(), Outer(d, 3, {Whole(0), Whole(1), Whole(2)}), {}, Vector(d, 3), true));
  }

  void DecideWeights(Decisions& decisions) const {
    std::vector<schedule::Nest>& nests = decisions.nests;
    const te::Stage& u = Stage("U");
    const int64_t alpha = m_ + 2;
    Digits places = {Whole(1)};
    const int at = static_cast<int>(Outer(u, 2, places).size()) - 1;
    places.push_back({0, alpha, kRest});
    nests.push_back(Arrange(u.name(), Outer(u, 2, places), {{0, 1, alpha}}, Vector(u, 2)));
    nests.push_back(At(nests.back().stage, at,
                       Arrange(Name("Gg"), {Whole(2), Whole(1)}, {Whole(0)}, Whole(3))));
    // Vectors of filters, which the preparation then reads as such.
    const ir::Buffer& w = base_.stages()[base_.StageNamed(Name("Gg"))].analysis->reads[0].buffer;
    if (w->policy == ir::LayoutPolicy::kFree) {
      std::vector<ir::LayoutDim> layout;
      for (const int dim : {1, 2, 3, 0}) layout.push_back({dim, 1, w->shape[dim]});
      decisions.layouts.emplace_back(w, std::move(layout));
    }
  }

  void DecideOutput(std::vector<schedule::Nest>& nests) const {
    const te::Stage& store = *base_.stages()[store_].stage;
    // Outside of vectors: images and blocks, if there are any.
    Digits around, places = {Whole(0), {2, m_, kRest}};
    if (IsBlocked()) {
      around = {Whole(0), {2, m_ * block_rows_, kRest}};
      places.clear();
      if (block_rows_ > 1) places.push_back({2, m_, block_rows_});
    }
    places.push_back({3, m_, kRest});
    Digits outer = Outer(store, 1, places);
    outer.insert(outer.begin(), around.begin(), around.end());
    const int at = static_cast<int>(outer.size()) - 1;  // tile columns
    outer.push_back({3, 1, m_});
    nests.push_back(Arrange(store.name(), outer, {{2, 1, m_}}, Vector(store, 1), true));
    nests.push_back(
        At(store_, AtOrBefore(at + 1),
           Arrange(Name("Y"), {Whole(1), Whole(2), Whole(3), Whole(4)}, {Whole(0)}, Whole(5))));
    nests.push_back(
        At(store_, AtOrBefore(at),
           Arrange(Name("AM"), {Whole(2), Whole(3), Whole(4), Whole(0)}, {Whole(1)}, Whole(5))));
  }

  bool IsBlocked() const { return block_rows_ > 0; }
  // The store's, which V and M are computed in.
  int BlockLoop() const { return AtOrBefore(1); }

  // Loop `at` of an arrangement, one earlier where threads share its first two loops.
  int AtOrBefore(int at) const { return threads_ > 1 ? at - 1 : at; }

  const schedule::Schedule& base_;
  const std::string conv_;
  const int64_t m_;
  const int store_;
  const int64_t block_rows_;
  const int threads_;
  const int64_t lanes_;
  const std::unique_ptr<Group> product_;
  std::vector<Knob> knobs_;  // those of the product, then blocks, then the input's
  std::vector<ir::Buffer> blocked_;
  int input_knob_ = -1;
};

}  // namespace

std::unique_ptr<Group> MakeWinogradGroup(const WinogradSpec& spec, const ir::Target& target) {
  TileSpec product;
  product.base = spec.base;
  product.reduce = spec.base->StageNamed(spec.conv + ".M.local");
  product.store = spec.base->StageNamed(spec.conv + ".M");
  product.ordered = {spec.base->StageNamed(spec.conv + ".U")};
  product.untiled = {kElement};
  product.max_bodies = kMaxBodies;
  product.offers_blocks = false;
  product.threads = spec.threads;
  if (spec.block_rows > 0) {
    for (const te::Axis& axis : spec.base->stages()[product.store].stage->axes) {
      product.extents.push_back(axis.extent);
    }
    product.extents[kTileRow] = spec.block_rows;
    product.extents[kImage] = 1;
    product.threads = 1;  // they share the blocks
  }
  std::unique_ptr<Group> group = MakeTileGroup(product, target);
  if (group == nullptr) return nullptr;
  return std::make_unique<WinogradGroup>(spec, std::move(group), target);
}

int64_t WinogradBlockRows(const schedule::Schedule& base, const std::string& conv,
                          const ir::Target& target) {
  const auto stage = [&](const char* part) -> const te::Stage& {
    return *base.stages()[base.StageNamed(absl::StrCat(conv, part))].stage;
  };
  const auto bytes = [](const ir::BufferNode& buffer) {
    return buffer.ElementCount() * buffer.type.bits / 8;
  };
  const te::Stage& m = stage(".M");
  const int64_t rows = m.axes[kTileRow].extent;
  const int64_t all = bytes(*stage(".V").output()) + bytes(*m.output());
  const int64_t room = target.l2_bytes - bytes(*stage(".U").output());
  if (all <= room) return 0;
  const int64_t row = all / (rows * m.axes[kImage].extent);
  for (int64_t block = rows; block > 0; --block) {
    if (rows % block == 0 && block * row <= room) return block;
  }
  return 0;
}

}  // namespace tessera::space
