// Recognizes checkpoints that some tool has quantized already.
#pragma once

#include <string>

#include "base/file.h"
#include "io/json.h"

namespace modelslim {

class Checkpoint;

// Throws Error(kInvalidModel) when the directory is an output of msModelSlim or of this program, by its description
// file where no other weights are. Needs no checkpoint, because such a directory has none under the usual names.
void RefuseOwnOutput(const fs::path& directory);

// Throws Error(kInvalidModel) when tensors are stored quantized in a form that is not read here, naming the tool that
// config.json tells of (quantization_config) or that the names show, a tensor, and what to give instead. Block-FP8
// (weight and weight_scale_inv) is read, and so passes.
void RefuseQuantizedSource(const Json& config, const Checkpoint& checkpoint);

// "gptq" of quantization_config.quant_method in config.json or in its text_config; empty when there is no such key.
std::string QuantMethod(const Json& config);

}  // namespace modelslim
