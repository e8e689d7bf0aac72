#define _POSIX_C_SOURCE 200809L
#include "compiler/runtime/device.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { kMaxNote = 2048 };

static const char* wanted;  // TESSERA_DEVICE, "" without one
static int is_quiet;        // TESSERA_QUIET is 1

// At load, when nobody changes the environment yet.
__attribute__((constructor)) static void ReadEnvironment(void) {
  const char* text = getenv("TESSERA_DEVICE");
  wanted = text == NULL ? "" : text;
  text = getenv("TESSERA_QUIET");
  is_quiet = text != NULL && text[0] == '1' && text[1] == '\0';
}

// The one device of the library that this code is a part of, found by the first call that needs it.
// It is never closed: when a process ends, its driver may be gone before this code is.
static pthread_mutex_t opening = PTHREAD_MUTEX_INITIALIZER;  // guards what follows until is_open
static int is_open;
static void* stream;  // NULL: the CPU
static char name_text[kMaxNote];
static char why_text[kMaxNote];

void tessera_note_write(tessera_note note, const char* format, ...) {
  if (note.text == NULL || note.bytes == 0) return;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(note.text, note.bytes, format, arguments);
  va_end(arguments);
}

static int CheckLimit(const tessera_device_op* op, int64_t needed, const char* what, int64_t limit,
                      tessera_note why) {
  if (needed <= limit) return TESSERA_OPS_OK;
  tessera_note_write(why, "%s: its kernels take %lld %s; the device has %lld", op->name,
                     (long long)needed, what, (long long)limit);
  return TESSERA_OPS_DEVICE_LIMITS;
}

int64_t tessera_device_texel_bytes(int64_t kind) {
  if (kind == TESSERA_DEVICE_IMAGE_F32) return 16;
  return kind == TESSERA_DEVICE_IMAGE_F16 ? 8 : 0;
}

static int CheckArguments(const tessera_device_op* op, const tessera_device_launch* launch,
                          const tessera_device_buffer* places, const tessera_device_limits* limits,
                          tessera_note why) {
  int64_t constant_bytes = 0;
  for (int64_t i = 0; i < launch->argument_count; ++i) {
    const tessera_device_argument* argument = &launch->arguments[i];
    if (argument->kind == TESSERA_DEVICE_MEMORY) continue;
    const tessera_device_buffer* place = &places[argument->buffer];
    if (argument->kind == TESSERA_DEVICE_CONSTANT) {
      constant_bytes += place->bytes;
      continue;
    }
    const int64_t texel = tessera_device_texel_bytes(argument->kind);
    const int status = CheckLimit(op, (place->offset + place->bytes) / texel, "texels of an image",
                                  limits->image_texels, why);
    if (status != TESSERA_OPS_OK) return status;
  }
  return CheckLimit(op, constant_bytes, "bytes of constant memory", limits->constant_bytes, why);
}

int tessera_device_check_limits(const tessera_device_op* op, const tessera_device_limits* limits,
                                tessera_note why) {
  int status = TESSERA_OPS_OK;
  for (int64_t i = 0; i < op->code.launch_count && status == TESSERA_OPS_OK; ++i) {
    const tessera_device_launch* launch = &op->code.launches[i];
    const int64_t* block = launch->threads;
    status = CheckArguments(op, launch, i < op->call_launches ? op->buffers : op->packing_buffers,
                            limits, why);
    if (status != TESSERA_OPS_OK) break;
    status = CheckLimit(op, launch->shared_bytes, "bytes of memory that a block shares",
                        limits->shared_bytes, why);
    if (status != TESSERA_OPS_OK) break;
    status =
        CheckLimit(op, block[0] * block[1] * block[2], "threads a block", limits->threads, why);
    for (int axis = 0; axis < 3 && status == TESSERA_OPS_OK; ++axis) {
      status = CheckLimit(op, block[axis], "threads along an axis of a block",
                          limits->threads_along[axis], why);
    }
  }
  return status;
}

// Row-major constants to their places in the packed block and the scratch memory.
static int PlaceConstants(const tessera_device_driver* driver, void* to,
                          const tessera_device_op* op, void* const* constants,
                          void* const* memory) {
  int status = TESSERA_OPS_OK;
  for (int64_t i = 0; i < op->constant_count && status == TESSERA_OPS_OK; ++i) {
    const int64_t bytes = tessera_layout_stored_bytes(&op->layouts[i]);
    void* stored = malloc((size_t)bytes);
    if (stored == NULL) return TESSERA_OPS_OUT_OF_MEMORY;
    tessera_layout_pack(&op->layouts[i], constants[i], stored);
    status = driver->write(to, memory[op->places[i].argument], op->places[i].offset, stored, bytes);
    free(stored);
  }
  return status;
}

int tessera_device_pack(const tessera_device_driver* driver, void* to, const tessera_device_op* op,
                        void* const* constants, void* packed) {
  void* memory[] = {[TESSERA_OP_PACKED] = packed, [TESSERA_OP_SCRATCH] = NULL};
  int status = TESSERA_OPS_OK;
  if (op->scratch_bytes > 0) {
    status = driver->allocate(to, op->scratch_bytes, &memory[TESSERA_OP_SCRATCH]);
    if (status != TESSERA_OPS_OK) return status;
  }
  status = PlaceConstants(driver, to, op, constants, memory);
  if (status == TESSERA_OPS_OK) status = driver->prepare(to, op, memory);
  if (op->scratch_bytes > 0) driver->release(to, memory[TESSERA_OP_SCRATCH]);
  return status;
}

static void Open(const tessera_device_library* library) {
  const tessera_note name = {name_text, sizeof(name_text)}, why = {why_text, sizeof(why_text)};
  if (strcmp(wanted, "cpu") == 0) {
    tessera_note_write(why, "TESSERA_DEVICE is cpu");
    return;
  }
  if (library->driver->open(library, wanted, &stream, name, why) == TESSERA_OPS_OK) return;
  stream = NULL;
  if (is_quiet) return;
  // A compiler's log begins with what matters.
  dprintf(STDERR_FILENO, "tessera: %s runs on the CPU: %.*s\n", library->name,
          (int)strcspn(why_text, "\n"), why_text);
}

static void* Stream(const tessera_device_library* library) {
  pthread_mutex_lock(&opening);
  if (!is_open) Open(library);
  is_open = 1;
  pthread_mutex_unlock(&opening);
  return stream;
}

// What the program may name yet, before the first call; NULL: nothing.
static const char* Missing(const tessera_device_library* library) {
  if (library->driver->missing == NULL || strcmp(wanted, "cpu") == 0) return NULL;
  pthread_mutex_lock(&opening);
  const char* missing = is_open ? NULL : library->driver->missing();
  pthread_mutex_unlock(&opening);
  return missing;
}

const char* tessera_device_name(const tessera_device_library* library) {
  if (Missing(library) != NULL) return NULL;
  return Stream(library) == NULL ? NULL : name_text;
}

const char* tessera_device_fallback(const tessera_device_library* library) {
  const char* missing = Missing(library);
  if (missing != NULL) return missing;
  return Stream(library) == NULL ? why_text : NULL;
}

static int RunOnDevice(const tessera_hosted_op* op, void* const* arguments) {
  const tessera_device_driver* driver = op->library->driver;
  const tessera_device_op* code = op->op;
  void* buffers[TESSERA_OP_MAX_BUFFERS];
  int64_t made = 0;
  int result = TESSERA_OPS_OK;
  for (int64_t i = 0; i < code->argument_count && result == TESSERA_OPS_OK; ++i) {
    result = driver->allocate(stream, code->argument_bytes[i], &buffers[i]);
    if (result != TESSERA_OPS_OK) break;
    ++made;
    if (i < code->first_output) {
      result = driver->write(stream, buffers[i], 0, arguments[i], code->argument_bytes[i]);
    }
  }
  if (result == TESSERA_OPS_OK) result = driver->run(stream, code, buffers);
  for (int64_t i = code->first_output; i < code->argument_count && result == TESSERA_OPS_OK; ++i) {
    result = driver->read(stream, buffers[i], arguments[i], code->argument_bytes[i]);
  }
  for (int64_t i = 0; i < made; ++i) driver->release(stream, buffers[i]);
  return result;
}

int tessera_device_run(const tessera_hosted_op* op, void* const* arguments) {
  if (Stream(op->library) == NULL) return tessera_op_run(op->cpu, arguments);
  // As on the CPU, so that a program that is right here is right there.
  const int result =
      tessera_op_check_pointers(arguments, op->op->argument_count, TESSERA_OP_ALIGNMENT);
  return result == TESSERA_OPS_OK ? RunOnDevice(op, arguments) : result;
}

int tessera_device_pack_constants(const tessera_hosted_op* op, void* const* arguments) {
  if (Stream(op->library) == NULL) return tessera_op_pack_constants(op->cpu_packing, arguments);
  const tessera_device_driver* driver = op->library->driver;
  const tessera_device_op* code = op->op;
  int result = tessera_op_check_pointers(arguments, code->constant_count + 1, 1);
  if (result != TESSERA_OPS_OK) return result;
  void* packed = NULL;
  result = driver->allocate(stream, code->packed_bytes, &packed);
  if (result != TESSERA_OPS_OK) return result;
  result = tessera_device_pack(driver, stream, code, arguments, packed);
  if (result == TESSERA_OPS_OK) {
    result = driver->read(stream, packed, arguments[code->constant_count], code->packed_bytes);
  }
  driver->release(stream, packed);
  return result;
}
