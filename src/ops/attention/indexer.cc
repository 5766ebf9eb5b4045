#include "ops/attention/indexer.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "base/parallel.h"
#include "kernels/gemm.h"
#include "kernels/multiversion.h"
#include "ops/attention/eager_attention.h"
#include "ops/experts/routing.h"

namespace modelslim {
namespace {

void Transform(float* x, int64_t n) {
  for (int64_t half = 1; half < n; half *= 2) {
    for (int64_t i = 0; i < n; i += 2 * half) {
      for (int64_t j = i; j < i + half; ++j) {
        const float a = x[j], b = x[j + half];
        x[j] = a + b;
        x[j + half] = a - b;
      }
    }
  }
}

// Sixteen interleaved sums, added in a fixed order, so that the loop is vector code with the same bits everywhere.
MODELSLIM_MULTIVERSION float Dot(const float* a, const float* b, int64_t n) {
  constexpr int64_t kLanes = 16;
  float sums[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
#pragma omp simd
    for (int64_t l = 0; l < kLanes; ++l) sums[l] += a[i + l] * b[i + l];
  }
  float total = 0;
  for (const float sum : sums) total += sum;
  for (; i < n; ++i) total += a[i] * b[i];
  return total;
}

MODELSLIM_MULTIVERSION void AddScaled(const float* x, float scale, int64_t n, float* y) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) y[i] += scale * x[i];
}

}  // namespace

void HadamardHeads(const View& x, int64_t n) {
  MODELSLIM_CHECK(n > 0 && (n & (n - 1)) == 0 && x.cols() % n == 0);
  const float scale = 1.0f / std::sqrt(static_cast<float>(n));
  WithModelDType(x.dtype, [&](auto tag) {
    using T = decltype(tag);
    T* const data = x.as<T>();
    ParallelRanges(x.size() / n, 64, [&](int64_t begin, int64_t end) {
      std::vector<float> run(static_cast<size_t>(n));
      for (int64_t h = begin; h < end; ++h) {
        for (int64_t i = 0; i < n; ++i) run[i] = ToF32(data[h * n + i]);
        Transform(run.data(), n);
        for (int64_t i = 0; i < n; ++i) data[h * n + i] = From<T>(RoundTo<T>(run[i]) * scale);
      }
    });
  });
}

std::vector<std::vector<int32_t>> SelectPositions(const ConstView& q, const ConstView& k, const ConstView& w,
                                                  int64_t top) {
  const int64_t rows = q.rows(), dim = k.cols(), heads = q.cols() / dim;
  MODELSLIM_CHECK(k.rows() == rows && w.rows() == rows && w.cols() == heads);
  constexpr int64_t kRows = 16;  // of queries whose scores are in memory at once
  std::vector<std::vector<int32_t>> positions(static_cast<size_t>(rows));
  for (int64_t begin = 0; begin < rows; begin += kRows) {
    const int64_t end = std::min(rows, begin + kRows);
    // All of them see at most the first `end` keys.
    Tensor products(DType::kF32, {(end - begin) * heads, end});
    const ConstView part = q.Rows(begin, end);
    MatMul({part.data, part.dtype, {(end - begin) * heads, dim}}, k.Rows(0, end), products.view(),
           {.transpose_b = true});
    const float* const from = std::as_const(products).as<float>();
    ParallelFor(end - begin, [&](int64_t i) {
      const int64_t t = begin + i, visible = t + 1;
      // Later tokens take part with minus infinity, so that equal scores are picked as the reference picks them.
      std::vector<float> scores(static_cast<size_t>(rows), -std::numeric_limits<float>::infinity());
      std::fill_n(scores.begin(), visible, 0.0f);
      for (int64_t h = 0; h < heads; ++h) {
        const float* const row = from + (i * heads + h) * end;
        const float weight = w.as<float>()[t * heads + h];
        for (int64_t s = 0; s < visible; ++s) scores[s] += std::max(row[s], 0.0f) * weight;
      }
      std::vector<int32_t>& kept = positions[t];
      kept.resize(static_cast<size_t>(std::min(top, rows)));
      TopK(scores.data(), rows, static_cast<int64_t>(kept.size()), kept.data());
      std::sort(kept.begin(), kept.end());
      kept.erase(std::upper_bound(kept.begin(), kept.end(), static_cast<int32_t>(t)), kept.end());
    });
  }
  return positions;
}

void SelectedAttention(const AttentionShape& shape, const ConstView& q, const ConstView& k, const ConstView& v,
                       const std::vector<std::vector<int32_t>>& positions, const View& out) {
  MODELSLIM_CHECK(shape.heads == shape.kv_heads && q.rows() == k.rows() && q.rows() == v.rows());
  const Tensor q32 = ConvertTo(q, DType::kF32), k32 = ConvertTo(k, DType::kF32), v32 = ConvertTo(v, DType::kF32);
  const int64_t qk_stride = shape.heads * shape.dim, v_stride = shape.heads * shape.v_dim;
  Tensor result(DType::kF32, {q.rows(), v_stride});
  float* const to = result.as<float>();
  ParallelFor(q.rows(), [&](int64_t t) {
    const std::vector<int32_t>& kept = positions[t];
    std::vector<float> scores(kept.size());
    for (int64_t h = 0; h < shape.heads; ++h) {
      const float* const query = q32.as<float>() + t * qk_stride + h * shape.dim;
      for (size_t i = 0; i < kept.size(); ++i) {
        scores[i] = Dot(query, k32.as<float>() + kept[i] * qk_stride + h * shape.dim, shape.dim) * shape.scale;
      }
      RoundedSoftmax(scores.data(), static_cast<int64_t>(scores.size()), v.dtype);
      float* const sum = to + t * v_stride + h * shape.v_dim;
      std::fill_n(sum, shape.v_dim, 0.0f);
      for (size_t i = 0; i < kept.size(); ++i) {
        AddScaled(v32.as<float>() + kept[i] * v_stride + h * shape.v_dim, scores[i], shape.v_dim, sum);
      }
    }
  });
  Convert(std::as_const(result).view(), out);
}

}  // namespace modelslim
