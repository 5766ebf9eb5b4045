#include <algorithm>
#include <string>
#include <vector>

#include "base/error.h"
#include "quant/moments/cholesky.h"
#include "quant/moments/gptq.h"

namespace modelslim {
namespace {

[[noreturn]] void Refuse(const std::string& what, const std::string& why) {
  throw Error(ErrorCode::kMisuse, "gptq of " + what + ": " + why);
}

}  // namespace

uint64_t FactorBytes(int64_t channels, DType dtype) {
  return static_cast<uint64_t>(channels * channels) * DTypeSize(dtype);
}

uint64_t MakingFactorBytes(int64_t channels, DType dtype) {
  return std::max(InverseFactorBytes(channels), InverseFactorBytes(channels) / 2 + FactorBytes(channels, dtype));
}

GptqFactor::GptqFactor(const ConstView& hessian, float percdamp, DType dtype, const std::string& what)
    : percdamp_(percdamp) {
  if (hessian.dtype != DType::kF32 || hessian.shape.size() != 2 || hessian.dim(0) != hessian.dim(1)) {
    Refuse(what, "a Hessian of " + std::string(DTypeName(hessian.dtype)) + " " + ShapeText(hessian.shape));
  }
  if (!(percdamp >= 0)) Refuse(what, "percdamp is " + std::to_string(percdamp) + ", expected at least 0");
  const int64_t channels = hessian.cols();
  std::vector<float> diagonal(channels);
  double sum = 0;
  for (int64_t i = 0; i < channels; ++i) {
    diagonal[i] = hessian.as<float>()[i * channels + i];
    if (diagonal[i] == 0.0f) {
      diagonal[i] = 1.0f;
      unseen_.push_back(i);
    }
    sum += diagonal[i];
  }
  const float mean = static_cast<float>(sum / static_cast<double>(std::max<int64_t>(channels, 1)));
  for (float& d : diagonal) d += percdamp * mean;
  upper_ = InverseUpperFactor(hessian, "the Hessian of " + what, {.diagonal = diagonal, .dtype = dtype});
}

}  // namespace modelslim
