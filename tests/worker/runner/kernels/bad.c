#define _GNU_SOURCE
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/worker/runner/kernels/kernels.h"

#define KERNEL(name) void name(void* const* buffers, void* workspace, tessera_launcher* launcher)
#define UNUSED ((void)buffers, (void)workspace, (void)launcher)

static void Add(void* const* buffers) {
  const float *a = buffers[0], *b = buffers[1];
  float* c = buffers[2];
  for (int i = 0; i < TEST_ELEMENTS; ++i) c[i] = a[i] + b[i];
}

static volatile int calls;
static int* volatile null_pointer;
static volatile int always_true = 1;

KERNEL(null_dereference) {
  UNUSED;
  *null_pointer = 1;
}

KERNEL(hang) {
  UNUSED;
  while (always_true) {
  }
}

KERNEL(hang_at_tenth_call) {
  Add(buffers);
  if (++calls == 10) hang(buffers, workspace, launcher);
}

KERNEL(crash_at_tenth_call) {
  Add(buffers);
  if (++calls == 10) null_dereference(buffers, workspace, launcher);
}

KERNEL(eat_memory) {
  UNUSED;
  while (always_true) memset(malloc(1 << 20), 1, 1 << 20);
}

KERNEL(wrong_element) {
  UNUSED;
  Add(buffers);
  ((float*)buffers[2])[3 * TEST_COLUMNS + 7] += 0.5f;
}

KERNEL(misses_element) {
  UNUSED;
  const float *a = buffers[0], *b = buffers[1];
  float* c = buffers[2];
  for (int i = 0; i < TEST_ELEMENTS - 1; ++i) c[i] = a[i] + b[i];
}

KERNEL(does_nothing) { UNUSED; }

KERNEL(wrong_at_second_call) {
  UNUSED;
  Add(buffers);
  if (++calls == 2) ((float*)buffers[2])[0] = 42;
}

KERNEL(wrong_after_tenth_call) {
  UNUSED;
  Add(buffers);
  if (++calls > 10) ((float*)buffers[2])[0] = 42;
}

// A call takes a tenth of a second or so.
KERNEL(long_and_wrong_after_ninth_call) {
  UNUSED;
  for (volatile int left = 200000000; left > 0;) --left;
  Add(buffers);
  if (++calls > 9) ((float*)buffers[2])[0] = 42;
}

// Computes nothing once it has been verified.
KERNEL(rests_after_second_call) {
  UNUSED;
  if (++calls <= 2) Add(buffers);
}

KERNEL(writes_past_end) {
  UNUSED;
  Add(buffers);
  // One page further would already be inaccessible.
  ((char*)buffers[2])[TEST_ELEMENTS * sizeof(float) + 100] ^= 1;
}

// The output of TEST_ELEMENTS bytes does not end on an alignment boundary.
KERNEL(writes_into_padding) {
  UNUSED;
  const signed char *a = buffers[0], *b = buffers[1];
  signed char* c = buffers[2];
  for (int i = 0; i < 1001; ++i) c[i] = (signed char)(a[i] + b[i]);
  c[1001] ^= 1;
}

KERNEL(writes_before_start) {
  UNUSED;
  Add(buffers);
  ((char*)buffers[2])[-9] ^= 1;
}

KERNEL(reads_far_past_end) {
  UNUSED;
  Add(buffers);
  ((float*)buffers[2])[0] += 0 * ((volatile float*)buffers[0])[TEST_ELEMENTS + 64];
}

KERNEL(overwrites_input) {
  UNUSED;
  Add(buffers);
  ((float*)buffers[1])[5] += 1;
}

KERNEL(aborts) {
  UNUSED;
  abort();
}

static int Recurse(int depth) {
  volatile char frame[1000];
  frame[depth % 1000] = 1;
  return depth < 0 ? 0 : Recurse(depth + 1) + frame[(depth + 1) % 1000];
}
KERNEL(overflows_stack) {
  UNUSED;
  calls = Recurse(1);
}

KERNEL(exits) {
  UNUSED;
  _exit(0);
}

KERNEL(fork_bomb) {
  UNUSED;
  while (always_true) fork();
}

static void* Spin(void* unused) {
  while (always_true) sched_yield();
  return unused;
}
// Starts threads until the system refuses.
KERNEL(thread_bomb) {
  UNUSED;
  pthread_t thread;
  int started = 0;
  while (pthread_create(&thread, NULL, Spin, NULL) == 0) ++started;
  _exit(started > 100 ? 1 : 42);
}

KERNEL(executes) {
  UNUSED;
  execl("/bin/sh", "sh", "-c", "true", (char*)NULL);
  Add(buffers);
}

KERNEL(connects) {
  UNUSED;
  struct sockaddr_in address = {0};
  address.sin_family = AF_INET;
  address.sin_port = htons(80);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  connect(fd, (struct sockaddr*)&address, sizeof(address));
  Add(buffers);
}

KERNEL(opens_for_writing) {
  UNUSED;
  open("/tmp/tessera_kernel_was_here", O_WRONLY | O_CREAT, 0644);
  Add(buffers);
}

KERNEL(calls_null_launcher) {
  UNUSED;
  launcher->parallel_for(launcher, 4, NULL, NULL);
}

// Answers the runner's next command itself, with a time too good to be true.
KERNEL(forges_reply) {
  UNUSED;
  Add(buffers);
  struct {
    uint64_t sequence;
    double seconds;
    char error[240];
  } reply = {0};
  // Commands so far: prepare, call, collect, prepare, call, collect, prepare, call …
  if (++calls == 3) {
    reply.sequence = 8;
    reply.seconds = 1e-9;
    if (write(3, &reply, sizeof(reply)) < 0) _exit(1);
  }
}
