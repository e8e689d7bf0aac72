#include "tests/cuda/ptx_machine.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/view.h"

namespace tessera::ptx {
Block::Block(const Kernel& kernel, const Launch& launch, const Memory& memory)
    : kernel_(kernel), launch_(launch), memory_(memory) {}

void Block::Fail(std::string_view why) {
  status_.Update(absl::OutOfRangeError(absl::StrCat(kernel_.name, ": ", AbslView(why))));
}

std::byte* Block::At(Thread& thread, Word address, int64_t bytes) {
  const auto inside = [&](std::vector<std::byte>& part, Word window) -> std::byte* {
    const Word offset = address - window;
    if (offset + static_cast<Word>(bytes) > part.size()) return nullptr;
    return part.data() + offset;
  };
  std::byte* found = nullptr;
  if (address % static_cast<Word>(bytes) != 0) {
    // Not aligned.
  } else if (address >= kLocalWindow) {
    found = inside(local_[static_cast<size_t>(&thread - threads_.data())], kLocalWindow);
  } else if (address >= kSharedWindow) {
    found = inside(shared_, kSharedWindow);
  } else if (auto range = memory_.upper_bound(address); range != memory_.begin()) {
    --range;
    if (address + static_cast<Word>(bytes) <= range->first + static_cast<Word>(range->second)) {
      found = reinterpret_cast<std::byte*>(address);
    }
  }
  if (found == nullptr) {
    Fail(absl::StrCat(kernel_.instructions[thread.next].text, ": no ", bytes, " bytes at ",
                      absl::Hex(address)));
  }
  return found;
}

Wait Block::Step(Thread& thread) {
  while (!thread.has_ended && status_.ok()) {
    const Instruction& instruction = kernel_.instructions[thread.next];
    const bool counts = instruction.guard < 0 ||
                        ((thread.registers[static_cast<size_t>(instruction.guard)] & 1) != 0) !=
                            instruction.guard_negated;
    const size_t here = thread.next;
    const Wait wait = counts ? instruction.run(*this, thread) : Wait::kNothing;
    if (wait != Wait::kWarp && thread.next == here) ++thread.next;
    if (wait != Wait::kNothing) return wait;
  }
  return Wait::kNothing;
}

// Warps all of whose threads wait at one instruction run it.
absl::Status Block::RunWarps(std::vector<Wait>& waits) {
  for (size_t first = 0; first < threads_.size(); first += kWarp) {
    if (waits[first] != Wait::kWarp) continue;
    const size_t end = first + kWarp;
    const size_t next = threads_[first].next;
    for (size_t i = first; i < end; ++i) {
      if (i >= threads_.size() || waits[i] != Wait::kWarp || threads_[i].next != next) {
        return absl::AbortedError(absl::StrCat(kernel_.name, ": ", kernel_.instructions[next].text,
                                               ": not all threads of the warp come"));
      }
    }
    kernel_.instructions[next].together(*this, absl::MakeSpan(threads_).subspan(first, kWarp));
    for (size_t i = first; i < end; ++i) {
      ++threads_[i].next;
      waits[i] = Wait::kNothing;
    }
  }
  return status_;
}

absl::Status Block::Run(const std::array<uint32_t, 3>& number) {
  const auto& size = launch_.threads;
  const size_t count = size_t{size[0]} * size[1] * size[2];
  threads_.assign(count, Thread{kernel_.registers, 0, false});
  shared_.assign(static_cast<size_t>(launch_.shared_bytes), std::byte{0xff});
  local_.assign(count,
                std::vector<std::byte>(static_cast<size_t>(kernel_.local_bytes), std::byte{0xff}));
  for (size_t i = 0; i < count; ++i) {
    const std::array<size_t, 3> place = {i % size[0], i / size[0] % size[1], i / size[0] / size[1]};
    const auto set = [&](int slot, Word value) {
      threads_[i].registers[static_cast<size_t>(slot)] = value;
    };
    for (size_t axis = 0; axis < 3; ++axis) {
      set(kernel_.block_number[axis], number[axis]);
      set(kernel_.block_count[axis], launch_.blocks[axis]);
      set(kernel_.thread_number[axis], place[axis]);
      set(kernel_.thread_count[axis], size[axis]);
    }
    for (size_t p = 0; p < kernel_.params.size(); ++p) set(kernel_.params[p], launch_.params[p]);
  }
  std::vector<Wait> waits(count, Wait::kNothing);
  while (true) {
    for (size_t i = 0; i < count; ++i) {
      if (waits[i] == Wait::kNothing) waits[i] = Step(threads_[i]);
    }
    TESSERA_RETURN_IF_ERROR(status_);
    if (std::ranges::count(waits, Wait::kWarp) > 0) {
      TESSERA_RETURN_IF_ERROR(RunWarps(waits));
      continue;
    }
    const auto waiting = static_cast<size_t>(std::ranges::count(waits, Wait::kBlock));
    if (waiting == 0) return absl::OkStatus();
    if (waiting < count) {
      return absl::AbortedError(absl::StrCat(kernel_.name, ": ", waiting, " of ", count,
                                             " threads wait at a barrier, the others have ended"));
    }
    waits.assign(count, Wait::kNothing);
  }
}

absl::Status Run(const Kernel& kernel, const Launch& launch, const Memory& memory) {
  if (kernel.required_threads[0] != 0 && kernel.required_threads != launch.threads) {
    return absl::InvalidArgumentError(
        absl::StrCat(kernel.name, ": started with ", launch.threads[0], " × ", launch.threads[1],
                     " × ", launch.threads[2], " threads, which are not those that it requires"));
  }
  if (launch.params.size() != kernel.params.size()) {
    return absl::InvalidArgumentError(absl::StrCat(kernel.name, ": ", launch.params.size(),
                                                   " arguments for ", kernel.params.size()));
  }
  Block block(kernel, launch, memory);
  for (uint32_t z = 0; z < launch.blocks[2]; ++z) {
    for (uint32_t y = 0; y < launch.blocks[1]; ++y) {
      for (uint32_t x = 0; x < launch.blocks[0]; ++x) {
        TESSERA_RETURN_IF_ERROR(block.Run({x, y, z}));
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace tessera::ptx
