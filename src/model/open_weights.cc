#include "model/open_weights.h"

#include "base/log.h"
#include "io/checkpoint.h"
#include "model/quantized_source.h"
#include "model/source_forms.h"
#include "model/tensor_names.h"

namespace modelslim {

std::unique_ptr<Checkpoint> OpenWeights(const fs::path& directory, const Json& config, SourceNames names) {
  RefuseOwnOutput(directory);
  auto checkpoint = std::make_unique<Checkpoint>(directory);
  for (const std::string& warning : checkpoint->warnings()) LogWarning(warning);
  const std::string renamed = names == SourceNames::kNormalized ? NormalizeNames(checkpoint.get()) : "";
  if (!renamed.empty()) LogWarning(directory.string() + ": " + renamed);
  const SourceForms forms(*checkpoint, config);
  RefuseQuantizedSource(config, *checkpoint, forms);
  if (const std::string method = QuantMethod(config); !method.empty() && forms.forms().empty()) {
    LogWarning("config.json: quantization_config (" + method +
               ") does not describe these weights, which are float; the output does not have the key");
  }
  return checkpoint;
}

}  // namespace modelslim
