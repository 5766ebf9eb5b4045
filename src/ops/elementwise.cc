#include "ops/elementwise.h"

#include <limits>
#include <vector>

#include "kernels/multiversion.h"
#include "kernels/softmax.h"
#include "ops/activation.h"
#include "ops/f32_rows.h"

namespace modelslim {
namespace {

MODELSLIM_MULTIVERSION void AddF32(const float* a, const float* b, int64_t count, float* out) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) out[i] = a[i] + b[i];
}
MODELSLIM_MULTIVERSION void SubtractF32(const float* a, const float* b, int64_t count, float* out) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) out[i] = a[i] - b[i];
}
MODELSLIM_MULTIVERSION void MultiplyF32(const float* a, const float* b, int64_t count, float* out) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) out[i] = a[i] * b[i];
}
MODELSLIM_MULTIVERSION void ScaleF32(const float* a, float b, int64_t count, float* out) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) out[i] = a[i] * b;
}

void CheckTypes(const ConstView& a, const ConstView& b, const View& out) {
  MODELSLIM_CHECK(IsModelDType(a.dtype) && IsModelDType(b.dtype) && IsModelDType(out.dtype));
  MODELSLIM_CHECK(a.size() == out.size());
}

template <class Op>
void Binary(const ConstView& a, const ConstView& b, const View& out, const Op& op) {
  CheckTypes(a, b, out);
  MODELSLIM_CHECK(a.size() == b.size());
  const DType result = Promote(a.dtype, b.dtype);
  ForPieces(a.size(), [&](int64_t begin, int64_t count) {
    alignas(64) float left[kPiece], right[kPiece], made[kPiece];
    op(LoadF32(a, begin, count, left), LoadF32(b, begin, count, right), count, made);
    if (result != out.dtype) RoundF32(result, made, count);
    StoreF32(made, count, out, begin);
  });
}

void Gated(Activation act, const ConstView& gate, const ConstView& up, const View& out, bool rounded) {
  CheckTypes(gate, up, out);
  MODELSLIM_CHECK(gate.size() == up.size());
  const DType result = rounded ? Promote(gate.dtype, up.dtype) : DType::kF32;
  ForPieces(gate.size(), [&](int64_t begin, int64_t count) {
    alignas(64) float left[kPiece], right[kPiece], made[kPiece];
    ActivateF32(act, LoadF32(gate, begin, count, left), count, made);
    if (rounded) RoundF32(gate.dtype, made, count);
    MultiplyF32(made, LoadF32(up, begin, count, right), count, made);
    if (result != out.dtype) RoundF32(result, made, count);
    StoreF32(made, count, out, begin);
  });
}

std::vector<float> Widened(const ConstView& values) {
  MODELSLIM_CHECK(IsModelDType(values.dtype));
  std::vector<float> widened(static_cast<size_t>(values.size()));
  for (size_t i = 0; i < widened.size(); ++i) widened[i] = ElementAsF32(values, static_cast<int64_t>(i));
  return widened;
}

// x[r, :] = op(x[r, :], r), through f32, rounded once.
template <class Op>
void RowsInPlace(const View& x, const Op& op) {
  MODELSLIM_CHECK(IsModelDType(x.dtype));
  const int64_t cols = x.cols();
  ForRows(x.rows(), cols, [&](int64_t r0, int64_t r1) {
    std::vector<float> in(static_cast<size_t>(cols)), made(static_cast<size_t>(cols));
    for (int64_t r = r0; r < r1; ++r) {
      op(LoadF32(x, r * cols, cols, in.data()), r, made.data());
      StoreF32(made.data(), cols, x, r * cols);
    }
  });
}

}  // namespace

void Add(const ConstView& a, const ConstView& b, const View& out) { Binary(a, b, out, AddF32); }
void Subtract(const ConstView& a, const ConstView& b, const View& out) { Binary(a, b, out, SubtractF32); }
void Multiply(const ConstView& a, const ConstView& b, const View& out) { Binary(a, b, out, MultiplyF32); }

void Scale(const View& x, float value) {
  const float factor = RoundTo(x.dtype, value);
  ForPieces(x.size(), [&](int64_t begin, int64_t count) {
    alignas(64) float in[kPiece], made[kPiece];
    ScaleF32(LoadF32(x, begin, count, in), factor, count, made);
    StoreF32(made, count, x, begin);
  });
}

void Activate(Activation act, const ConstView& x, const View& out) {
  CheckTypes(x, x, out);
  ForPieces(x.size(), [&](int64_t begin, int64_t count) {
    alignas(64) float in[kPiece], made[kPiece];
    ActivateF32(act, LoadF32(x, begin, count, in), count, made);
    if (x.dtype != out.dtype) RoundF32(x.dtype, made, count);
    StoreF32(made, count, out, begin);
  });
}

void ActivateMul(Activation act, const ConstView& gate, const ConstView& up, const View& out) {
  Gated(act, gate, up, out, true);
}

void ActivateMulF32(Activation act, const ConstView& gate, const ConstView& up, const View& out) {
  Gated(act, gate, up, out, false);
}

void ScaleColumns(const View& x, const ConstView& s) {
  MODELSLIM_CHECK(s.size() == x.cols());
  const std::vector<float> factors = Widened(s);
  RowsInPlace(x, [&](const float* in, int64_t, float* made) { MultiplyF32(in, factors.data(), x.cols(), made); });
}

void ScaleRows(const View& x, const ConstView& s) {
  MODELSLIM_CHECK(s.size() == x.rows());
  const std::vector<float> factors = Widened(s);
  RowsInPlace(x, [&](const float* in, int64_t r, float* made) { ScaleF32(in, factors[r], x.cols(), made); });
}

void AddToRows(const View& x, const ConstView& s) {
  MODELSLIM_CHECK(s.size() == x.cols());
  const std::vector<float> terms = Widened(s);
  RowsInPlace(x, [&](const float* in, int64_t, float* made) { AddF32(in, terms.data(), x.cols(), made); });
}

void SoftmaxRows(const ConstView& x, const View& out) {
  CheckTypes(x, x, out);
  const int64_t cols = x.cols();
  ForRows(x.rows(), cols, [&](int64_t r0, int64_t r1) {
    std::vector<float> in(static_cast<size_t>(cols)), made(static_cast<size_t>(cols));
    for (int64_t r = r0; r < r1; ++r) {
      RowState state{-std::numeric_limits<float>::infinity(), 0.0f};
      SoftmaxStep(LoadF32(x, r * cols, cols, in.data()), cols, cols, 1.0f, DType::kF32, DType::kF32, made.data(),
                  &state);
      for (float& value : made) value /= state.sum;
      StoreF32(made.data(), cols, out, r * cols);
    }
  });
}

}  // namespace modelslim
