// The calibration samples of a model.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "app/session.h"

namespace modelslim {

// Reads and tokenizes a calibration set for the model of `arguments`. At least one sample. Warns of samples that will
// not be what the user means: lines that are read as they stand, texts longer than the model's positions.
TokenBatch LoadSamples(const OpenedModel& model, const ModelArguments& arguments, const StageData& data);

// The samples of all stages of a plan.
struct Calibration {
  std::vector<std::unique_ptr<const TokenBatch>> owned;
  StageBatches stages;
  std::string hash;  // of the files and of what came out; empty when no stage needs data
};
Calibration LoadCalibration(const Session& session, const RunPlan& plan);

}  // namespace modelslim
