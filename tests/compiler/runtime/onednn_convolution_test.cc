// Convolutions of oneDNN, over one of this file's; its OpenMP is onednn_test.cc's.

#include <atomic>
#include <catch2/catch.hpp>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "compiler/runtime/onednn.h"
#include "compiler/runtime/onednn_api.h"

struct dnnl_engine {};
struct dnnl_stream {};
struct dnnl_primitive {};
struct dnnl_primitive_desc {
  tessera_dnnl_memory_desc scratchpad;
};
struct dnnl_primitive_attr {};
struct dnnl_memory {
  void* data;
};

namespace {

std::atomic<int> alive = 0;       // objects of oneDNN
std::atomic<int> primitives = 0;  // ever made
bool makes_primitives = true;
bool executes = true;
int64_t scratch_bytes = 0;
std::atomic<bool> on_one_thread = true;
std::atomic<bool> as_expected = true;  // what calls hand over
std::mutex described_lock;
std::vector<std::vector<int64_t>> described;  // rank, extents, tag

template <typename T>
int Make(T** made) {
  *made = new T;
  ++alive;
  return 0;
}
template <typename T>
int Destroy(T* made) {
  delete made;
  --alive;
  return 0;
}

}  // namespace

int dnnl_engine_create(dnnl_engine_t* engine, int kind, uint64_t index) {
  if (kind != DNNL_CPU || index != 0) as_expected = false;
  return Make(engine);
}
int dnnl_engine_destroy(dnnl_engine_t engine) { return Destroy(engine); }
int dnnl_stream_create(dnnl_stream_t* stream, dnnl_engine_t, unsigned) { return Make(stream); }
int dnnl_stream_destroy(dnnl_stream_t stream) { return Destroy(stream); }
int dnnl_memory_desc_init_by_tag(tessera_dnnl_memory_desc*, int dims, const int64_t* extents, int,
                                 int tag) {
  const std::lock_guard lock(described_lock);
  described.push_back({dims});
  described.back().insert(described.back().end(), extents, extents + dims);
  described.back().push_back(tag);
  return 0;
}
uint64_t dnnl_memory_desc_get_size(const tessera_dnnl_memory_desc*) {
  return static_cast<uint64_t>(scratch_bytes);
}
int dnnl_memory_create(dnnl_memory_t* memory, const tessera_dnnl_memory_desc*, dnnl_engine_t,
                       void* data) {
  Make(memory);
  (*memory)->data = data;
  return 0;
}
int dnnl_memory_destroy(dnnl_memory_t memory) { return Destroy(memory); }
int dnnl_memory_set_data_handle(dnnl_memory_t memory, void* data) {
  memory->data = data;
  return 0;
}
int dnnl_dilated_convolution_forward_desc_init(tessera_dnnl_convolution_desc*, int, int,
                                               const tessera_dnnl_memory_desc*,
                                               const tessera_dnnl_memory_desc*,
                                               const tessera_dnnl_memory_desc* bias,
                                               const tessera_dnnl_memory_desc*,
                                               const int64_t* strides, const int64_t* dilations,
                                               const int64_t* before, const int64_t* behind) {
  for (int d = 0; d < 2; ++d) {
    if (bias != nullptr || before[d] != 0 || behind[d] != 0) as_expected = false;
  }
  const std::lock_guard lock(described_lock);
  described.push_back({strides[0], strides[1], dilations[0], dilations[1]});
  return 0;
}
int dnnl_primitive_attr_create(dnnl_primitive_attr_t* attr) { return Make(attr); }
int dnnl_primitive_attr_destroy(dnnl_primitive_attr_t attr) { return Destroy(attr); }
int dnnl_primitive_attr_set_scratchpad_mode(dnnl_primitive_attr_t, int mode) {
  return mode == DNNL_USER_SCRATCHPAD ? 0 : 1;
}
int dnnl_primitive_desc_create(dnnl_primitive_desc_t* desc, const void*, dnnl_primitive_attr_t,
                               dnnl_engine_t, dnnl_primitive_desc_t) {
  if (!makes_primitives) return 3;
  if (omp_get_max_threads() != 1) on_one_thread = false;
  return Make(desc);
}
int dnnl_primitive_desc_destroy(dnnl_primitive_desc_t desc) { return Destroy(desc); }
const tessera_dnnl_memory_desc* dnnl_primitive_desc_query_md(dnnl_primitive_desc_t desc, int what,
                                                             int) {
  return what == DNNL_QUERY_SCRATCHPAD ? &desc->scratchpad : nullptr;
}
int dnnl_primitive_create(dnnl_primitive_t* primitive, dnnl_primitive_desc_t) {
  ++primitives;
  return Make(primitive);
}
int dnnl_primitive_destroy(dnnl_primitive_t primitive) { return Destroy(primitive); }
// Not a convolution: the first element of data and of weights, and whether there is scratch memory.
int dnnl_primitive_execute(dnnl_primitive_t, dnnl_stream_t, int count,
                           const dnnl_exec_arg_t* arguments) {
  if (omp_get_max_threads() != 1) on_one_thread = false;
  if (!executes) return 1;
  const auto values = [&](int argument) -> float* {
    for (int i = 0; i < count; ++i) {
      if (arguments[i].argument == argument) return static_cast<float*>(arguments[i].memory->data);
    }
    return nullptr;
  };
  float* result = values(DNNL_RESULT);
  result[0] = values(DNNL_DATA)[0];
  result[1] = values(DNNL_WEIGHTS)[0];
  float* scratch = values(DNNL_SCRATCHPAD);
  if (scratch != nullptr) std::memset(scratch, 0, static_cast<size_t>(scratch_bytes));
  result[2] = scratch == nullptr ? 0 : 1;
  return 0;
}

namespace {

tessera_onednn_convolution Plain() {
  return {.plan = nullptr,
          .form = TESSERA_ONEDNN_ROWS,
          .block = 1,
          .channels = 8,
          .height = 6,
          .width = 7,
          .filters = 16,
          .result_height = 2,
          .result_width = 2,
          .kernel_height = 2,
          .kernel_width = 3,
          .stride_height = 3,
          .stride_width = 2,
          .dilation_height = 2,
          .dilation_width = 2};
}

// Of whole numbers, so that sums are exact.
float DataOf(int64_t c, int64_t y, int64_t x) {
  return static_cast<float>((c * 5 + y * 3 + x) % 7);
}
float WeightOf(int64_t f, int64_t c, int64_t i, int64_t j) {
  return static_cast<float>((f * 3 + c * 2 + i * 5 + j) % 5 - 2);
}

}  // namespace

TEST_CASE("convolutions that oneDNN does not compute are computed in loops", "[runtime]") {
  makes_primitives = false;
  for (const auto& [form, block] : {std::pair(TESSERA_ONEDNN_ROWS, 1),
                                    {TESSERA_ONEDNN_BLOCKED, 8},
                                    {TESSERA_ONEDNN_FIRST, 8},
                                    {TESSERA_ONEDNN_FIRST, 16},
                                    {TESSERA_ONEDNN_CHANNEL, 8}}) {
    CAPTURE(form, block);
    tessera_onednn_convolution c = Plain();
    c.form = form;
    c.block = block;
    const bool by_channel = form == TESSERA_ONEDNN_CHANNEL;
    if (by_channel) c.filters = c.channels;
    const bool blocks_data = form == TESSERA_ONEDNN_BLOCKED || by_channel;
    const int64_t b = block, db = blocks_data ? b : 1, kh = 2, kw = 3, terms = by_channel ? 1 : 8;
    std::vector<float> data(8 * 6 * 7), weights(c.filters * terms * kh * kw),
        result(c.filters * 4, -1);
    for (int64_t ch = 0; ch < 8; ++ch) {
      for (int64_t y = 0; y < 6; ++y) {
        for (int64_t x = 0; x < 7; ++x) {
          data[((ch / db * 6 + y) * 7 + x) * db + ch % db] = DataOf(ch, y, x);
        }
      }
    }
    for (int64_t f = 0; f < c.filters; ++f) {
      for (int64_t ch = 0; ch < terms; ++ch) {
        for (int64_t i = 0; i < kh; ++i) {
          for (int64_t j = 0; j < kw; ++j) {
            const int64_t at =
                form == TESSERA_ONEDNN_FIRST
                    ? (((f / b * kh + i) * kw + j) * terms + ch) * b + f % b
                : by_channel
                    ? ((f / b * kh + i) * kw + j) * b + f % b
                    : ((((f / b * (terms / b) + ch / b) * kh + i) * kw + j) * b + ch % b) * b +
                          f % b;
            weights[at] = WeightOf(f, by_channel ? f : ch, i, j);
          }
        }
      }
    }
    tessera_onednn_convolve(&c, data.data(), weights.data(), result.data());
    for (int64_t f = 0; f < c.filters; ++f) {
      for (int64_t y = 0; y < 2; ++y) {
        for (int64_t x = 0; x < 2; ++x) {
          float sum = 0;
          for (int64_t ch = by_channel ? f : 0; ch < (by_channel ? f + 1 : 8); ++ch) {
            for (int64_t i = 0; i < kh; ++i) {
              for (int64_t j = 0; j < kw; ++j) {
                sum += DataOf(ch, y * 3 + i * 2, x * 2 + j * 2) * WeightOf(f, ch, i, j);
              }
            }
          }
          CAPTURE(f, y, x);
          CHECK(result[((f / b * 2 + y) * 2 + x) * b + f % b] == sum);
        }
      }
    }
  }
  makes_primitives = true;
}

TEST_CASE("a convolution is prepared once and keeps what calls run with", "[runtime]") {
  omp_set_num_threads(4);
  on_one_thread = true;
  for (const int64_t bytes : {0, 1000}) {
    scratch_bytes = bytes;
    described.clear();
    tessera_onednn_convolution c = Plain();
    c.form = TESSERA_ONEDNN_BLOCKED;
    c.block = 8;
    const int before = primitives;
    std::vector<float> data(8 * 42, 5), weights(16 * 48, 7), result(64);
    tessera_onednn_convolve(&c, data.data(), weights.data(), result.data());
    CHECK((result[0] == 5 && result[1] == 7 && result[2] == (bytes > 0 ? 1 : 0)));
    const int kept = alive;
    for (int i = 0; i < 10; ++i) {
      data[0] = static_cast<float>(i);
      tessera_onednn_convolve(&c, data.data(), weights.data(), result.data());
      CHECK(result[0] == static_cast<float>(i));
    }
    CHECK(alive == kept);
    CHECK(primitives == before + 1);
    using Rows = std::vector<std::vector<int64_t>>;
    // nChw8c, OIhw8i8o of dnnl_types.h
    CHECK(described ==
          Rows{{4, 1, 8, 6, 7, 93}, {4, 1, 16, 2, 2, 93}, {4, 16, 8, 2, 3, 98}, {3, 2, 1, 1}});
    // What it can't execute is computed in loops all the same.
    executes = false;
    tessera_onednn_convolve(&c, data.data(), weights.data(), result.data());
    executes = true;
    CHECK(result[3] == 7 * (5 * 47 + 9));
  }
  CHECK(on_one_thread);
  CHECK(as_expected);
  CHECK(omp_get_max_threads() == 4);
}

TEST_CASE("threads that convolve at once don't share what they run with", "[runtime]") {
  omp_set_num_threads(1);
  scratch_bytes = 64;
  tessera_onednn_convolution c = Plain();
  std::vector<float> weights(16 * 48, 7);
  std::atomic<int> wrong = 0;
  std::vector<std::thread> callers;
  for (int t = 0; t < 20; ++t) {
    callers.emplace_back([&, t] {
      std::vector<float> data(8 * 42, static_cast<float>(t)), result(64);
      for (int i = 0; i < 500; ++i) {
        tessera_onednn_convolve(&c, data.data(), weights.data(), result.data());
        if (result[0] != static_cast<float>(t) || result[1] != 7) ++wrong;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  CHECK(wrong == 0);
  CHECK(as_expected);
}
