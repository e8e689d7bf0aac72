#include "worker/runner/vta/mapped_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include <fstream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/unique_fd.h"

namespace tessera::vta {
namespace {

constexpr int64_t kAddresses = int64_t{1} << 32;

// Decimal, or hexadecimal behind "0x".
absl::StatusOr<int64_t> ReadNumber(const std::string& file) {
  std::string word;
  int64_t value = 0;
  if (!(std::ifstream(file) >> word)) {
    return absl::NotFoundError(
        absl::StrCat("VTA: ", file, " can't be read; is the kernel module u-dma-buf loaded?"));
  }
  const bool is_number =
      word.starts_with("0x") ? absl::SimpleHexAtoi(word, &value) : absl::SimpleAtoi(word, &value);
  if (is_number && value >= 0) return value;
  return absl::InvalidArgumentError(
      absl::StrCat("VTA: ", file, " says \"", word.substr(0, 40), "\", which is no number"));
}

}  // namespace

absl::StatusOr<Mapping> Mapping::Open(const std::string& file, int64_t offset, int64_t bytes,
                                      bool uncached) {
  const auto failed = [&](const char* what) {
    return absl::ErrnoToStatus(errno, absl::StrCat("VTA: ", file, ": ", what));
  };
  const UniqueFd descriptor(open(file.c_str(), O_RDWR | O_CLOEXEC | (uncached ? O_SYNC : 0)));
  if (!descriptor.valid()) return failed("open");
  void* memory = mmap(nullptr, static_cast<size_t>(bytes), PROT_READ | PROT_WRITE, MAP_SHARED,
                      descriptor.get(), static_cast<off_t>(offset));
  if (memory == MAP_FAILED) return failed("mmap");
  return Mapping(static_cast<uint8_t*>(memory), bytes);
}

Mapping::~Mapping() {
  if (data_ != nullptr) munmap(data_, static_cast<size_t>(bytes_));
}

absl::StatusOr<MappedRegisters> MappedRegisters::Open(const std::string& file, uint32_t base) {
  const int64_t offset = file == "/dev/mem" ? int64_t{base} : 0;
  TESSERA_ASSIGN_OR_RETURN(Mapping mapping,
                           Mapping::Open(file, offset, registers::kBytes, /*uncached=*/true));
  return MappedRegisters(std::move(mapping));
}

uint32_t MappedRegisters::Read(uint32_t offset) {
  return *reinterpret_cast<const volatile uint32_t*>(mapping_.data() + offset);
}

void MappedRegisters::Write(uint32_t offset, uint32_t value) {
  *reinterpret_cast<volatile uint32_t*>(mapping_.data() + offset) = value;
}

absl::StatusOr<MappedDram> MappedDram::Open(const std::string& file, const std::string& folder) {
  TESSERA_ASSIGN_OR_RETURN(const int64_t address, ReadNumber(folder + "/phys_addr"));
  TESSERA_ASSIGN_OR_RETURN(const int64_t bytes, ReadNumber(folder + "/size"));
  if (address >= kAddresses || bytes > kAddresses - address) {
    return absl::OutOfRangeError(absl::StrCat("VTA: ", file, " has ", bytes, " bytes from ",
                                              address, " on; the accelerator reaches 2^32"));
  }
  TESSERA_ASSIGN_OR_RETURN(Mapping mapping, Mapping::Open(file, 0, bytes, /*uncached=*/false));
  return MappedDram(std::move(mapping), static_cast<uint32_t>(address));
}

}  // namespace tessera::vta
