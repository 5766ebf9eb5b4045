// Weights without a checkpoint.
#pragma once

#include <optional>

#include "model/parameter.h"

namespace modelslim {

// Parameters filled by their name's length, so that different modules differ.
class FakeSource : public WeightSource {
 public:
  std::optional<SharedTensor> Map(const ParamInfo&) const override { return std::nullopt; }
  Tensor Load(const ParamInfo& param) const override {
    ++loads;
    Tensor made(param.dtype, param.shape);
    WithModelDType(param.dtype, [&](auto tag) {
      using T = decltype(tag);
      for (int64_t i = 0; i < made.size(); ++i) {
        made.as<T>()[i] = From<T>(static_cast<float>((i * 7 + static_cast<int64_t>(param.name.size())) % 5) - 2.0f);
      }
    });
    return made;
  }
  void WillNeed(const ParamInfo&) const override {}
  void DontNeed(const ParamInfo&) const override {}
  mutable int loads = 0;
};

}  // namespace modelslim
