#include "worker/runner/kernel_host.h"

#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <string>
#include <utility>
#include <vector>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "compiler/runtime/kernel.h"
#include "worker/runner/host_launcher.h"
#include "worker/runner/unloaded.h"

namespace tessera::runner {
namespace {

constexpr int64_t kHugePage = 2 << 20;    // a multiple of every system's page
constexpr int64_t kHugeFrom = 128 << 10;  // smaller buffers stay on small pages
constexpr int64_t kCacheLine = 64;

int64_t PageBytes() {
  static const int64_t bytes = sysconf(_SC_PAGESIZE);
  return bytes;
}
bool IsHuge(int64_t bytes) { return bytes >= kHugeFrom; }
// Room for both placements: data, guards and the stagger.
int64_t RegionBytes(int64_t bytes) {
  return RoundUp(bytes + 3 * PageBytes(), IsHuge(bytes) ? kHugePage : PageBytes());
}
int64_t ReservedBytes(int64_t bytes) {
  return RegionBytes(bytes) + 2 * (IsHuge(bytes) ? kHugePage : PageBytes());
}

// Private memory for one buffer between inaccessible pages.
class Region {
 public:
  Region(int64_t bytes, int index) : bytes_(bytes) {
    const int64_t page = IsHuge(bytes) ? kHugePage : PageBytes();
    if (!std::in_range<size_t>(ReservedBytes(bytes))) return;
    void* reserved = mmap(nullptr, static_cast<size_t>(ReservedBytes(bytes)), PROT_NONE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (reserved == MAP_FAILED) return;
    // Aligned inside, so that at least a part of a page is left inaccessible on both sides.
    const auto start = static_cast<int64_t>(reinterpret_cast<uintptr_t>(reserved));
    auto* begin = static_cast<std::byte*>(reserved) + (RoundUp(start + 1, page) - start);
    const auto length = static_cast<size_t>(RegionBytes(bytes));
    if (mprotect(begin, length, PROT_READ | PROT_WRITE) != 0) return;
    if (page == kHugePage) madvise(begin, length, MADV_HUGEPAGE);
    strict_ = begin + length - RoundUp(bytes, kBufferAlignment);
    loose_ = begin + PageBytes() + (index % 12) * 5 * kCacheLine;
  }
  bool valid() const { return strict_ != nullptr; }
  int64_t bytes() const { return bytes_; }
  std::byte* at(Placement placement) const {
    return placement == Placement::kStrict ? strict_ : loose_;
  }

 private:
  int64_t bytes_;
  std::byte* strict_ = nullptr;
  std::byte* loose_ = nullptr;
};

double Now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

#if defined(__arm__)
// A program may not flush lines there; it can push them out by more than caches hold.
void EvictLines(const std::byte*, int64_t) {
  static std::byte others[8 << 20];
  for (size_t i = 0; i < sizeof(others); i += kCacheLine) {
    const_cast<volatile std::byte&>(others[i]) = std::byte{1};
  }
}
#else
void EvictLines(const std::byte* data, int64_t bytes) {
  for (int64_t i = 0; i < bytes; i += kCacheLine) {
#if defined(__x86_64__)
    _mm_clflush(data + i);
#elif defined(__aarch64__)
    asm volatile("dc civac, %0" ::"r"(data + i) : "memory");
#endif
  }
#if defined(__x86_64__)
  _mm_mfence();
#elif defined(__aarch64__)
  asm volatile("dsb ish" ::: "memory");
#endif
}
#endif

class KernelHost {
 public:
  KernelHost(const HostArgument& argument, std::byte* image)
      : argument_(argument),
        image_(image),
        workspace_(argument.workspace_bytes, argument.buffer_count) {
    for (int i = 0; i < argument.buffer_count; ++i)
      regions_.emplace_back(argument.slots[i].bytes, i);
    for (int i = 0; i < argument.prepared_count; ++i) {
      prepared_.emplace_back(argument.prepared_bytes[i], argument.buffer_count + 1 + i);
    }
  }

  std::string Load(const char* path) {
    for (const std::vector<Region>* regions : {&regions_, &prepared_}) {
      for (const Region& region : *regions) {
        if (!region.valid()) return "no memory for the buffers";
      }
    }
    if (!workspace_.valid()) return "no memory for the workspace";
    launcher_ = MakeHostLauncher(argument_.threads,
                                 argument_.pinned != 0
                                     ? absl::MakeConstSpan(argument_.cores, argument_.threads)
                                     : absl::Span<const int32_t>());
    if (launcher_ == nullptr) return "the threads can't be started on their cores";
    void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) return WhyNotLoaded(dlerror());
    kernel_ = reinterpret_cast<tessera_kernel>(dlsym(library, argument_.symbol));
    if (kernel_ == nullptr) return std::string("the artifact has no symbol ") + argument_.symbol;
    if (argument_.prepare_symbol[0] == 0) return "";
    prepare_ = reinterpret_cast<tessera_kernel>(dlsym(library, argument_.prepare_symbol));
    if (prepare_ == nullptr) {
      return std::string("the artifact has no symbol ") + argument_.prepare_symbol;
    }
    return "";
  }

  double Obey(const HostCommand& command) {
    switch (command.kind) {
      case HostCommandKind::kPrepare:
        placement_ = command.placement;
        for (size_t i = 0; i < regions_.size(); ++i) Copy(i, true);
        Spoil(workspace_);
        Prepare();
        return 0;
      case HostCommandKind::kCall:
        return Call(command.calls);
      case HostCommandKind::kCollect:
        for (size_t i = 0; i < regions_.size(); ++i) Copy(i, false);
        return 0;
      case HostCommandKind::kEvict:
        for (const std::vector<Region>* regions : {&regions_, &prepared_}) {
          for (const Region& region : *regions) EvictLines(region.at(placement_), region.bytes());
        }
        EvictLines(workspace_.at(placement_), workspace_.bytes());
        return 0;
    }
    return 0;
  }

 private:
  void Copy(size_t index, bool to_region) {
    const Slot& slot = argument_.slots[index];
    const auto length = static_cast<size_t>(kGuardBytes + slot.bytes + slot.BackGuard(placement_));
    std::byte* region = regions_[index].at(placement_) - kGuardBytes;
    std::byte* image = image_ + slot.offset - kGuardBytes;
    memcpy(to_region ? region : image, to_region ? image : region, length);
  }

  // Not a number in every float type: what reads before it writes shows.
  void Spoil(const Region& region) {
    memset(region.at(placement_), 0xff, static_cast<size_t>(region.bytes()));
  }

  void Prepare() {
    if (prepare_ == nullptr) return;
    for (const Region& region : prepared_) Spoil(region);
    void* buffers[kMaxBuffers] = {};
    for (size_t i = 0; i < regions_.size(); ++i) {
      if ((argument_.constants >> i & 1) != 0) buffers[i] = regions_[i].at(placement_);
    }
    for (size_t i = 0; i < prepared_.size(); ++i) {
      buffers[regions_.size() + i] = prepared_[i].at(placement_);
    }
    prepare_(buffers, workspace_.at(placement_), launcher_);
    Spoil(workspace_);
  }

  double Call(int64_t calls) {
    void* buffers[kMaxBuffers];
    size_t count = 0;
    for (const Region& region : regions_) buffers[count++] = region.at(placement_);
    for (const Region& region : prepared_) buffers[count++] = region.at(placement_);
    void* workspace = workspace_.at(placement_);
    const double start = Now();
    for (int64_t i = 0; i < calls; ++i) kernel_(buffers, workspace, launcher_);
    return Now() - start;
  }

  const HostArgument argument_;
  std::byte* const image_;
  std::vector<Region> regions_;
  std::vector<Region> prepared_;
  Region workspace_;
  Placement placement_ = Placement::kStrict;
  tessera_launcher* launcher_ = nullptr;
  tessera_kernel kernel_ = nullptr;
  tessera_kernel prepare_ = nullptr;
};

}  // namespace

int64_t HostMemoryBytes(const HostArgument& argument) {
  int64_t bytes = argument.exchange_bytes + ReservedBytes(argument.workspace_bytes) +
                  argument.threads * kThreadBytes + (16 << 20);
  for (int i = 0; i < argument.buffer_count; ++i) bytes += ReservedBytes(argument.slots[i].bytes);
  for (int i = 0; i < argument.prepared_count; ++i) {
    bytes += ReservedBytes(argument.prepared_bytes[i]);
  }
  return bytes;
}

int KernelHostMain(const sandbox::ChildContext& context) {
  HostArgument argument;
  memcpy(&argument, context.argument.data(), sizeof(argument));
  void* image = mmap(nullptr, static_cast<size_t>(argument.exchange_bytes), PROT_READ | PROT_WRITE,
                     MAP_SHARED, context.descriptors[0], 0);
  if (image == MAP_FAILED) return 120;
  KernelHost host(argument, static_cast<std::byte*>(image));

  HostReply reply = {};
  const std::string error = host.Load(context.library);
  strncpy(reply.error, error.c_str(), sizeof(reply.error) - 1);
  HostCommand command;
  do {
    if (write(context.channel, &reply, sizeof(reply)) != sizeof(reply)) return 121;
    if (reply.error[0] != 0) return 0;
    if (read(context.channel, &command, sizeof(command)) != sizeof(command)) return 0;
    reply.seconds = host.Obey(command);
    reply.sequence = command.sequence;
  } while (true);
}

}  // namespace tessera::runner
