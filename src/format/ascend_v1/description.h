// quant_model_description.json: the type of every tensor, and what is said of the model as a whole.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "format/format.h"

namespace modelslim::ascend_v1 {

inline constexpr const char* kDescriptionFile = "quant_model_description.json";
inline constexpr const char* kWeightsStem = "quant_model_weights";

// What the description says beside the tensors.
struct DescriptionGlobals {
  std::string model_quant_type = "Unknown";
  int64_t group_size = 0;
  bool kv_c8 = false;         // kv_cache_type and kv_quant_type
  std::string fa_quant_type;  // "FAKQuant" when static per-head attention quantization is used
  // Entries that stand among the tensors and are none ("A.quant_type": "INT8").
  std::vector<std::pair<std::string, std::string>> extra_entries;
  // metadata.quarot, when there are online rotations.
  struct Quarot {
    int64_t max_tp_size = 0;
    std::vector<std::string> heads_layers, kronecker_layers;
  };
  std::optional<Quarot> quarot;
  std::string global_rotation_file;  // "optional/quarot.safetensors" when written
};

// The highest type by the reference's order among `modes` (every linear of the model, those outside of blocks too);
// W4A8_DYNAMIC is not in the order. "Unknown" when there is no linear.
std::string ModelQuantType(const std::vector<QuantMode>& modes, const Compat& options);

DescriptionGlobals GlobalsOf(const WrittenModel& model, const Compat& options);

std::string DescriptionJson(const OutputLayout& layout, const DescriptionGlobals& globals, const Compat& options);

}  // namespace modelslim::ascend_v1
