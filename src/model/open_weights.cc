#include "model/open_weights.h"

#include <algorithm>

#include "base/log.h"
#include "io/checkpoint.h"
#include "model/quantized_source.h"
#include "model/tensor_names.h"

namespace modelslim {

std::unique_ptr<Checkpoint> OpenWeights(const fs::path& directory, const Json& config) {
  RefuseOwnOutput(directory);
  auto checkpoint = std::make_unique<Checkpoint>(directory);
  for (const std::string& warning : checkpoint->warnings()) LogWarning(warning);
  RefuseQuantizedSource(config, *checkpoint);
  const std::vector<CheckpointTensor>& tensors = checkpoint->tensors();
  const bool fp8 = std::any_of(tensors.begin(), tensors.end(),
                               [](const CheckpointTensor& tensor) { return tensor.dtype == DType::kF8E4M3; });
  if (const std::string method = QuantMethod(config); !method.empty() && !fp8) {
    LogWarning("config.json: quantization_config (" + method +
               ") does not describe these weights, which are float; the output does not have the key");
  }
  if (const std::string renamed = NormalizeNames(checkpoint.get()); !renamed.empty())
    LogWarning(directory.string() + ": " + renamed);
  return checkpoint;
}

}  // namespace modelslim
