// `modelslim analyze` as a function: which layers are hard to quantize.
#pragma once

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "app/analysis.h"
#include "app/session.h"

namespace modelslim {

struct AnalyzeArguments : ModelArguments {
  std::vector<std::string> patterns = {"*"};  // config/patterns/fnmatch.h, on full names ("model.layers.0.mlp.up_proj")
  std::string metric = "kurtosis";            // names of AnalysisMetric
  std::string dataset = "mix_calib.jsonl";
  int64_t topk = 15;  // different scores; layers of equal score are all printed
  bool json = false;
};

struct LayerScore {
  std::string name;
  double score = 0;
};

// Highest score first, NaN before every number, equal scores in the order given; cut after `topk` different scores.
std::vector<LayerScore> RankLayers(std::vector<LayerScore> layers, int64_t topk);

// Runs the calibration set through the float model, scores the input of every Linear inside the decoder layers that a
// pattern matches, and prints the ranking and the names as YAML (or both as JSON). Throws Error or Stopped.
void Analyze(const AnalyzeArguments& arguments, std::ostream& out);

}  // namespace modelslim
