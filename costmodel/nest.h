#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/types/span.h"
#include "compiler/schedule/loop_structure.h"
#include "compiler/schedule/schedule.h"
#include "compiler/te/dag.h"
#include "costmodel/wave.h"

namespace tessera::costmodel {

// Limits of what is looked at; loops or reads beyond them are left out.
constexpr int kMaxNestLoops = 40;
constexpr int kMaxAccesses = 8;
constexpr double kLineBytes = 64;

// How one access moves through memory, by depth: depth d stands for one run of the loops from d
// inwards, so depth 0 is the whole program and the last depth one execution of the body. Entries
// beyond a nest's depth have no value: zeros would take longer than what is computed.
struct AccessProfile {
  AccessProfile() {}

  bool is_write = false;
  const schedule::BoundStage* producer = nullptr;  // of the buffer; null for inputs
  ir::Scope scope = ir::Scope::kGlobal;            // of its memory
  ir::ReadPath read_path = ir::ReadPath::kPlain;   // of a GPU
  WaveAccess wave;                                 // of threads in step; not of private memory
  double reads = 1;                                // of the window, in one iteration
  double element_bytes = 4;
  double vector_stride = 0;                        // elements between lanes; 0: all read the same
  std::array<bool, kMaxNestLoops> moved;           // by the loop
  std::array<double, kMaxNestLoops> stride;        // of one step of the loop, in elements
  std::array<double, kMaxNestLoops + 1> elements;  // distinct ones
  std::array<double, kMaxNestLoops + 1> lines;     // distinct cache lines
};

// The loops around a stage's body, outermost first, those of the stages it is attached in included.
// What a block of threads makes together runs once for all of them: loops over threads, virtual
// ones too, of the stages that it is attached in are none of its loops.
struct NestProfile {
  const schedule::BoundStage* bound = nullptr;
  const schedule::BoundStage* root = nullptr;  // whose nest this one is in, or itself: the kernel
  const schedule::StageState* state = nullptr;
  int depth = 0;  // number of loops
  std::array<double, kMaxNestLoops> extent;
  std::array<ir::LoopKind, kMaxNestLoops> kind;
  std::array<ir::ThreadAxis, kMaxNestLoops> thread_axis;
  std::array<bool, kMaxNestLoops> is_reduction;
  std::array<double, kMaxNestLoops + 1> iterations;  // of the body, by depth
  // Bytes of the lines that all accesses touch, by depth.
  std::array<double, kMaxNestLoops + 1> working_set;
  int own_begin = 0;                                          // first loop of the stage itself
  absl::InlinedVector<AccessProfile, kMaxAccesses> accesses;  // the store, then the reads
};

// Profiles programs, one after another. Keeps its memory from one to the next, so that after the
// largest it allocates nothing. Thread-compatible: a thread that profiles has its own.
class NestProfiler {
 public:
  // `wave_threads` of a GPU run in step; 0: of a CPU, accesses have no waves.
  explicit NestProfiler(int wave_threads = 0) : wave_threads_(wave_threads) {}

  // The nests of the stages that a run executes, in execution order; those computed once from
  // constants are left out. Valid until the next call, and as long as `schedule` and `loops`.
  absl::Span<const NestProfile> Profile(const schedule::Schedule& schedule,
                                        const schedule::LoopStructure& loops);
  // Of the program profiled last: threads of a block, x, y and z, of the kernel whose root is
  // `root`. As passes::BindThreads has them; 1 each where there are none.
  const BlockShape& BlockOf(const schedule::BoundStage& root) const {
    return blocks_[&root - stages_];
  }

 private:
  // What one step of a loop adds to a dimension of an access (its largest digit's share), and what
  // all its steps span.
  struct Way {
    double step = 0, reach = 0;
  };

  void FindKernels(const schedule::LoopStructure& loops);
  void ProfileStage(const schedule::Schedule& schedule, const schedule::LoopStructure& loops,
                    NestProfile& nest);
  void AddLoops(const schedule::LoopStructure& loops, const schedule::BoundStage& stage, int count,
                bool made_together, NestProfile& nest);
  // Loops of the nest that are around `stage`.
  int LoopsAround(const schedule::LoopStructure& loops, const schedule::BoundStage& stage) const;
  void ListTerms(const schedule::BoundStage& stage);
  absl::Span<const schedule::LoopTerm> TermsOf(int axis) const;
  void Move(const NestProfile& nest, int dim, const schedule::LoopTerm& term, double factor);
  // An access of a buffer that `producer`, null for inputs, computes: anew, into the same memory,
  // in each iteration of the loops around it, which therefore don't move it. But threads each have
  // their place in memory that they share.
  void BeginAccess(const schedule::LoopStructure& loops, const ir::Buffer& buffer,
                   const schedule::BoundStage* producer, const NestProfile& nest);
  // The access that was begun and moved.
  void AddAccess(const schedule::Schedule& schedule, bool is_write, NestProfile& nest);

  const int wave_threads_;
  const schedule::BoundStage* stages_ = nullptr;  // of the program
  std::vector<int> roots_;                        // of each stage
  std::vector<BlockShape> blocks_;                // of each root
  std::vector<NestProfile> nests_;                // the first ones in use
  std::vector<int> position_;  // in the nest, by loop id; -1: not around the stage
  // The value of each axis of a stage, as its terms in loops: those of axis a lie from
  // term_begin_[a] to term_begin_[a + 1].
  std::vector<schedule::LoopTerm> terms_;
  std::vector<size_t> term_begin_;
  // Of the access:
  ir::Buffer buffer_;
  const schedule::BoundStage* producer_ = nullptr;
  int dims_ = 0;
  int fixed_loops_ = 0;  // outermost ones, which don't move it
  int reads_ = 1;
  std::array<bool, te::kMaxRank> whole_;         // any value of the dimension may be touched
  std::array<double, te::kMaxRank> first_span_;  // that one execution of the body touches
  std::vector<Way> ways_;                        // [loops × dims]
  std::vector<LaneTerm> lane_terms_;             // of loops over threads
  std::vector<ir::LayoutDim> storage_;           // of the access's buffer, outermost first
};

}  // namespace tessera::costmodel
