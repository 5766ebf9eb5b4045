#include "quant/moments/sparse.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/parallel.h"
#include "kernels/gemm.h"
#include "quant/moments/cholesky.h"
#include "quant/moments/sparse_select.h"
#include "quant/numbers/simd.h"

namespace modelslim {
namespace {

constexpr float kNormEpsilon = 1e-8f;
constexpr int64_t kElementsAtOnce = 1 << 16;

// z = (v + u) * mask; u += v - z; next = g + (z - u). Element by element, in f32.
MODELSLIM_MULTIVERSION void Step(const float* v, const float* g, const uint8_t* mask, float* u, float* next,
                                 int64_t count) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) {
    const float z = (v[i] + u[i]) * static_cast<float>(mask[i]);
    const float dual = u[i] + (v[i] - z);
    u[i] = dual;
    next[i] = g[i] + (z - dual);
  }
}

// Magnitudes of v + u as bit patterns, which order as the numbers do.
MODELSLIM_MULTIVERSION void Magnitudes(const float* v, const float* u, uint32_t* bits, int64_t count) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) bits[i] = std::bit_cast<uint32_t>(v[i] + u[i]) & 0x7fffffffu;
}

void Check(const ConstView& weight, const SparseStats& stats, const SparseOptions& options, const std::string& what) {
  const auto refuse = [&](const std::string& why) {
    throw Error(ErrorCode::kMisuse, "float_sparse of " + what + ": " + why);
  };
  if (weight.shape.size() != 2 || !IsModelDType(weight.dtype)) refuse("weight has shape " + ShapeText(weight.shape));
  if (weight.cols() != stats.channels()) {
    refuse("weight " + ShapeText(weight.shape) + " beside statistics of " + std::to_string(stats.channels()) +
           " channels");
  }
  if (!(options.sparse_ratio >= 0 && options.sparse_ratio <= 1)) {
    refuse("sparse_ratio is " + std::to_string(options.sparse_ratio) + ", expected 0 to 1");
  }
  if (!(options.keep_proportion >= 0 && options.keep_proportion <= 1)) {
    refuse("the share of kept mantissas is " + std::to_string(options.keep_proportion) + ", expected 0 to 1");
  }
  if (options.iterations < 1 || options.mask_iterations < 1) refuse("iterations must be at least 1");
  const float* const moment = stats.Moment().as<float>();
  for (int64_t i = 0; i < stats.Moment().size(); ++i) {
    if (!std::isfinite(moment[i])) {
      throw Error(ErrorCode::kUnexpected,
                  "float_sparse of " + what + ": the calibration activations hold NaN or infinity");
    }
  }
}

// The pruning by the alternating direction method of multipliers. Everything is transposed: [in, out].
class Admm {
 public:
  Admm(const ConstView& weight, const SparseStats& stats, const SparseOptions& options, const std::string& what)
      : options_(options), in_(weight.cols()), out_(weight.rows()), norm_(in_) {
    const float* const h = stats.Moment().as<float>();
    for (int64_t i = 0; i < in_; ++i) norm_[i] = std::sqrt(h[i * in_ + i]) + kNormEpsilon;
    v_ = ScaledTransposed(weight);
    Tensor a = Normalized(h);
    g_ = Tensor(DType::kF32, {in_, out_});
    MatMul(a.view(), v_.view(), g_.view());
    float* const diagonal = a.as<float>();
    for (int64_t i = 0; i < in_; ++i) diagonal[i * in_ + i] += 1.0f;
    inverse_ = InversePositiveDefinite(a.view(), "float_sparse of " + what);
  }

  // The pruned weight [out, in], f32.
  Tensor Run() {
    const int64_t count = in_ * out_;
    const int64_t zeros = static_cast<int64_t>(static_cast<double>(count) * options_.sparse_ratio);
    Tensor u = Tensor::Zeros(DType::kF32, {in_, out_}), next(DType::kF32, {in_, out_});
    std::vector<uint8_t> mask(count, 1);
    std::vector<uint32_t> bits(count);
    for (int t = 0; t < options_.iterations; ++t) {
      if (t < options_.mask_iterations) {
        ParallelRanges(count, kElementsAtOnce, [&](int64_t begin, int64_t end) {
          Magnitudes(v_.as<float>() + begin, u.as<float>() + begin, bits.data() + begin, end - begin);
        });
        MaskSmallest(bits, zeros, &mask);
      }
      ParallelRanges(count, kElementsAtOnce, [&](int64_t begin, int64_t end) {
        Step(v_.as<float>() + begin, g_.as<float>() + begin, mask.data() + begin, u.as<float>() + begin,
             next.as<float>() + begin, end - begin);
      });
      MatMul(inverse_.view(), next.view(), v_.view());
    }
    return Result(u, mask);
  }

 private:
  Tensor ScaledTransposed(const ConstView& weight) const {
    Tensor v(DType::kF32, {in_, out_});
    const Tensor w = ConvertTo(weight, DType::kF32);
    float* const to = v.as<float>();
    const float* const from = w.as<float>();
    ParallelRanges(in_, 16, [&](int64_t begin, int64_t end) {
      for (int64_t o = 0; o < out_; ++o) {
        for (int64_t i = begin; i < end; ++i) to[i * out_ + o] = from[o * in_ + i] * norm_[i];
      }
    });
    return v;
  }

  // H with unit diagonal (columns divided first, then rows), damped.
  Tensor Normalized(const float* h) const {
    Tensor a(DType::kF32, {in_, in_});
    float* const to = a.as<float>();
    ParallelRanges(in_, 16, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        for (int64_t j = 0; j < in_; ++j) to[i * in_ + j] = h[i * in_ + j] / norm_[j] / norm_[i];
      }
    });
    double sum = 0;
    for (int64_t i = 0; i < in_; ++i) sum += to[i * in_ + i];
    const float damp = options_.damping * static_cast<float>(sum / static_cast<double>(in_));
    for (int64_t i = 0; i < in_; ++i) to[i * in_ + i] += damp;
    return a;
  }

  Tensor Result(const Tensor& u, const std::vector<uint8_t>& mask) const {
    Tensor w(DType::kF32, {out_, in_});
    float* const to = w.as<float>();
    const float *const v = v_.as<float>(), *const dual = u.as<float>();
    ParallelRanges(out_, 16, [&](int64_t begin, int64_t end) {
      for (int64_t i = 0; i < in_; ++i) {
        for (int64_t o = begin; o < end; ++o) {
          const int64_t at = i * out_ + o;
          const float z = (v[at] + dual[at]) * static_cast<float>(mask[at]);
          to[o * in_ + i] = z / norm_[i];
        }
      }
    });
    return w;
  }

  SparseOptions options_;
  int64_t in_, out_;
  std::vector<float> norm_;
  Tensor v_, g_, inverse_;
};

// Thins the mantissas of all but the most sensitive elements.
class Thinning {
 public:
  Thinning(const Tensor& pruned, const std::vector<float>& scaler_row, const SparseOptions& options)
      : pruned_(pruned), dtype_(pruned.dtype()), count_(pruned.size()), options_(options) {
    for (const float s : scaler_row) weights_.push_back(std::sqrt(s));
  }

  void Run(SparseResult* result) const {
    result->weight = Tensor(dtype_, pruned_.shape());
    WithModelDType(dtype_, [&](auto tag) {
      using T = decltype(tag);
      Thin(pruned_.as<T>(), result->weight.template as<T>(), result);
    });
  }

 private:
  template <class T>
  void Thin(const T* from, T* to, SparseResult* result) const {
    const int64_t cols = pruned_.view().cols();
    std::vector<uint32_t> bits(count_);
    ParallelRanges(count_, kElementsAtOnce, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        bits[i] = std::bit_cast<uint32_t>(Metric(ToF32(from[i]), weights_[i % cols]));
    });
    const int64_t rank = static_cast<int64_t>(static_cast<double>(count_) * options_.keep_proportion - 1);
    const uint32_t threshold = count_ > 0 ? LargestAt(bits, std::max<int64_t>(rank, 0)) : 0;
    ParallelRanges(count_, kElementsAtOnce, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) to[i] = From<T>(ThinMantissa(ToF32(from[i]), bits[i] >= threshold));
    });
    for (int64_t i = 0; i < count_; ++i) {
      result->kept += bits[i] >= threshold ? 1 : 0;
      result->zeros += ToF32(to[i]) == 0.0f ? 1 : 0;
    }
  }

  // |w - thinned w| sqrt(sr): the difference in f16 for f16 models, else f32. Never negative, so its bits order it.
  float Metric(float w, float weight) const {
    const float thin = ThinMantissa(w, false);
    const float difference = dtype_ == DType::kF16 ? RoundTo<F16>(w - thin) : w - thin;
    return std::fabs(difference) * weight;
  }

  const Tensor& pruned_;
  DType dtype_;
  int64_t count_;
  SparseOptions options_;
  std::vector<float> weights_;
};

}  // namespace

SparseStats::SparseStats(int64_t channels)
    : channels_(channels), moment_(Tensor::Zeros(DType::kF32, {channels, channels})), scaler_row_(channels, 0.0f) {}

void SparseStats::Add(const ConstView& x) {
  if (!IsModelDType(x.dtype) || x.shape.size() < 2 || x.cols() != channels_) {
    throw Error(ErrorCode::kUnexpected, "float_sparse: activations " + ShapeText(x.shape) + " for statistics of " +
                                            std::to_string(channels_) + " channels");
  }
  if (x.rows() == 0) return;
  const ConstView flat{x.data, x.dtype, {x.rows(), channels_}};
  MatMul(flat, flat, moment_.view(), {.transpose_a = true, .beta = 1.0f});
  const int64_t added = x.shape.size() == 2 ? 1 : x.dim(0);
  const float keep = static_cast<float>(static_cast<double>(entries_) / static_cast<double>(entries_ + added));
  entries_ += added;
  const Tensor wide = ConvertTo(flat, DType::kF32);
  const float* const values = wide.as<float>();
  const int64_t rows = flat.rows();
  ParallelRanges(channels_, 256, [&](int64_t begin, int64_t end) {
    std::vector<double> squares(end - begin, 0.0);
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = begin; c < end; ++c) {
        const double v = values[r * channels_ + c];
        squares[c - begin] += v * v;
      }
    }
    for (int64_t c = begin; c < end; ++c) {
      const float norm = static_cast<float>(std::sqrt(squares[c - begin]));
      scaler_row_[c] = scaler_row_[c] * keep + norm * norm / static_cast<float>(entries_);
    }
  });
}

SparseResult AdmmSparsify(const ConstView& weight, const SparseStats& stats, const SparseOptions& options,
                          const std::string& what) {
  Check(weight, stats, options, what);
  SparseResult result;
  result.pruned = ConvertTo(Admm(weight, stats, options, what).Run().view(), weight.dtype);
  Thinning(result.pruned, stats.ScalerRow(), options).Run(&result);
  return result;
}

uint64_t SparsifyBytes(int64_t out, int64_t in, DType dtype) {
  const auto elements = static_cast<uint64_t>(out * in);
  const uint64_t square = static_cast<uint64_t>(in * in) * sizeof(float), matrix = elements * sizeof(float);
  const uint64_t invert = 2 * matrix + 2 * square + InverseFactorBytes(in);
  // v, g, u, next, bits and the result; the mask has a byte for an element; the result rounded.
  const uint64_t iterate = square + 6 * matrix + elements + elements * DTypeSize(dtype) + MatMulScratch(out, in);
  return std::max(invert, iterate);
}

float ThinMantissa(float x, bool keep) {
  const float half = RoundTo<F16>(x);
  const float magnitude = std::fabs(half);
  if (!(magnitude > 0.0f) || std::isinf(magnitude)) return half;
  if (magnitude < 0x1p-14f) return keep ? half : std::copysign(0.0f, half);
  int exponent;
  const float m = 2.0f * std::frexp(magnitude, &exponent);  // in [1, 2), magnitude = m * 2^(exponent - 1)
  const float power = std::ldexp(1.0f, exponent - 1);
  if (magnitude < 0x1p-8f) return std::copysign(m <= 1.5f ? power : 2.0f * power, half);
  if (keep) return half;
  return std::copysign(RoundHalfEven(4.0f * m) / 4.0f * power, half);
}

}  // namespace modelslim
