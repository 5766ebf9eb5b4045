// Rows of a layout, written shortly.
#pragma once

#include <string>
#include <vector>

#include "model/layout.h"

namespace modelslim {

// "model.layers.3"
std::string LayerName(int64_t index);

ParamInfo ParamOf(std::string name, Shape shape, DType dtype);

// "<name>.weight" [out, in] and, when asked, "<name>.bias" [out].
ModuleInfo LinearInfo(const std::string& name, int64_t out, int64_t in, DType dtype, bool bias = false);
// "<name>.weight" [size].
ModuleInfo NormInfo(const std::string& name, int64_t size, DType dtype);
// "<name>.weight" [vocab, hidden].
ModuleInfo EmbeddingInfo(const std::string& name, int64_t vocab, int64_t hidden, DType dtype);
// Parameters of a module that is none of these.
ModuleInfo OtherInfo(const std::string& name, std::vector<ParamInfo> params);

// gate_proj, up_proj and down_proj below `prefix`, in this order, or with `down_before_up` in the order of
// DeepSeek-V3.2.
void AddGatedMlp(std::vector<ModuleInfo>* modules, const std::string& prefix, int64_t hidden, int64_t intermediate,
                 DType dtype, bool bias = false, bool down_before_up = false);

// What follows the blocks of a causal language model: model.embed_tokens, model.norm, lm_head. A tied head is an alias
// of the embedding unless the checkpoint has a tensor of its own for it.
struct HeadOptions {
  int64_t vocab = 0, hidden = 0;
  DType dtype = DType::kBF16;
  bool tied = false;
};
std::vector<ModuleInfo> HeadModules(const HeadOptions& options);

// Names of the linears below a block whose weights are [out, in], for maps: Join("model.layers.0", {"a", "b"}).
std::vector<std::string> Join(const std::string& prefix, std::initializer_list<const char*> names);

}  // namespace modelslim
