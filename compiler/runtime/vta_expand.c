// The words' format is described in compiler/vta/bytecode.h.

#include <stdlib.h>
#include <string.h>

#include "compiler/runtime/vta.h"
#include "compiler/runtime/vta_emit.h"

// As of tessera::vta::Check (compiler/vta/code.h), or above what it lets pass.
static const int64_t kVersion = 2;
static const int64_t kMaxLogTileBytes = 12;
static const int64_t kMaxTerms = 16;
static const int64_t kMaxNumber = (int64_t)1 << 32;  // of constants and factors
static const int64_t kMaxTurns = 1 << 22;
static const int64_t kMaxExtent = 1 << 30;
static const int64_t kMaxUops = 1 << 22;
static const int64_t kMaxWords = (1 << 22) + (1 << 16);  // of micro-ops and constants
static const int64_t kMaxConstantBytes = 1 << 14;
static const int64_t kConstantAlignment = 1 << 12;
static const int64_t kMaxVisits = 1 << 22;  // of nodes
enum {
  kMaxLoops = 16,
  kMaxUopLoops = 6,
  kMaxAllocations = 64,
  kMaxCopies = 256,
  kMaxConstants = 8
};
enum { kRepeat = 0, kLoadNode = 1, kStoreNode = 2, kStepsNode = 3 };

typedef struct allocation {
  int64_t first_tile, tiles, copies;
  int64_t resource;  // of its first copy
} allocation;

typedef struct expansion {
  const int64_t* words;
  int64_t count, next;
  int is_bad;  // a word had no meaning; what was read instead has one

  const tessera_vta_buffer* buffers;
  int64_t buffer_count;
  tessera_vta_buffer constants[kMaxConstants];
  const int64_t* constant_words[kMaxConstants];
  int64_t constant_count;
  int64_t first_buffer_resource;
  allocation allocations[kMaxAllocations];
  int64_t allocation_count;
  int64_t turns[kMaxLoops];  // of the loops around
  int depth;
  int64_t visits;
  vta_emitter emitter;
} expansion;

// The next word, if it lies in [low, high].
static int64_t Take(expansion* x, int64_t low, int64_t high) {
  if (x->next < x->count && x->words[x->next] >= low && x->words[x->next] <= high) {
    return x->words[x->next++];
  }
  x->is_bad = 1;
  return low;
}

static void TakeTemplate(expansion* x, uint64_t word[2]) {
  word[0] = (uint64_t)Take(x, INT64_MIN, INT64_MAX);
  word[1] = (uint64_t)Take(x, INT64_MIN, INT64_MAX);
}

// No bound of its words is so wide that a sum of values and products of extents overflows.
static int64_t TakeValue(expansion* x) {
  int64_t sum = Take(x, -kMaxNumber, kMaxNumber);
  const int64_t terms = Take(x, 0, x->depth == 0 ? 0 : kMaxTerms);
  for (int64_t i = 0; i < terms; ++i) {
    const int64_t loop = Take(x, 0, x->depth - 1);
    const int64_t divisor = Take(x, 1, kMaxNumber);
    const int64_t extent = Take(x, 1, kMaxNumber);
    const int64_t coefficient = Take(x, -kMaxNumber, kMaxNumber);
    sum += coefficient * (x->turns[loop] / divisor % extent);
  }
  return sum;
}

// The first tile of a place, and the copy that it is of.
typedef struct place {
  int64_t tile;
  int64_t resource;
} place;

static place TakePlace(expansion* x) {
  const place none = {0, 0};
  const allocation* of = &x->allocations[Take(x, 0, x->allocation_count - 1)];
  const int64_t copy = TakeValue(x);
  const int64_t offset = TakeValue(x);
  if (x->is_bad || copy < 0 || copy >= of->copies || offset < 0 || offset >= of->tiles) {
    x->is_bad = 1;
    return none;
  }
  const place found = {of->first_tile + copy * of->tiles + offset, of->resource + copy};
  return found;
}

// What of [first, first + count) lies within [0, limit), and how much before and behind it.
typedef struct span {
  int64_t first, before, inside, behind;
} span;

static int64_t Within(int64_t value, int64_t low, int64_t high) {
  return value < low ? low : value > high ? high : value;
}

static span TakeSpan(expansion* x) {
  const int64_t first = TakeValue(x);
  const int64_t count = Take(x, 1, kMaxExtent);
  const int64_t limit = Take(x, 1, kMaxExtent);
  span cut = {0, 0, 0, 0};
  cut.before = Within(-first, 0, count);
  cut.behind = Within(first + count - limit, 0, count);
  cut.inside = Within(count - cut.before - cut.behind, 0, count);
  cut.first = first + cut.before;
  return cut;
}

typedef struct move {
  uint64_t template[2];
  int64_t tile_bytes;
  const tessera_vta_buffer* buffer;
  int64_t tile;  // of element (0, 0)
  span rows, columns;
  int64_t stride;
  place place;
  vta_use uses[2];  // what is written, then what is read; or the other way round
} move;

static move TakeMove(expansion* x) {
  move made;
  memset(&made, 0, sizeof(made));
  TakeTemplate(x, made.template);
  made.tile_bytes = (int64_t)1 << Take(x, 0, kMaxLogTileBytes);
  made.place = TakePlace(x);
  const int64_t buffer = Take(x, -x->constant_count, x->buffer_count - 1);
  if (buffer >= 0 && x->buffer_count > 0) made.buffer = &x->buffers[buffer];
  if (buffer < 0) made.buffer = &x->constants[-1 - buffer];
  made.tile = TakeValue(x);
  made.rows = TakeSpan(x);
  made.columns = TakeSpan(x);
  made.stride = Take(x, 0, kMaxExtent);
  made.uses[0].resource = made.place.resource;
  made.uses[1].resource =
      x->first_buffer_resource + (buffer < 0 ? x->buffer_count - 1 - buffer : buffer);
  return made;
}

// One instruction for rows [row, row + rows) of those inside, to or from the tile `sram`.
static int EmitRows(expansion* x, int engine, const move* move, int64_t row, int64_t rows,
                    int64_t sram) {
  const int64_t first = move->tile + (move->rows.first + row) * move->stride + move->columns.first;
  const int64_t last = first + (rows - 1) * move->stride + move->columns.inside - 1;
  const uint32_t address = move->buffer->address;
  if (first < 0 || last >= move->buffer->bytes / move->tile_bytes) return TESSERA_VTA_BAD_PROGRAM;
  if (address % move->tile_bytes != 0) return TESSERA_VTA_BAD_PROGRAM;
  uint64_t word[2] = {move->template[0], move->template[1]};
  const int64_t values[][2] = {{kVtaSram, sram},
                               {kVtaDram, address / move->tile_bytes + first},
                               {kVtaRows, rows},
                               {kVtaColumns, move->columns.inside}};
  for (int i = 0; i < 4; ++i) {
    const int status = tessera_vta_set_field(&x->emitter, word, (int)values[i][0], values[i][1]);
    if (status != TESSERA_VTA_OK) return status;
  }
  return tessera_vta_emit(&x->emitter, engine, word, move->uses, 2);
}

static int ExpandLoad(expansion* x) {
  const int engine = (int)Take(x, kVtaLoad, kVtaCompute);
  move move = TakeMove(x);
  if (x->is_bad || move.rows.inside == 0 || move.columns.inside == 0) {
    return TESSERA_VTA_BAD_PROGRAM;
  }
  const int64_t pads[][2] = {{kVtaPadAbove, move.rows.before},
                             {kVtaPadBelow, move.rows.behind},
                             {kVtaPadLeft, move.columns.before},
                             {kVtaPadRight, move.columns.behind}};
  for (int i = 0; i < 4; ++i) {
    const int status =
        tessera_vta_set_field(&x->emitter, move.template, (int)pads[i][0], pads[i][1]);
    if (status != TESSERA_VTA_OK) return status;
  }
  move.uses[0].writes = 1;
  return EmitRows(x, engine, &move, 0, move.rows.inside, move.place.tile);
}

// Tiles of a store lie one behind the other, so that rows of which something is left out are stored
// one by one.
static int ExpandStore(expansion* x) {
  move move = TakeMove(x);
  const int is_constant = move.uses[1].resource >= x->first_buffer_resource + x->buffer_count;
  if (x->is_bad || is_constant) return TESSERA_VTA_BAD_PROGRAM;
  if (move.rows.inside == 0 || move.columns.inside == 0) return TESSERA_VTA_OK;
  move.uses[1].writes = 1;
  const int is_cut = move.columns.before != 0 || move.columns.behind != 0;
  const int64_t columns = move.columns.before + move.columns.inside + move.columns.behind;
  const int64_t rows = is_cut ? 1 : move.rows.inside;
  for (int64_t row = 0; row < move.rows.inside; row += rows) {
    const int64_t sram = move.place.tile + (move.rows.before + row) * columns + move.columns.before;
    const int status = EmitRows(x, kVtaStore, &move, row, rows, sram);
    if (status != TESSERA_VTA_OK) return status;
  }
  return TESSERA_VTA_OK;
}

// A product, or an operation on accumulators.
static int ExpandSteps(expansion* x) {
  uint64_t word[2];
  TakeTemplate(x, word);
  const int64_t pattern = Take(x, 0, INT64_MAX);
  const int64_t loop_count = Take(x, 0, kMaxUopLoops);
  vta_uop_loop loops[kMaxUopLoops];
  for (int64_t i = 0; i < loop_count; ++i) {
    loops[i].turns = Take(x, 1, kMaxUops);
    for (int j = 0; j < 3; ++j) loops[i].steps[j] = Take(x, -kMaxNumber, kMaxNumber);
  }
  // The first one is written.
  const int64_t places = Take(x, 1, 3);
  int64_t base[3] = {0, 0, 0};
  vta_use uses[3];
  for (int64_t i = 0; i < places; ++i) {
    const place found = TakePlace(x);
    base[i] = found.tile;
    uses[i].resource = found.resource;
    uses[i].writes = i == 0;
  }
  if (x->is_bad) return TESSERA_VTA_BAD_PROGRAM;
  int64_t begin = 0, end = 0;
  int status = tessera_vta_place_uops(&x->emitter, pattern, loops, loop_count, base, &begin, &end);
  if (status == TESSERA_VTA_OK) {
    status = tessera_vta_set_field(&x->emitter, word, kVtaUopBegin, begin);
  }
  if (status == TESSERA_VTA_OK) {
    status = tessera_vta_set_field(&x->emitter, word, kVtaUopEnd, end);
  }
  if (status != TESSERA_VTA_OK) return status;
  return tessera_vta_emit(&x->emitter, kVtaCompute, word, uses, places);
}

// The nodes up to the word `end`.
static int ExpandNodes(expansion* x, int64_t end);

static int ExpandRepeat(expansion* x) {
  const int64_t turns = Take(x, 1, kMaxTurns);
  const int64_t words = Take(x, 1, x->count);
  const int64_t begin = x->next;
  if (x->is_bad || x->depth == kMaxLoops) return TESSERA_VTA_BAD_PROGRAM;
  int status = TESSERA_VTA_OK;
  for (int64_t i = 0; i < turns && status == TESSERA_VTA_OK; ++i) {
    x->next = begin;
    x->turns[x->depth++] = i;
    status = ExpandNodes(x, begin + words);
    --x->depth;
  }
  return status;
}

static int ExpandNodes(expansion* x, int64_t end) {
  while (x->next < end) {
    if (++x->visits > kMaxVisits) return TESSERA_VTA_BAD_PROGRAM;
    int status = TESSERA_VTA_BAD_PROGRAM;
    switch (Take(x, kRepeat, kStepsNode)) {
      case kRepeat:
        status = ExpandRepeat(x);
        break;
      case kLoadNode:
        status = ExpandLoad(x);
        break;
      case kStoreNode:
        status = ExpandStore(x);
        break;
      case kStepsNode:
        status = ExpandSteps(x);
        break;
    }
    if (status != TESSERA_VTA_OK) return status;
    if (x->is_bad) return TESSERA_VTA_BAD_PROGRAM;
  }
  return x->next == end ? TESSERA_VTA_OK : TESSERA_VTA_BAD_PROGRAM;
}

static void TakeHead(expansion* x) {
  Take(x, kVersion, kVersion);
  x->emitter.uop_limit = Take(x, 0, kMaxWords);
  x->emitter.uop_depth = Take(x, 1, kMaxUops);
  for (int i = 0; i < kVtaFields; ++i) {
    vta_field* field = &x->emitter.fields[i];
    field->position = (int)Take(x, 0, 127);
    field->bits = (int)Take(x, 0, 32);
    const int is_of_uops = i >= kVtaUopDst;
    const int within = is_of_uops ? field->position : field->position % 64;
    if (within + field->bits > (is_of_uops ? 32 : 64)) x->is_bad = 1;
  }
  TakeTemplate(x, x->emitter.load_uop);
  TakeTemplate(x, x->emitter.idle);
  TakeTemplate(x, x->emitter.finish);
  x->allocation_count = Take(x, 0, kMaxAllocations);
  for (int64_t i = 0; i < x->allocation_count; ++i) {
    allocation* made = &x->allocations[i];
    made->first_tile = Take(x, 0, kMaxExtent);
    made->tiles = Take(x, 1, kMaxExtent);
    made->copies = Take(x, 1, kMaxCopies);
    made->resource = x->first_buffer_resource;
    x->first_buffer_resource += made->copies;
  }
  if (x->first_buffer_resource > kMaxCopies) x->is_bad = 1;
  x->constant_count = Take(x, 0, kMaxConstants);
  for (int64_t i = 0; i < x->constant_count; ++i) {
    const int64_t bytes = Take(x, 4, kMaxConstantBytes);
    const int64_t words = (bytes + 7) / 8;
    if (bytes % 4 != 0 || words > x->count - x->next) {
      x->is_bad = 1;
      return;
    }
    x->constants[i].bytes = bytes;
    x->constant_words[i] = x->words + x->next;
    x->next += words;
  }
}

// Puts the constants in front of all other words.
static int PlaceConstants(expansion* x) {
  tessera_vta_stream* stream = x->emitter.stream;
  for (int64_t i = 0; i < x->constant_count; ++i) {
    const int64_t aligned = kConstantAlignment / (int64_t)sizeof(uint32_t);
    const int64_t gap = (aligned - stream->uop_count % aligned) % aligned;
    const int64_t count = x->constants[i].bytes / (int64_t)sizeof(uint32_t);
    const int status = tessera_vta_reserve_words(&x->emitter, gap + count);
    if (status != TESSERA_VTA_OK) return status;
    for (int64_t j = 0; j < gap; ++j) stream->uops[stream->uop_count++] = 0;
    x->constants[i].address =
        x->emitter.uop_address + (uint32_t)(stream->uop_count * (int64_t)sizeof(uint32_t));
    for (int64_t j = 0; j < count; ++j) {
      stream->uops[stream->uop_count++] =
          (uint32_t)((uint64_t)x->constant_words[i][j / 2] >> (j % 2 * 32));
    }
  }
  return TESSERA_VTA_OK;
}

static expansion BeginExpansion(const tessera_vta_program* program) {
  expansion x;
  memset(&x, 0, sizeof(x));
  x.words = program->words;
  x.count = program->count;
  TakeHead(&x);
  return x;
}

int64_t tessera_vta_uop_limit(const tessera_vta_program* program) {
  const expansion x = BeginExpansion(program);
  return x.is_bad ? -1 : x.emitter.uop_limit;
}

int tessera_vta_expand(const tessera_vta_program* program, const tessera_vta_buffer* buffers,
                       int64_t buffer_count, uint32_t uop_address, tessera_vta_stream* stream) {
  stream->instruction_count = 0;
  stream->uop_count = 0;
  expansion x = BeginExpansion(program);
  if (x.is_bad) return TESSERA_VTA_BAD_PROGRAM;
  x.buffers = buffers;
  x.buffer_count = buffer_count;
  x.emitter.uop_address = uop_address;
  x.emitter.stream = stream;
  x.emitter.resources =
      calloc((size_t)(x.first_buffer_resource + buffer_count + x.constant_count + 1),
             sizeof(vta_resource));
  int status = TESSERA_VTA_OUT_OF_MEMORY;
  if (x.emitter.resources != NULL) {
    status = PlaceConstants(&x);
    if (status == TESSERA_VTA_OK) status = ExpandNodes(&x, x.count);
    if (status == TESSERA_VTA_OK) status = tessera_vta_emit_finish(&x.emitter);
  }
  free(x.emitter.resources);
  free(x.emitter.sequences);
  return status;
}
