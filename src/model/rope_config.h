// Rotary settings in every form that config.json has had: rope_theta beside rope_scaling, or both in rope_parameters,
// once for all layers or by the kind of layer ("full_attention", "sliding_attention").
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "io/json_ref.h"
#include "ops/rope.h"

namespace modelslim {

struct RopeRules {
  int64_t head_dim = 0;  // elements of a head, or of the part of it that is made for rotation
  double default_theta = 10000.0;
  // The share of these elements that rotates where the file is silent. Nothing: all rotate, and a file that asks for
  // less is refused, because the family does not compute it.
  std::optional<double> default_share = {};
};

// The settings of every layer; equal ones are kept once.
struct LayerRopes {
  std::vector<RopeConfig> kinds;
  std::vector<size_t> of_layer;

  const RopeConfig& of(int64_t layer) const { return kinds[of_layer[static_cast<size_t>(layer)]]; }
};

// Where a value stands twice, the one inside of the settings counts, and rope_scaling counts before rope_parameters, as
// in transformers 5; a warning tells of values that differ. Throws Error(kUnsupported) for a rope type or a setting
// that is not computed here, Error(kInvalidModel) for one that is no number or is missing.
LayerRopes ReadLayerRopes(const JsonRef& config, const RopeRules& rules, int64_t layers);

// The same for a family whose layers all rotate alike; Error(kUnsupported) when the file says otherwise.
RopeConfig ReadRope(const JsonRef& config, const RopeRules& rules, int64_t layers);

// Whether the file has rotary settings beside rope_theta.
bool HasRopeSettings(const JsonRef& config);

}  // namespace modelslim
