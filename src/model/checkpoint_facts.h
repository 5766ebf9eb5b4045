// What families ask of a checkpoint while they make their layout.
#pragma once

#include <string_view>

#include "model/layout.h"

namespace modelslim {

class Checkpoint;
class SourceForms;

bool HasTensor(const Checkpoint& checkpoint, std::string_view name);

// The type of the first tensor that holds real numbers of a model dtype (bf16 for a checkpoint of fp8 only).
DType FirstFloatDType(const Checkpoint& checkpoint);

// Notes for every linear's weight that the checkpoint stores as codes where these and their scales are.
void AttachStoredForms(const Checkpoint& checkpoint, const SourceForms& forms, ModelLayout* layout);
// Suffixes of tensors that say nothing once such weights are floats.
void IgnoreLeftovers(const SourceForms& forms, ModelLayout* layout);

}  // namespace modelslim
