#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>

#include "ops/rope.h"

namespace modelslim {
namespace {

constexpr double kPi = std::numbers::pi;

// theta^(2j/dim) for every pair, each step rounded to f32 as torch does.
std::vector<float> Powers(double theta, int64_t dim) {
  std::vector<float> powers(static_cast<size_t>(dim / 2));
  for (size_t j = 0; j < powers.size(); ++j) {
    const float exponent = static_cast<float>(2 * j) / static_cast<float>(dim);
    powers[j] =
        static_cast<float>(std::pow(static_cast<double>(static_cast<float>(theta)), static_cast<double>(exponent)));
  }
  return powers;
}

double Original(const RopeConfig& config) {
  return static_cast<double>(config.original_max_position.value_or(config.max_position));
}

void ScaleLlama3(const RopeConfig& config, std::vector<float>& inverse) {
  const double old = Original(config), low = config.low_freq_factor, high = config.high_freq_factor;
  for (float& inv : inverse) {
    const float wavelength = static_cast<float>(2 * kPi) / inv;
    if (static_cast<double>(wavelength) < old / high) continue;
    const float factor = static_cast<float>(config.factor);
    if (static_cast<double>(wavelength) > old / low) {
      inv /= factor;
      continue;
    }
    const float smooth =
        (static_cast<float>(old) / wavelength - static_cast<float>(low)) / static_cast<float>(high - low);
    inv = (1.0f - smooth) * inv / factor + smooth * inv;
  }
}

// Pairs below the range keep their frequency, pairs above are slowed down by `factor`, a linear ramp lies between.
void ScaleYarn(const RopeConfig& config, std::vector<float>& inverse) {
  const double dim = static_cast<double>(config.dim);
  const auto correction = [&](double rotations) {
    return dim * std::log(Original(config) / (rotations * 2 * kPi)) / (2 * std::log(config.theta));
  };
  double low = correction(config.beta_fast), high = correction(config.beta_slow);
  if (config.truncate) low = std::floor(low), high = std::ceil(high);
  low = std::max(low, 0.0), high = std::min(high, dim - 1);
  if (low == high) high += 0.001;
  const std::vector<float> powers = Powers(config.theta, config.dim);
  for (size_t j = 0; j < inverse.size(); ++j) {
    const float position = (static_cast<float>(j) - static_cast<float>(low)) / static_cast<float>(high - low);
    const float keep = 1.0f - std::clamp(position, 0.0f, 1.0f);
    const float slowed = 1.0f / (static_cast<float>(config.factor) * powers[j]);
    inverse[j] = slowed * (1.0f - keep) + inverse[j] * keep;
  }
}

double YarnScale(double factor, double mscale) { return factor <= 1 ? 1.0 : 0.1 * mscale * std::log(factor) + 1.0; }

}  // namespace

std::optional<RopeType> ParseRopeType(std::string_view name) {
  static constexpr std::pair<std::string_view, RopeType> kNames[] = {
      {"default", RopeType::kDefault}, {"linear", RopeType::kLinear}, {"dynamic", RopeType::kDynamic},
      {"llama3", RopeType::kLlama3},   {"yarn", RopeType::kYarn},     {"longrope", RopeType::kLongRope},
      {"su", RopeType::kLongRope}};
  for (const auto& [known, type] : kNames) {
    if (known == name) return type;
  }
  return std::nullopt;
}

std::vector<float> RopeFrequencies(const RopeConfig& config, int64_t length) {
  MODELSLIM_CHECK(config.dim > 0 && config.dim % 2 == 0 && config.theta > 0 && config.factor > 0);
  double theta = config.theta;
  if (config.type == RopeType::kDynamic && config.dim > 2) {
    const double dim = static_cast<double>(config.dim), longest = static_cast<double>(config.max_position);
    const double seen = std::max(static_cast<double>(length), longest);
    theta *= std::pow(config.factor * seen / longest - (config.factor - 1), dim / (dim - 2));
  }
  std::vector<float> inverse = Powers(theta, config.dim);
  if (config.type == RopeType::kLongRope) {
    const std::vector<double>& divisors =
        static_cast<double>(length) > Original(config) ? config.long_factor : config.short_factor;
    MODELSLIM_CHECK(divisors.size() == inverse.size());
    for (size_t j = 0; j < inverse.size(); ++j) inverse[j] = static_cast<float>(divisors[j]) * inverse[j];
  }
  for (float& value : inverse) value = 1.0f / value;
  switch (config.type) {
    case RopeType::kLinear:
      for (float& value : inverse) value /= static_cast<float>(config.factor);
      break;
    case RopeType::kLlama3:
      ScaleLlama3(config, inverse);
      break;
    case RopeType::kYarn:
      ScaleYarn(config, inverse);
      break;
    default:
      break;
  }
  return inverse;
}

double RopeAttentionFactor(const RopeConfig& config) {
  if (config.type == RopeType::kYarn) {
    if (config.attention_factor) return *config.attention_factor;
    const double mscale = config.mscale.value_or(0), all = config.mscale_all_dim.value_or(0);
    if (mscale != 0 && all != 0) return YarnScale(config.factor, mscale) / YarnScale(config.factor, all);
    return YarnScale(config.factor, 1);
  }
  if (config.type == RopeType::kLongRope) {
    if (config.attention_factor) return *config.attention_factor;
    const double factor =
        config.original_max_position ? static_cast<double>(config.max_position) / Original(config) : config.factor;
    return factor <= 1 ? 1.0 : std::sqrt(1 + std::log(factor) / std::log(Original(config)));
  }
  return 1.0;
}

void RopeTable::AddRow(const float* frequencies, double position, double scale, DType dtype) {
  for (int64_t j = 0; j < half_; ++j) {
    const float angle = frequencies[j] * static_cast<float>(position);
    const float c = static_cast<float>(std::cos(static_cast<double>(angle))) * static_cast<float>(scale);
    const float s = static_cast<float>(std::sin(static_cast<double>(angle))) * static_cast<float>(scale);
    cos_.push_back(RoundTo(dtype, c));
    sin_.push_back(RoundTo(dtype, s));
  }
}

RopeTable::RopeTable(const RopeConfig& config, std::span<const int64_t> offsets, DType dtype)
    : RopeTable(config, offsets, {}, dtype) {}

RopeTable::RopeTable(const RopeConfig& config, std::span<const int64_t> offsets, std::span<const int64_t> positions,
                     DType dtype)
    : half_(config.dim / 2) {
  MODELSLIM_CHECK(!offsets.empty() && offsets.front() == 0 && std::is_sorted(offsets.begin(), offsets.end()));
  MODELSLIM_CHECK(positions.empty() || static_cast<int64_t>(positions.size()) == offsets.back());
  const double scale = RopeAttentionFactor(config);
  // Sequences with the same frequencies share rows: most types have one set, dynamic and longrope choose by length.
  std::map<std::vector<float>, std::map<int64_t, int64_t>> known;
  row_.reserve(static_cast<size_t>(offsets.back()));
  for (size_t s = 0; s + 1 < offsets.size(); ++s) {
    const std::vector<float> frequencies = RopeFrequencies(config, offsets[s + 1] - offsets[s]);
    std::map<int64_t, int64_t>& rows = known[frequencies];
    for (int64_t t = offsets[s]; t < offsets[s + 1]; ++t) {
      const int64_t position = positions.empty() ? t - offsets[s] : positions[t];
      const auto [found, is_new] = rows.try_emplace(position, static_cast<int64_t>(cos_.size()) / half_);
      if (is_new) AddRow(frequencies.data(), static_cast<double>(position), scale, dtype);
      row_.push_back(found->second);
    }
  }
}

RopeTable RopeTable::FromAngles(const ConstView& angles, float scale, DType dtype) {
  MODELSLIM_CHECK(angles.dtype == DType::kF32 && angles.cols() > 0);
  RopeTable table;
  table.half_ = angles.cols();
  for (int64_t t = 0; t < angles.rows(); ++t) {
    table.row_.push_back(t);
    table.AddRow(angles.as<float>() + t * table.half_, 1.0, static_cast<double>(scale), dtype);
  }
  return table;
}

}  // namespace modelslim
