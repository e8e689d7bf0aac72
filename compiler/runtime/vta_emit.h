#ifndef TESSERA_COMPILER_RUNTIME_VTA_EMIT_H_
#define TESSERA_COMPILER_RUNTIME_VTA_EMIT_H_

// Appends instructions to a stream: puts them in order by tokens and keeps their micro-ops in the
// accelerator. What vta_expand.c is made of; nobody else includes it. Functions return
// TESSERA_VTA_OK and the like.

#include <stdint.h>

#include "compiler/runtime/vta.h"

// Engines that execute, in the row in which tokens pass.
enum { kVtaLoad = 0, kVtaCompute = 1, kVtaStore = 2, kVtaEngines = 3 };

// What is filled in when a program starts, in the order in which programs say where it lies.
enum {
  kVtaPopPrevious,
  kVtaPopNext,
  kVtaPushPrevious,
  kVtaPushNext,
  kVtaSram,
  kVtaDram,
  kVtaRows,
  kVtaColumns,
  kVtaPadAbove,
  kVtaPadBelow,
  kVtaPadLeft,
  kVtaPadRight,
  kVtaUopBegin,
  kVtaUopEnd,
  kVtaUopDst,  // from here on of micro-ops
  kVtaUopSrc,
  kVtaUopWgt,
  kVtaFields
};
typedef struct vta_field {
  int position, bits;  // within one half of the 128; of micro-ops within 32. Maybe no bits
} vta_field;

// An instruction, and for each engine how many of its instructions have ended when this one has,
// however long each takes. None: all 0.
typedef struct vta_point {
  int64_t instruction;
  int64_t ended[kVtaEngines];
} vta_point;

// Memory whose users are put in order: a copy of an allocation, or a buffer. By engine its last
// users.
typedef struct vta_resource {
  vta_point writes[kVtaEngines], reads[kVtaEngines];
} vta_resource;
typedef struct vta_use {
  int64_t resource;
  int writes;
} vta_use;

// A loop of which every turn makes one micro-op, or what the loops inside of it make.
typedef struct vta_uop_loop {
  int64_t turns;
  int64_t steps[3];  // of dst, src, wgt
} vta_uop_loop;

// Micro-ops that lie in DRAM one behind the other, and maybe in the accelerator.
typedef struct vta_sequence {
  int64_t pattern;   // of its loops; sequences of one pattern differ in their base
  int64_t base[3];   // of dst, src, wgt
  int64_t count;     // 0: a free place of the table
  int64_t first;     // in DRAM
  int64_t position;  // where it was last put, see `uop_end`
} vta_sequence;

typedef struct vta_emitter {
  vta_field fields[kVtaFields];
  uint64_t load_uop[2], idle[2], finish[2];  // idle: a product of no steps, which passes tokens on
  int64_t uop_depth;                         // micro-ops that the accelerator holds
  int64_t uop_limit;                         // of the stream
  uint32_t uop_address;
  tessera_vta_stream* stream;

  vta_point last[kVtaEngines];
  vta_resource* resources;

  // Micro-ops are put into the accelerator one behind the other, round and round: position p is
  // tile p % uop_depth. So what was put there first makes room, and a sequence is still there while
  // no more than uop_depth positions have been used since its first.
  int64_t uop_end;
  vta_sequence* sequences;  // a hash table
  int64_t sequence_count, sequence_capacity;
} vta_emitter;

// Room for `count` more words behind the stream's; they are counted by whoever fills them in.
int tessera_vta_reserve_words(vta_emitter* emitter, int64_t count);

// TESSERA_VTA_BAD_PROGRAM: the value has no place in its field.
int tessera_vta_set_field(const vta_emitter* emitter, uint64_t word[2], int field, int64_t value);

// Appends an instruction that comes after all that uses the same memory, where one of both writes.
int tessera_vta_emit(vta_emitter* emitter, int engine, const uint64_t word[2], const vta_use* uses,
                     int64_t use_count);

// Appends the finish, which comes after everything.
int tessera_vta_emit_finish(vta_emitter* emitter);

// Sees to it that the micro-ops of these loops around `base` lie in the accelerator, and says
// where.
int tessera_vta_place_uops(vta_emitter* emitter, int64_t pattern, const vta_uop_loop* loops,
                           int64_t loop_count, const int64_t base[3], int64_t* begin, int64_t* end);

#endif  // TESSERA_COMPILER_RUNTIME_VTA_EMIT_H_
