#include "compiler/runtime/vta_emit.h"

#include <stdlib.h>
#include <string.h>

// Far above what Check lets pass, with micro-ops' and idle ones.
static const int64_t kMaxInstructions = 1 << 24;

int tessera_vta_set_field(const vta_emitter* emitter, uint64_t word[2], int field, int64_t value) {
  const vta_field at = emitter->fields[field];
  if (value < 0 || (at.bits < 63 && value >> at.bits != 0)) return TESSERA_VTA_BAD_PROGRAM;
  word[at.position / 64] |= (uint64_t)value << (at.position % 64);
  return TESSERA_VTA_OK;
}

// Room for `count` elements behind those that are there.
static int Reserve(void** elements, size_t element_bytes, int64_t used, int64_t count,
                   int64_t* capacity) {
  if (used + count <= *capacity) return TESSERA_VTA_OK;
  int64_t wanted = *capacity < 256 ? 256 : *capacity * 2;
  if (wanted < used + count) wanted = used + count;
  void* grown = realloc(*elements, (size_t)wanted * element_bytes);
  if (grown == NULL) return TESSERA_VTA_OUT_OF_MEMORY;
  *elements = grown;
  *capacity = wanted;
  return TESSERA_VTA_OK;
}

static int Append(vta_emitter* emitter, const uint64_t word[2]) {
  tessera_vta_stream* stream = emitter->stream;
  if (stream->instruction_count == kMaxInstructions) return TESSERA_VTA_BAD_PROGRAM;
  void* instructions = stream->instructions;
  const int status = Reserve(&instructions, 2 * sizeof(uint64_t), stream->instruction_count, 1,
                             &stream->instruction_capacity);
  if (status != TESSERA_VTA_OK) return status;
  stream->instructions = instructions;
  memcpy(stream->instructions + 2 * stream->instruction_count, word, 2 * sizeof(uint64_t));
  ++stream->instruction_count;
  return TESSERA_VTA_OK;
}

static void TakeLater(vta_point* point, const vta_point* other, int engine) {
  if (other->ended[engine] > point->ended[engine]) *point = *other;
}

// A token from the instruction at `from` to `word`, of another engine. Queues hand tokens over in
// the order in which they were pushed, which is that of those who pop them: `from` comes after all
// that this engine already waited for.
static void PassToken(vta_emitter* emitter, const vta_point* from, int from_engine, int to_engine,
                      uint64_t word[2]) {
  const int is_right = to_engine > from_engine;
  uint64_t* pushing = emitter->stream->instructions + 2 * from->instruction;
  tessera_vta_set_field(emitter, pushing, is_right ? kVtaPushNext : kVtaPushPrevious, 1);
  tessera_vta_set_field(emitter, word, is_right ? kVtaPopPrevious : kVtaPopNext, 1);
}

// Appends an instruction that comes after `need[e]` of each other engine e.
static int EmitAfter(vta_emitter* emitter, int engine, const uint64_t word[2],
                     const vta_point need[kVtaEngines]) {
  const vta_point none = {0, {0, 0, 0}};
  vta_point after[kVtaEngines];
  for (int i = 0; i < kVtaEngines; ++i) {
    const int is_known = need[i].ended[i] <= emitter->last[engine].ended[i];
    after[i] = i == engine || is_known ? none : need[i];
  }
  if (engine != kVtaCompute) {
    // The other end of the row is reached through an instruction that computes.
    const int far = kVtaStore - engine;
    const int64_t far_ended = after[far].ended[far];
    if (far_ended > after[kVtaCompute].ended[far]) {
      if (far_ended > emitter->last[kVtaCompute].ended[far]) {
        vta_point only[kVtaEngines] = {none, none, none};
        only[far] = after[far];
        const int status = EmitAfter(emitter, kVtaCompute, emitter->idle, only);
        if (status != TESSERA_VTA_OK) return status;
      }
      after[kVtaCompute] = emitter->last[kVtaCompute];
    }
    after[far] = none;
  }

  uint64_t made[2] = {word[0], word[1]};
  vta_point now = emitter->last[engine];
  for (int i = 0; i < kVtaEngines; ++i) {
    if (after[i].ended[i] == 0) continue;
    PassToken(emitter, &after[i], i, engine, made);
    for (int j = 0; j < kVtaEngines; ++j) {
      if (after[i].ended[j] > now.ended[j]) now.ended[j] = after[i].ended[j];
    }
  }
  ++now.ended[engine];
  now.instruction = emitter->stream->instruction_count;
  emitter->last[engine] = now;
  return Append(emitter, made);
}

int tessera_vta_emit(vta_emitter* emitter, int engine, const uint64_t word[2], const vta_use* uses,
                     int64_t use_count) {
  vta_point need[kVtaEngines];
  memset(need, 0, sizeof(need));
  for (int64_t i = 0; i < use_count; ++i) {
    const vta_resource* resource = &emitter->resources[uses[i].resource];
    for (int e = 0; e < kVtaEngines; ++e) {
      TakeLater(&need[e], &resource->writes[e], e);
      if (uses[i].writes) TakeLater(&need[e], &resource->reads[e], e);
    }
  }
  const int status = EmitAfter(emitter, engine, word, need);
  if (status != TESSERA_VTA_OK) return status;
  for (int64_t i = 0; i < use_count; ++i) {
    vta_resource* resource = &emitter->resources[uses[i].resource];
    (uses[i].writes ? resource->writes : resource->reads)[engine] = emitter->last[engine];
  }
  return TESSERA_VTA_OK;
}

int tessera_vta_emit_finish(vta_emitter* emitter) {
  vta_point need[kVtaEngines];
  memcpy(need, emitter->last, sizeof(need));
  return EmitAfter(emitter, kVtaCompute, emitter->finish, need);
}

// The sequence of this pattern and base, or the free place of the table where it belongs.
static vta_sequence* FindSequence(vta_sequence* sequences, int64_t capacity, int64_t pattern,
                                  const int64_t base[3]) {
  uint64_t hash = (uint64_t)pattern;
  for (int i = 0; i < 3; ++i) {
    hash = (hash ^ (uint64_t)base[i]) * 0x9e3779b97f4a7c15u;
    hash ^= hash >> 32;
  }
  for (uint64_t place = hash;; ++place) {
    vta_sequence* found = &sequences[place & (uint64_t)(capacity - 1)];
    if (found->count == 0) return found;
    if (found->pattern == pattern && memcmp(found->base, base, sizeof(found->base)) == 0) {
      return found;
    }
  }
}

// At least half of the table stays free.
static int GrowSequences(vta_emitter* emitter) {
  if (emitter->sequence_count * 2 < emitter->sequence_capacity) return TESSERA_VTA_OK;
  const int64_t capacity = emitter->sequence_capacity == 0 ? 64 : emitter->sequence_capacity * 2;
  vta_sequence* grown = calloc((size_t)capacity, sizeof(*grown));
  if (grown == NULL) return TESSERA_VTA_OUT_OF_MEMORY;
  for (int64_t i = 0; i < emitter->sequence_capacity; ++i) {
    const vta_sequence* old = &emitter->sequences[i];
    if (old->count != 0) *FindSequence(grown, capacity, old->pattern, old->base) = *old;
  }
  free(emitter->sequences);
  emitter->sequences = grown;
  emitter->sequence_capacity = capacity;
  return TESSERA_VTA_OK;
}

int tessera_vta_reserve_words(vta_emitter* emitter, int64_t count) {
  tessera_vta_stream* stream = emitter->stream;
  if (count > emitter->uop_limit - stream->uop_count) return TESSERA_VTA_BAD_PROGRAM;
  void* words = stream->uops;
  const int status =
      Reserve(&words, sizeof(uint32_t), stream->uop_count, count, &stream->uop_capacity);
  if (status == TESSERA_VTA_OK) stream->uops = words;
  return status;
}

// Appends the micro-ops of these loops to the stream, `count` in all.
static int MakeUops(vta_emitter* emitter, const vta_uop_loop* loops, int64_t loop_count,
                    const int64_t base[3], int64_t count) {
  tessera_vta_stream* stream = emitter->stream;
  int status = tessera_vta_reserve_words(emitter, count);
  if (status != TESSERA_VTA_OK) return status;
  for (int64_t number = 0; number < count; ++number) {
    int64_t index[3] = {base[0], base[1], base[2]};
    int64_t rest = number;
    for (int64_t i = loop_count - 1; i >= 0; --i) {
      for (int j = 0; j < 3; ++j) index[j] += rest % loops[i].turns * loops[i].steps[j];
      rest /= loops[i].turns;
    }
    uint64_t word[2] = {0, 0};
    for (int j = 0; j < 3; ++j) {
      status = tessera_vta_set_field(emitter, word, kVtaUopDst + j, index[j]);
      if (status != TESSERA_VTA_OK) return status;
    }
    stream->uops[stream->uop_count++] = (uint32_t)word[0];
  }
  return TESSERA_VTA_OK;
}

// Puts a sequence into the accelerator.
static int LoadUops(vta_emitter* emitter, vta_sequence* sequence) {
  const int64_t depth = emitter->uop_depth;
  if (emitter->uop_end % depth + sequence->count > depth) {
    emitter->uop_end += depth - emitter->uop_end % depth;
  }
  sequence->position = emitter->uop_end;
  emitter->uop_end += sequence->count;
  uint64_t word[2] = {emitter->load_uop[0], emitter->load_uop[1]};
  const int64_t values[][2] = {{kVtaSram, sequence->position % depth},
                               {kVtaDram, emitter->uop_address / 4 + sequence->first},
                               {kVtaRows, 1},
                               {kVtaColumns, sequence->count}};
  for (int i = 0; i < 4; ++i) {
    const int status = tessera_vta_set_field(emitter, word, (int)values[i][0], values[i][1]);
    if (status != TESSERA_VTA_OK) return status;
  }
  // What it overwrites is of earlier instructions of the same engine.
  return tessera_vta_emit(emitter, kVtaCompute, word, NULL, 0);
}

int tessera_vta_place_uops(vta_emitter* emitter, int64_t pattern, const vta_uop_loop* loops,
                           int64_t loop_count, const int64_t base[3], int64_t* begin,
                           int64_t* end) {
  int status = GrowSequences(emitter);
  if (status != TESSERA_VTA_OK) return status;
  vta_sequence* sequence =
      FindSequence(emitter->sequences, emitter->sequence_capacity, pattern, base);
  int is_resident = 0;
  if (sequence->count != 0) {
    is_resident = emitter->uop_end - sequence->position <= emitter->uop_depth;
  } else {
    int64_t count = 1;
    for (int64_t i = 0; i < loop_count; ++i) {
      if (loops[i].turns > emitter->uop_depth / count) return TESSERA_VTA_BAD_PROGRAM;
      count *= loops[i].turns;
    }
    const int64_t first = emitter->stream->uop_count;
    status = MakeUops(emitter, loops, loop_count, base, count);
    if (status != TESSERA_VTA_OK) return status;
    *sequence = (vta_sequence){pattern, {base[0], base[1], base[2]}, count, first, 0};
    ++emitter->sequence_count;
  }
  if (!is_resident) {
    status = LoadUops(emitter, sequence);
    if (status != TESSERA_VTA_OK) return status;
  }
  *begin = sequence->position % emitter->uop_depth;
  *end = *begin + sequence->count;
  return TESSERA_VTA_OK;
}
