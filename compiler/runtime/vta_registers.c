#include "compiler/runtime/vta_registers.h"

#include <stddef.h>
#include <string.h>

static const int64_t kPageBytes = 4096;
// First words of a product of no turns and of a finish, whose second words are 0.
static const uint64_t kNothing = 2, kFinish = 3;
// Of what takes the accelerator microseconds.
static const double kAnswerSeconds = 1;
// Reads before the first pause: some 10 ms of them, of which a pause is less than 1 %.
static const int64_t kReadsAtOnce = 100000;
static const double kPauseSeconds = 50e-6;

// What the host has written before lies in DRAM, or its caches, when a register is written behind
// it; what the accelerator wrote before a register was read is read behind it.
static void OrderMemory(void) {
#if defined(__aarch64__) || defined(__arm__)
  __asm__ volatile("dsb sy" ::: "memory");
#else
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

// Waits until `bits` of a register are `value`. TIMED_OUT says what they are, of what was done.
static int Await(tessera_vta_board* board, uint32_t offset, uint32_t bits, uint32_t value,
                 double seconds) {
  const tessera_vta_access* access = &board->access;
  const double start = access->now(access->self);
  for (int64_t reads = 1;; ++reads) {
    const uint32_t found = access->read(access->self, offset);
    OrderMemory();
    if ((found & bits) == value) return TESSERA_VTA_OK;
    if (reads < kReadsAtOnce) continue;
    if (access->now(access->self) - start > seconds) {
      const tessera_note fault = {board->fault, sizeof(board->fault)};
      tessera_note_write(fault, "register 0x%04x is 0x%x after %gs", (unsigned)offset,
                         (unsigned)found, seconds);
      return TESSERA_VTA_TIMED_OUT;
    }
    access->sleep(access->self, kPauseSeconds);
  }
}

// While it fetches, a start would be lost.
static int AwaitFetch(tessera_vta_board* board) {
  return Await(board, TESSERA_VTA_FETCH + TESSERA_VTA_CONTROL, TESSERA_VTA_IDLE, TESSERA_VTA_IDLE,
               kAnswerSeconds);
}

static void Start(tessera_vta_board* board, uint32_t address, uint32_t count) {
  // Instructions hold addresses, in tiles, that count from the first byte of all memory.
  static const uint32_t kBases[] = {TESSERA_VTA_LOAD_INPUTS, TESSERA_VTA_LOAD_WEIGHTS,
                                    TESSERA_VTA_COMPUTE_UOPS, TESSERA_VTA_COMPUTE_ACCUMULATORS,
                                    TESSERA_VTA_STORE_RESULTS};
  static const uint32_t kEngines[] = {TESSERA_VTA_LOAD, TESSERA_VTA_COMPUTE, TESSERA_VTA_STORE};
  const tessera_vta_access* access = &board->access;
  OrderMemory();
  access->write(access->self, TESSERA_VTA_FETCH_COUNT, count);
  access->write(access->self, TESSERA_VTA_FETCH_ADDRESS, address);
  for (size_t i = 0; i < sizeof(kBases) / sizeof(*kBases); ++i) {
    access->write(access->self, kBases[i], 0);
  }
  access->write(access->self, TESSERA_VTA_FETCH + TESSERA_VTA_CONTROL, TESSERA_VTA_START);
  for (size_t i = 0; i < sizeof(kEngines) / sizeof(*kEngines); ++i) {
    access->write(access->self, kEngines[i] + TESSERA_VTA_CONTROL, TESSERA_VTA_START_FOR_EVER);
  }
}

// Executes an instruction of the board's own, after which `done` has this value.
static int Execute(tessera_vta_board* board, uint64_t instruction, uint32_t done) {
  const int status = AwaitFetch(board);
  if (status != TESSERA_VTA_OK) return status;
  const uint64_t words[2] = {instruction, 0};
  memcpy(board->dram, words, sizeof(words));
  Start(board, board->dram_address, 1);
  return Await(board, TESSERA_VTA_DONE, 1, done, kAnswerSeconds);
}

// Puts what was done before the fault.
static int Failed(tessera_vta_board* board, int status, const char* what) {
  char cause[sizeof(board->fault)];
  memcpy(cause, board->fault, sizeof(cause));
  const tessera_note fault = {board->fault, sizeof(board->fault)};
  tessera_note_write(fault, "%s: %.100s", what, cause);
  return status;
}

static int Run(void* self, uint32_t address, int64_t count, uint64_t* cycles) {
  tessera_vta_board* board = self;
  *cycles = 0;
  if (board->is_stuck) {
    const tessera_note fault = {board->fault, sizeof(board->fault)};
    tessera_note_write(fault,
                       "the accelerator is stuck in an earlier program; load its bitstream again");
    return TESSERA_VTA_DEVICE_FAILED;
  }
  board->is_stuck = 1;
  // `done` says 1 of the last program until the next one's first instruction of the compute module
  // is executed, which may wait for others: by an instruction of our own it says 0 before.
  int status = Execute(board, kNothing, 0);
  if (status == TESSERA_VTA_OK) status = AwaitFetch(board);
  if (status != TESSERA_VTA_OK) return Failed(board, status, "before a program");
  Start(board, address, (uint32_t)count);
  status = Await(board, TESSERA_VTA_DONE, 1, 1, board->timeout);
  if (status != TESSERA_VTA_OK) {
    char what[60];
    const tessera_note note = {what, sizeof(what)};
    tessera_note_write(note, "a program of %lld instructions", (long long)count);
    return Failed(board, status, what);
  }
  board->is_stuck = 0;
  return TESSERA_VTA_OK;
}

int tessera_vta_board_open(tessera_vta_board* board) {
  const tessera_note fault = {board->fault, sizeof(board->fault)};
  if (board->dram_bytes <= kPageBytes) {
    tessera_note_write(fault, "%lld bytes of DRAM; more than %d are needed",
                       (long long)board->dram_bytes, (int)kPageBytes);
    return TESSERA_VTA_OUT_OF_MEMORY;
  }
  board->is_stuck = 0;
  // A process that was ended may have left it a program: it comes to this behind that.
  if (Execute(board, kFinish, 1) != TESSERA_VTA_OK) {
    char cause[sizeof(board->fault)];
    memcpy(cause, board->fault, sizeof(cause));
    tessera_note_write(fault, "the accelerator does not answer (%.100s); load its bitstream again",
                       cause);
    return TESSERA_VTA_DEVICE_FAILED;
  }
  board->driver = (tessera_vta_driver){.dram = (char*)board->dram + kPageBytes,
                                       .dram_address = board->dram_address + (uint32_t)kPageBytes,
                                       .dram_bytes = board->dram_bytes - kPageBytes,
                                       .self = board,
                                       .flush = NULL,
                                       .invalidate = NULL,
                                       .run = Run};
  return TESSERA_VTA_OK;
}
