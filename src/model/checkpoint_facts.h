// What families ask of a checkpoint while they make their layout.
#pragma once

#include <string_view>

#include "model/layout.h"

namespace modelslim {

class Checkpoint;

bool HasTensor(const Checkpoint& checkpoint, std::string_view name);

// The type of the first tensor that holds real numbers of a model dtype (bf16 for a checkpoint of fp8 only).
DType FirstFloatDType(const Checkpoint& checkpoint);

// Notes for every linear's weight that the checkpoint stores as block-fp8 where its scales are ("<weight>_scale_inv").
void AttachBlockScales(const Checkpoint& checkpoint, ModelLayout* layout);

}  // namespace modelslim
