#include "ops/activation.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "kernels/multiversion.h"
#include "kernels/vector_math.h"

namespace modelslim {
namespace {

MODELSLIM_MULTIVERSION void Silu(const float* x, int64_t count, float* y) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) y[i] = x[i] / (1.0f + VectorExp(-x[i]));
}

MODELSLIM_MULTIVERSION void SigmoidOf(const float* x, int64_t count, float factor, float* y) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) y[i] = VectorSigmoid(x[i] * factor);
}

MODELSLIM_MULTIVERSION void QuickGelu(const float* x, int64_t count, float* y) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) y[i] = x[i] * VectorSigmoid(1.702f * x[i]);
}

// 0.5 x (1 + tanh(u)) is x / (1 + e^(-2u)), which needs no tanh.
MODELSLIM_MULTIVERSION void GeluTanh(const float* x, int64_t count, float* y) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) {
    const float u = 0.797884561f * (x[i] + 0.044715f * x[i] * x[i] * x[i]);
    y[i] = x[i] * VectorSigmoid(2.0f * u);
  }
}

void Gelu(const float* x, int64_t count, float* y) {
  for (int64_t i = 0; i < count; ++i) y[i] = 0.5f * x[i] * (1.0f + std::erf(x[i] * 0.707106781f));
}

}  // namespace

std::optional<Activation> ParseActivation(std::string_view name) {
  static constexpr std::pair<std::string_view, Activation> kNames[] = {
      {"silu", Activation::kSilu},          {"swish", Activation::kSilu},
      {"gelu", Activation::kGelu},          {"gelu_new", Activation::kGeluTanh},
      {"gelu_tanh", Activation::kGeluTanh}, {"gelu_pytorch_tanh", Activation::kGeluTanh},
      {"gelu_fast", Activation::kGeluTanh}, {"quick_gelu", Activation::kQuickGelu},
      {"relu", Activation::kRelu},          {"sigmoid", Activation::kSigmoid},
      {"tanh", Activation::kTanh},          {"linear", Activation::kIdentity},
      {"identity", Activation::kIdentity}};
  for (const auto& [known, act] : kNames) {
    if (known == name) return act;
  }
  return std::nullopt;
}

void ActivateF32(Activation act, const float* x, int64_t count, float* y) {
  switch (act) {
    case Activation::kSilu:
      return Silu(x, count, y);
    case Activation::kGelu:
      return Gelu(x, count, y);
    case Activation::kGeluTanh:
      return GeluTanh(x, count, y);
    case Activation::kQuickGelu:
      return QuickGelu(x, count, y);
    case Activation::kSigmoid:
      return SigmoidOf(x, count, 1.0f, y);
    case Activation::kIdentity:
      std::copy(x, x + count, y);
      return;
    case Activation::kRelu:
      for (int64_t i = 0; i < count; ++i) y[i] = x[i] < 0.0f ? 0.0f : x[i];
      return;
    case Activation::kTanh:
      for (int64_t i = 0; i < count; ++i) y[i] = std::tanh(x[i]);
      return;
  }
}

}  // namespace modelslim
