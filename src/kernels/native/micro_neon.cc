#include <arm_neon.h>

#include "kernels/native/micro_kernel.h"

namespace modelslim {
namespace {

// 8 x 8: sixteen accumulators of 4 floats; four k of eight rows are loaded at once and used by lane.
constexpr int kRows = 8, kVectors = 2;

template <int kLane, int kR>
inline void Step(float32x4_t (&sum)[kR][kVectors], const float32x4_t (&a)[kR], const float* b) {
  const float32x4_t b0 = vld1q_f32(b), b1 = vld1q_f32(b + 4);
#pragma GCC unroll 8
  for (int i = 0; i < kR; ++i) {
    sum[i][0] = vfmaq_laneq_f32(sum[i][0], b0, a[i], kLane);
    sum[i][1] = vfmaq_laneq_f32(sum[i][1], b1, a[i], kLane);
  }
}

template <int kR>
void Run(const MicroKernel::Call& call) {
  float32x4_t sum[kR][kVectors];
  const float* a[kR];
  for (int i = 0; i < kR; ++i) {
    a[i] = static_cast<const float*>(call.a) + i * call.a_stride;
    for (int j = 0; j < kVectors; ++j) sum[i][j] = vdupq_n_f32(0);
  }
  const float* b = static_cast<const float*>(call.b);
  int64_t k = 0;
  for (; k + 4 <= call.depth; k += 4, b += 16 * kVectors) {
    float32x4_t rows[kR];
#pragma GCC unroll 8
    for (int i = 0; i < kR; ++i) rows[i] = vld1q_f32(a[i] + k);
    Step<0>(sum, rows, b);
    Step<1>(sum, rows, b + 4 * kVectors);
    Step<2>(sum, rows, b + 8 * kVectors);
    Step<3>(sum, rows, b + 12 * kVectors);
  }
  for (; k < call.depth; ++k, b += 4 * kVectors) {
    float32x4_t rows[kR];
    for (int i = 0; i < kR; ++i) rows[i] = vdupq_n_f32(a[i][k]);
    Step<0>(sum, rows, b);
  }
  const float32x4_t alpha = vdupq_n_f32(call.alpha);
  for (int i = 0; i < kR; ++i) {
    float* c = call.c + i * call.c_stride;
    for (int j = 0; j < kVectors; ++j) {
      float32x4_t value = vmulq_f32(alpha, sum[i][j]);
      if (call.add) value = vaddq_f32(vld1q_f32(c + 4 * j), value);
      vst1q_f32(c + 4 * j, value);
    }
  }
}

void Dispatch(const MicroKernel::Call& call) {
  static constexpr decltype(&Run<1>) kByRows[] = {Run<1>, Run<2>, Run<3>, Run<4>, Run<5>, Run<6>, Run<7>, Run<8>};
  kByRows[call.rows - 1](call);
}

constexpr MicroKernel kKernels[] = {
    {"neon_f32", DType::kF32, kRows, 4 * kVectors, [] { return true; }, Dispatch},
};

}  // namespace

std::span<const MicroKernel> ArchMicroKernels() { return kKernels; }

}  // namespace modelslim
