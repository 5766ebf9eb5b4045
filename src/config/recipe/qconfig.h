// How one tensor, or the two operands of a linear layer, are quantized.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/recipe/recipe_enums.h"
#include "io/source_pos.h"
#include "tensor/quant_mode.h"

namespace modelslim {

// `ext` of a QConfig. Which keys a method reads is in qconfig_rules.cc; the others are ignored with a warning.
struct QConfigExt {
  std::optional<int64_t> step;                       // ssz: iterations; unset means 50
  std::vector<int64_t> axes;                         // MX: the axis of the blocks of 32; empty means -1, the last
  std::optional<int64_t> group_size;                 // per_group scopes: weights per scale; gptq takes 128 when unset
  ScaleDType scale_dtype = ScaleDType::kBFloat16;    // autoround weights: how scales are stored
  double percdamp = 0.01;                            // gptq: damping, share of the mean diagonal
  int64_t block_size = 128;                          // gptq: columns handled together
  Aggregation aggregation_type = Aggregation::kMax;  // static minmax activations: over calibration samples
  std::optional<int64_t> dual_block_size;            // dualscale: columns per outer scale, required there
  double outlier_fraction = 0.01;                    // of modelslim_v0: share of the weights that are outliers
  double ceil_x_value = 7.25;                        // ceil_x: divisor of a block's largest magnitude
  bool enable_search = false;                        // ceil_x: try search_min, + search_step, ..., search_max instead
  double search_min = 6.0;
  double search_max = 12.0;
  double search_step = 0.25;
};

// A key of `ext` as it stands in the recipe.
struct ExtKey {
  std::string name;
  SourcePos pos;
};

struct QConfig {
  QDType dtype = QDType::kFloat;
  QScope scope = QScope::kPerTensor;
  bool symmetric = true;
  std::string method = "none";
  QConfigExt ext;
  std::vector<ExtKey> ext_keys;  // those that are given; whether they have an effect depends on who owns the qconfig
  SourcePos pos;
  std::string path;  // "spec.process[0].qconfig.act"
};

// `act` absent or float means weight-only.
struct LinearQConfig {
  std::optional<QConfig> act;
  QConfig weight;
  SourcePos pos;
};

}  // namespace modelslim
