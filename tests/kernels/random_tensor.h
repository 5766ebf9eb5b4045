// Test data.
#pragma once

#include <algorithm>
#include <cmath>
#include <random>

#include "tensor/tensor.h"

namespace modelslim {

inline Tensor RandomTensor(DType dtype, const Shape& shape, unsigned seed, float deviation = 1.0f) {
  Tensor made(DType::kF32, shape);
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0.0f, deviation);
  for (int64_t i = 0; i < made.size(); ++i) made.as<float>()[i] = normal(generator);
  return ConvertTo(made.view(), dtype);
}

// Largest |a - b|; infinite when either holds a NaN that the other does not.
inline double MaxDifference(const ConstView& a, const ConstView& b) {
  double worst = a.size() == b.size() ? 0 : INFINITY;
  for (int64_t i = 0; i < a.size() && i < b.size(); ++i) {
    const double x = ElementAsF32(a, i), y = ElementAsF32(b, i);
    if (std::isnan(x) && std::isnan(y)) continue;
    const double difference = x == y ? 0 : std::fabs(x - y);
    worst = std::isnan(difference) ? INFINITY : std::max(worst, difference);
  }
  return worst;
}

}  // namespace modelslim
