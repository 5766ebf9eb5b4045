// Finds golden models and opens them.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/temporary_directory.h"
#include "io/checkpoint.h"
#include "io/json.h"
#include "model/family.h"

namespace modelslim {

// The directory of a golden model, or nothing when this machine has none of that name.
inline std::optional<fs::path> FindGoldenModel(const std::string& name) {
  for (const char* const root : {MODELSLIM_GOLDEN_MODELS, MODELSLIM_MOE_MODELS, MODELSLIM_MORE_GOLDEN_MODELS}) {
    if (fs::exists(fs::path(root) / name / "forward.safetensors")) return fs::path(root) / name;
  }
  return std::nullopt;
}

// A model directory with everything that is needed to run it.
struct OpenModel {
  explicit OpenModel(const fs::path& directory, const std::string& model_type = "default")
      : checkpoint(directory),
        config(ReadJson(directory / "config.json")),
        family(MakeFamily(FindFamily(model_type), config, checkpoint)),
        source(MakeWeightSource(checkpoint)) {}

  Checkpoint checkpoint;
  Json config;
  std::unique_ptr<Family> family;
  std::unique_ptr<WeightSource> source;
};

}  // namespace modelslim
