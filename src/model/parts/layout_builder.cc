#include "model/parts/layout_builder.h"

#include <utility>

namespace modelslim {

std::string LayerName(int64_t index) { return "model.layers." + std::to_string(index); }

ParamInfo ParamOf(std::string name, Shape shape, DType dtype) {
  ParamInfo info;
  info.name = std::move(name);
  info.shape = std::move(shape);
  info.dtype = dtype;
  return info;
}

ModuleInfo LinearInfo(const std::string& name, int64_t out, int64_t in, DType dtype, bool bias) {
  ModuleInfo info{name, ModuleKind::kLinear, {ParamOf(name + ".weight", {out, in}, dtype)}};
  if (bias) info.params.push_back(ParamOf(name + ".bias", {out}, dtype));
  return info;
}

ModuleInfo NormInfo(const std::string& name, int64_t size, DType dtype) {
  return {name, ModuleKind::kNorm, {ParamOf(name + ".weight", {size}, dtype)}};
}

ModuleInfo EmbeddingInfo(const std::string& name, int64_t vocab, int64_t hidden, DType dtype) {
  return {name, ModuleKind::kEmbedding, {ParamOf(name + ".weight", {vocab, hidden}, dtype)}};
}

ModuleInfo OtherInfo(const std::string& name, std::vector<ParamInfo> params) {
  return {name, ModuleKind::kOther, std::move(params)};
}

void AddGatedMlp(std::vector<ModuleInfo>* modules, const std::string& prefix, int64_t hidden, int64_t intermediate,
                 DType dtype, bool bias, bool down_before_up) {
  modules->push_back(LinearInfo(prefix + ".gate_proj", intermediate, hidden, dtype, bias));
  ModuleInfo up = LinearInfo(prefix + ".up_proj", intermediate, hidden, dtype, bias);
  ModuleInfo down = LinearInfo(prefix + ".down_proj", hidden, intermediate, dtype, bias);
  modules->push_back(std::move(down_before_up ? down : up));
  modules->push_back(std::move(down_before_up ? up : down));
}

std::vector<ModuleInfo> HeadModules(const HeadOptions& options) {
  std::vector<ModuleInfo> modules;
  modules.push_back(EmbeddingInfo("model.embed_tokens", options.vocab, options.hidden, options.dtype));
  modules.push_back(NormInfo("model.norm", options.hidden, options.dtype));
  ModuleInfo head = LinearInfo("lm_head", options.vocab, options.hidden, options.dtype);
  if (options.tied) head.params.front().alias_of = "model.embed_tokens.weight";
  modules.push_back(std::move(head));
  return modules;
}

std::vector<std::string> Join(const std::string& prefix, std::initializer_list<const char*> names) {
  std::vector<std::string> joined;
  for (const char* const name : names) joined.push_back(prefix + "." + name);
  return joined;
}

}  // namespace modelslim
