// The ascendV1 layout that vLLM-Ascend, MindIE and SGLang load: which tensors a module becomes, and the description
// file. Forms of msModelSlim 26.1.0; `Compat` holds every point where December 2025 differs.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "format/layout.h"
#include "tensor/compat.h"
#include "tensor/quant_mode.h"

namespace modelslim {

// What the description calls a type.
std::string_view TypeName(QuantMode mode, const Compat& compat);

// A linear layer as planned.
struct PlannedLinear {
  std::string name;
  QuantMode mode = QuantMode::kFloat;
  int64_t out = 0, in = 0;
  DType weight_dtype = DType::kBF16, bias_dtype = DType::kBF16;  // of the float tensors
  bool has_bias = false;
  int64_t group_size = 0;  // per-group scales (W8A16, W8A8_DYNAMIC, W4A4_DYNAMIC) and dual-scale blocks; 0 otherwise
};

// Its tensors in write order. Throws Error(kUnsupported), naming the layer, for shapes that the format cannot hold (an
// odd number of rows with packed int4, ...). `model_dtype` is config.json's: it decides how deq_scale is stored.
std::vector<OutputTensor> AscendTensors(const PlannedLinear& linear, DType model_dtype, const Compat& compat);

// deq_scale is I64 (the f32 bits, sign-extended) unless the model computes in bf16.
bool DeqScaleAsI64(DType model_dtype, const Compat& compat);

// What the description says beside the tensors.
struct DescriptionGlobals {
  std::string model_quant_type = "Unknown";
  int64_t group_size = 0;
  bool kv_c8 = false;         // kv_cache_type and kv_quant_type
  std::string fa_quant_type;  // "FAKQuant" when static per-head attention quantization is used
  std::string indexer_quant_type;
  // Non-tensor entries that stand among the tensors ("A.quant_type": "INT8").
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
std::string ModelQuantType(const std::vector<QuantMode>& modes, const Compat& compat);

// quant_model_description.json.
std::string DescriptionJson(const OutputLayout& layout, const DescriptionGlobals& globals, const Compat& compat);

}  // namespace modelslim
