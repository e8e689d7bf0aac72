#pragma once

// Schedules for GPUs, written by hand.

namespace tessera {

// Of a product 40 × 36 × 20 with relu: blocks of 16 × 32 by 32 threads, four virtual ones each;
// operands are shared.
inline constexpr char kSharedProduct[] = R"(trace 1
cache_read A matmul
cache_read B matmul
split relu m 2 4 2
split relu n 2 8 2
reorder relu m.0 n.0 m.1 n.1 m.2 n.2 m.3 n.3
fuse relu m.0 n.0
fuse relu m.1 n.1
fuse relu m.2 n.2
bind relu m.0+n.0 block.x
bind relu m.1+n.1 virtual
bind relu m.2+n.2 thread.x
unroll relu m.3
unroll relu n.3
compute_at matmul relu m.2+n.2
split matmul k 4
reorder matmul k.0 k.1 m n
unroll matmul m
unroll matmul n
compute_at matmul.A matmul k.0
fuse matmul.A d0 d1
bind matmul.A d0+d1 thread.x
compute_at matmul.B matmul k.0
split matmul.B d1 4
fuse matmul.B d0 d1.0
bind matmul.B d0+d1.0 thread.x
vectorize matmul.B d1.1
)";

}  // namespace tessera
