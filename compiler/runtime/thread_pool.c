#define _GNU_SOURCE
#include "compiler/runtime/thread_pool.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

enum {
  kCacheLine = 64,
  kStackBytes = 1 << 20,
  kDefaultSpinMicroseconds = 50,
  kSpinsBetweenClockReads = 64,
};

// What a worker waits for: its own cache line, written by the caller.
typedef struct mailbox {
  _Alignas(kCacheLine) _Atomic uint32_t ticket;  // grows by one a job; futex
  _Atomic uint32_t claimed;  // the last ticket whose share somebody took: the worker, or the caller
  _Atomic uint32_t is_sleeping;
  _Atomic int32_t core;  // of the worker, as it last knew, plus one; 0: never ran
} mailbox;

// Everything that threads share. Lives in pages that a fork leaves zeroed in the child
// (MADV_WIPEONFORK), so that a child finds a pool that has not been started: no lock held, no
// worker counted.
typedef struct shared_state {
  _Alignas(kCacheLine) _Atomic uint32_t phase;  // kStopped, kStarting, kRunning
  _Atomic uint32_t busy;                        // one caller at a time has the workers
  int32_t workers;                              // started; the caller is not one
  pthread_t* handles;
  // The job; written by the caller before it raises tickets.
  tessera_parallel_body body;
  void* context;
  int64_t count;
  int32_t participants;
  _Atomic int32_t caller_core;  // plus one
  _Atomic uint32_t is_stopping;
  _Alignas(kCacheLine) _Atomic int64_t next;   // first iteration not taken yet (grain > 0)
  _Alignas(kCacheLine) _Atomic uint32_t left;  // workers that have not ended; futex
  _Atomic uint32_t caller_is_sleeping;
  mailbox mailboxes[];  // of worker i at i - 1
} shared_state;

enum { kStopped = 0, kStarting = 1, kRunning = 2 };

struct tessera_pool {
  tessera_launcher launcher;  // first: `self` of parallel_for is the pool
  tessera_pool_options options;
  shared_state* shared;
  size_t shared_bytes;
  int64_t spin_nanoseconds;
  int32_t wipes_on_fork;
  pid_t owner;  // looked at only where the kernel can't wipe
};

typedef struct worker_start {
  tessera_pool* pool;
  int32_t index;  // 1 …
} worker_start;

static void Pause(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
  __asm__ volatile("yield" ::: "memory");
#endif
}

static int64_t Nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void FutexWait(_Atomic uint32_t* word, uint32_t expected) {
  syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, NULL, NULL, 0);
}

static void FutexWake(_Atomic uint32_t* word) {
  syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static int32_t CoreHere(void) { return sched_getcpu() + 1; }

// Whether one of those that thread `waiter` waits for was last seen on its own core: spinning there
// would keep from running what it waits for.
static int SharesCore(const tessera_pool* pool, int32_t waiter) {
  const int32_t here = CoreHere();
  shared_state* shared = pool->shared;
  if (waiter != 0) {
    return atomic_load_explicit(&shared->caller_core, memory_order_relaxed) == here;
  }
  for (int32_t i = 1; i < shared->participants; ++i) {
    mailbox* box = &shared->mailboxes[i - 1];
    if (atomic_load_explicit(&box->core, memory_order_relaxed) == here) return 1;
  }
  return 0;
}

// Spins while *word is `value`, for the pool's spinning time at most. Returns whether it changed.
static int SpinWhile(const tessera_pool* pool, int32_t waiter, _Atomic uint32_t* word,
                     uint32_t value) {
  int64_t deadline = 0;
  for (;;) {
    for (int i = 0; i < kSpinsBetweenClockReads; ++i) {
      if (atomic_load_explicit(word, memory_order_acquire) != value) return 1;
      if (pool->spin_nanoseconds == 0) return 0;
      Pause();
    }
    const int64_t now = Nanoseconds();
    if (deadline == 0) deadline = now + pool->spin_nanoseconds;
    if (now >= deadline || SharesCore(pool, waiter)) return 0;
  }
}

// Waits until *word is not `value`: spins, then sleeps. Setting `is_sleeping` before looking again
// pairs with the writer, which writes the word before it looks at `is_sleeping`.
static void WaitWhile(const tessera_pool* pool, int32_t waiter, _Atomic uint32_t* word,
                      uint32_t value, _Atomic uint32_t* is_sleeping) {
  if (SpinWhile(pool, waiter, word, value)) return;
  atomic_store(is_sleeping, 1);
  while (atomic_load(word) == value) FutexWait(word, value);
  atomic_store(is_sleeping, 0);
}

// Of each ticket's share there is one taker. A job ends after its takers, so that who holds a share
// may read the job.
static int Claim(mailbox* box, uint32_t ticket) {
  uint32_t before = ticket - 1;
  return atomic_compare_exchange_strong(&box->claimed, &before, ticket);
}

// Runs share `share` of the job as thread `thread`.
static void RunShare(tessera_pool* pool, int32_t share, int32_t thread) {
  shared_state* shared = pool->shared;
  const int64_t count = shared->count;
  const int64_t grain = pool->options.grain;
  if (grain > 0) {
    for (;;) {
      const int64_t begin = atomic_fetch_add_explicit(&shared->next, grain, memory_order_relaxed);
      if (begin >= count) return;
      const int64_t end = count - begin < grain ? count : begin + grain;
      shared->body(begin, end, thread, shared->context);
    }
  }
  const int64_t each = count / shared->participants;
  const int64_t extra = count % shared->participants;
  const int64_t begin = each * share + (share < extra ? share : extra);
  const int64_t end = begin + each + (share < extra ? 1 : 0);
  if (begin < end) shared->body(begin, end, thread, shared->context);
}

static void PinTo(int32_t index) {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return;
  const int32_t cores = CPU_COUNT(&allowed);
  if (cores == 0) return;
  int32_t left = index % cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed) || left-- > 0) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    sched_setaffinity(0, sizeof(one), &one);
    return;
  }
}

static void* Work(void* argument) {
  const worker_start start = *(worker_start*)argument;
  free(argument);
  tessera_pool* pool = start.pool;
  shared_state* shared = pool->shared;
  mailbox* mine = &shared->mailboxes[start.index - 1];
  if (pool->options.pin) PinTo(start.index);
  for (uint32_t seen = 0;;) {
    WaitWhile(pool, start.index, &mine->ticket, seen, &mine->is_sleeping);
    seen = atomic_load(&mine->ticket);
    if (atomic_load_explicit(&shared->is_stopping, memory_order_relaxed)) return NULL;
    atomic_store_explicit(&mine->core, CoreHere(), memory_order_relaxed);
    if (!Claim(mine, seen)) continue;
    RunShare(pool, start.index, start.index);
    if (atomic_fetch_sub(&shared->left, 1) == 1 && atomic_load(&shared->caller_is_sleeping)) {
      FutexWake(&shared->left);
    }
  }
}

// Starts one worker with all signals blocked; 0 on success.
static int StartWorker(tessera_pool* pool, int32_t index, pthread_t* handle) {
  worker_start* start = malloc(sizeof(*start));
  if (start == NULL) return -1;
  *start = (worker_start){pool, index};
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStackBytes);
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const int error = pthread_create(handle, &attributes, Work, start);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attributes);
  if (error != 0) free(start);
  return error;
}

// Returns 1 when the workers run, 0 when this caller has to go on alone for now.
static int EnsureRunning(tessera_pool* pool) {
  shared_state* shared = pool->shared;
  if (!pool->wipes_on_fork && pool->owner != getpid()) {
    memset(shared, 0, pool->shared_bytes);
    pool->owner = getpid();
  }
  uint32_t phase = atomic_load_explicit(&shared->phase, memory_order_acquire);
  if (phase == kRunning) return 1;
  uint32_t stopped = kStopped;
  if (!atomic_compare_exchange_strong(&shared->phase, &stopped, kStarting)) return 0;
  const int32_t wanted = pool->options.threads - 1;
  shared->handles = malloc(sizeof(pthread_t) * (size_t)(wanted > 0 ? wanted : 1));
  shared->workers = 0;
  while (shared->handles != NULL && shared->workers < wanted &&
         StartWorker(pool, shared->workers + 1, &shared->handles[shared->workers]) == 0) {
    ++shared->workers;
  }
  atomic_store_explicit(&shared->phase, kRunning, memory_order_release);
  return 1;
}

static void PoolParallelFor(tessera_launcher* self, int64_t count, tessera_parallel_body body,
                            void* context) {
  tessera_pool* pool = (tessera_pool*)self;
  shared_state* shared = pool->shared;
  if (count <= 0) return;
  // A zeroed `busy` may be that of a fork's child, so the start is looked at first.
  if (count == 1 || pool->options.threads == 1 || !EnsureRunning(pool) ||
      atomic_exchange_explicit(&shared->busy, 1, memory_order_acquire) != 0) {
    body(0, count, 0, context);
    return;
  }
  const int64_t threads = (int64_t)shared->workers + 1;
  const int32_t participants = (int32_t)(count < threads ? count : threads);
  shared->body = body;
  shared->context = context;
  shared->count = count;
  shared->participants = participants;
  atomic_store_explicit(&shared->next, 0, memory_order_relaxed);
  atomic_store_explicit(&shared->left, (uint32_t)participants - 1, memory_order_relaxed);
  atomic_store_explicit(&shared->caller_core, CoreHere(), memory_order_relaxed);
  for (int32_t i = 1; i < participants; ++i) {
    mailbox* box = &shared->mailboxes[i - 1];
    atomic_fetch_add(&box->ticket, 1);
    if (atomic_load(&box->is_sleeping)) FutexWake(&box->ticket);
  }
  RunShare(pool, 0, 0);
  // Shares of workers that still wait for a core.
  for (int32_t i = 1; i < participants; ++i) {
    mailbox* box = &shared->mailboxes[i - 1];
    if (!Claim(box, atomic_load_explicit(&box->ticket, memory_order_relaxed))) continue;
    RunShare(pool, i, 0);
    atomic_fetch_sub(&shared->left, 1);
  }
  uint32_t left;
  while ((left = atomic_load_explicit(&shared->left, memory_order_acquire)) != 0) {
    WaitWhile(pool, 0, &shared->left, left, &shared->caller_is_sleeping);
  }
  atomic_store_explicit(&shared->busy, 0, memory_order_release);
}

static void SerialParallelFor(tessera_launcher* self, int64_t count, tessera_parallel_body body,
                              void* context) {
  (void)self;
  if (count > 0) body(0, count, 0, context);
}

tessera_launcher* tessera_serial_launcher(void) {
  static tessera_launcher launcher = {SerialParallelFor, 1};
  return &launcher;
}

static int32_t AllowedCores(void) {
  cpu_set_t allowed;
  return sched_getaffinity(0, sizeof(allowed), &allowed) == 0 ? CPU_COUNT(&allowed)
                                                              : TESSERA_POOL_MAX_THREADS;
}

tessera_pool* tessera_pool_create(const tessera_pool_options* options) {
  if (options->threads < 1 || options->threads > TESSERA_POOL_MAX_THREADS) return NULL;
  tessera_pool* pool = calloc(1, sizeof(*pool));
  if (pool == NULL) return NULL;
  pool->launcher = (tessera_launcher){PoolParallelFor, options->threads};
  pool->options = *options;
  const int32_t spin =
      options->spin_microseconds < 0 ? kDefaultSpinMicroseconds : options->spin_microseconds;
  // Threads that share a core must not spin while another has work.
  pool->spin_nanoseconds = options->threads > AllowedCores() ? 0 : (int64_t)spin * 1000;
  pool->shared_bytes = sizeof(shared_state) + sizeof(mailbox) * (size_t)options->threads;
  void* memory =
      mmap(NULL, pool->shared_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    free(pool);
    return NULL;
  }
  pool->shared = memory;
  pool->wipes_on_fork = madvise(memory, pool->shared_bytes, MADV_WIPEONFORK) == 0;
  pool->owner = getpid();
  EnsureRunning(pool);
  return pool;
}

void tessera_pool_destroy(tessera_pool* pool) {
  if (pool == NULL) return;
  shared_state* shared = pool->shared;
  const int is_ours = pool->wipes_on_fork || pool->owner == getpid();
  if (is_ours && atomic_load(&shared->phase) == kRunning) {
    atomic_store(&shared->is_stopping, 1);
    for (int32_t i = 0; i < shared->workers; ++i) {
      atomic_fetch_add(&shared->mailboxes[i].ticket, 1);
      FutexWake(&shared->mailboxes[i].ticket);
    }
    for (int32_t i = 0; i < shared->workers; ++i) pthread_join(shared->handles[i], NULL);
    free(shared->handles);
  }
  munmap(shared, pool->shared_bytes);
  free(pool);
}

tessera_launcher* tessera_pool_launcher(tessera_pool* pool) { return &pool->launcher; }
