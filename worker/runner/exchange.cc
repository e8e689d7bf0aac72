#include "worker/runner/exchange.h"

namespace tessera::runner {
namespace {

std::byte GuardByte(int64_t offset) {
  return static_cast<std::byte>(static_cast<uint64_t>(offset) * 0x9e3779b97f4a7c15u >> 56);
}

}  // namespace

int64_t Slot::BackGuard(Placement placement) const {
  const int64_t padding = RoundUp(bytes, kBufferAlignment) - bytes;
  return placement == Placement::kStrict ? padding : padding + kGuardBytes;
}

Exchange LayOutExchange(absl::Span<const int64_t> buffer_bytes) {
  Exchange exchange;
  for (const int64_t bytes : buffer_bytes) {
    exchange.slots.push_back({exchange.bytes + kGuardBytes, bytes});
    exchange.bytes += kGuardBytes + RoundUp(bytes, kBufferAlignment) + kGuardBytes;
  }
  return exchange;
}

void FillGuards(absl::Span<std::byte> image, const Slot& slot) {
  const auto fill = [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) image[static_cast<size_t>(i)] = GuardByte(i);
  };
  const int64_t end = slot.offset + slot.bytes;
  fill(slot.offset - kGuardBytes, slot.offset);
  fill(end, end + slot.BackGuard(Placement::kLoose));
}

int64_t FindOverwrittenGuard(absl::Span<const std::byte> image, const Slot& slot,
                             Placement placement) {
  const int64_t end = slot.offset + slot.bytes;
  for (int64_t i = end; i < end + slot.BackGuard(placement); ++i) {
    if (image[static_cast<size_t>(i)] != GuardByte(i)) return i - slot.offset;
  }
  for (int64_t i = slot.offset - 1; i >= slot.offset - kGuardBytes; --i) {
    if (image[static_cast<size_t>(i)] != GuardByte(i)) return i - slot.offset;
  }
  return 0;
}

}  // namespace tessera::runner
