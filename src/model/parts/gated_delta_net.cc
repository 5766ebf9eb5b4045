#include "model/parts/gated_delta_net.h"

#include <cmath>
#include <utility>

#include "base/parallel.h"
#include "ops/attention/gated_delta.h"
#include "ops/columns.h"
#include "ops/elementwise.h"
#include "ops/norm.h"

namespace modelslim {
namespace {

// in_proj_qkvz gives, for every key head, [q | k | v of its value heads | z of its value heads].
struct QkvzLayout {
  explicit QkvzLayout(const GatedDeltaShape& shape) {
    const int64_t dk = shape.key_dim, values = shape.value_heads / shape.key_heads * shape.value_dim;
    const int64_t group = 2 * dk + 2 * values, keys = shape.key_heads * dk;
    for (int64_t h = 0; h < shape.key_heads; ++h) {
      z.push_back({h * group + 2 * dk + values, h * values, values});
      mixed.push_back({h * group, h * dk, dk});
      mixed.push_back({h * group + dk, keys + h * dk, dk});
      mixed.push_back({h * group + 2 * dk, 2 * keys + h * values, values});
    }
  }
  std::vector<ColumnCopy> z;
  std::vector<ColumnCopy> mixed;  // what the convolution sees: all q, all k, all v
};

// -exp(A_log) * softplus(a + dt_bias), f32 [rows, value_heads].
Tensor LogDecay(const ConstView& a, const ConstView& a_log, const ConstView& dt_bias) {
  Tensor decay(DType::kF32, a.shape);
  const int64_t heads = a.cols();
  float* const out = decay.as<float>();
  ParallelRanges(a.rows(), 64, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin * heads; i < end * heads; ++i) {
      const float x = ElementAsF32(a, i) + ElementAsF32(dt_bias, i % heads);
      const float softplus = x > 20.0f ? x : std::log1p(std::exp(x));
      out[i] = -std::exp(ElementAsF32(a_log, i % heads)) * softplus;
    }
  });
  return decay;
}

struct Projected {
  Tensor mixed, z, beta, log_decay;
};

Projected Project(const GatedDeltaShape& shape, Block& block, const ForwardContext& context, const ConstView& x) {
  LinearModule* const inputs[] = {&block.linear("linear_attn.in_proj_qkvz"), &block.linear("linear_attn.in_proj_ba")};
  const std::vector<Tensor> both = ForwardLinears(inputs, x, context.groups, context.keep);
  const int64_t rows = x.rows(), keys = shape.key_heads * shape.key_dim, values = shape.value_heads * shape.value_dim;
  const QkvzLayout layout(shape);
  Projected made;
  made.mixed = Tensor(both[0].dtype(), {rows, 2 * keys + values});
  CopyColumns(both[0].view(), made.mixed.view(), layout.mixed);
  made.z = Tensor(both[0].dtype(), {rows, values});
  CopyColumns(both[0].view(), made.z.view(), layout.z);

  // in_proj_ba gives, for every key head, [b of its value heads | a of its value heads].
  const int64_t repeat = shape.value_heads / shape.key_heads;
  std::vector<ColumnCopy> of_b, of_a;
  for (int64_t h = 0; h < shape.key_heads; ++h) {
    of_b.push_back({h * 2 * repeat, h * repeat, repeat});
    of_a.push_back({h * 2 * repeat + repeat, h * repeat, repeat});
  }
  Tensor a(both[1].dtype(), {rows, shape.value_heads}), b(both[1].dtype(), {rows, shape.value_heads});
  CopyColumns(both[1].view(), a.view(), of_a);
  CopyColumns(both[1].view(), b.view(), of_b);
  Sigmoid(std::as_const(b).view(), b.view());
  made.beta = ConvertTo(std::as_const(b).view(), DType::kF32);
  made.log_decay = LogDecay(std::as_const(a).view(), block.parameter("linear_attn.A_log").Get(),
                            block.parameter("linear_attn.dt_bias").Get());
  return made;
}

}  // namespace

Tensor GatedDeltaNet(const GatedDeltaNetOptions& options, Block& block, const ForwardContext& context,
                     const ConstView& x) {
  const GatedDeltaShape& shape = options.shape;
  const int64_t keys = shape.key_heads * shape.key_dim, values = shape.value_heads * shape.value_dim, rows = x.rows();
  Tensor gated;
  {
    Projected in = Project(shape, block, context, x);
    Tensor mixed(in.mixed.dtype(), in.mixed.shape());
    CausalConvolution(std::as_const(in.mixed).view(), block.parameter("linear_attn.conv1d.weight").Get(),
                      context.groups.offsets, mixed.view());
    in.mixed = Tensor();
    Activate(Activation::kSilu, std::as_const(mixed).view(), mixed.view());

    Tensor q(DType::kF32, {rows, keys}), k(DType::kF32, {rows, keys});
    const auto scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(shape.key_dim)));
    L2NormalizeHeads(TakeColumns(std::as_const(mixed).view(), 0, keys).view(), shape.key_dim, scale, q.view());
    L2NormalizeHeads(TakeColumns(std::as_const(mixed).view(), keys, keys).view(), shape.key_dim, 1.0f, k.view());
    const Tensor v = ConvertTo(TakeColumns(std::as_const(mixed).view(), 2 * keys, values).view(), DType::kF32);
    Tensor out(DType::kF32, {rows, values});
    GatedDeltaRule(shape, std::as_const(q).view(), std::as_const(k).view(), v.view(),
                   std::as_const(in.log_decay).view(), std::as_const(in.beta).view(), context.groups.offsets,
                   out.view());
    const Tensor rounded = ConvertTo(std::as_const(out).view(), mixed.dtype());
    gated = Tensor(mixed.dtype(), {rows, values});
    RmsNormGated(rounded.view(), std::as_const(in.z).view(), block.parameter("linear_attn.norm.weight").Get(),
                 static_cast<float>(options.eps), gated.view());
  }
  return ForwardLinear(block.linear("linear_attn.out_proj"), std::as_const(gated).view(), context.groups, context.keep);
}

}  // namespace modelslim
