// The arithmetic of outlier suppression: per-channel statistics of activations and weights, the scales made from them,
// and reducing scales to key/value heads. smooth_apply.h puts them into weights.
//
// A scale s multiplies the columns of the consumers and divides the producer's channels. Every elementwise step is
// rounded to the type of its tensor, as in the reference.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tensor/tensor.h"

namespace modelslim {

// One value per channel, each exactly representable in `dtype`.
struct Channels {
  DType dtype = DType::kF32;
  std::vector<float> values;

  int64_t size() const { return static_cast<int64_t>(values.size()); }
};

// Running statistics over the rows of activations, in the activations' own type. min, max and absmax propagate NaN.
// Updates commute except for `sum`, which adds row after row in f64: cutting the same rows into other chunks changes no
// bit.
class ChannelStats {
 public:
  // x: [..., C]; the first call fixes C and the type, later ones must agree (Error(kUnexpected) otherwise). A chunk
  // without rows changes nothing.
  void Observe(const ConstView& x);
  // The statistics of the rows of both (another process's samples). The other's rows count as coming later.
  void Merge(const ChannelStats& other);

  bool empty() const { return rows_ == 0; }
  int64_t rows() const { return rows_; }
  int64_t channels() const { return static_cast<int64_t>(max_.size()); }
  DType dtype() const { return dtype_; }

  Channels Min() const;
  Channels Max() const;
  Channels AbsMax() const;
  // Mean of |x| over rows: f64 sum divided by the count, rounded to `dtype`.
  Channels AbsMean(DType dtype) const;
  // Asymmetric smoothing: shift = (max + min) / 2 and max |x - shift| (in closed form, (max - min) / 2).
  Channels Shift() const;
  Channels ShiftedAbsMax() const;

  // For carrying over processes. Plain arrays of channels() values.
  struct Arrays {
    std::vector<float> min, max, absmax;
    std::vector<double> abs_sum;
    int64_t rows = 0;
    DType dtype = DType::kF32;
  };
  Arrays Export() const;
  static ChannelStats Import(Arrays arrays);

 private:
  DType dtype_ = DType::kF32;
  int64_t rows_ = 0;
  std::vector<float> min_, max_, absmax_;
  std::vector<double> abs_sum_;
};

// Which maximum over a weight's column the scale is made from.
enum class WeightStatistic {
  kAbsMax,     // max |W|
  kSignedMax,  // max W: what the reference's iter_smooth takes outside norm-linear groups
};

// Per input channel over all rows of all weights [out, C], in the weights' type, unclamped.
Channels ColumnMax(std::span<const ConstView> weights, WeightStatistic statistic = WeightStatistic::kAbsMax);
// The rounding a weight statistic passes through before it is used: f32, at least 1e-5, back to its type.
Channels ClampWeightStatistic(Channels w);

// v^exponent in v's type: the exponent is rounded to that type first, the power computed wider and rounded once.
Channels Power(const Channels& v, double exponent);

// s = max(a^alpha / w^beta, floor). The quotient has the promoted type of a and w, the maximum is taken in f32, the
// result rounded to `stored`. A channel with a = 0 gets the floor. w must be clamped already. NaN stays NaN.
Channels SmoothScale(const Channels& a, const Channels& w, double alpha, double beta, float floor, DType stored);
// smooth_quant and iter_smooth: beta = 1 - alpha, stored in w's type.
Channels IterSmoothScale(const Channels& a, const Channels& w, double alpha, float floor = 1e-5f);
// flex_smooth_quant: floor 1e-5, stored in a's type. After a head-wise reduction (FlexOvScale) it is w's type.
Channels FlexSmoothScale(const Channels& a, const Channels& w, double alpha, double beta);
// flex_awq_ssz: s = max(mean^alpha, 1e-5), stored in the type of `mean`.
Channels FlexAwqScale(const Channels& mean, double alpha);

// --- ov groups: o_proj has heads * d input channels, head-major; query head h reads key/value head h / (heads /
// kv_heads) ---
struct HeadLayout {
  int64_t heads = 0;
  int64_t kv_heads = 0;
};
// Throws Error(kMisuse) naming `what` unless heads is a positive multiple of kv_heads and `channels` of heads.
void CheckHeadLayout(const HeadLayout& layout, int64_t channels, const std::string& what);

struct OvScale {
  Channels output;  // o_proj, heads * d
  Channels value;   // v_proj, kv_heads * d
};
// Mean of the scales of the query heads that share a key/value head.
OvScale ReduceOvMean(const Channels& scale, const HeadLayout& layout);
// Maximum over the query heads that share one, of statistics rather than scales.
Channels ReduceHeadsMax(const Channels& statistic, const HeadLayout& layout);
// kv_heads * d values back to heads * d.
Channels ExpandHeads(const Channels& value, const HeadLayout& layout);
// flex_smooth_quant with group_method max: both statistics reduced first, then s as above, stored in w's type.
OvScale FlexOvScale(const Channels& a, const Channels& w, double alpha, double beta, const HeadLayout& layout);

}  // namespace modelslim
