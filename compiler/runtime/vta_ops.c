#include "compiler/runtime/vta_ops.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/runtime/vta_registers.h"

static const double kTimeoutSeconds = 120;  // of a program

struct tessera_vta_ops {
  const tessera_device_library* library;
  tessera_vta_driver driver;
  tessera_vta_heap* heap;
  pthread_mutex_t lock;  // guards the stream and the driver's run, for as long as programs take
  tessera_vta_stream stream;
  // Of those that are opened by registers; else zeros.
  tessera_vta_board board;
  tessera_vta_mapping mapping;
};

// What calls with host memory are to use, and whether they do.
static pthread_mutex_t offering = PTHREAD_MUTEX_INITIALIZER;
static tessera_vta_ops* offered;
static tessera_vta_ops* used;

static void* Pointer(uint32_t address) { return (void*)(uintptr_t)address; }
static uint32_t AddressOf(const void* argument) { return (uint32_t)(uintptr_t)argument; }

static int Result(int status) {
  if (status == TESSERA_VTA_OUT_OF_MEMORY) return TESSERA_OPS_OUT_OF_MEMORY;
  return -status;
}

static tessera_vta_ops* New(const tessera_device_library* library, tessera_note why) {
  tessera_vta_ops* made = calloc(1, sizeof(*made));
  if (made == NULL) {
    tessera_note_write(why, "no memory for the accelerator's state");
    return NULL;
  }
  made->library = library;
  pthread_mutex_init(&made->lock, NULL);
  return made;
}

static int AddHeap(tessera_vta_ops* made, const tessera_vta_driver* driver, tessera_note why) {
  made->driver = *driver;
  made->heap = tessera_vta_heap_create(&made->driver);
  if (made->heap != NULL) return TESSERA_OPS_OK;
  tessera_note_write(why, "no memory for the accelerator's state");
  return TESSERA_OPS_OUT_OF_MEMORY;
}

int tessera_vta_ops_create(const tessera_device_library* library, const tessera_vta_driver* driver,
                           tessera_vta_ops** result, char* log, size_t log_bytes) {
  const tessera_note why = {log, log_bytes};
  tessera_note_write(why, "%s", "");
  if (result != NULL) *result = NULL;
  if (driver == NULL || result == NULL || driver->dram == NULL || driver->run == NULL) {
    tessera_note_write(why, "a driver has to have dram and run");
    return TESSERA_OPS_NULL_POINTER;
  }
  tessera_vta_ops* made = New(library, why);
  if (made == NULL) return TESSERA_OPS_OUT_OF_MEMORY;
  const int status = AddHeap(made, driver, why);
  if (status != TESSERA_OPS_OK) {
    tessera_vta_ops_destroy(made);
    return status;
  }
  *result = made;
  return TESSERA_OPS_OK;
}

// The accelerator behind what is mapped.
static int OpenBoard(tessera_vta_ops* made, tessera_note why) {
  tessera_vta_board* board = &made->board;
  board->access = tessera_vta_mapped_access(&made->mapping);
  board->dram = made->mapping.dram;
  board->dram_address = made->mapping.dram_address;
  board->dram_bytes = made->mapping.dram_bytes;
  board->timeout = kTimeoutSeconds;
  if (tessera_vta_board_open(board) != TESSERA_VTA_OK) {
    tessera_note_write(why, "%s", board->fault);
    return TESSERA_OPS_NO_DEVICE;
  }
  return AddHeap(made, &board->driver, why);
}

int tessera_vta_ops_open(const tessera_device_library* library, const char* registers_file,
                         uint32_t registers_base, const char* dram_file, const char* dram_folder,
                         tessera_vta_ops** result, char* log, size_t log_bytes) {
  const tessera_note why = {log, log_bytes};
  tessera_note_write(why, "%s", "");
  if (result != NULL) *result = NULL;
  if (registers_file == NULL || dram_file == NULL || dram_folder == NULL || result == NULL) {
    tessera_note_write(why, "an argument is NULL");
    return TESSERA_OPS_NULL_POINTER;
  }
  tessera_vta_ops* made = New(library, why);
  if (made == NULL) return TESSERA_OPS_OUT_OF_MEMORY;
  int status = TESSERA_OPS_NO_DEVICE;
  if (tessera_vta_map(registers_file, registers_base, dram_file, dram_folder, &made->mapping,
                      why) == 0) {
    status = OpenBoard(made, why);
  }
  if (status != TESSERA_OPS_OK) {
    tessera_vta_ops_destroy(made);
    return status;
  }
  *result = made;
  return TESSERA_OPS_OK;
}

void tessera_vta_ops_destroy(tessera_vta_ops* vta) {
  if (vta == NULL) return;
  tessera_vta_heap_destroy(vta->heap);
  tessera_vta_stream_free(&vta->stream);
  if (vta->mapping.dram != NULL) tessera_vta_unmap(&vta->mapping);
  pthread_mutex_destroy(&vta->lock);
  free(vta);
}

uint32_t tessera_vta_ops_allocate(tessera_vta_ops* vta, size_t bytes) {
  return tessera_vta_allocate(vta->heap, (int64_t)bytes);
}

void tessera_vta_ops_release(tessera_vta_ops* vta, uint32_t address) {
  tessera_vta_release(vta->heap, address);
}

void* tessera_vta_ops_host(tessera_vta_ops* vta, uint32_t address) {
  const int64_t begin = (int64_t)address - (int64_t)vta->driver.dram_address;
  if (begin < 0 || begin >= vta->driver.dram_bytes) return NULL;
  return tessera_vta_host(&vta->driver, address);
}

// Whether so many bytes at a device address are a tensor's.
static int CheckAddress(const tessera_vta_ops* vta, const void* argument, int64_t bytes) {
  const int64_t address = AddressOf(argument);
  if (address == 0) return TESSERA_OPS_NULL_POINTER;
  if (address % vta->library->needs != 0) return TESSERA_OPS_MISALIGNED;
  const int64_t begin = address - (int64_t)vta->driver.dram_address;
  if (begin < 0 || begin > vta->driver.dram_bytes || bytes > vta->driver.dram_bytes - begin) {
    return TESSERA_OPS_SMALL_BUFFER;
  }
  return TESSERA_OPS_OK;
}

// The programs of an operator, one behind the other.
static int Run(tessera_vta_ops* vta, const tessera_vta_op* op, void* const* arguments) {
  int status = TESSERA_VTA_OK;
  pthread_mutex_lock(&vta->lock);
  for (int64_t i = 0; i < op->op.code.launch_count && status == TESSERA_VTA_OK; ++i) {
    const tessera_vta_launch* launch = &op->launches[i];
    tessera_vta_buffer buffers[TESSERA_OP_MAX_BUFFERS];
    for (int64_t j = 0; j < launch->buffer_count; ++j) {
      const tessera_device_buffer* place = &op->op.buffers[launch->buffers[j]];
      buffers[j].address = AddressOf(arguments[place->argument]) + (uint32_t)place->offset;
      buffers[j].bytes = place->bytes;
    }
    uint64_t cycles = 0;
    status = tessera_vta_run(&vta->driver, vta->heap, &launch->program, buffers,
                             launch->buffer_count, &vta->stream, &cycles);
  }
  pthread_mutex_unlock(&vta->lock);
  return Result(status);
}

int tessera_vta_ops_run(const tessera_vta_op* op, void* const* arguments) {
  tessera_vta_ops* vta = arguments[0];
  if (vta == NULL) return TESSERA_OPS_NULL_POINTER;
  for (int64_t i = 0; i < op->op.argument_count; ++i) {
    const int status = CheckAddress(vta, arguments[1 + i], op->op.argument_bytes[i]);
    if (status != TESSERA_OPS_OK) return status;
  }
  return Run(vta, op, arguments + 1);
}

int tessera_vta_ops_pack_constants(const tessera_vta_op* op, void* const* arguments) {
  const int64_t constants = op->op.constant_count;
  int status = tessera_op_check_pointers(arguments, constants + 2, 1);
  if (status != TESSERA_OPS_OK) return status;
  tessera_vta_ops* vta = arguments[0];
  status = CheckAddress(vta, arguments[1 + constants], op->op.packed_bytes);
  if (status != TESSERA_OPS_OK) return status;
  return tessera_device_pack(&tessera_vta_ops_driver, vta, &op->op, arguments + 1,
                             arguments[1 + constants]);
}

int tessera_vta_ops_use(const tessera_device_library* library, tessera_vta_ops* vta) {
  if (vta == NULL) return TESSERA_OPS_NULL_POINTER;
  pthread_mutex_lock(&offering);
  offered = vta;
  pthread_mutex_unlock(&offering);
  const int is_used = tessera_device_name(library) != NULL && used == vta;
  return is_used ? TESSERA_OPS_OK : TESSERA_OPS_NO_DEVICE;
}

static const char* Missing(void) {
  pthread_mutex_lock(&offering);
  const int is_missing = offered == NULL;
  pthread_mutex_unlock(&offering);
  return is_missing ? "no accelerator has been named with ..._vta_use yet" : NULL;
}

// Of the calls with host memory, the first of which opens; that is never done twice.
static int OpenStream(const tessera_device_library* library, const char* wanted, void** stream,
                      tessera_note name, tessera_note why) {
  (void)wanted;  // whoever offers has chosen
  pthread_mutex_lock(&offering);
  used = offered;
  pthread_mutex_unlock(&offering);
  if (used == NULL) {
    tessera_note_write(why, "no accelerator was named with ..._vta_use before the first call of %s",
                       library->name);
    return TESSERA_OPS_NO_DEVICE;
  }
  tessera_note_write(name, "VTA, DRAM of %lld bytes from 0x%llx on",
                     (long long)used->driver.dram_bytes,
                     (unsigned long long)used->driver.dram_address);
  *stream = used;
  return TESSERA_OPS_OK;
}

static int Allocate(void* stream, int64_t bytes, void** buffer) {
  const uint32_t address = tessera_vta_ops_allocate(stream, (size_t)bytes);
  *buffer = Pointer(address);
  return address == 0 ? TESSERA_OPS_OUT_OF_MEMORY : TESSERA_OPS_OK;
}

static void Release(void* stream, void* buffer) {
  tessera_vta_ops_release(stream, AddressOf(buffer));
}

static int Write(void* stream, void* buffer, int64_t offset, const void* from, int64_t bytes) {
  const tessera_vta_driver* driver = &((const tessera_vta_ops*)stream)->driver;
  const uint32_t address = AddressOf(buffer) + (uint32_t)offset;
  memcpy(tessera_vta_host(driver, address), from, (size_t)bytes);
  if (driver->flush != NULL) driver->flush(driver->self, address, bytes);
  return TESSERA_OPS_OK;
}

static int Read(void* stream, void* buffer, void* into, int64_t bytes) {
  const tessera_vta_driver* driver = &((const tessera_vta_ops*)stream)->driver;
  if (driver->invalidate != NULL) driver->invalidate(driver->self, AddressOf(buffer), bytes);
  memcpy(into, tessera_vta_host(driver, AddressOf(buffer)), (size_t)bytes);
  return TESSERA_OPS_OK;
}

static int RunHosted(void* stream, const tessera_device_op* op, void* const* buffers) {
  return Run(stream, (const tessera_vta_op*)op, buffers);  // its first member
}

// Programs of packing: there are none.
static int Prepare(void* stream, const tessera_device_op* op, void* const* memory) {
  (void)stream;
  (void)op;
  (void)memory;
  return TESSERA_OPS_OK;
}

const tessera_device_driver tessera_vta_ops_driver = {OpenStream, Allocate,  Release, Write,
                                                      Read,       RunHosted, Prepare, Missing};
