// The mixture-of-experts layers of the Qwen families: what config.json says about them and their forward.
#pragma once

#include <string>
#include <vector>

#include "model/block.h"
#include "model/config_reader.h"
#include "model/family.h"
#include "model/parts/moe.h"

namespace modelslim {

struct MoeConfig {
  int64_t experts = 0, top_k = 0;
  int64_t intermediate = 0;         // of one expert
  int64_t shared_intermediate = 0;  // of the shared expert; 0: there is none
  bool renormalize = false;
  int64_t sparse_step = 1;
  std::vector<int64_t> dense_layers;

  bool IsSparse(int64_t layer) const;
  Family::ExpertCount Count(int64_t layer) const;
  // Names of the gated units of a layer whose mlp is named `mlp`: "<mlp>.experts.0" ... or "<mlp>" itself when it is
  // dense.
  std::vector<std::string> Units(const std::string& mlp, int64_t layer) const;
  // Multiplications of the linears that one token passes through.
  int64_t MultiplyAdds(const BlockInfo& block) const;
};

struct MoeDefaults {
  int64_t experts = 0, top_k = 0, intermediate = 0, shared_intermediate = 0;
  bool renormalize = false;
};
MoeConfig ReadSoftmaxMoe(const JsonRef& config, const MoeDefaults& defaults, int64_t layers);

// Router, experts and, where there is one, the gated shared expert of a sparse layer, below "mlp". x [rows, hidden].
Tensor SoftmaxMoe(const MoeConfig& moe, Block& block, const UnitForward& unit, const ConstView& x,
                  const ForwardContext& context);

// What it holds at most, x aside.
uint64_t SoftmaxMoeBytes(const MoeConfig& moe, int64_t hidden, const ForwardForm& form);

// An Error at the key `count` when layers * experts is more than a model can have modules.
void CheckExpertCount(const JsonRef& count, int64_t layers, int64_t experts);

}  // namespace modelslim
