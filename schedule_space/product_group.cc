#include "schedule_space/product_group.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "compiler/schedule/lowering_limits.h"
#include "schedule_space/row_group.h"
#include "schedule_space/tile_group.h"

namespace tessera::space {
namespace {

// Updates that the unrolled loops of all products may make together, so that the program with what
// is before and after them, and with the stages along rows, stays below what lowering refuses. Of
// more products than these, too few are left for a register tile each.
constexpr int64_t kMaxUpdates = schedule::kMaxUnrolledStores / 5 * 2;
constexpr size_t kMaxProducts = 64;

class ProductGroup final : public Group {
 public:
  ProductGroup(int block_axis, std::vector<std::unique_ptr<Group>> products,
               const std::vector<std::string>& names, std::unique_ptr<Group> rows)
      : block_axis_(block_axis), products_(std::move(products)), rows_(std::move(rows)) {
    for (size_t i = 0; i < products_.size(); ++i) Append(*products_[i], names[i]);
    Append(*rows_, "");
  }

  const std::vector<Knob>& knobs() const override { return knobs_; }

  void Canonicalize(absl::Span<int> choices) const override {
    size_t at = 0;
    for (const auto& product : products_) {
      product->Canonicalize(choices.subspan(at, product->knobs().size()));
      at += product->knobs().size();
    }
    rows_->Canonicalize(choices.subspan(at));
  }

  Decisions Decide(absl::Span<const int> choices) const override {
    const size_t of_products = choices.size() - rows_->knobs().size();
    Decisions decisions = rows_->Decide(choices.subspan(of_products));
    const int last = decisions.nests[0].stage;
    const int loop = block_axis_ < 0 ? -1 : LoopOf(decisions.nests[0]);
    size_t at = 0;
    for (const auto& product : products_) {
      Decisions part = product->Decide(choices.subspan(at, product->knobs().size()));
      at += product->knobs().size();
      std::move(part.layouts.begin(), part.layouts.end(), std::back_inserter(decisions.layouts));
      for (schedule::Nest& nest : part.nests) {
        if (block_axis_ >= 0 && nest.at_stage < 0) {
          nest.at_stage = last;
          nest.at_loop = loop;
        }
        decisions.nests.push_back(std::move(nest));
      }
    }
    return decisions;
  }

 private:
  void Append(const Group& group, const std::string& name) {
    const int first = static_cast<int>(knobs_.size());
    for (Knob knob : group.knobs()) {
      if (!name.empty()) knob.name = absl::StrCat(name, ".", knob.name);
      for (Knob::Control& control : knob.controls) control.knob += first;
      knobs_.push_back(std::move(knob));
    }
  }

  // The innermost loop of the block axis.
  int LoopOf(const schedule::Nest& nest) const {
    int found = 0;
    for (size_t i = 0; i < nest.loops.size(); ++i) {
      for (const schedule::Digit& digit : nest.loops[i].digits) {
        if (digit.axis == block_axis_) found = static_cast<int>(i);
      }
    }
    return found;
  }

  const int block_axis_;
  const std::vector<std::unique_ptr<Group>> products_;
  const std::unique_ptr<Group> rows_;
  std::vector<Knob> knobs_;  // those of the products, then of the rows
};

}  // namespace

std::unique_ptr<Group> MakeProductGroup(const ProductSpec& spec, const ir::Target& target) {
  if (spec.products.size() > kMaxProducts) return nullptr;
  std::vector<std::unique_ptr<Group>> products;
  std::vector<std::string> names;
  for (const ProductSpec::Product& product : spec.products) {
    TileSpec tile;
    tile.base = spec.base;
    tile.reduce = product.reduce;
    tile.store = product.store;
    tile.copies = product.copies;
    tile.threads = spec.threads;
    tile.max_bodies =
        std::min(tile.max_bodies, kMaxUpdates / static_cast<int64_t>(spec.products.size()));
    const te::Stage& store = *spec.base->stages()[product.store].stage;
    if (spec.block_axis >= 0) {
      for (const te::Axis& axis : store.axes) tile.extents.push_back(axis.extent);
      std::fill_n(tile.extents.begin(), spec.block_axis + 1, 1);
      tile.threads = 1;  // they share the blocks
    }
    products.push_back(MakeTileGroup(tile, target));
    if (products.back() == nullptr) return nullptr;
    names.push_back(store.name());
  }
  std::unique_ptr<Group> rows =
      MakeRowGroup({spec.base, spec.rows, spec.block_axis, spec.threads}, target);
  return std::make_unique<ProductGroup>(spec.block_axis, std::move(products), names,
                                        std::move(rows));
}

}  // namespace tessera::space
