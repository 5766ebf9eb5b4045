// The steps of opening a model, for those who do something between them.
#pragma once

#include "app/session.h"
#include "config/recipe/convert.h"

namespace modelslim {

// The configuration and the family by name: what can be told before the weights are looked at.
void OpenConfig(const ModelArguments& arguments, OpenedModel& model);
// Whether no forward pass of the model can be had: the user says so, or no family computes it.
bool KnowsNamesOnly(const ModelArguments& arguments, const OpenedModel& model);
// Weights and family: computed, or by the names of the tensors where no family computes the model or the user wants it.
// `conversion`: the rules of modelslim_convert, which works by names; null for quantization.
void OpenCheckpoint(const ModelArguments& arguments, OpenedModel& model, const ConvertSpec* conversion);

}  // namespace modelslim
