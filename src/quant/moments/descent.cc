#include "quant/moments/descent.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/parallel.h"
#include "kernels/gemm.h"
#include "kernels/multiversion.h"
#include "quant/numbers/affine_kernels.h"

namespace modelslim {
namespace {

constexpr int64_t kRowsAtOnce = 16;  // that share a column of the moment while it is in the caches
// The scales that are tried: 1, 0.98, ... 0.4 of the largest.
constexpr int kFactors = 31;
constexpr float kFactorStep = 0.02f;
// Channels that were hardly seen still count a little when a scale is chosen.
constexpr float kLeastWeight = 0.01f;

[[noreturn]] void Refuse(const std::string& what, const std::string& why) {
  throw Error(ErrorCode::kMisuse, "descent of " + what + ": " + why);
}

void Check(const ConstView& weight, const ConstView& hessian, const DescentOptions& options, const std::string& what) {
  if (weight.shape.size() != 2 || !IsModelDType(weight.dtype))
    Refuse(what, "weight has shape " + ShapeText(weight.shape));
  if (hessian.dtype != DType::kF32 || hessian.shape != Shape{weight.cols(), weight.cols()}) {
    Refuse(what, "weight " + ShapeText(weight.shape) + " beside a moment " + ShapeText(hessian.shape));
  }
  if (options.bits != 4 && options.bits != 8) Refuse(what, "bits is " + std::to_string(options.bits));
  if (options.group_size < 0 || (options.group_size > 0 && weight.cols() % options.group_size != 0)) {
    Refuse(what, "group_size " + std::to_string(options.group_size) + " does not divide the " +
                     std::to_string(weight.cols()) + " input channels");
  }
}

// to[i] += factor * from[i]
MODELSLIM_MULTIVERSION void AddScaled(const float* from, float factor, int64_t count, float* to) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) to[i] += factor * from[i];
}

class Solver {
 public:
  Solver(const ConstView& weight, const ConstView& hessian, const DescentOptions& options)
      : options_(options),
        rows_(weight.rows()),
        cols_(weight.cols()),
        group_(options.group_size > 0 ? options.group_size : cols_),
        groups_(cols_ / std::max<int64_t>(1, group_)),
        scale_type_(options.group_size > 0 ? DType::kF32 : weight.dtype),
        top_(static_cast<float>((1 << (options.bits - 1)) - 1)),
        hessian_(hessian),
        weight_(ConvertTo(weight, DType::kF32)),
        errors_(DType::kF32, {rows_, cols_}),
        gradient_(DType::kF32, {rows_, cols_}),
        codes_(DType::kI8, {rows_, cols_}),
        scale_(static_cast<size_t>(rows_ * groups_)),
        diagonal_(static_cast<size_t>(cols_)) {
    double sum = 0;
    for (int64_t c = 0; c < cols_; ++c) sum += hessian.as<float>()[c * cols_ + c];
    mean_ = static_cast<float>(sum / static_cast<double>(std::max<int64_t>(1, cols_)));
    damping_ = options.damping * mean_;
    for (int64_t c = 0; c < cols_; ++c) diagonal_[c] = hessian.as<float>()[c * cols_ + c] + damping_;
  }

  DescentResult Run() {
    ForRows([&](int64_t row) { ChooseScales(row); });
    DescentResult result;
    MakeGradient();
    result.before = Error();
    // Where nothing was seen there is nothing to descend on.
    for (int pass = 0; pass < options_.passes && mean_ > 0.0f; ++pass) {
      if (!Pass()) break;
      ++result.passes;
    }
    result.after = Error();
    result.q = std::move(codes_);
    result.scale = ConvertTo({scale_.data(), DType::kF32, {rows_, groups_}}, scale_type_);
    return result;
  }

 private:
  template <class Work>
  void ForRows(const Work& work) const {
    ParallelRanges(rows_, kRowsAtOnce, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) work(row);
    });
  }

  float Code(float w, float scale) const {
    const float code = std::nearbyint(w / scale);
    return std::isnan(code) ? 0.0f : std::clamp(code, -top_ - 1, top_);
  }

  // Of one row: the scale of every group, and the codes that plain rounding gives with it.
  void ChooseScales(int64_t row) {
    const float* const w = weight_.as<float>() + row * cols_;
    float* const e = errors_.as<float>() + row * cols_;
    int8_t* const q = codes_.as<int8_t>() + row * cols_;
    for (int64_t group = 0; group < groups_; ++group) {
      const int64_t begin = group * group_, end = begin + group_;
      const float scale = ChosenScale(w, begin, end);
      scale_[row * groups_ + group] = scale;
      for (int64_t c = begin; c < end; ++c) {
        const float code = Code(w[c], scale);
        q[c] = static_cast<int8_t>(code);
        e[c] = w[c] - scale * code;
      }
    }
  }

  float ChosenScale(const float* w, int64_t begin, int64_t end) const {
    float largest = 0.0f;
    for (int64_t c = begin; c < end; ++c) largest = std::max(largest, std::fabs(w[c]));
    // As the reference's own weights: a group of zeros has a scale all the same.
    const float whole = RoundTo(scale_type_, std::max(largest / top_, 1e-10f));
    float best = whole;
    double least = -1;
    for (int i = 0; i < kFactors; ++i) {
      const float scale = RoundTo(scale_type_, whole * (1.0f - kFactorStep * static_cast<float>(i)));
      if (!(scale > 0.0f)) break;
      double error = 0;
      for (int64_t c = begin; c < end; ++c) {
        const float difference = w[c] - scale * Code(w[c], scale);
        const float importance = diagonal_[c] - damping_ + kLeastWeight * mean_;
        error += static_cast<double>(difference * difference) * importance;
      }
      if (least >= 0 && error >= least) continue;
      least = error;
      best = scale;
    }
    return best;
  }

  // errors x (H + damping), which a pass keeps up to date.
  void MakeGradient() {
    MatMul(std::as_const(errors_).view(), hessian_, gradient_.view());
    ForRows([&](int64_t row) {
      AddScaled(errors_.as<float>() + row * cols_, damping_, cols_, gradient_.as<float>() + row * cols_);
    });
  }

  // Of the present errors, whose gradient is there.
  double Error() const {
    std::vector<double> rows(static_cast<size_t>(rows_), 0.0);
    ForRows([&](int64_t row) {
      const float *const e = errors_.as<float>() + row * cols_, *const g = gradient_.as<float>() + row * cols_;
      for (int64_t c = 0; c < cols_; ++c) rows[row] += static_cast<double>(e[c]) * g[c];
    });
    double sum = 0;
    for (const double row : rows) sum += row;
    return sum;
  }

  // Every code once; false when none changed. The gradient is that of the errors when it begins.
  bool Pass() {
    std::vector<char> changed(static_cast<size_t>(rows_), 0);
    ParallelRanges(rows_, kRowsAtOnce, [&](int64_t begin, int64_t end) {
      for (int64_t c = 0; c < cols_; ++c) {
        for (int64_t row = begin; row < end; ++row) {
          if (Improve(row, c)) changed[row] = 1;
        }
      }
    });
    if (std::find(changed.begin(), changed.end(), 1) == changed.end()) return false;
    MakeGradient();  // without what a pass has gathered of rounding errors
    return true;
  }

  bool Improve(int64_t row, int64_t column) {
    const int64_t at = row * cols_ + column;
    const float scale = scale_[row * groups_ + column / group_];
    int8_t& code = codes_.as<int8_t>()[at];
    // The value at which the error is smallest is q + g / (H_cc scale): half a step decides.
    const float better =
        std::nearbyint(static_cast<float>(code) + gradient_.as<float>()[at] / (diagonal_[column] * scale));
    if (std::isnan(better)) return false;
    const float bounded = std::clamp(better, -top_ - 1, top_);
    const float step = bounded - static_cast<float>(code);
    if (step == 0.0f) return false;
    code = static_cast<int8_t>(bounded);
    const float change = -scale * step;
    errors_.as<float>()[at] = weight_.as<float>()[at] - scale * bounded;
    float* const gradient = gradient_.as<float>() + row * cols_;
    AddScaled(hessian_.as<float>() + column * cols_, change, cols_, gradient);
    gradient[column] += change * damping_;
    return true;
  }

  DescentOptions options_;
  int64_t rows_, cols_, group_, groups_;
  DType scale_type_;
  float top_;
  ConstView hessian_;
  Tensor weight_, errors_, gradient_, codes_;
  std::vector<float> scale_;
  std::vector<float> diagonal_;  // of the damped moment
  float mean_ = 0, damping_ = 0;
};

}  // namespace

DescentResult Descend(const ConstView& weight, const ConstView& hessian, const DescentOptions& options,
                      const std::string& what) {
  Check(weight, hessian, options, what);
  return Solver(weight, hessian, options).Run();
}

uint64_t DescentBytes(int64_t out, int64_t in) {
  return static_cast<uint64_t>(out * in) * (3 * sizeof(float) + 1) + MatMulScratch(out, in);
}

}  // namespace modelslim
