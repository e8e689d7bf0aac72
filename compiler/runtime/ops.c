#define _GNU_SOURCE
#include "compiler/runtime/ops.h"

#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <stdlib.h>

#include "compiler/runtime/cpu.h"
#include "compiler/runtime/thread_pool.h"

// Guards `pool` and `threads`: operators hold it for reading while they run.
static pthread_rwlock_t pool_lock = PTHREAD_RWLOCK_INITIALIZER;
static tessera_pool* pool;  // NULL with one thread
static int threads;         // 0 until the first call
static int pins;            // TESSERA_PIN is 1

// At load, when nobody changes the environment yet.
__attribute__((constructor)) static void ReadPin(void) {
  const char* text = getenv("TESSERA_PIN");
  pins = text != NULL && text[0] == '1' && text[1] == '\0';
}

// A thread's workspace, kept for its next call. All are in a list so that unloading frees them.
typedef struct arena {
  struct arena* next;
  struct arena** link;
  void* memory;
  size_t bytes;
} arena;

static pthread_mutex_t arenas_lock = PTHREAD_MUTEX_INITIALIZER;
static arena* arenas;
static pthread_key_t arena_key;
static pthread_once_t arena_once = PTHREAD_ONCE_INIT;
static int has_arena_key;

static void FreeArena(void* pointer) {
  arena* mine = pointer;
  pthread_mutex_lock(&arenas_lock);
  *mine->link = mine->next;
  if (mine->next != NULL) mine->next->link = mine->link;
  pthread_mutex_unlock(&arenas_lock);
  free(mine->memory);
  free(mine);
}

static void MakeArenaKey(void) { has_arena_key = pthread_key_create(&arena_key, FreeArena) == 0; }

// At least `bytes` of aligned memory that belong to this thread until its next call; NULL when
// there is none.
static void* Workspace(size_t bytes) {
  pthread_once(&arena_once, MakeArenaKey);
  if (!has_arena_key) return NULL;
  arena* mine = pthread_getspecific(arena_key);
  if (mine == NULL) {
    mine = calloc(1, sizeof(*mine));
    if (mine == NULL) return NULL;
    if (pthread_setspecific(arena_key, mine) != 0) {
      free(mine);
      return NULL;
    }
    pthread_mutex_lock(&arenas_lock);
    mine->next = arenas;
    mine->link = &arenas;
    if (arenas != NULL) arenas->link = &mine->next;
    arenas = mine;
    pthread_mutex_unlock(&arenas_lock);
  }
  if (mine->bytes < bytes) {
    free(mine->memory);
    mine->bytes = (bytes + TESSERA_OP_ALIGNMENT - 1) / TESSERA_OP_ALIGNMENT * TESSERA_OP_ALIGNMENT;
    mine->memory = aligned_alloc(TESSERA_OP_ALIGNMENT, mine->bytes);
    if (mine->memory == NULL) mine->bytes = 0;
  }
  return mine->memory;
}

// When the library is unloaded no thread may run its code any more.
__attribute__((destructor)) static void Unload(void) {
  tessera_pool_destroy(pool);
  pool = NULL;
  if (has_arena_key) pthread_key_delete(arena_key);
  while (arenas != NULL) FreeArena(arenas);
}

// With pool_lock held for writing.
static int SetThreads(int count) {
  tessera_pool* made = NULL;
  if (count > 1) {
    const tessera_pool_options options = {count, 0, -1, pins};
    made = tessera_pool_create(&options);
    if (made == NULL) return TESSERA_OPS_OUT_OF_MEMORY;
  }
  tessera_pool_destroy(pool);
  pool = made;
  threads = count;
  return TESSERA_OPS_OK;
}

int tessera_op_use_threads(int count) {
  if (count < 1 || count > TESSERA_POOL_MAX_THREADS) return TESSERA_OPS_BAD_THREADS;
  pthread_rwlock_wrlock(&pool_lock);
  const int result = SetThreads(count);
  pthread_rwlock_unlock(&pool_lock);
  return result;
}

// Takes pool_lock for reading, with the number of threads settled.
static int LockPool(const tessera_op* op) {
  pthread_rwlock_rdlock(&pool_lock);
  while (threads == 0) {
    pthread_rwlock_unlock(&pool_lock);
    pthread_rwlock_wrlock(&pool_lock);
    if (threads == 0) {
      cpu_set_t allowed;
      int count = (int)op->threads;
      if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0 && CPU_COUNT(&allowed) < count) {
        count = CPU_COUNT(&allowed);
      }
      const int result = SetThreads(count > 0 ? count : 1);
      if (result != TESSERA_OPS_OK) {
        pthread_rwlock_unlock(&pool_lock);
        return result;
      }
    }
    pthread_rwlock_unlock(&pool_lock);
    pthread_rwlock_rdlock(&pool_lock);
  }
  return TESSERA_OPS_OK;
}

int tessera_op_check_pointers(void* const* arguments, int64_t count, int64_t alignment) {
  for (int64_t i = 0; i < count; ++i) {
    if (arguments[i] == NULL) return TESSERA_OPS_NULL_POINTER;
    if ((uintptr_t)arguments[i] % (uintptr_t)alignment != 0) return TESSERA_OPS_MISALIGNED;
  }
  return TESSERA_OPS_OK;
}

// The place of the version to use; negative when this CPU runs none.
static int64_t ChosenVersion(const tessera_versions* versions) {
  const int64_t usable = tessera_cpu_usable();
  for (int64_t i = 0; i < versions->count; ++i) {
    if ((versions->needs[i] & ~usable) == 0) return i;
  }
  return -1;
}

const char* tessera_op_isa(const tessera_versions* versions) {
  const int64_t version = ChosenVersion(versions);
  return version < 0 ? NULL : versions->names[version];
}

int tessera_op_start(const tessera_op_table* table) {
  const int64_t version = ChosenVersion(table->versions);
  if (version < 0) return TESSERA_OPS_UNSUPPORTED_CPU;
  const int result = LockPool(&table->ops[version]);
  if (result == TESSERA_OPS_OK) pthread_rwlock_unlock(&pool_lock);
  return result;
}

int tessera_op_run(const tessera_op_table* table, void* const* arguments) {
  return tessera_op_run_in(table, arguments, NULL, 0);
}

int tessera_op_run_in(const tessera_op_table* table, void* const* arguments, void* memory,
                      int64_t memory_bytes) {
  const int64_t version = ChosenVersion(table->versions);
  if (version < 0) return TESSERA_OPS_UNSUPPORTED_CPU;
  const tessera_op* op = &table->ops[version];
  int result = tessera_op_check_pointers(arguments, op->argument_count, TESSERA_OP_ALIGNMENT);
  if (result != TESSERA_OPS_OK) return result;
  void* buffers[TESSERA_OP_MAX_BUFFERS];
  for (int64_t i = 0; i < op->buffer_count; ++i) {
    buffers[i] = (char*)arguments[op->buffers[i].argument] + op->buffers[i].offset;
  }
  result = LockPool(op);
  if (result != TESSERA_OPS_OK) return result;
  tessera_launcher* launcher =
      pool == NULL ? tessera_serial_launcher() : tessera_pool_launcher(pool);
  const int64_t bytes =
      op->shared_workspace_bytes + launcher->threads * op->private_workspace_bytes;
  void* workspace = bytes == 0 ? NULL : bytes <= memory_bytes ? memory : Workspace((size_t)bytes);
  if (bytes != 0 && workspace == NULL) {
    result = TESSERA_OPS_OUT_OF_MEMORY;
  } else {
    op->kernel(buffers, workspace, launcher);
  }
  pthread_rwlock_unlock(&pool_lock);
  return result;
}

int tessera_op_pack_constants(const tessera_packing_table* table, void* const* arguments) {
  const int64_t version = ChosenVersion(table->versions);
  if (version < 0) return TESSERA_OPS_UNSUPPORTED_CPU;
  const tessera_op_packing* packing = &table->packings[version];
  int result = tessera_op_check_pointers(arguments, packing->count + 1, 1);
  if (result == TESSERA_OPS_OK && packing->prepare != NULL) {
    result = tessera_op_check_pointers(arguments + packing->count, 1, TESSERA_OP_ALIGNMENT);
  }
  if (result != TESSERA_OPS_OK) return result;
  char* memory[2] = {arguments[packing->count], NULL};
  if (packing->scratch_bytes != 0) {
    const size_t bytes = (size_t)packing->scratch_bytes;
    memory[TESSERA_OP_SCRATCH] =
        aligned_alloc(TESSERA_OP_ALIGNMENT, (bytes + TESSERA_OP_ALIGNMENT - 1) /
                                                TESSERA_OP_ALIGNMENT * TESSERA_OP_ALIGNMENT);
    if (memory[TESSERA_OP_SCRATCH] == NULL) return TESSERA_OPS_OUT_OF_MEMORY;
  }
  for (int64_t i = 0; i < packing->count; ++i) {
    const tessera_op_buffer place = packing->places[i];
    tessera_layout_pack(&packing->layouts[i], arguments[i], memory[place.argument] + place.offset);
  }
  if (packing->prepare != NULL) {
    void* buffers[TESSERA_OP_MAX_BUFFERS];
    for (int64_t i = 0; i < packing->buffer_count; ++i) {
      const tessera_op_buffer buffer = packing->buffers[i];
      buffers[i] =
          buffer.argument == TESSERA_OP_UNUSED ? NULL : memory[buffer.argument] + buffer.offset;
    }
    void* workspace = packing->workspace_offset == packing->scratch_bytes
                          ? NULL
                          : memory[TESSERA_OP_SCRATCH] + packing->workspace_offset;
    packing->prepare(buffers, workspace, tessera_serial_launcher());
  }
  free(memory[TESSERA_OP_SCRATCH]);
  return TESSERA_OPS_OK;
}

int tessera_op_pack(const tessera_layout* layout, void* const* arguments) {
  const int result = tessera_op_check_pointers(arguments, 2, 1);
  if (result == TESSERA_OPS_OK) tessera_layout_pack(layout, arguments[0], arguments[1]);
  return result;
}

int tessera_op_unpack(const tessera_layout* layout, void* const* arguments) {
  const int result = tessera_op_check_pointers(arguments, 2, 1);
  if (result == TESSERA_OPS_OK) tessera_layout_unpack(layout, arguments[0], arguments[1]);
  return result;
}
