#include "ops/attention/gated_delta.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "base/parallel.h"
#include "kernels/multiversion.h"

namespace modelslim {
namespace {

// Columns of a state that are carried through the sequence together: with 128 rows they fill half of a first-level
// cache.
constexpr int64_t kColumns = 32;
using Columns = std::array<float, kColumns>;

struct StepInput {
  const float* q;
  const float* k;
  const float* v;  // the block's columns
  float decay, beta;
};

// One token for `key_dim` rows of kColumns columns.
MODELSLIM_MULTIVERSION void Step(const StepInput& in, int64_t key_dim, float* state, float* out) {
  alignas(64) float recalled[kColumns] = {}, delta[kColumns], result[kColumns] = {};
  for (int64_t i = 0; i < key_dim; ++i) {
    float* const row = state + i * kColumns;
    const float key = in.k[i], decay = in.decay;
#pragma omp simd
    for (int64_t c = 0; c < kColumns; ++c) {
      row[c] *= decay;
      recalled[c] += key * row[c];
    }
  }
  for (int64_t c = 0; c < kColumns; ++c) delta[c] = (in.v[c] - recalled[c]) * in.beta;
  for (int64_t i = 0; i < key_dim; ++i) {
    float* const row = state + i * kColumns;
    const float key = in.k[i], query = in.q[i];
#pragma omp simd
    for (int64_t c = 0; c < kColumns; ++c) {
      row[c] += key * delta[c];
      result[c] += query * row[c];
    }
  }
  for (int64_t c = 0; c < kColumns; ++c) out[c] = result[c];
}

// One sequence, one value head, columns [first, first + width).
struct Scan {
  const GatedDeltaShape& shape;
  const float *q, *k, *v, *log_decay, *beta;
  float* out;

  void Run(int64_t begin, int64_t end, int64_t head, int64_t first, int64_t width) const {
    const int64_t key_head = head / (shape.value_heads / shape.key_heads);
    const int64_t key_stride = shape.key_heads * shape.key_dim, value_stride = shape.value_heads * shape.value_dim;
    std::vector<float> state(static_cast<size_t>(shape.key_dim * kColumns), 0.0f);
    Columns values{}, results{};
    for (int64_t t = begin; t < end; ++t) {
      const int64_t key_at = t * key_stride + key_head * shape.key_dim;
      const int64_t value_at = t * value_stride + head * shape.value_dim + first,
                    gate_at = t * shape.value_heads + head;
      std::copy_n(v + value_at, width, values.begin());
      const StepInput input{q + key_at, k + key_at, values.data(), std::exp(log_decay[gate_at]), beta[gate_at]};
      Step(input, shape.key_dim, state.data(), results.data());
      std::copy_n(results.begin(), width, out + value_at);
    }
  }
};

}  // namespace

void GatedDeltaRule(const GatedDeltaShape& shape, const ConstView& q, const ConstView& k, const ConstView& v,
                    const ConstView& log_decay, const ConstView& beta, std::span<const int64_t> offsets,
                    const View& out) {
  const int64_t rows = out.rows();
  MODELSLIM_CHECK(shape.value_heads % shape.key_heads == 0 && offsets.back() == rows);
  MODELSLIM_CHECK(q.cols() == shape.key_heads * shape.key_dim && k.shape == q.shape && q.rows() == rows);
  MODELSLIM_CHECK(out.cols() == shape.value_heads * shape.value_dim && v.shape == out.shape);
  MODELSLIM_CHECK(log_decay.cols() == shape.value_heads && beta.shape == log_decay.shape);
  const Scan scan{shape,          q.as<float>(), k.as<float>(), v.as<float>(), log_decay.as<float>(), beta.as<float>(),
                  out.as<float>()};
  const int64_t pieces = (shape.value_dim + kColumns - 1) / kColumns,
                sequences = static_cast<int64_t>(offsets.size()) - 1;
  ParallelFor(sequences * shape.value_heads * pieces, [&](int64_t i) {
    const int64_t first = i % pieces * kColumns, head = i / pieces % shape.value_heads,
                  s = i / pieces / shape.value_heads;
    scan.Run(offsets[s], offsets[s + 1], head, first, std::min(kColumns, shape.value_dim - first));
  });
}

void L2NormalizeHeads(const ConstView& x, int64_t dim, float scale, const View& out) {
  MODELSLIM_CHECK(x.cols() % dim == 0 && out.shape == x.shape);
  WithModelDType(x.dtype, [&](auto tag) {
    using T = decltype(tag);
    const T* const from = x.as<T>();
    float* const to = out.as<float>();
    ParallelRanges(x.size() / dim, 256, [&](int64_t begin, int64_t end) {
      for (int64_t h = begin; h < end; ++h) {
        float sum = 0;
        for (int64_t i = 0; i < dim; ++i) {
          const float value = ToF32(from[h * dim + i]);
          sum += RoundTo<T>(value * value);
        }
        const float shifted = RoundTo<T>(RoundTo<T>(sum) + 1e-6f);
        const float inverse = RoundTo<T>(1.0f / std::sqrt(shifted));
        for (int64_t i = 0; i < dim; ++i) to[h * dim + i] = RoundTo<T>(ToF32(from[h * dim + i]) * inverse) * scale;
      }
    });
  });
}

void CausalConvolution(const ConstView& x, const ConstView& weight, std::span<const int64_t> offsets, const View& y) {
  const int64_t channels = x.cols(), kernel = weight.cols();
  MODELSLIM_CHECK(weight.size() == channels * kernel && y.shape == x.shape && offsets.back() == x.rows());
  // Transposed, so that the inner loop runs over channels.
  std::vector<float> taps(static_cast<size_t>(channels * kernel));
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t j = 0; j < kernel; ++j) taps[j * channels + c] = ElementAsF32(weight, c * kernel + j);
  }
  MODELSLIM_CHECK(x.dtype == y.dtype);
  WithModelDType(x.dtype, [&](auto tag) {
    using T = decltype(tag);
    const T* const from = x.as<T>();
    T* const to = y.as<T>();
    ParallelRanges(x.rows(), 16, [&](int64_t begin, int64_t end) {
      std::vector<float> sums(static_cast<size_t>(channels));
      for (int64_t t = begin; t < end; ++t) {
        const int64_t start = *(std::upper_bound(offsets.begin(), offsets.end(), t) - 1);
        std::fill(sums.begin(), sums.end(), 0.0f);
        for (int64_t j = 0; j < kernel; ++j) {
          const int64_t source = t - kernel + 1 + j;
          if (source < start) continue;
          const T* const row = from + source * channels;
          const float* const tap = taps.data() + j * channels;
          for (int64_t c = 0; c < channels; ++c) sums[c] += tap[c] * ToF32(row[c]);
        }
        for (int64_t c = 0; c < channels; ++c) to[t * channels + c] = From<T>(sums[c]);
      }
    });
  });
}

}  // namespace modelslim
