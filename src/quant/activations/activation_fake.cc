#include "quant/activations/activation_fake.h"

#include <algorithm>
#include <cmath>

#include "base/parallel.h"
#include "quant/numbers/affine_kernels.h"
#include "quant/numbers/range_scan.h"
#include "quant/numbers/simd.h"
#include "quant/weights/fp8_rows.h"

namespace modelslim {
namespace {

MODELSLIM_MULTIVERSION void ClampRun(float* values, int64_t n, float low, float high) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const float above = values[i] < low ? low : values[i];
    values[i] = above > high ? high : above;
  }
}

void FakeRun(float* values, int64_t n, DType dtype, const SampleParams& params, ElementFormat format) {
  const AffineParams& p = params.affine;
  if (format == ElementFormat::kFp8E4M3) {
    Fp8ValuesRun(values, n, p.scale, p.dtype, dtype, values);
    Fp8BackRun(values, n, p.scale, p.dtype, values);
  } else {
    const IntFormat integers{BitsOfActivation(format), true};
    FakeQuantizeRun(values, n,
                    RunParams{&p.scale, &p.offset, 0, p.dtype, dtype, integers.lowest(), integers.highest()});
  }
  // Rounding to the output's type keeps order, so clamping before it gives the same as after it.
  if (params.clamp) ClampRun(values, n, params.low, params.high);
}

}  // namespace

int BitsOfActivation(ElementFormat format) { return format == ElementFormat::kInt4 ? 4 : 8; }

AffineParams ParamsForRange(const Range& range, DType dtype, ElementFormat format, bool symmetric) {
  if (format != ElementFormat::kFp8E4M3) {
    return ParamsFromRange(range.min, range.max, dtype, IntFormat{BitsOfActivation(format), symmetric});
  }
  const float low = std::fabs(range.min), high = std::fabs(range.max);
  return {Fp8Scale(std::isnan(low) || low > high ? low : high, dtype), 0.0f, dtype};
}

void FakeQuantizeSamples(const ConstView& x, std::span<const int64_t> offsets, std::span<const SampleParams> params,
                         ElementFormat format, const View& out) {
  MODELSLIM_CHECK(x.size() == out.size() && IsModelDType(out.dtype));
  const std::vector<SamplePiece> pieces = PiecesOf(x, offsets);
  const int64_t cols = x.cols();
  const int64_t in_size = static_cast<int64_t>(DTypeSize(x.dtype)),
                out_size = static_cast<int64_t>(DTypeSize(out.dtype));
  ParallelFor(static_cast<int64_t>(pieces.size()), [&](int64_t i) {
    const SamplePiece& piece = pieces[i];
    float values[kAffineRun];
    for (int64_t at = piece.begin * cols; at < piece.end * cols; at += kAffineRun) {
      const int64_t n = std::min(kAffineRun, piece.end * cols - at);
      LoadRun(static_cast<const std::byte*>(x.data) + at * in_size, x.dtype, n, values);
      FakeRun(values, n, x.dtype, params[piece.sample], format);
      StoreRun(values, out.dtype, n, static_cast<std::byte*>(out.data) + at * out_size);
    }
  });
}

void FakeQuantizeSampleColumns(const ConstView& x, std::span<const int64_t> offsets,
                               std::span<const AffineTable> tables, ElementFormat format, const View& out) {
  View flat = out;
  flat.shape = {x.rows(), x.cols()};
  for (size_t i = 0; i + 1 < offsets.size(); ++i) {
    if (offsets[i] == offsets[i + 1]) continue;
    const ConstView rows = x.Rows(offsets[i], offsets[i + 1]);
    const View target = flat.Rows(offsets[i], offsets[i + 1]);
    if (format == ElementFormat::kFp8E4M3) {
      FakeQuantizeFp8(rows, tables[i], target);
    } else {
      FakeQuantize(rows, tables[i], IntFormat{BitsOfActivation(format), true}, target);
    }
  }
}

}  // namespace modelslim
