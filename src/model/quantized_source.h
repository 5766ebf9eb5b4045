// Recognizes checkpoints that some tool has quantized already.
#pragma once

#include <string>

#include "base/file.h"
#include "io/json.h"

namespace modelslim {

class Checkpoint;
class SourceForms;

// Throws Error(kInvalidModel) when the directory is an output of msModelSlim or of this program, by its description
// file where no other weights are. Needs no checkpoint, because such a directory has none under the usual names.
void RefuseOwnOutput(const fs::path& directory);

// Throws Error(kInvalidModel) when tensors are stored quantized in a form that is not read here (see SourceForms),
// naming the tool that config.json tells of (quantization_config) or that the names show, a tensor, and what to give
// instead.
void RefuseQuantizedSource(const Json& config, const Checkpoint& checkpoint, const SourceForms& forms);

// The object quantization_config, in config.json or in its text_config; null when there is none.
const Json* FindQuantization(const Json& config);

// "gptq" of quantization_config.quant_method in config.json or in its text_config; empty when there is no such key.
std::string QuantMethod(const Json& config);

}  // namespace modelslim
