#include "kernels/reference/reference_attention.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace modelslim {

void RefCausalAttention(const AttentionShape& s, const ConstView& q, const ConstView& k, const ConstView& v,
                        std::span<const int64_t> offsets, const View& out) {
  const auto at = [](const ConstView& matrix, int64_t row, int64_t column) {
    return static_cast<double>(ElementAsF32(matrix, row * matrix.cols() + column));
  };
  for (size_t sequence = 0; sequence + 1 < offsets.size(); ++sequence) {
    const int64_t begin = offsets[sequence], end = offsets[sequence + 1];
    for (int64_t h = 0; h < s.heads; ++h) {
      const int64_t kv = h / (s.heads / s.kv_heads);
      for (int64_t i = begin; i < end; ++i) {
        std::vector<double> p;
        double max = -std::numeric_limits<double>::infinity(), sum = 0;
        for (int64_t j = begin; j <= i; ++j) {
          double score = 0;
          for (int64_t d = 0; d < s.dim; ++d) score += at(q, i, h * s.dim + d) * at(k, j, kv * s.dim + d);
          p.push_back(score * s.scale);
          max = std::max(max, p.back());
        }
        for (double& value : p) value = std::exp(value - max), sum += value;
        for (int64_t d = 0; d < s.v_dim; ++d) {
          double total = 0;
          for (int64_t j = begin; j <= i; ++j) total += p[j - begin] / sum * at(v, j, kv * s.v_dim + d);
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
