// modelslim_convert: what its rules ask of the weights, beyond the types that they make.
#pragma once

#include "config/recipe/convert.h"
#include "model/families/names_family.h"

namespace modelslim {

// The rules as the family made of names wants them. `spec` must outlive it.
NamesConversion ConversionOf(const ConvertSpec& spec);

// Throws Error(kSchema) when a rule says that a weight is stored in another form than it is, Error(kUnsupported) when
// nothing leads from its form to the target without a route. Logs rules that match nothing.
void CheckConversion(const ConvertSpec& spec, const ModelLayout& layout);

}  // namespace modelslim
