#include "ops/attention/eager_attention.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "base/parallel.h"
#include "kernels/gemm.h"
#include "ops/columns.h"

namespace modelslim {
namespace {

constexpr int64_t kQueries = 64;  // rows whose scores are in memory at once

// Rows and columns of a head, copied out: the products want matrices without gaps.
Tensor Head(const ConstView& x, int64_t begin, int64_t end, int64_t head, int64_t dim) {
  return TakeColumns(x.Rows(begin, end), head * dim, dim);
}

// Scores of rows [first, first + rows) of a sequence become probabilities of v's type; what lies in the future becomes
// 0.
void ScoresToProbabilities(const AttentionShape& shape, int64_t first, DType score_dtype, const View& scores,
                           const View& p) {
  const int64_t keys = scores.cols();
  for (int64_t i = 0; i < scores.rows(); ++i) {
    float* const row = scores.as<float>() + i * keys;
    const int64_t visible = first + i + 1;
    for (int64_t j = 0; j < visible; ++j) row[j] = RoundTo(score_dtype, RoundTo(score_dtype, row[j]) * shape.scale);
    RoundedSoftmax(row, visible, p.dtype);
    std::fill(row + visible, row + keys, 0.0f);
  }
  Convert(scores, p);
}

void AttendHead(const AttentionShape& shape, const ConstView& q, const ConstView& k, const ConstView& v, int64_t head,
                const View& out) {
  const int64_t rows = q.rows(), kv_head = head / (shape.heads / shape.kv_heads);
  const Tensor queries = Head(q, 0, rows, head, shape.dim), keys = Head(k, 0, rows, kv_head, shape.dim),
               values = Head(v, 0, rows, kv_head, shape.v_dim);
  for (int64_t first = 0; first < rows; first += kQueries) {
    const int64_t end = std::min(rows, first + kQueries);
    Tensor scores(DType::kF32, {end - first, end}), p(v.dtype, {end - first, end}),
        result(DType::kF32, {end - first, shape.v_dim});
    MatMul(queries.view().Rows(first, end), keys.view().Rows(0, end), scores.view(), {.transpose_b = true});
    ScoresToProbabilities(shape, first, q.dtype, scores.view(), p.view());
    MatMul(std::as_const(p).view(), values.view().Rows(0, end), result.view());
    CopyColumns(std::as_const(result).view(), out.Rows(first, end), {{0, head * shape.v_dim, shape.v_dim}});
  }
}

}  // namespace

void RoundedSoftmax(float* scores, int64_t count, DType dtype) {
  const float largest = *std::max_element(scores, scores + count);
  float sum = 0;
  for (int64_t j = 0; j < count; ++j) sum += scores[j] = std::exp(scores[j] - largest);
  for (int64_t j = 0; j < count; ++j) scores[j] = RoundTo(dtype, scores[j] / sum);
}

void EagerAttention(const AttentionShape& shape, const ConstView& q, const ConstView& k, const ConstView& v,
                    std::span<const int64_t> offsets, const View& out) {
  if (q.dtype == DType::kF32 && v.dtype == DType::kF32) return CausalAttention(shape, q, k, v, offsets, out);
  const int64_t samples = static_cast<int64_t>(offsets.size()) - 1;
  ParallelFor(samples * shape.heads, [&](int64_t task) {
    const int64_t begin = offsets[task / shape.heads], end = offsets[task / shape.heads + 1];
    AttendHead(shape, q.Rows(begin, end), k.Rows(begin, end), v.Rows(begin, end), task % shape.heads,
               out.Rows(begin, end));
  });
}

}  // namespace modelslim
