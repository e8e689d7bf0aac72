#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64  // registers may lie above 2^31

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "compiler/runtime/vta_registers.h"

static const int64_t kAddresses = (int64_t)1 << 32;

static int Fail(const char* file, const char* what, tessera_note why) {
  const int error = errno;
  char text[100] = "";
  tessera_note_write(why, "%s: %s: %s", file, what, strerror_r(error, text, sizeof(text)));
  return error;
}

// Uncached where the device has it so for O_SYNC.
static int MapFile(const char* file, int64_t offset, int64_t bytes, int flags, void** made,
                   tessera_note why) {
  const int descriptor = open(file, O_RDWR | O_CLOEXEC | flags);
  if (descriptor < 0) return Fail(file, "open", why);
  *made = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, offset);
  const int error = *made == MAP_FAILED ? Fail(file, "mmap", why) : 0;
  close(descriptor);
  return error;
}

// What a file of sysfs says: decimal, or hexadecimal behind "0x".
static int ReadNumber(const char* folder, const char* name, int64_t* value, tessera_note why) {
  char file[512], text[64] = "";
  const tessera_note path = {file, sizeof(file)};
  if (strlen(folder) + 1 + strlen(name) >= sizeof(file)) {
    tessera_note_write(why, "the folder's name %.40s... has %zu bytes; %zu are the most", folder,
                       strlen(folder), sizeof(file) - strlen(name) - 2);
    return ENAMETOOLONG;
  }
  tessera_note_write(path, "%s/%s", folder, name);
  const int descriptor = open(file, O_RDONLY | O_CLOEXEC);
  if (descriptor < 0 || read(descriptor, text, sizeof(text) - 1) <= 0) {
    if (descriptor >= 0) close(descriptor);
    tessera_note_write(why, "%s can't be read; is the kernel module u-dma-buf loaded?", file);
    return ENOENT;
  }
  close(descriptor);
  text[strcspn(text, " \n")] = '\0';
  char* end = text;
  const int is_hexadecimal = text[0] == '0' && text[1] == 'x';
  errno = 0;
  *value = strtoll(text, &end, is_hexadecimal ? 16 : 10);
  if (end != text && *end == '\0' && *value >= 0 && errno == 0) return 0;
  tessera_note_write(why, "%s says \"%.40s\", which is no number", file, text);
  return EINVAL;
}

static int MapDram(const char* file, const char* folder, tessera_vta_mapping* made,
                   tessera_note why) {
  int64_t address = 0, bytes = 0;
  int error = ReadNumber(folder, "phys_addr", &address, why);
  if (error == 0) error = ReadNumber(folder, "size", &bytes, why);
  if (error != 0) return error;
  if (address >= kAddresses || bytes > kAddresses - address) {
    tessera_note_write(why, "%s has %lld bytes from %lld on; the accelerator reaches 2^32", file,
                       (long long)bytes, (long long)address);
    return ERANGE;
  }
  made->dram_address = (uint32_t)address;
  made->dram_bytes = bytes;
  return MapFile(file, 0, bytes, 0, &made->dram, why);
}

int tessera_vta_map(const char* registers_file, uint32_t registers_base, const char* dram_file,
                    const char* dram_folder, tessera_vta_mapping* made, tessera_note why) {
  tessera_vta_mapping mapping = {NULL, NULL, 0, 0};
  void* registers = NULL;
  const int64_t offset = strcmp(registers_file, "/dev/mem") == 0 ? (int64_t)registers_base : 0;
  int error = MapFile(registers_file, offset, TESSERA_VTA_REGISTER_BYTES, O_SYNC, &registers, why);
  if (error != 0) return error;
  error = MapDram(dram_file, dram_folder, &mapping, why);
  if (error != 0) {
    munmap(registers, TESSERA_VTA_REGISTER_BYTES);
    return error;
  }
  mapping.registers = registers;
  *made = mapping;
  return 0;
}

void tessera_vta_unmap(const tessera_vta_mapping* mapping) {
  munmap((void*)mapping->registers, TESSERA_VTA_REGISTER_BYTES);
  munmap(mapping->dram, (size_t)mapping->dram_bytes);
}

static uint32_t Read(void* registers, uint32_t offset) {
  return ((volatile uint32_t*)registers)[offset / sizeof(uint32_t)];
}

static void Write(void* registers, uint32_t offset, uint32_t value) {
  ((volatile uint32_t*)registers)[offset / sizeof(uint32_t)] = value;
}

static double Now(void* unused) {
  (void)unused;
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void Sleep(void* unused, double seconds) {
  (void)unused;
  const struct timespec pause = {(time_t)seconds,
                                 (long)((seconds - (double)(time_t)seconds) * 1e9)};
  nanosleep(&pause, NULL);
}

tessera_vta_access tessera_vta_mapped_access(const tessera_vta_mapping* mapping) {
  return (tessera_vta_access){(void*)mapping->registers, Read, Write, Now, Sleep};
}
