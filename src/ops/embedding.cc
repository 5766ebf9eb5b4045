#include "ops/embedding.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "base/parallel.h"
#include "ops/f32_rows.h"

namespace modelslim {
namespace {

void CopyRows(const ConstView& x, int64_t from, const View& out, int64_t to) {
  const int64_t cols = x.cols();
  if (x.dtype == out.dtype) {
    const size_t bytes = static_cast<size_t>(cols) * DTypeSize(x.dtype);
    std::memcpy(static_cast<std::byte*>(out.data) + to * bytes, static_cast<const std::byte*>(x.data) + from * bytes,
                bytes);
    return;
  }
  alignas(64) float buffer[kPiece];
  for (int64_t c = 0; c < cols; c += kPiece) {
    const int64_t count = std::min(kPiece, cols - c);
    StoreF32(LoadF32(x, from * cols + c, count, buffer), count, out, to * cols + c);
  }
}

}  // namespace

void CheckIds(std::span<const int32_t> ids, int64_t vocabulary) {
  for (size_t t = 0; t < ids.size(); ++t) {
    if (ids[t] >= 0 && ids[t] < vocabulary) continue;
    throw Error(ErrorCode::kInvalidDataset,
                "token " + std::to_string(ids[t]) + " at position " + std::to_string(t) +
                    " of the batch is outside the embedding of " + std::to_string(vocabulary) + " rows",
                "use the tokenizer that belongs to this model");
  }
}

void EmbeddingLookup(const ConstView& table, std::span<const int32_t> ids, const View& out) {
  const auto count = static_cast<int64_t>(ids.size());
  MODELSLIM_CHECK(table.shape.size() == 2 && out.cols() == table.cols() && out.size() == count * table.cols());
  CheckIds(ids, table.dim(0));
  ForRows(count, table.cols(), [&](int64_t t0, int64_t t1) {
    for (int64_t t = t0; t < t1; ++t) CopyRows(table, ids[t], out, t);
  });
}

void GatherRows(const ConstView& x, std::span<const int64_t> rows, const View& out) {
  const int64_t count = static_cast<int64_t>(rows.size());
  MODELSLIM_CHECK(x.dtype == out.dtype && out.cols() == x.cols() && out.size() == count * x.cols());
  for (const int64_t row : rows) MODELSLIM_CHECK(row >= 0 && row < x.rows());
  ForRows(count, x.cols(), [&](int64_t i0, int64_t i1) {
    for (int64_t i = i0; i < i1; ++i) CopyRows(x, rows[i], out, i);
  });
}

void ScatterAddRows(const ConstView& x, std::span<const int64_t> rows, const ConstView& weight, const View& y) {
  const int64_t count = static_cast<int64_t>(rows.size()), cols = x.cols();
  MODELSLIM_CHECK(IsModelDType(x.dtype) && IsModelDType(y.dtype) && y.cols() == cols && x.size() == count * cols);
  MODELSLIM_CHECK(weight.data == nullptr || (weight.dtype == DType::kF32 && weight.size() == count));
  for (const int64_t row : rows) MODELSLIM_CHECK(row >= 0 && row < y.rows());
  // Cut by columns: rows may repeat, and their order counts.
  ParallelRanges(cols, 256, [&](int64_t c0, int64_t c1) {
    alignas(64) float added[256], kept[256], product[256];
    const int64_t n = c1 - c0;
    for (int64_t i = 0; i < count; ++i) {
      const float* in = LoadF32(x, i * cols + c0, n, added);
      const float factor = weight.data != nullptr ? weight.as<float>()[i] : 1.0f;
      for (int64_t c = 0; c < n; ++c) product[c] = in[c] * factor;
      RoundF32(x.dtype, product, n);
      const float* before = LoadF32(y, rows[i] * cols + c0, n, kept);
      for (int64_t c = 0; c < n; ++c) product[c] = before[c] + product[c];
      StoreF32(product, n, y, rows[i] * cols + c0);
    }
  });
}

}  // namespace modelslim
