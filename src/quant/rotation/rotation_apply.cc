#include "quant/rotation/rotation_apply.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "base/parallel.h"
#include "kernels/gemm.h"
#include "quant/rotation/rotation_impl.h"
#include "quant/rotation/rotation_kernels.h"

namespace modelslim {
namespace {

using rotation_kernels::FromF32;
using rotation_kernels::RoundTo;
using rotation_kernels::ToF32;

// Below this a matrix product's overhead is more than its work.
constexpr int64_t kDenseProductFrom = 64;

int64_t Repeats(int64_t dim, int64_t size, const char* what) {
  if (size < 1 || dim % size != 0) {
    throw Error(ErrorCode::kMisuse, std::string(what) + ": a rotation of size " + std::to_string(size) +
                                        " cannot be repeated along a dimension of " + std::to_string(dim));
  }
  return dim / size;
}

// Calls work(buffer, count) on f32 copies of pieces of whole rows and writes them back rounded.
template <class Work>
void OverRows(const View& rows, const Work& work) {
  const int64_t cols = rows.cols();
  if (rows.size() == 0) return;
  const int64_t grain = std::clamp<int64_t>(65536 / cols, 1, 64);
  WithModelDType(rows.dtype, [&](auto tag) {
    using T = decltype(tag);
    T* const data = rows.as<T>();
    ParallelRanges(rows.rows(), grain, [&](int64_t begin, int64_t end) {
      thread_local std::vector<float> buffer;
      buffer.resize((end - begin) * cols);
      ToF32(data + begin * cols, buffer.data(), (end - begin) * cols);
      work(buffer.data(), end - begin);
      FromF32(buffer.data(), data + begin * cols, (end - begin) * cols);
    });
  });
}

void ApplyToRows(const View& rows, const Rotation& rotation, int64_t repeats) {
  const int64_t size = rotation.size();
  OverRows(rows, [&](float* buffer, int64_t count) { rotation.ApplyRows(buffer, count * repeats, size); });
}

// The block of a dense rotation holds R', so both sides are products with it.
void ProductRight(const View& w, const RotationBlock& block, int64_t repeats) {
  const ConstView transposed{block.base.data(), DType::kF32, {block.size, block.size}};
  const int64_t rows = w.rows() * repeats;
  constexpr int64_t kRowsAtOnce = 8192;
  const View all{w.data, w.dtype, {rows, block.size}};
  for (int64_t begin = 0; begin < rows; begin += kRowsAtOnce) {
    const View part = all.Rows(begin, std::min(rows, begin + kRowsAtOnce));
    Tensor product(DType::kF32, part.shape);
    const Tensor input = ConvertTo(part, DType::kF32);
    MatMul(input.view(), transposed, product.view(), {.transpose_b = true});
    Convert(product.view(), part);
  }
}

void ProductLeft(const View& w, const RotationBlock& block, int64_t repeats) {
  const ConstView transposed{block.base.data(), DType::kF32, {block.size, block.size}};
  for (int64_t r = 0; r < repeats; ++r) {
    const View part = w.Rows(r * block.size, (r + 1) * block.size);
    const Tensor input = ConvertTo(part, DType::kF32);
    Tensor product(DType::kF32, part.shape);
    MatMul(transposed, input.view(), product.view());
    Convert(product.view(), part);
  }
}

// One panel of columns [col, col + width) of the rows of one repetition, padded to whole vectors.
template <class T>
void RotatePanel(T* w, int64_t stride, int64_t width, const Rotation& rotation) {
  const int64_t size = rotation.size(), padded = (width + 15) / 16 * 16;
  thread_local std::vector<float> panel;
  panel.resize(size * padded);
  for (int64_t r = 0; r < size; ++r) {
    ToF32(w + r * stride, panel.data() + r * padded, width);
    std::fill_n(panel.data() + r * padded + width, padded - width, 0.0f);
  }
  rotation.ApplyColumns(panel.data(), padded);
  for (int64_t r = 0; r < size; ++r) FromF32(panel.data() + r * padded, w + r * stride, width);
}

}  // namespace

void RotateRight(const View& w, const Rotation& rotation) {
  const int64_t repeats = Repeats(w.cols(), rotation.size(), "right rotation");
  const RotationBlock* dense = rotation.OnlyDense();
  if (dense != nullptr && dense->size >= kDenseProductFrom) return ProductRight(w, *dense, repeats);
  ApplyToRows(w, rotation, repeats);
}

void RotateLeft(const View& w, const View& bias, const Rotation& rotation) {
  const int64_t out = w.rows(), in = w.cols(), size = rotation.size();
  const int64_t repeats = Repeats(out, size, "left rotation");
  if (bias.data != nullptr) {
    if (bias.size() != out) {
      throw Error(ErrorCode::kMisuse, "left rotation: a bias of " + std::to_string(bias.size()) +
                                          " elements beside a weight of " + std::to_string(out) + " rows");
    }
    ApplyToRows({bias.data, bias.dtype, {1, out}}, rotation, repeats);
  }
  const RotationBlock* dense = rotation.OnlyDense();
  if (dense != nullptr && size >= kDenseProductFrom) return ProductLeft(w, *dense, repeats);
  // Wide enough to read whole cache lines, small enough for the second cache.
  const int64_t width = std::clamp<int64_t>(131072 / size / 32 * 32, 32, 512);
  const int64_t panels = (in + width - 1) / width;
  WithModelDType(w.dtype, [&](auto tag) {
    using T = decltype(tag);
    T* const data = w.as<T>();
    ParallelFor(repeats * panels, [&](int64_t i) {
      const int64_t col = i % panels * width;
      RotatePanel(data + i / panels * size * in + col, in, std::min(width, in - col), rotation);
    });
  });
}

void RotateActivations(const View& x, const Rotation& rotation) { RotateRight(x, rotation.CastTo(x.dtype)); }

namespace {

void RotateHeads(const View& rows, const Rotation& heads) {
  const int64_t cols = rows.cols();
  if (cols % heads.size() != 0) {
    throw Error(ErrorCode::kMisuse, "heads rotation: " + std::to_string(cols) + " channels are not a multiple of " +
                                        std::to_string(heads.size()) + " heads");
  }
  OverRows(rows, [&](float* buffer, int64_t count) {
    for (int64_t r = 0; r < count; ++r) heads.ApplyColumns(buffer + r * cols, cols / heads.size());
  });
}

bool IsKroneckerFactor(int64_t f) { return f == 1 || f == 2 || (f >= 4 && f <= 256 && f % 4 == 0); }

}  // namespace

void RotateHeadsOfWeight(const View& w, const Rotation& heads) { RotateHeads(w, heads); }

void RotateHeadsOfActivations(const View& x, const Rotation& heads) { RotateHeads(x, heads.CastTo(x.dtype)); }

KroneckerFactors FindKroneckerFactors(int64_t size) {
  constexpr int64_t kLargest = 256;
  const double root = size > 0 ? std::sqrt(static_cast<double>(size)) : kLargest + 1.0;
  for (int64_t a = root > kLargest ? kLargest + 1 : static_cast<int64_t>(std::ceil(root)); a <= kLargest; ++a) {
    const int64_t rest = a * a - size;
    const int64_t b = std::llround(std::sqrt(static_cast<double>(std::max<int64_t>(rest, 0))));
    if (b * b == rest && IsKroneckerFactor(a - b) && IsKroneckerFactor(a + b)) return {a - b, a + b};
  }
  throw Error(ErrorCode::kUnsupported,
              "online rotation: " + std::to_string(size) +
                  " is not a product of two factors of equal parity among 1, 2, 4, 8, 12, ..., 256",
              "leave down_proj_online_layers empty for this model");
}

void RotateKronecker(const View& rows, const Rotation& m, const Rotation& n) {
  const int64_t cols = rows.cols();
  if (cols != m.size() * n.size()) {
    throw Error(ErrorCode::kMisuse, "Kronecker rotation: " + std::to_string(cols) + " channels are not " +
                                        std::to_string(m.size()) + " x " + std::to_string(n.size()));
  }
  const Rotation outer = m.CastTo(rows.dtype), inner = n.CastTo(rows.dtype);
  OverRows(rows, [&](float* buffer, int64_t count) {
    inner.ApplyRows(buffer, count * m.size(), n.size());
    RoundTo(rows.dtype, buffer, count * cols);
    for (int64_t r = 0; r < count; ++r) outer.ApplyColumns(buffer + r * cols, n.size());
  });
}

}  // namespace modelslim
