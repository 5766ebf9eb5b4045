#include "model/parts/mla.h"

#include <cmath>

#include "model/parts/layout_builder.h"
#include "ops/columns.h"

namespace modelslim {

MlaSizes ReadMlaSizes(const JsonRef& config) {
  MlaSizes sizes;
  sizes.hidden = ReadSizeOr(config, "hidden_size", 7168);
  sizes.heads = config["num_attention_heads"] ? config["num_attention_heads"].AsInt(1, 65536) : 128;
  // null is a choice here (no low-rank queries), so only an absent key means the default.
  const Json* const q_lora = config.value()->Find("q_lora_rank");
  sizes.q_lora = q_lora == nullptr ? 1536 : q_lora->is_null() ? 0 : ReadSize(config, "q_lora_rank");
  sizes.kv_lora = ReadSizeOr(config, "kv_lora_rank", 512);
  sizes.nope = ReadSizeOr(config, "qk_nope_head_dim", 128);
  sizes.rope = ReadSizeOr(config, "qk_rope_head_dim", 64);
  sizes.v = ReadSizeOr(config, "v_head_dim", 128);
  if (sizes.rope % 2 != 0) config["qk_rope_head_dim"].Fail("an even number");
  return sizes;
}

float MlaScale(const MlaSizes& sizes, double mscale, double factor) {
  double scale = 1.0 / std::sqrt(static_cast<double>(sizes.qk()));
  if (mscale != 0 && factor > 1) {
    const double m = 0.1 * mscale * std::log(factor) + 1.0;
    scale *= m * m;
  }
  return static_cast<float>(scale);
}

void AddMla(std::vector<ModuleInfo>* modules, const std::string& prefix, const MlaSizes& sizes, DType dtype,
            DType norm_dtype) {
  if (sizes.q_lora == 0) {
    modules->push_back(LinearInfo(prefix + ".q_proj", sizes.heads * sizes.qk(), sizes.hidden, dtype));
  } else {
    modules->push_back(LinearInfo(prefix + ".q_a_proj", sizes.q_lora, sizes.hidden, dtype));
    modules->push_back(NormInfo(prefix + ".q_a_layernorm", sizes.q_lora, norm_dtype));
    modules->push_back(LinearInfo(prefix + ".q_b_proj", sizes.heads * sizes.qk(), sizes.q_lora, dtype));
  }
  modules->push_back(LinearInfo(prefix + ".kv_a_proj_with_mqa", sizes.kv_lora + sizes.rope, sizes.hidden, dtype));
  modules->push_back(NormInfo(prefix + ".kv_a_layernorm", sizes.kv_lora, norm_dtype));
  modules->push_back(LinearInfo(prefix + ".kv_b_proj", sizes.heads * (sizes.nope + sizes.v), sizes.kv_lora, dtype));
  modules->push_back(LinearInfo(prefix + ".o_proj", sizes.hidden, sizes.heads * sizes.v, dtype));
}

RopeOptions MlaQueryRope(const MlaSizes& sizes, RopeLayout layout) {
  return {.heads = sizes.heads, .begin = sizes.nope, .layout = layout};
}

KeysAndValues AssembleKeys(const MlaSizes& sizes, const ConstView& kv, const ConstView& k_pe) {
  const DType dtype = Promote(kv.dtype, k_pe.dtype);
  KeysAndValues made{Tensor(dtype, {kv.rows(), sizes.heads * sizes.qk()}),
                     Tensor(dtype, {kv.rows(), sizes.heads * sizes.v})};
  std::vector<ColumnCopy> keys, rotated, values;
  for (int64_t h = 0; h < sizes.heads; ++h) {
    const int64_t from = h * (sizes.nope + sizes.v);
    keys.push_back({from, h * sizes.qk(), sizes.nope});
    rotated.push_back({0, h * sizes.qk() + sizes.nope, sizes.rope});
    values.push_back({from + sizes.nope, h * sizes.v, sizes.v});
  }
  CopyColumns(kv, made.keys.view(), keys);
  CopyColumns(k_pe, made.keys.view(), rotated);
  CopyColumns(kv, made.values.view(), values);
  return made;
}

Subgraph MlaValueGroup(const MlaSizes& sizes, const std::string& attention) {
  Subgraph group;
  group.type = SubgraphType::kOv;
  group.source = attention + ".kv_b_proj";
  group.targets = {attention + ".o_proj"};
  group.fusion = Subgraph::Fusion::kKv;
  group.heads = group.kv_heads = sizes.heads;
  group.nope_dim = sizes.nope;
  group.v_dim = sizes.v;
  return group;
}

}  // namespace modelslim
