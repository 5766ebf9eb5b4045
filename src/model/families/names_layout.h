// From the headers of a checkpoint to the layout of a model.
#pragma once

#include "model/architectures.h"
#include "model/families/names_family.h"
#include "model/source_forms.h"
#include "model/stacked_experts.h"

namespace modelslim {

class Checkpoint;

struct NamesSource {
  const Checkpoint& checkpoint;
  const SourceForms& forms;
  const ArchitectureRow* row = nullptr;  // null: an unknown architecture
  DType dtype = DType::kBF16;            // that codes become, and that the model computes in
  const NamesConversion* conversion = nullptr;
  StackRules stacks = {};
};

// Blocks are what stands below one number ("model.layers.3", "mtp.layers.0", "visual.blocks.7"), in the order of their
// names, modules in the order of theirs; a last block holds the Linears that are below none. Errors: MakeNamesFamily.
ModelLayout MakeNamesLayout(const NamesSource& source);

}  // namespace modelslim
