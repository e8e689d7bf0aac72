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

constexpr int kElement = 0;  // the first axis of M and V
// Axes of M in blocks, and the loop of the store that they are computed in.
constexpr int kImage = 1, kTileRow = 2;
// Of the product: its loops are long, the program has the transforms beside them.
constexpr int64_t kMaxBodies = 256;

int Last(const te::Stage& stage) { return static_cast<int>(stage.axes.size()) - 1; }

class WinogradGroup final : public Group {
 public:
  WinogradGroup(const WinogradSpec& spec, std::unique_ptr<Group> product, const ir::Target& target)
      : base_(*spec.base),
        conv_(spec.conv),
        form_(spec.form),
        two_(spec.form.windows.size() == 2),
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

  // `outer` loops, the first two of which (or the one that there is) threads share if they are to,
  // then unrolled ones, then a vector.
  schedule::Nest Arrange(const std::string& stage, const Digits& outer, const Digits& unrolled,
                         schedule::Digit vector, bool is_shared = false) const {
    schedule::Nest nest{base_.StageNamed(stage), {}};
    for (const schedule::Digit& digit : outer) nest.loops.push_back(Loop(digit));
    if (threads_ > 1 && is_shared) {
      nest.loops[0].kind = ir::LoopKind::kParallel;
      if (outer.size() > 1) {
        nest.loops[0].digits.push_back(outer[1]);
        nest.loops.erase(nest.loops.begin() + 1);
      }
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

  // Whole axes from `first` to the one before the last, which is a vector's.
  static Digits Places(const te::Stage& stage, int first) {
    Digits places;
    for (int axis = first; axis < Last(stage); ++axis) places.push_back(Whole(axis));
    return places;
  }
  static Digits With(Digits digits, schedule::Digit last) {
    digits.push_back(last);
    return digits;
  }
  // Of the last loop.
  static int LoopOf(const Digits& outer) { return static_cast<int>(outer.size()) - 1; }

  const schedule::WinogradWindow& columns() const { return form_.windows.back(); }
  int64_t ColumnPoints() const { return columns().points(m_); }

  // Of a transform, one dimension of the tile is unrolled, which the rows of the matrix are chosen
  // by, and one is a loop: both unrolled, code grows and registers run out.
  void DecideInput(bool padded_at_root, Decisions& decisions) const {
    std::vector<schedule::Nest>& nests = decisions.nests;
    const te::Stage &v = Stage("V"), &d = Stage("d");
    KeepVectorsTogether(v, kElement + 1, decisions);
    const Digits outer = Outer(v, Last(v), Places(v, kElement + 1));
    const int at = IsBlocked() ? LoopOf(outer) : AtOrBefore(LoopOf(outer));  // the last tiles
    nests.push_back(Arrange(v.name(), two_ ? With(outer, {kElement, ColumnPoints(), kRest}) : outer,
                            {{kElement, 1, two_ ? ColumnPoints() : kRest}}, Vector(v, Last(v)),
                            !IsBlocked()));
    if (IsBlocked()) nests.back() = At(store_, BlockLoop(), std::move(nests.back()));
    int consumer = nests.back().stage, column = at;
    if (two_) {
      const te::Stage& bd = Stage("Bd");
      const Digits around = With(Places(bd, 2), Whole(1));
      nests.push_back(At(consumer, at, Arrange(bd.name(), around, {Whole(0)}, Whole(Last(bd)))));
      consumer = nests.back().stage;
      column = LoopOf(around);
    }
    // d's axes end with rows, if there are any, columns and channels.
    const int x = Last(d) - 1;
    if (!padded_at_root) {
      Digits places = Places(d, 0);
      const int unrolled = two_ ? x - 1 : x;
      places.erase(places.begin() + unrolled);
      nests.push_back(
          At(consumer, column, Arrange(d.name(), places, {Whole(unrolled)}, Whole(Last(d)))));
      return;
    }
    KeepVectorsTogether(d, 0, decisions);
    nests.push_back(
        Arrange(d.name(), Outer(d, Last(d), Places(d, 0)), {}, Vector(d, Last(d)), true));
  }

  void DecideWeights(Decisions& decisions) const {
    std::vector<schedule::Nest>& nests = decisions.nests;
    const te::Stage& u = Stage("U");
    const Digits outer = Outer(u, Last(u), Places(u, 1));
    nests.push_back(Arrange(u.name(), two_ ? With(outer, {0, ColumnPoints(), kRest}) : outer,
                            {{0, 1, two_ ? ColumnPoints() : kRest}}, Vector(u, Last(u))));
    if (two_) {
      const te::Stage& gg = Stage("Gg");
      nests.push_back(
          At(nests.back().stage, LoopOf(outer),
             Arrange(gg.name(), With(Places(gg, 2), Whole(1)), {Whole(0)}, Whole(Last(gg)))));
    }
    // Vectors of filters, which the preparation then reads as such.
    const ir::Buffer& w = form_.w;
    if (w->policy == ir::LayoutPolicy::kFree) {
      std::vector<ir::LayoutDim> layout;
      const auto add = [&](int dim) { layout.push_back({dim, 1, w->shape[dim]}); };
      for (const schedule::WinogradSlice& slice : form_.weights) add(slice.dim);
      for (const schedule::WinogradWindow& window : form_.windows) add(window.w_dim);
      add(form_.filter_dim);
      decisions.layouts.emplace_back(w, std::move(layout));
    }
  }

  // Tiles, or what a block has of them.
  schedule::Digit Tiles(const schedule::WinogradWindow& window, int64_t extent = kRest) const {
    return {window.axis, window.output_phases() * m_, extent};
  }
  schedule::Digit InTile(const schedule::WinogradWindow& window) const {
    return {window.axis, window.output_phases(), m_};
  }

  void DecideOutput(std::vector<schedule::Nest>& nests) const {
    const te::Stage& store = *base_.stages()[store_].stage;
    Digits around, places;  // outside and inside of vectors
    for (const int axis : form_.outputs) (IsBlocked() ? around : places).push_back(Whole(axis));
    for (const schedule::WinogradWindow& window : form_.windows) {
      const int64_t phases = window.output_phases();
      if (phases > 1) places.push_back({window.axis, 1, phases});
    }
    if (IsBlocked()) {
      const schedule::WinogradWindow& rows = form_.windows.front();
      around.push_back({rows.axis, rows.output_phases() * m_ * block_rows_, kRest});
      if (block_rows_ > 1) places.push_back(Tiles(rows, block_rows_));
    } else if (two_) {
      places.push_back(Tiles(form_.windows.front()));
    }
    places.push_back(Tiles(columns()));
    Digits outer = Outer(store, form_.filter, places);
    outer.insert(outer.begin(), around.begin(), around.end());
    const int at = LoopOf(outer);  // the last tiles
    const te::Stage& y = Stage("Y");
    if (!two_) {
      nests.push_back(
          Arrange(store.name(), outer, {InTile(columns())}, Vector(store, form_.filter), true));
      nests.push_back(
          At(store_, AtOrBefore(at), Arrange(y.name(), Places(y, 1), {Whole(0)}, Whole(Last(y)))));
      return;
    }
    outer.push_back(InTile(columns()));
    nests.push_back(Arrange(store.name(), outer, {InTile(form_.windows.front())},
                            Vector(store, form_.filter), true));
    nests.push_back(At(store_, AtOrBefore(at + 1),
                       Arrange(y.name(), Places(y, 1), {Whole(0)}, Whole(Last(y)))));
    const te::Stage& am = Stage("AM");
    nests.push_back(
        At(store_, AtOrBefore(at),
           Arrange(am.name(), With(Places(am, 2), Whole(0)), {Whole(1)}, Whole(Last(am)))));
  }

  bool IsBlocked() const { return block_rows_ > 0; }
  // The store's, which V and M are computed in.
  int BlockLoop() const { return AtOrBefore(1); }

  // Loop `at` of an arrangement, one earlier where threads share its first two loops.
  int AtOrBefore(int at) const { return threads_ > 1 ? std::max(0, at - 1) : at; }

  const schedule::Schedule& base_;
  const std::string conv_;
  const schedule::WinogradForm form_;
  const bool two_;  // windows
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
                          const schedule::WinogradForm& form, const ir::Target& target) {
  const auto stage = [&](const char* part) -> const te::Stage& {
    return *base.stages()[base.StageNamed(absl::StrCat(conv, part))].stage;
  };
  const auto bytes = [](const ir::BufferNode& buffer) {
    return buffer.ElementCount() * buffer.type.bits / 8;
  };
  const te::Stage& m = stage(".M");
  constexpr size_t kAxes = 5;  // elements, images, tile rows, tile columns, filters
  if (m.axes.size() != kAxes || form.windows.size() != 2 || form.images.size() != 1 ||
      form.outputs.size() != 1) {
    return 0;
  }
  const int64_t rows = m.axes[kTileRow].extent;
  const int64_t all = bytes(*stage(".V").output()) + bytes(*m.output());
  const int64_t room = target.l2_bytes - bytes(*stage(".U").output());
  if (all <= room) return 0;
  const int64_t row = all / (rows * m.axes[kImage].extent);
  int64_t most = 0;
  for (int64_t divisor = 1; divisor <= rows / divisor; ++divisor) {
    if (rows % divisor != 0) continue;
    for (const int64_t block : {divisor, rows / divisor}) {
      if (block * row <= room) most = std::max(most, block);
    }
  }
  return most;
}

}  // namespace tessera::space
