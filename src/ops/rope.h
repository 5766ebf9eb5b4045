// Rotary position embedding.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace modelslim {

enum class RopeType : uint8_t { kDefault, kLinear, kDynamic, kLlama3, kYarn, kLongRope };
// By the names of config.json ("default", "linear", "dynamic", "llama3", "yarn", "longrope" or its older name "su").
std::optional<RopeType> ParseRopeType(std::string_view name);

// What config.json says, already validated: dim even and > 0, theta > 0, factor > 0.
struct RopeConfig {
  RopeType type = RopeType::kDefault;
  int64_t dim = 0;       // rotated elements of a head
  double theta = 10000;  // rope_theta
  double factor = 1;
  int64_t max_position = 2048;                       // max_position_embeddings
  std::optional<int64_t> original_max_position;      // original_max_position_embeddings; absent: max_position
  double low_freq_factor = 1, high_freq_factor = 4;  // llama3
  double beta_fast = 32, beta_slow = 1;              // yarn
  bool truncate = true;                              // yarn: round the correction range to whole dimensions
  std::optional<double> attention_factor;            // yarn, longrope
  std::optional<double> mscale, mscale_all_dim;      // yarn
  std::vector<double> short_factor, long_factor;     // longrope: dim / 2 divisors each

  bool operator==(const RopeConfig&) const = default;
};

// Frequencies of the dim/2 pairs for a sequence of `length` tokens (which matters to dynamic and longrope only),
// computed as transformers 4.57 does: in f32.
std::vector<float> RopeFrequencies(const RopeConfig& config, int64_t length);
// What cos and sin are multiplied by: 1 but for yarn and longrope.
double RopeAttentionFactor(const RopeConfig& config);

// cos and sin of every row of a packed batch: row t has position t - (start of its sequence). The values are computed
// in f32, then rounded to `dtype`, the activations' type. Immutable; threads may share it.
class RopeTable {
 public:
  // Sequence s owns rows [offsets[s], offsets[s+1]).
  RopeTable(const RopeConfig& config, std::span<const int64_t> offsets, DType dtype);
  // The same with the position of every row given (an MTP layer's shifted ones). positions[t] >= 0; one per packed row.
  RopeTable(const RopeConfig& config, std::span<const int64_t> offsets, std::span<const int64_t> positions,
            DType dtype);
  // From angles [T, dim/2] f32 computed elsewhere (multimodal positions); cos and sin are multiplied by `scale`.
  static RopeTable FromAngles(const ConstView& angles, float scale, DType dtype);

  int64_t rows() const { return static_cast<int64_t>(row_.size()); }
  int64_t dim() const { return 2 * half_; }
  const float* cos(int64_t t) const { return cos_.data() + row_[t] * half_; }
  const float* sin(int64_t t) const { return sin_.data() + row_[t] * half_; }

 private:
  RopeTable() = default;
  void AddRow(const float* frequencies, double position, double scale, DType dtype);

  int64_t half_ = 0;
  std::vector<int64_t> row_;  // packed row -> row of cos_ and sin_
  std::vector<float> cos_, sin_;
};

enum class RopeLayout : uint8_t {
  kHalfSplit,          // pairs (j, j + dim/2); Llama, Qwen
  kInterleavedToHalf,  // even elements first, then odd, then as half-split; the output stays in that order; DeepSeek-V3
  kInterleaved,        // pairs (2j, 2j+1) as complex numbers in f32, one rounding; DeepSeek-V3.2
};

struct RopeOptions {
  int64_t heads = 0;
  int64_t begin = 0;  // first rotated element of a head; the table says how many follow
  RopeLayout layout = RopeLayout::kHalfSplit;
};

// Rotates x [T, heads * d] in place, T = table.rows(). The half-split forms compute x * cos + rotate_half(x) * sin with
// each product and the sum rounded to x's type.
void ApplyRope(const View& x, const RopeTable& table, const RopeOptions& options);

}  // namespace modelslim
