#include "eval/deployed_linear.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "base/parallel.h"
#include "kernels/gemm.h"
#include "kernels/integer_product.h"
#include "kernels/multiversion.h"
#include "quant/numbers/mx.h"
#include "tensor/fp8.h"

namespace modelslim {
namespace {

constexpr int64_t kRowsAtOnce = 1024;

// Inputs as integers: one scale per row, or (static) none.
struct IntegerInput {
  Tensor codes;  // I8 [rows, in]
  std::vector<float> scale;
};

MODELSLIM_MULTIVERSION float LargestOf(const float* x, int64_t n) {
  float largest = 0;
  for (int64_t i = 0; i < n; ++i) largest = std::max(largest, std::fabs(x[i]));
  return largest;
}

// q = round(clamp(x / scale + offset)), ties to even.
MODELSLIM_MULTIVERSION void RoundRow(const float* x, int64_t n, float scale, float offset, float low, float high,
                                     int8_t* __restrict q) {
  for (int64_t i = 0; i < n; ++i) {
    const float value = std::min(std::max(x[i] / scale + offset, low), high);
    q[i] = static_cast<int8_t>(std::nearbyint(value));
  }
}

IntegerInput Round(const DeployedActivation& activation, bool fixed, const ConstView& x) {
  const int64_t rows = x.rows(), cols = x.cols();
  const auto high = static_cast<float>((1 << (activation.bits - 1)) - 1), low = -high - 1;
  IntegerInput made{Tensor(DType::kI8, {rows, cols}), {}};
  if (!fixed) made.scale.resize(static_cast<size_t>(rows));
  const Tensor wide = x.dtype == DType::kF32 ? Tensor() : ConvertTo(x, DType::kF32);
  const float* const values = wide ? wide.as<float>() : x.as<float>();
  ParallelRanges(rows, std::max<int64_t>(1, 65536 / std::max<int64_t>(1, cols)), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float* const own = values + row * cols;
      float scale = 0, offset = 0;
      if (fixed) {
        scale = activation.fixed.scale.front();
        offset = activation.fixed.offset.front();
      } else {
        scale = std::max(LargestOf(own, cols) / high, std::numeric_limits<float>::epsilon());
        made.scale[static_cast<size_t>(row)] = scale;
      }
      RoundRow(own, cols, scale, offset, low, high, made.codes.as<int8_t>() + row * cols);
    }
  });
  return made;
}

// To the nearest E2M1 number, ties to the even mantissa; 6 is the largest.
float RoundFp4(float x) {
  const float size = std::min(std::fabs(x), 6.0f);
  const float step = std::ldexp(1.0f, std::ilogb(std::max(size, 1.0f)) - 1);
  return std::copysign(std::nearbyint(size / step) * step, x);
}

float RoundFp8(float x) { return E4M3ToF32(F32ToE4M3(std::min(std::max(x, -448.0f), 448.0f))); }

// `n` numbers that share a scale.
void RoundRun(const float* x, int64_t n, float scale, bool fp4, float* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = (fp4 ? RoundFp4(x[i] / scale) : RoundFp8(x[i] / scale)) * scale;
}

// What servers make of the input of FP8 and MX layers: a scale for each token, the largest by 448; or blocks of 32 with
// the power of two that brings the largest to the top binade of the type.
void RoundFloats(bool mx, bool fp4, const ConstView& x, const View& out) {
  const int64_t cols = x.cols();
  ParallelRanges(x.rows(), std::max<int64_t>(1, 16384 / std::max<int64_t>(1, cols)), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float* const own = x.as<float>() + row * cols;
      float* const result = out.as<float>() + row * cols;
      if (!mx) {
        RoundRun(own, cols, std::max(LargestOf(own, cols), 1e-12f) / 448.0f, fp4, result);
        continue;
      }
      for (int64_t at = 0; at < cols; at += kMxBlock) {
        const int64_t n = std::min(kMxBlock, cols - at);
        const float largest = std::max(LargestOf(own + at, n), 0x1p-126f);
        const int exponent = std::clamp(std::ilogb(largest) - (fp4 ? 2 : 8), -127, 127);
        RoundRun(own + at, n, std::ldexp(1.0f, exponent), fp4, result + at);
      }
    }
  });
}

MODELSLIM_MULTIVERSION void FinishStatic(const int32_t* sums, const int32_t* add, const float* scale, int64_t n,
                                         float* __restrict y) {
  for (int64_t i = 0; i < n; ++i) y[i] = static_cast<float>(sums[i] + add[i]) * scale[i];
}

MODELSLIM_MULTIVERSION void FinishToken(const int32_t* sums, float own, const float* scale, const float* bias,
                                        int64_t n, float* __restrict y) {
  for (int64_t i = 0; i < n; ++i) y[i] = static_cast<float>(sums[i]) * own * scale[i] + bias[i];
}

class DeployedForward : public LinearForward {
 public:
  DeployedForward(const SavedOutput& output, SavedLinear linear, ServerPhase phase)
      : output_(output), linear_(std::move(linear)), phase_(phase) {}

  std::shared_ptr<ActivationStage>& activation() override { return none_; }

  // Some rows at a time: what a product takes beside its operands stays small.
  Tensor Apply(LinearModule&, const ConstView& x) override {
    Prepare();
    Tensor y(DType::kF32, {x.rows(), linear_.out});
    for (int64_t begin = 0; begin < x.rows(); begin += kRowsAtOnce) {
      const int64_t end = std::min(x.rows(), begin + kRowsAtOnce);
      if (integers_) {
        Integers(x.Rows(begin, end), y.view().Rows(begin, end));
      } else {
        Floats(x.Rows(begin, end), y.view().Rows(begin, end));
      }
    }
    return y;
  }

  void Release(LinearModule&, Keep keep) override {
    if (keep == Keep::kPacked) return;
    integers_.reset();
    floats_.reset();
  }

 private:
  void Prepare() {
    if (integers_ || floats_) return;
    own_ = output_.Deploy(linear_, phase_);
    if (own_.IsInteger()) {
      integers_.emplace(own_.codes.view());
      own_.codes = {};
      static_ = own_.activation.spec.scope == ActivationScope::kPerTensor;
      if (!own_.bias) own_.bias = Tensor::Zeros(DType::kF32, {linear_.out});
    } else {
      floats_.emplace(std::as_const(own_.weight).view(), DType::kF32);
      own_.weight = {};
    }
  }

  void Integers(const ConstView& x, const View& y) {
    const IntegerInput input = Round(own_.activation, static_, x);
    const int64_t rows = x.rows(), out = linear_.out;
    Tensor sums(DType::kI32, {rows, out});
    integers_->Apply(input.codes.view(), sums.view());
    const float *scale = own_.scale.as<float>(), *bias = own_.bias.as<float>();
    const int32_t* const add = static_ ? own_.quant_bias.view().as<int32_t>() : nullptr;
    ParallelRanges(rows, std::max<int64_t>(1, 65536 / std::max<int64_t>(1, out)), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const int32_t* const own = sums.as<int32_t>() + row * out;
        float* const result = y.as<float>() + row * out;
        if (static_) {
          FinishStatic(own, add, scale, out, result);
        } else {
          FinishToken(own, input.scale[static_cast<size_t>(row)], scale, bias, out, result);
        }
      }
    });
  }

  void Floats(const ConstView& x, const View& y) {
    const ConstView bias = own_.bias ? std::as_const(own_.bias).view() : ConstView{};
    if (own_.weight_only) return floats_->Apply(x, bias, y);
    Tensor rounded(DType::kF32, x.shape);
    const ActivationSpec& spec = own_.activation.spec;
    const bool mx = spec.scope == ActivationScope::kPerBlock, fp8 = spec.format == ElementFormat::kFp8E4M3;
    if ((mx || fp8) && x.dtype == DType::kF32) {
      RoundFloats(mx, spec.format == ElementFormat::kMxFp4, x, rounded.view());
    } else {
      const int64_t all[] = {0, x.rows()};
      FakeQuantizeDeployed(own_.activation, x, all, rounded.view());
    }
    floats_->Apply(std::as_const(rounded).view(), bias, y);
  }

  const SavedOutput& output_;
  const SavedLinear linear_;
  const ServerPhase phase_;
  DeployedLinear own_;
  bool static_ = false;
  std::optional<PackedIntegers> integers_;
  std::optional<PackedWeight> floats_;
  std::shared_ptr<ActivationStage> none_;
};

}  // namespace

std::unique_ptr<LinearForward> MakeDeployedForward(const SavedOutput& output, SavedLinear linear, ServerPhase phase) {
  return std::make_unique<DeployedForward>(output, std::move(linear), phase);
}

}  // namespace modelslim
