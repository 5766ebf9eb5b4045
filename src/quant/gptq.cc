#include "quant/gptq.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/parallel.h"
#include "kernels/gemm.h"
#include "quant/affine.h"
#include "quant/cholesky.h"
#include "quant/simd.h"

namespace modelslim {
namespace {

constexpr int64_t kRowsAtOnce = 32;
constexpr int64_t kLanes = 16;

struct Codes {
  float lowest, highest;
};

// kLanes rows walk over the columns of a block together, one row per lane: rows never depend on each other, columns do.
// All values are f32 holding numbers of the weight's type. Matrices [count, kLanes] unless said otherwise.
struct Tile {
  float* w;            // updated in place
  const float* u;      // [count, count], the block of U on the diagonal
  const float* scale;  // of every column's group
  const float* offset;
  float* dq;     // out
  float* err;    // out
  double* loss;  // [kLanes], added to
  int64_t count;
};

// dq = fake-quantized w_j; err = (w_j - dq) / U_jj; then w_k -= err U_jk for the columns still to come. P is the type
// of the parameters and of what comes from them (the weight's type T, or f32), each step rounded to it and w to T.
template <class T, class P>
MODELSLIM_INLINE void WalkColumns(const Tile& t, Codes codes) {
  for (int64_t j = 0; j < t.count; ++j) {
    float* const w = t.w + j * kLanes;
    const float* const s = t.scale + j * kLanes;
    const float* const o = t.offset + j * kLanes;
    const float pivot = t.u[j * t.count + j];
    float err[kLanes];
#pragma omp simd
    for (int64_t i = 0; i < kLanes; ++i) {
      const float q =
          ClampAndRound(FastRound<P>(FastRound<P>(w[i] / s[i]) + o[i]), codes.lowest, codes.highest) - kRoundingMagic;
      const float dq = FastRound<P>(FastRound<P>(q - o[i]) * s[i]);
      err[i] = FastRound<P>(FastRound<P>(w[i] - dq) / pivot);
      t.dq[j * kLanes + i] = FastRound<T>(dq);
      t.err[j * kLanes + i] = FastRound<T>(err[i]);
    }
    for (int64_t i = 0; i < kLanes; ++i) t.loss[i] += 0.5 * static_cast<double>(err[i]) * err[i];
    for (int64_t k = j + 1; k < t.count; ++k) {
      const float factor = t.u[j * t.count + k];
      float* const later = t.w + k * kLanes;
#pragma omp simd
      for (int64_t i = 0; i < kLanes; ++i) later[i] = FastRound<T>(later[i] - FastRound<P>(err[i] * factor));
    }
  }
}

MODELSLIM_MULTIVERSION void WalkF32(const Tile& tile, Codes codes) { WalkColumns<float, float>(tile, codes); }
MODELSLIM_MULTIVERSION void WalkBF16(const Tile& tile, Codes codes) { WalkColumns<BF16, BF16>(tile, codes); }
MODELSLIM_MULTIVERSION void WalkF16(const Tile& tile, Codes codes) { WalkColumns<F16, F16>(tile, codes); }
MODELSLIM_MULTIVERSION void WalkBF16Grouped(const Tile& tile, Codes codes) { WalkColumns<BF16, float>(tile, codes); }
MODELSLIM_MULTIVERSION void WalkF16Grouped(const Tile& tile, Codes codes) { WalkColumns<F16, float>(tile, codes); }

void Walk(const Tile& tile, Codes codes, DType weight, DType params) {
  if (weight == DType::kF32) return WalkF32(tile, codes);
  if (params == DType::kF32) {
    return weight == DType::kBF16 ? WalkBF16Grouped(tile, codes) : WalkF16Grouped(tile, codes);
  }
  return weight == DType::kBF16 ? WalkBF16(tile, codes) : WalkF16(tile, codes);
}

// rows x [.., stride] to [count, kLanes] and back.
MODELSLIM_MULTIVERSION void ToLanes(const float* from, int64_t stride, int64_t rows, int64_t count, float* to) {
  for (int64_t c = 0; c < count; ++c) {
    for (int64_t r = 0; r < rows; ++r) to[c * kLanes + r] = from[r * stride + c];
  }
}
MODELSLIM_MULTIVERSION void FromLanes(const float* from, int64_t stride, int64_t rows, int64_t count, float* to) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < count; ++c) to[r * stride + c] = from[c * kLanes + r];
  }
}

void Check(const ConstView& weight, const ConstView& hessian, const GptqOptions& options, const std::string& what) {
  const auto refuse = [&](const std::string& why) { throw Error(ErrorCode::kMisuse, "gptq of " + what + ": " + why); };
  if (weight.shape.size() != 2 || !IsModelDType(weight.dtype)) refuse("weight has shape " + ShapeText(weight.shape));
  const int64_t in = weight.cols();
  if (hessian.dtype != DType::kF32 || hessian.shape != Shape{in, in}) {
    refuse("weight " + ShapeText(weight.shape) + " beside a Hessian " + ShapeText(hessian.shape));
  }
  if (options.bits != 4 && options.bits != 8) refuse("bits is " + std::to_string(options.bits) + ", expected 4 or 8");
  if (options.block_size < 1) refuse("block_size is " + std::to_string(options.block_size) + ", expected at least 1");
  if (!(options.percdamp >= 0)) refuse("percdamp is " + std::to_string(options.percdamp) + ", expected at least 0");
  if (options.group_size < 0 || (options.group_size > 0 && in % options.group_size != 0)) {
    refuse("group_size " + std::to_string(options.group_size) + " does not divide the " + std::to_string(in) +
           " input channels");
  }
}

class Solver {
 public:
  Solver(const ConstView& weight, const ConstView& hessian, const GptqOptions& options, const std::string& what)
      : options_(options),
        dtype_(weight.dtype),
        rows_(weight.rows()),
        cols_(weight.cols()),
        groups_(options.group_size > 0 ? cols_ / options.group_size : 1),
        params_(options.group_size > 0 ? DType::kF32 : weight.dtype),
        format_{options.bits, options.symmetric},
        work_(ConvertTo(weight, DType::kF32)),
        rounded_(DType::kF32, {rows_, cols_}),
        scale_(rows_ * groups_),
        offset_(rows_ * groups_) {
    if (options_.group_size == 0) RangesOfColumns(0, cols_, 0);  // of the weight as it was given
    MakeFactor(hessian, what);
  }

  GptqResult Run() {
    double loss = 0;
    for (int64_t begin = 0; begin < cols_; begin += options_.block_size) {
      loss += RunBlock(begin, std::min(cols_, begin + options_.block_size));
    }
    return Finish(loss);
  }

 private:
  // U of the damped Hessian, rounded to the weight's type. Columns without input are cleared in the weight.
  void MakeFactor(const ConstView& hessian, const std::string& what) {
    Tensor damped = Tensor::Copy(hessian);
    double sum = 0;
    std::vector<int64_t> dead;
    for (int64_t i = 0; i < cols_; ++i) {
      float& d = damped.as<float>()[i * cols_ + i];
      if (d == 0.0f) {
        d = 1.0f;
        dead.push_back(i);
      }
      sum += d;
    }
    const float mean = static_cast<float>(sum / static_cast<double>(std::max<int64_t>(cols_, 1)));
    for (int64_t i = 0; i < cols_; ++i) damped.as<float>()[i * cols_ + i] += options_.percdamp * mean;
    for (const int64_t i : dead) {
      for (int64_t r = 0; r < rows_; ++r) work_.as<float>()[r * cols_ + i] = 0.0f;
    }
    const Tensor u = InverseUpperFactor(damped.view(), "the Hessian of " + what);
    factor_ = ConvertTo(u.view(), dtype_);
  }

  // Parameters of all rows for columns [begin, end), into group `group`.
  void RangesOfColumns(int64_t begin, int64_t end, int64_t group) {
    ParallelRanges(rows_, kRowsAtOnce, [&](int64_t first, int64_t last) {
      for (int64_t r = first; r < last; ++r) {
        const float* const row = work_.as<float>() + r * cols_;
        float min = row[begin], max = row[begin];
        for (int64_t c = begin; c < end; ++c) {
          min = row[c] < min || std::isnan(row[c]) ? row[c] : min;
          max = row[c] > max || std::isnan(row[c]) ? row[c] : max;
        }
        const AffineParams params = ParamsFromRange(min, max, params_, format_);
        scale_[r * groups_ + group] = params.scale;
        offset_[r * groups_ + group] = params.offset;
      }
    });
  }

  int64_t GroupOf(int64_t column) const { return options_.group_size > 0 ? column / options_.group_size : 0; }

  double RunBlock(int64_t begin, int64_t end) {
    const int64_t count = end - begin;
    if (options_.group_size > 0) {
      // A group takes its range from the weight as the last finished block left it, even when it starts inside this
      // one.
      for (int64_t c = begin; c < end; ++c) {
        if (c % options_.group_size == 0) RangesOfColumns(c, c + options_.group_size, GroupOf(c));
      }
    }
    std::vector<float> u(count * count, 0.0f);
    for (int64_t j = 0; j < count; ++j) {
      for (int64_t k = j; k < count; ++k)
        u[j * count + k] = ElementAsF32(factor_.view(), (begin + j) * cols_ + begin + k);
    }
    Tensor errors(DType::kF32, {rows_, count});
    std::vector<double> losses((rows_ + kLanes - 1) / kLanes * kLanes, 0.0);
    ParallelRanges(rows_, kLanes, [&](int64_t first, int64_t last) {
      RunTile(first, last - first, begin, count, u, errors.as<float>() + first * count, &losses[first]);
    });
    if (end < cols_) UpdateRest(errors, begin, end);
    double loss = 0;
    for (const double row : losses) loss += row;
    return loss;
  }

  // Rows [first, first + rows) of the block of columns [begin, begin + count).
  void RunTile(int64_t first, int64_t rows, int64_t begin, int64_t count, const std::vector<float>& u, float* errors,
               double* loss) {
    const int64_t size = count * kLanes;
    thread_local std::vector<float> buffer;
    buffer.assign(5 * size, 0.0f);
    float *const w = buffer.data(), *const scale = w + size, *const offset = w + 2 * size, *const dq = w + 3 * size,
                 *const err = w + 4 * size;
    std::fill_n(scale, size, 1.0f);  // of the lanes without a row
    for (int64_t j = 0; j < count; ++j) {
      const int64_t group = GroupOf(begin + j);
      for (int64_t r = 0; r < rows; ++r) {
        scale[j * kLanes + r] = scale_[(first + r) * groups_ + group];
        offset[j * kLanes + r] = offset_[(first + r) * groups_ + group];
      }
    }
    float* const from = work_.as<float>() + first * cols_ + begin;
    ToLanes(from, cols_, rows, count, w);
    Walk({w, u.data(), scale, offset, dq, err, loss, count}, {format_.lowest(), format_.highest()}, dtype_, params_);
    FromLanes(dq, cols_, rows, count, rounded_.as<float>() + first * cols_ + begin);
    FromLanes(err, count, rows, count, errors);
  }

  // W[:, end:] -= Err U[begin:end, end:], the product rounded to the weight's type, and the difference again. In
  // strips, so that the product stays in the cache.
  void UpdateRest(const Tensor& errors, int64_t begin, int64_t end) {
    const int64_t count = end - begin, rest = cols_ - end;
    Tensor u(dtype_, {count, rest});
    const size_t element = DTypeSize(dtype_);
    for (int64_t j = 0; j < count; ++j) {
      std::memcpy(
          static_cast<std::byte*>(u.view().data) + static_cast<size_t>(j * rest) * element,
          static_cast<const std::byte*>(factor_.view().data) + static_cast<size_t>((begin + j) * cols_ + end) * element,
          static_cast<size_t>(rest) * element);
    }
    const Tensor left = ConvertTo(errors.view(), dtype_);
    constexpr int64_t kStrip = 1024;
    for (int64_t first = 0; first < rows_; first += kStrip) {
      const int64_t last = std::min(rows_, first + kStrip);
      Tensor product(DType::kF32, {last - first, rest});
      MatMul(left.view().Rows(first, last), u.view(), product.view());
      Subtract(product, first, last, end);
    }
  }

  void Subtract(const Tensor& product, int64_t first, int64_t last, int64_t column) {
    const int64_t rest = cols_ - column;
    ParallelRanges(last - first, kRowsAtOnce, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        SubtractRow(work_.as<float>() + (first + r) * cols_ + column, product.as<float>() + r * rest, rest, dtype_);
      }
    });
  }

  static void SubtractRow(float* w, const float* p, int64_t count, DType dtype);

  GptqResult Finish(double loss) {
    GptqResult result;
    result.loss = loss;
    result.dequantized = ConvertTo(rounded_.view(), dtype_);
    result.q = Tensor(DType::kI8, {rows_, cols_});
    AffineTable table{options_.group_size > 0 ? ParamAxis::kGroup : ParamAxis::kRow, params_, scale_, offset_,
                      options_.group_size};
    Quantize(result.dequantized.view(), table, format_, result.q.view());
    const Shape shape = {rows_, groups_};
    result.scale = ConvertTo({scale_.data(), DType::kF32, shape}, params_);
    result.offset = ConvertTo({offset_.data(), DType::kF32, shape}, params_);
    return result;
  }

  GptqOptions options_;
  DType dtype_;
  int64_t rows_, cols_, groups_;
  DType params_;
  IntFormat format_;
  Tensor work_;     // the weight being worked on: f32 holding values of its type
  Tensor rounded_;  // what its columns were rounded to
  Tensor factor_;   // U, in the weight's type
  std::vector<float> scale_, offset_;
};

template <class T>
MODELSLIM_INLINE void SubtractRounded(float* w, const float* p, int64_t count) {
#pragma omp simd
  for (int64_t c = 0; c < count; ++c) w[c] = FastRound<T>(w[c] - FastRound<T>(p[c]));
}
MODELSLIM_MULTIVERSION void SubtractF32(float* w, const float* p, int64_t count) {
  SubtractRounded<float>(w, p, count);
}
MODELSLIM_MULTIVERSION void SubtractBF16(float* w, const float* p, int64_t count) {
  SubtractRounded<BF16>(w, p, count);
}
MODELSLIM_MULTIVERSION void SubtractF16(float* w, const float* p, int64_t count) { SubtractRounded<F16>(w, p, count); }

void Solver::SubtractRow(float* w, const float* p, int64_t count, DType dtype) {
  if (dtype == DType::kBF16) return SubtractBF16(w, p, count);
  if (dtype == DType::kF16) return SubtractF16(w, p, count);
  SubtractF32(w, p, count);
}

}  // namespace

GptqResult Gptq(const ConstView& weight, const ConstView& hessian, const GptqOptions& options,
                const std::string& what) {
  Check(weight, hessian, options, what);
  return Solver(weight, hessian, options, what).Run();
}

}  // namespace modelslim
