#include "kernels/reference/reference_attention.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace modelslim {

void RefCausalAttention(const AttentionShape& s, const ConstView& q, const ConstView& k, const ConstView& v,
                        std::span<const int64_t> offsets, const View& out) {
  const Tensor wide_q = ConvertTo(q, DType::kF32), wide_k = ConvertTo(k, DType::kF32),
               wide_v = ConvertTo(v, DType::kF32);
  const float *const qs = wide_q.as<float>(), *const ks = wide_k.as<float>(), *const vs = wide_v.as<float>();
  for (size_t sequence = 0; sequence + 1 < offsets.size(); ++sequence) {
    const int64_t begin = offsets[sequence], end = offsets[sequence + 1];
    for (int64_t h = 0; h < s.heads; ++h) {
      const int64_t kv = h / (s.heads / s.kv_heads);
      for (int64_t i = begin; i < end; ++i) {
        std::vector<double> p;
        double max = -std::numeric_limits<double>::infinity(), sum = 0;
        for (int64_t j = begin; j <= i; ++j) {
          const float *const q_row = qs + (i * s.heads + h) * s.dim, *const k_row = ks + (j * s.kv_heads + kv) * s.dim;
          double score = 0;
          for (int64_t d = 0; d < s.dim; ++d) score += static_cast<double>(q_row[d]) * static_cast<double>(k_row[d]);
          p.push_back(score * s.scale);
          max = std::max(max, p.back());
        }
        for (double& value : p) value = std::exp(value - max), sum += value;
        for (int64_t d = 0; d < s.v_dim; ++d) {
          double total = 0;
          for (int64_t j = begin; j <= i; ++j) {
            total += p[j - begin] / sum * static_cast<double>(vs[(j * s.kv_heads + kv) * s.v_dim + d]);
          }
          WithModelDType(out.dtype, [&](auto type) {
            out.as<decltype(type)>()[i * out.cols() + h * s.v_dim + d] =
                From<decltype(type)>(static_cast<float>(total));
          });
        }
      }
    }
  }
}

}  // namespace modelslim
