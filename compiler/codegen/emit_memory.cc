#include <algorithm>
#include <bit>

#include "absl/strings/str_cat.h"
#include "compiler/codegen/function_emitter.h"
#include "compiler/ir/print.h"

namespace tessera::codegen {

using llvm::Value;

namespace {

constexpr int64_t kMaxSpan = 4;  // vectors that lanes may be spread over to be shuffled

int LanesOf(Value* vector) {
  return static_cast<int>(llvm::cast<llvm::FixedVectorType>(vector->getType())->getNumElements());
}

// The mask of a vector's groups of lanes, of each of which all or no lanes count; empty if
// `predicate` is none of that form.
ir::Expr MaskOfGroups(const ir::Expr& predicate) {
  const auto* call = predicate.As<ir::Call>();
  if (call == nullptr || !ir::IsInterleave(*call)) return {};
  const ir::Expr& mask = call->args[0];
  const std::string text = ir::Print(mask);
  const bool same = std::all_of(call->args.begin(), call->args.end(),
                                [&](const ir::Expr& arg) { return ir::Print(arg) == text; });
  return same ? mask : ir::Expr();
}

}  // namespace

Value* FunctionEmitter::Pointer(const ir::BufferNode& buffer) {
  const auto found = buffers_.find(&buffer);
  if (found != buffers_.end()) return found->second;
  state_.Fail(absl::InvalidArgumentError(
      absl::StrCat("code generation: buffer ", buffer.name,
                   " is neither a parameter nor allocated around its use")));
  return llvm::PoisonValue::get(b_.getPtrTy());
}

// Of the byte that holds the element.
Value* FunctionEmitter::Address(const ir::BufferNode& buffer, const LinearIndex& index) {
  const int bits = buffer.type.bits;
  if (bits < 8) {
    Value* bit = b_.CreateMul(IndexValue(index), b_.getInt64(static_cast<uint64_t>(bits)));
    return b_.CreateGEP(b_.getInt8Ty(), Pointer(buffer), b_.CreateAShr(bit, 3));
  }
  const int64_t bytes = bits / 8;
  Value* pointer = Partial(Pointer(buffer), index, bytes, true);
  if (index.constant == 0) return pointer;
  return b_.CreateGEP(b_.getInt8Ty(), pointer,
                      b_.getInt64(static_cast<uint64_t>(index.constant * bytes)));
}

// The address of so many elements, or the buffer's start where `mask` is false: reading there is
// harmless and needs no branch, nor do places that are known to be the buffer's.
Value* FunctionEmitter::GuardedAddress(const ir::BufferNode& buffer, const LinearIndex& index,
                                       int64_t count, Value* mask) {
  Value* address = Address(buffer, index);
  const bool is_inside = index.terms.empty() && index.constant >= 0 &&
                         index.constant <= buffer.StoredElementCount() - count;
  if (mask == nullptr || is_inside) return address;
  return b_.CreateSelect(mask, address, Pointer(buffer));
}

// With Checks::kBounds: stops the process unless elements [first, first + count) are the buffer's.
// `mask`: null, the one condition under which they are touched, or one for each.
void FunctionEmitter::CheckBounds(const ir::BufferNode& buffer, const LinearIndex& first,
                                  int64_t count, Value* mask) {
  if (state_.checks != Checks::kBounds) return;
  Value* position = IndexValue(first);
  if (mask != nullptr && mask->getType()->isVectorTy()) {
    const auto lanes = static_cast<unsigned>(count);
    position =
        b_.CreateAdd(b_.CreateVectorSplat(lanes, position),
                     b_.CreateStepVector(llvm::FixedVectorType::get(b_.getInt64Ty(), lanes)));
    count = 1;
  }
  // Unsigned: negative positions are too large.
  const int64_t last = buffer.StoredElementCount() - count;
  Value* outside =
      last < 0 ? b_.getTrue()
               : b_.CreateICmpUGT(position, llvm::ConstantInt::get(position->getType(),
                                                                   static_cast<uint64_t>(last)));
  if (mask != nullptr) outside = b_.CreateAnd(outside, mask);
  if (outside->getType()->isVectorTy()) outside = b_.CreateOrReduce(outside);
  llvm::BasicBlock* stop = NewBlock("outside");
  llvm::BasicBlock* inside = NewBlock("inside");
  b_.CreateCondBr(outside, stop, inside);
  b_.SetInsertPoint(stop);
  b_.CreateIntrinsic(llvm::Intrinsic::trap, {}, {});
  b_.CreateUnreachable();
  b_.SetInsertPoint(inside);
}

Value* FunctionEmitter::LoadElement(const ir::BufferNode& buffer, const LinearIndex& index,
                                    Value* mask) {
  const ir::Type type = buffer.type;
  CheckBounds(buffer, index, 1, mask);
  Value* address = GuardedAddress(buffer, index, 1, mask);
  if (type.bits >= 8) {
    Value* stored = b_.CreateAlignedLoad(numbers_.StorageType(type), address,
                                         llvm::Align(static_cast<uint64_t>(type.bits / 8)));
    return numbers_.FromStorage(type, stored);
  }
  Value* byte = b_.CreateAlignedLoad(b_.getInt8Ty(), address, llvm::Align(1));
  Value* bit = b_.CreateMul(IndexValue(index), b_.getInt64(type.bits));
  Value* shift = b_.CreateTrunc(b_.CreateAnd(bit, 7), b_.getInt8Ty());
  return b_.CreateTrunc(b_.CreateLShr(byte, shift), numbers_.ValueType(type));
}

void FunctionEmitter::StoreElement(const ir::BufferNode& buffer, const LinearIndex& index,
                                   Value* value, bool streaming) {
  const ir::Type type = buffer.type;
  CheckBounds(buffer, index, 1, nullptr);
  Value* address = Address(buffer, index);
  if (type.bits >= 8) {
    auto* store = b_.CreateAlignedStore(numbers_.ToStorage(type, value), address,
                                        llvm::Align(static_cast<uint64_t>(type.bits / 8)));
    if (streaming) MarkStreaming(store);
    return;
  }
  Value* byte = b_.CreateAlignedLoad(b_.getInt8Ty(), address, llvm::Align(1));
  Value* bit = b_.CreateMul(IndexValue(index), b_.getInt64(type.bits));
  Value* shift = b_.CreateTrunc(b_.CreateAnd(bit, 7), b_.getInt8Ty());
  Value* hole = b_.CreateNot(b_.CreateShl(b_.getInt8((1u << type.bits) - 1), shift));
  Value* piece = b_.CreateShl(b_.CreateZExt(value, b_.getInt8Ty()), shift);
  b_.CreateAlignedStore(b_.CreateOr(b_.CreateAnd(byte, hole), piece), address, llvm::Align(1));
}

void FunctionEmitter::MarkStreaming(llvm::StoreInst* store) {
  llvm::LLVMContext& context = state_.module.getContext();
  store->setMetadata(llvm::LLVMContext::MD_nontemporal,
                     llvm::MDNode::get(context, llvm::ConstantAsMetadata::get(b_.getInt32(1))));
  has_streaming_store_ = true;
}

// The mask for the groups of so many lanes that the lanes of the value under construction combine.
// Returns the one to go back to.
FunctionEmitter::Mask FunctionEmitter::EnterGroups(int size) {
  const Mask outer = mask_;
  mask_.group *= size;
  return outer;
}

// The mask for what all lanes share. Returns the one to go back to.
FunctionEmitter::Mask FunctionEmitter::EnterShared() {
  const Mask outer = mask_;
  if (mask_.vector != nullptr) {
    Value* any = b_.CreateOrReduce(mask_.vector);
    mask_ = {mask_.scalar == nullptr ? any : b_.CreateAnd(mask_.scalar, any)};
  }
  return outer;
}

// mask_.vector, of each lane.
Value* FunctionEmitter::LaneMask() {
  if (mask_.vector == nullptr || mask_.group == 1) return mask_.vector;
  return Spread(mask_.vector, mask_.group);
}

// Each lane so many times.
Value* FunctionEmitter::Spread(Value* value, int times) {
  llvm::SmallVector<int, 64> picks;
  for (int i = 0; i < LanesOf(value) * times; ++i) picks.push_back(i / times);
  return b_.CreateShuffleVector(value, picks);
}

// As VectorMaskOf, of groups of lanes of each of which all or none count; null where lanes count
// one by one.
Value* FunctionEmitter::GroupMaskOf(const ir::Expr& predicate, int lanes) {
  if (mask_.vector != nullptr && mask_.group == 1) return nullptr;
  const ir::Expr groups = predicate ? MaskOfGroups(predicate) : ir::Expr();
  const auto* shared = predicate ? predicate.As<ir::Broadcast>() : nullptr;
  if (predicate && !groups && shared == nullptr) return nullptr;
  if (!groups && mask_.vector == nullptr) return nullptr;
  const int count = groups ? groups.type().lanes : lanes / mask_.group;
  if (groups && mask_.vector != nullptr && count * mask_.group != lanes) return nullptr;
  Value* mask = mask_.vector;
  const auto add = [&](Value* part) { mask = mask == nullptr ? part : b_.CreateAnd(mask, part); };
  const auto splat = [&](Value* part) {
    return b_.CreateVectorSplat(static_cast<unsigned>(count), part);
  };
  if (mask_.scalar != nullptr) add(splat(mask_.scalar));
  if (shared != nullptr) add(splat(Emit(shared->value)));
  if (groups) add(Emit(groups));
  return mask;
}

// Everything that says which lanes count, as one vector; null when all do.
Value* FunctionEmitter::VectorMaskOf(const ir::Expr& predicate, int lanes) {
  Value* mask = LaneMask();
  const auto add = [&](Value* part) { mask = mask == nullptr ? part : b_.CreateAnd(mask, part); };
  if (mask_.scalar != nullptr && (predicate || mask != nullptr)) {
    add(b_.CreateVectorSplat(static_cast<unsigned>(lanes), mask_.scalar));
  }
  if (predicate) add(Emit(predicate));
  return mask;
}

Value* FunctionEmitter::EmitLoad(const ir::Load& node) {
  const ir::Expr index = FlatIndex(*node.buffer, node.indices);
  const int lanes = node.type.lanes;
  if (lanes > 1) {
    const std::optional<RampForm> ramp = AsRamp(index);
    if (ramp && ramp->stride == 1 && node.type.bits >= 8) {
      Value* groups = GroupMaskOf(node.predicate, lanes);
      const int bits = groups == nullptr ? 0 : node.type.bits * lanes / LanesOf(groups);
      if (bits <= 64 && std::has_single_bit(static_cast<unsigned>(bits))) {
        return LoadGroups(node, ramp->base, groups);
      }
    }
    Value* mask = VectorMaskOf(node.predicate, lanes);
    Value* value = LoadVector(node, index, mask);
    return node.predicate ? b_.CreateSelect(mask, value, numbers_.Zero(node.type)) : value;
  }
  Value* mask = mask_.scalar;
  if (!node.predicate) return LoadElement(*node.buffer, Linearise(index), mask);
  Value* predicate = Emit(node.predicate);
  mask = mask == nullptr ? predicate : b_.CreateAnd(mask, predicate);
  // The index may divide by zero or load where the predicate is false.
  const Mask outer = std::exchange(mask_, Mask{mask, nullptr});
  Value* value = LoadElement(*node.buffer, Linearise(index), mask);
  mask_ = outer;
  return b_.CreateSelect(predicate, value, numbers_.Zero(node.type));
}

Value* FunctionEmitter::LoadVector(const ir::Load& node, const ir::Expr& index, Value* mask) {
  const std::optional<RampForm> ramp = AsRamp(index);
  const bool whole_bytes = node.type.bits >= 8;
  if (ramp && ramp->stride == 1 && whole_bytes) return LoadContiguous(node, ramp->base, mask);
  if (ramp && ramp->stride == 0) {
    Value* any = mask == nullptr ? mask_.scalar : b_.CreateOrReduce(mask);
    const Mask outer = std::exchange(mask_, Mask{any, nullptr});
    Value* scalar = LoadElement(*node.buffer, Linearise(ramp->base), any);
    mask_ = outer;
    return b_.CreateVectorSplat(node.type.lanes, scalar);
  }
  if (whole_bytes && mask == nullptr && mask_.scalar == nullptr) {
    if (const std::optional<LaneForm> form = AsLanes(index)) {
      const auto [low, high] = std::minmax_element(form->offsets.begin(), form->offsets.end());
      if (*high - *low < kMaxSpan * node.type.lanes) return LoadPattern(node, *form);
    }
  }
  return LoadLanes(node, index, mask);
}

Value* FunctionEmitter::LoadContiguous(const ir::Load& node, const ir::Expr& base, Value* mask) {
  const ir::BufferNode& buffer = *node.buffer;
  const int64_t bytes = node.type.bits / 8;
  llvm::Type* type = numbers_.StorageType(node.type);
  const LinearIndex linear = Linearise(base);
  const llvm::Align alignment = AlignmentOf(linear, bytes);
  Value* scalar = mask_.scalar;
  if (linear.terms.empty() && linear.constant >= 0 &&
      linear.constant + node.type.lanes <= buffer.StoredElementCount()) {
    // Inside whatever the lanes are: local tiles that are read so stay in registers.
    mask = scalar = nullptr;
  }
  if (mask == nullptr && scalar != nullptr && !linear.terms.empty() &&
      buffer.StoredBytes() < bytes * node.type.lanes) {
    // Too small a buffer to read a whole vector from its start.
    mask = b_.CreateVectorSplat(node.type.lanes, scalar);
  }
  CheckBounds(buffer, linear, node.type.lanes, mask == nullptr ? scalar : mask);
  Value* stored;
  if (mask == nullptr) {
    stored = b_.CreateAlignedLoad(type, GuardedAddress(buffer, linear, node.type.lanes, scalar),
                                  alignment);
  } else {
    stored = b_.CreateMaskedLoad(type, Address(buffer, linear), alignment, mask,
                                 llvm::Constant::getNullValue(type));
  }
  return numbers_.FromStorage(node.type, stored);
}

// Groups of lanes as one number each, for which `mask` is: targets have masks for numbers of 32 and
// 64 bits rather than for bytes.
Value* FunctionEmitter::LoadGroups(const ir::Load& node, const ir::Expr& base, Value* mask) {
  const ir::BufferNode& buffer = *node.buffer;
  const int lanes = node.type.lanes;
  const auto groups = static_cast<unsigned>(LanesOf(mask));
  const unsigned group = static_cast<unsigned>(lanes) / groups;
  const LinearIndex linear = Linearise(base);
  if (state_.checks == Checks::kBounds) {
    CheckBounds(buffer, linear, lanes, Spread(mask, static_cast<int>(group)));
  }
  llvm::Type* type = llvm::FixedVectorType::get(
      b_.getIntNTy(static_cast<unsigned>(node.type.bits) * group), groups);
  Value* stored =
      b_.CreateMaskedLoad(type, Address(buffer, linear), AlignmentOf(linear, node.type.bits / 8),
                          mask, llvm::Constant::getNullValue(type));
  return numbers_.FromStorage(node.type, b_.CreateBitCast(stored, numbers_.StorageType(node.type)));
}

// Two whole vectors that together cover the span of the lanes exactly, then one shuffle.
Value* FunctionEmitter::LoadPattern(const ir::Load& node, const LaneForm& form) {
  const int64_t bytes = node.type.bits / 8;
  const auto [least, most] = std::minmax_element(form.offsets.begin(), form.offsets.end());
  const int64_t span = *most - *least + 1;
  const auto width = static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(span)));
  const auto load = [&](int64_t from) {
    LinearIndex linear = Linearise(form.base);
    linear.constant += from;
    CheckBounds(*node.buffer, linear, width, nullptr);
    return b_.CreateAlignedLoad(numbers_.StorageType(node.type.WithLanes(static_cast<int>(width))),
                                Address(*node.buffer, linear), AlignmentOf(linear, bytes));
  };
  if (width == 1) {
    return b_.CreateVectorSplat(static_cast<unsigned>(node.type.lanes),
                                numbers_.FromStorage(node.type.WithLanes(1), load(*least)));
  }
  Value* low = load(*least);
  Value* high = span == width ? low : load(*least + span - width);
  llvm::SmallVector<int, 64> picks;
  for (const int64_t offset : form.offsets) {
    const int64_t at = offset - *least;
    picks.push_back(static_cast<int>(at < width ? at : width + at - (span - width)));
  }
  return numbers_.FromStorage(node.type, b_.CreateShuffleVector(low, high, picks));
}

Value* FunctionEmitter::LoadLanes(const ir::Load& node, const ir::Expr& index, Value* mask) {
  const ir::BufferNode& buffer = *node.buffer;
  const int lanes = node.type.lanes;
  const std::optional<RampForm> ramp = AsRamp(index);
  LinearIndex linear;
  Value* positions = nullptr;
  if (ramp) {
    linear = Linearise(ramp->base);
  } else {
    const Mask outer = std::exchange(mask_, Mask{mask_.scalar, mask});
    positions = Emit(index);
    mask_ = outer;
    if (!positions->getType()->getScalarType()->isIntegerTy(64)) {
      llvm::Type* wide = llvm::FixedVectorType::get(b_.getInt64Ty(), static_cast<unsigned>(lanes));
      positions = index.type().code == ir::TypeCode::kUInt ? b_.CreateZExt(positions, wide)
                                                           : b_.CreateSExt(positions, wide);
    }
  }
  Value* result = llvm::PoisonValue::get(numbers_.ValueType(node.type));
  constexpr int kHere = std::numeric_limits<int>::max();
  for (int i = 0; i < lanes; ++i) {
    LinearIndex lane = linear;
    if (ramp) {
      lane.constant += i * ramp->stride;
    } else {
      lane.terms.push_back(
          {b_.CreateExtractElement(positions, static_cast<uint64_t>(i)), 1, kHere, 1});
    }
    Value* counts =
        mask == nullptr ? mask_.scalar : b_.CreateExtractElement(mask, static_cast<uint64_t>(i));
    result =
        b_.CreateInsertElement(result, LoadElement(buffer, lane, counts), static_cast<uint64_t>(i));
  }
  return result;
}

void FunctionEmitter::EmitStore(const ir::Store& node) {
  if (!node.predicate) return StoreTo(node, Emit(node.value), nullptr);
  Value* predicate = Emit(node.predicate);
  if (predicate->getType()->isVectorTy()) {
    mask_ = {nullptr, predicate};
    Value* value = Emit(node.value);
    mask_ = {};
    return StoreTo(node, value, predicate);
  }
  llvm::BasicBlock* then_block = NewBlock("store");
  llvm::BasicBlock* join = NewBlock("join");
  b_.CreateCondBr(predicate, then_block, join);
  b_.SetInsertPoint(then_block);
  StoreTo(node, Emit(node.value), nullptr);
  b_.CreateBr(join);
  b_.SetInsertPoint(join);
}

void FunctionEmitter::StoreTo(const ir::Store& node, Value* value, Value* mask) {
  const ir::BufferNode& buffer = *node.buffer;
  const ir::Expr index = FlatIndex(buffer, node.indices);
  const int lanes = node.value.type().lanes;
  if (lanes == 1 && !index.type().is_vector()) {
    return StoreElement(buffer, Linearise(index), value, node.streaming);
  }
  const ir::Type type = buffer.type.WithLanes(lanes);
  const std::optional<RampForm> ramp = AsRamp(index);
  if (ramp && ramp->stride == 1 && type.bits >= 8) {
    const int64_t bytes = type.bits / 8;
    const LinearIndex linear = Linearise(ramp->base);
    const llvm::Align alignment = AlignmentOf(linear, bytes);
    CheckBounds(buffer, linear, lanes, mask);
    Value* address = Address(buffer, linear);
    Value* stored = numbers_.ToStorage(type, value);
    if (mask != nullptr) {
      b_.CreateMaskedStore(stored, address, alignment, mask);
      return;
    }
    auto* store = b_.CreateAlignedStore(stored, address, alignment);
    const auto whole = static_cast<uint64_t>(bytes * lanes);
    if (node.streaming && alignment.value() >= std::min<uint64_t>(whole, 64)) MarkStreaming(store);
    return;
  }
  Value* positions = nullptr;
  LinearIndex linear;
  if (ramp) {
    linear = Linearise(ramp->base);
  } else {
    mask_ = {nullptr, mask};
    positions = Emit(index);
    mask_ = {};
  }
  constexpr int kHere = std::numeric_limits<int>::max();
  for (int i = 0; i < lanes; ++i) {
    const auto lane_number = static_cast<uint64_t>(i);
    llvm::BasicBlock* join = nullptr;
    Value* element = b_.CreateExtractElement(value, lane_number);
    LinearIndex lane = linear;
    if (ramp) {
      lane.constant += i * ramp->stride;
    } else {
      Value* position = b_.CreateExtractElement(positions, lane_number);
      position = index.type().code == ir::TypeCode::kUInt
                     ? b_.CreateZExt(position, b_.getInt64Ty())
                     : b_.CreateSExt(position, b_.getInt64Ty());
      lane.terms.push_back({position, 1, kHere, 1});
    }
    if (mask != nullptr) {
      llvm::BasicBlock* then_block = NewBlock("store");
      join = NewBlock("join");
      b_.CreateCondBr(b_.CreateExtractElement(mask, lane_number), then_block, join);
      b_.SetInsertPoint(then_block);
    }
    StoreElement(buffer, lane, element, node.streaming);
    if (join != nullptr) {
      b_.CreateBr(join);
      b_.SetInsertPoint(join);
    }
  }
}

}  // namespace tessera::codegen
