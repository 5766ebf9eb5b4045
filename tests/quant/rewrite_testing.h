// Small helpers for the tests of the rewriting steps.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace modelslim::testing {

inline Tensor Matrix(DType dtype, Shape shape, const std::vector<float>& values) {
  Tensor made(dtype, std::move(shape));
  Convert({values.data(), DType::kF32, made.shape()}, made.view());
  return made;
}

inline std::vector<float> Values(const ConstView& tensor) {
  std::vector<float> values(tensor.size());
  for (int64_t i = 0; i < tensor.size(); ++i) values[i] = ElementAsF32(tensor, i);
  return values;
}
inline std::vector<float> Values(const Tensor& tensor) { return Values(tensor.view()); }

inline Tensor Random(DType dtype, Shape shape, uint32_t seed, float scale = 1.0f) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0.0f, scale);
  std::vector<float> values(NumElements(shape));
  for (float& v : values) v = normal(generator);
  return Matrix(dtype, std::move(shape), values);
}

// a [M, K] * b [K, N] in f64.
inline std::vector<double> Product(const std::vector<float>& a, const std::vector<float>& b, int64_t m, int64_t k,
                                   int64_t n) {
  std::vector<double> c(m * n, 0.0);
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t p = 0; p < k; ++p) {
      for (int64_t j = 0; j < n; ++j) c[i * n + j] += static_cast<double>(a[i * k + p]) * b[p * n + j];
    }
  }
  return c;
}

// y [T, out] = x [T, in] w' + b, in f64.
inline std::vector<double> LinearF64(const std::vector<float>& x, const ConstView& w, const ConstView& bias) {
  const int64_t out = w.rows(), in = w.cols(), rows = static_cast<int64_t>(x.size()) / in;
  std::vector<double> y(rows * out, 0.0);
  for (int64_t t = 0; t < rows; ++t) {
    for (int64_t o = 0; o < out; ++o) {
      double sum = bias.data != nullptr ? ElementAsF32(bias, o) : 0.0f;
      for (int64_t i = 0; i < in; ++i) sum += static_cast<double>(x[t * in + i]) * ElementAsF32(w, o * in + i);
      y[t * out + o] = sum;
    }
  }
  return y;
}

template <class A, class B>
void ExpectNear(const A& found, const B& expected, double tolerance, const std::string& what = "") {
  ASSERT_EQ(found.size(), expected.size()) << what;
  for (size_t i = 0; i < found.size(); ++i) {
    ASSERT_NEAR(found[i], expected[i], tolerance) << what << " element " << i;
  }
}

}  // namespace modelslim::testing
