#include "model/families/deepseek.h"

#include <algorithm>
#include <utility>

#include "io/checkpoint.h"
#include "model/checkpoint_facts.h"
#include "model/parts/layout_builder.h"
#include "model/parts/moe_config.h"
#include "model/rope_config.h"

namespace modelslim {
namespace {

using Part = RotationStep::Part;

NoauxOptions ReadRouting(const JsonRef& config, int64_t experts) {
  NoauxOptions routing;
  routing.top_k = config["num_experts_per_tok"] ? config["num_experts_per_tok"].AsInt(1, experts) : 8;
  routing.groups = config["n_group"] ? config["n_group"].AsInt(1, experts) : 8;
  routing.top_groups = config["topk_group"] ? config["topk_group"].AsInt(1, routing.groups) : 4;
  if (experts % routing.groups != 0)
    config["n_group"].Fail("a divisor of n_routed_experts (" + std::to_string(experts) + ")");
  if (routing.top_k > experts / routing.groups * routing.top_groups) {
    config["num_experts_per_tok"].Fail("at most the number of experts in topk_group groups");
  }
  routing.renormalize = config["norm_topk_prob"].BoolOr(true);
  routing.scale = static_cast<float>(config["routed_scaling_factor"].DoubleOr(2.5));
  for (const auto& [key, only] : {std::pair("topk_method", "noaux_tc"), std::pair("scoring_func", "sigmoid")}) {
    if (config[key].StringOr(only) == only) continue;
    throw Error(ErrorCode::kUnsupported,
                config[key].where() + ": expected \"" + only + "\", found \"" + config[key].AsString() + "\"");
  }
  return routing;
}

}  // namespace

DeepseekConfig ReadDeepseek(const Json& config, const Checkpoint& checkpoint) {
  const JsonRef ref(config, "config.json");
  DeepseekConfig made;
  made.mla = ReadMlaSizes(ref);
  made.sizes.vocab = ReadSizeOr(ref, "vocab_size", 129280);
  made.sizes.hidden = made.mla.hidden;
  made.sizes.layers = ref["num_hidden_layers"] ? ref["num_hidden_layers"].AsInt(1, 10000) : 61;
  made.sizes.heads = made.sizes.kv_heads = made.mla.heads;
  made.sizes.head_dim = made.mla.qk();
  made.sizes.eps = ref["rms_norm_eps"].DoubleOr(1e-6);
  made.intermediate = ReadSizeOr(ref, "intermediate_size", 18432);
  made.moe_intermediate = ReadSizeOr(ref, "moe_intermediate_size", 2048);
  // null is a choice here (a dense model), so only an absent key means the default.
  const JsonRef count = FirstOf(ref, {"n_routed_experts", "num_local_experts"});
  const Json* const routed = count.value();
  made.experts = routed == nullptr ? 256 : routed->is_null() ? 0 : count.AsInt(0, 65536);
  CheckExpertCount(count, made.sizes.layers + 1, made.experts);
  made.shared_experts = ref["n_shared_experts"] ? ref["n_shared_experts"].AsInt(0, 1024) : routed == nullptr ? 1 : 0;
  made.first_dense = ref["first_k_dense_replace"] ? ref["first_k_dense_replace"].AsInt(0, 10000) : 3;
  made.moe_frequency = ReadSizeOr(ref, "moe_layer_freq", 1);
  if (made.experts > 0) made.routing = ReadRouting(ref, made.experts);
  made.act = ReadActivation(ref);
  made.rope = ReadRope(ref, {.head_dim = made.mla.rope}, made.sizes.layers);
  made.dtype = ReadModelDType(ref, checkpoint);
  made.tied = ReadTied(ref, checkpoint);
  RefuseKeys(ref, {"attention_bias"});
  if (!ref["rope_interleave"].BoolOr(true)) RefuseKey(ref["rope_interleave"]);
  made.mtp = HasTensor(checkpoint, LayerName(made.sizes.layers) + ".eh_proj.weight");
  if (HasTensor(checkpoint, LayerName(made.sizes.layers + 1) + ".eh_proj.weight")) {
    throw Error(ErrorCode::kUnsupported, "config.json: num_hidden_layers: expected at most one MTP layer after layer " +
                                             std::to_string(made.sizes.layers - 1) + ", found more in the weights");
  }
  return made;
}

DeepseekFamily::DeepseekFamily(std::string_view adapter, const DeepseekConfig& config, const DeepseekTraits& traits,
                               const Checkpoint& checkpoint)
    : DecoderFamily(adapter, config.sizes), config_(config), traits_(traits) {
  layout_.dtype = config.dtype;
  for (int64_t i = 0; i < config.total_layers(); ++i) layout_.blocks.push_back(MakeBlockInfo(i, checkpoint));
  layout_.rest = HeadModules({sizes_.vocab, sizes_.hidden, config.dtype, config.tied});
  layout_.rest[1].params.front().dtype = traits.norm_dtype;
  layout_.rest[2].params.front().dtype = traits.head_dtype;
  layout_.ignored_suffixes = {".rotary_emb.inv_freq", ".rotary_emb.cos_cached", ".rotary_emb.sin_cached"};
}

double DeepseekFamily::NormEps(const ModuleInfo& module) const {
  for (const char* const fixed : {".q_a_layernorm", ".kv_a_layernorm"}) {
    if (module.name.ends_with(fixed)) return 1e-6;
  }
  return sizes_.eps;
}

BlockInfo DeepseekFamily::MakeBlockInfo(int64_t index, const Checkpoint& checkpoint) const {
  BlockInfo info;
  info.name = LayerName(index);
  info.index = static_cast<int>(index);
  info.attention = {info.name + ".self_attn"};
  AddMla(&info.modules, info.attention.front(), config_.mla, config_.dtype, traits_.norm_dtype);
  if (traits_.indexer) {
    const std::string indexer = info.attention.front() + ".indexer";
    info.modules.push_back(
        LinearInfo(indexer + ".wq_b", traits_.index_heads * traits_.index_dim, config_.mla.q_lora, config_.dtype));
    info.modules.push_back(LinearInfo(indexer + ".wk", traits_.index_dim, sizes_.hidden, config_.dtype));
    info.modules.push_back(
        OtherInfo(indexer + ".k_norm", {ParamOf(indexer + ".k_norm.weight", {traits_.index_dim}, DType::kF32),
                                        ParamOf(indexer + ".k_norm.bias", {traits_.index_dim}, DType::kF32)}));
    info.modules.push_back(LinearInfo(indexer + ".weights_proj", traits_.index_heads, sizes_.hidden, config_.dtype));
  }
  const std::string mlp = info.name + ".mlp";
  if (config_.IsSparse(index)) {
    AddMoe(mlp, checkpoint, &info.modules);
  } else {
    AddGatedMlp(&info.modules, mlp, sizes_.hidden, config_.intermediate, config_.dtype, false, traits_.down_before_up);
  }
  for (const char* const norm : {".input_layernorm", ".post_attention_layernorm"}) {
    info.modules.push_back(NormInfo(info.name + norm, sizes_.hidden, traits_.norm_dtype));
  }
  if (config_.IsMtp(index)) AddMtpExtras(info.name, &info.modules);
  return info;
}

void DeepseekFamily::AddMoe(const std::string& mlp, const Checkpoint& checkpoint,
                            std::vector<ModuleInfo>* modules) const {
  std::vector<ParamInfo> router = {ParamOf(mlp + ".gate.weight", {config_.experts, sizes_.hidden}, config_.dtype)};
  const std::string bias = mlp + std::string(kRouterBias);
  if (HasTensor(checkpoint, bias)) router.push_back(ParamOf(bias, {config_.experts}, traits_.bias_dtype));
  ModuleInfo gate = OtherInfo(mlp + ".gate", std::move(router));
  if (traits_.router_first) modules->push_back(gate);
  for (int64_t e = 0; e < config_.experts; ++e) {
    AddGatedMlp(modules, mlp + ".experts." + std::to_string(e), sizes_.hidden, config_.moe_intermediate, config_.dtype,
                false, traits_.down_before_up);
  }
  if (!traits_.router_first) modules->push_back(std::move(gate));
  if (config_.shared_experts == 0) return;
  AddGatedMlp(modules, mlp + ".shared_experts", sizes_.hidden, config_.moe_intermediate * config_.shared_experts,
              config_.dtype, false, traits_.down_before_up);
}

void DeepseekFamily::KeepRouterBias(const Checkpoint& checkpoint) {
  for (BlockInfo& block : layout_.blocks) {
    for (ModuleInfo& module : block.modules) {
      for (ParamInfo& param : module.params) {
        if (!param.name.ends_with(kRouterBias)) continue;
        const CheckpointTensor* const stored = checkpoint.Find(param.name);
        if (stored != nullptr && IsModelDType(stored->dtype)) param.dtype = stored->dtype;
      }
    }
  }
}

void DeepseekFamily::AddMtpExtras(const std::string& layer, std::vector<ModuleInfo>* modules) const {
  const int64_t hidden = sizes_.hidden;
  const DType dtype = traits_.extra_dtype;
  modules->push_back(NormInfo(layer + ".enorm", hidden, dtype));
  modules->push_back(NormInfo(layer + ".hnorm", hidden, dtype));
  modules->push_back(NormInfo(layer + ".shared_head.norm", hidden, dtype));
  modules->push_back(LinearInfo(layer + ".shared_head.head", sizes_.vocab, hidden, dtype));
  modules->push_back(LinearInfo(layer + ".eh_proj", hidden, 2 * hidden, dtype));
  modules->push_back(EmbeddingInfo(layer + ".embed_tokens", sizes_.vocab, hidden, dtype));
}

std::vector<std::string> DeepseekFamily::Units(int64_t layer) const {
  const std::string mlp = LayerName(layer) + ".mlp";
  if (!config_.IsSparse(layer)) return {mlp};
  std::vector<std::string> names;
  for (int64_t e = 0; e < config_.experts; ++e) names.push_back(mlp + ".experts." + std::to_string(e));
  if (config_.shared_experts > 0) names.push_back(mlp + ".shared_experts");
  return names;
}

Family::ExpertCount DeepseekFamily::Experts(int block) const {
  return config_.IsSparse(block) ? ExpertCount{config_.experts, config_.routing.top_k} : ExpertCount{};
}

int64_t DeepseekFamily::MultiplyAddsPerToken(int block) const {
  MoeConfig share;
  share.experts = config_.IsSparse(block) ? config_.experts : 0;
  share.top_k = config_.routing.top_k;
  return share.MultiplyAdds(layout_.blocks.at(static_cast<size_t>(block)));
}

std::vector<std::string> DeepseekFamily::InputReaders(const std::string& attention) const {
  std::vector<std::string> readers =
      Join(attention, {config_.mla.q_lora > 0 ? "q_a_proj" : "q_proj", "kv_a_proj_with_mqa"});
  if (traits_.indexer) {
    for (const std::string& name : Join(attention + ".indexer", {"wk", "weights_proj"})) readers.push_back(name);
  }
  return readers;
}

std::vector<std::string> DeepseekFamily::QueryReaders(const std::string& attention) const {
  std::vector<std::string> readers = {attention + ".q_b_proj"};
  if (traits_.indexer) readers.push_back(attention + ".indexer.wq_b");
  return readers;
}

std::vector<Subgraph> DeepseekFamily::Subgraphs(int block) const {
  // V3 leaves its MTP layer alone, V3.2 does not.
  if (config_.IsMtp(block) && !traits_.indexer) return {};
  const std::string layer = LayerName(block), attention = layer + ".self_attn";
  std::vector<Subgraph> groups;
  groups.push_back(MlaValueGroup(config_.mla, attention));
  groups.push_back({SubgraphType::kNormLinear, layer + ".input_layernorm", InputReaders(attention)});
  if (config_.mla.q_lora > 0)
    groups.push_back({SubgraphType::kNormLinear, attention + ".q_a_layernorm", QueryReaders(attention)});
  std::vector<std::string> units = Units(block);
  // The shared experts come before the routed ones here.
  if (config_.IsSparse(block) && config_.shared_experts > 0) std::rotate(units.begin(), units.end() - 1, units.end());
  for (const std::string& unit : units)
    groups.push_back({SubgraphType::kUpDown, unit + ".up_proj", {unit + ".down_proj"}});
  return groups;
}

std::optional<RotationPlan> DeepseekFamily::Rotations() const {
  RotationPlan plan;
  plan.root_dtype = traits_.rotation_dtype;
  plan.matrices.push_back({sizes_.hidden, false});
  if (config_.mla.q_lora > 0) plan.matrices.push_back({config_.mla.q_lora, true});
  plan.matrices.push_back({config_.mla.v, false});
  plan.matrices.push_back({config_.mla.kv_lora, false});
  plan.pre_run = {{"model.embed_tokens", false, {{0}}}};
  for (int64_t i = 0; i < config_.total_layers(); ++i) {
    AddFusions(i, &plan);
    AddSteps(i, &plan);
  }
  plan.fusions.push_back({{"model.norm"}, {"lm_head"}});
  plan.steps.push_back({"lm_head", false, {{0}}});
  return plan;
}

void DeepseekFamily::AddFusions(int64_t layer, RotationPlan* plan) const {
  const std::string name = LayerName(layer), attention = name + ".self_attn";
  std::vector<std::string> mlp;
  for (const std::string& unit : Units(layer)) {
    mlp.push_back(unit + ".gate_proj");
    mlp.push_back(unit + ".up_proj");
  }
  if (config_.IsSparse(layer)) mlp.push_back(name + ".mlp.gate");
  plan->fusions.push_back({{name + ".input_layernorm"}, InputReaders(attention)});
  if (config_.mla.q_lora > 0) plan->fusions.push_back({{attention + ".q_a_layernorm"}, QueryReaders(attention)});
  plan->fusions.push_back({{attention + ".kv_a_layernorm"}, {attention + ".kv_b_proj"}});
  plan->fusions.push_back({{name + ".post_attention_layernorm"}, mlp});
  if (!config_.IsMtp(layer)) return;
  plan->fusions.push_back({{name + ".enorm", name + ".hnorm"}, {name + ".eh_proj"}});
  plan->fusions.push_back({{name + ".shared_head.norm"}, {name + ".shared_head.head"}});
}

void DeepseekFamily::AddSteps(int64_t layer, RotationPlan* plan) const {
  const std::string name = LayerName(layer), attention = name + ".self_attn";
  const bool low_rank = config_.mla.q_lora > 0, mtp = config_.IsMtp(layer);
  const int of_values = low_rank ? 2 : 1, of_latent = of_values + 1;
  const auto left = [&](const std::string& target, std::vector<Part> parts) {
    plan->steps.push_back({target, true, std::move(parts)});
  };
  const auto right = [&](const std::string& target, std::vector<Part> parts) {
    plan->steps.push_back({target, false, std::move(parts)});
  };
  const std::vector<std::string> units = Units(layer);
  left(attention + ".o_proj", {{0}});
  for (const std::string& unit : units) left(unit + ".down_proj", {{0}});
  if (mtp) left(name + ".eh_proj", {{0}});
  right(attention + (low_rank ? ".q_a_proj" : ".q_proj"), {{0}});
  right(attention + ".kv_a_proj_with_mqa", {{0}});
  if (traits_.indexer) {
    right(attention + ".indexer.wk", {{0}});
    right(attention + ".indexer.weights_proj", {{0}});
  }
  for (const std::string& unit : units) {
    right(unit + ".gate_proj", {{0}});
    right(unit + ".up_proj", {{0}});
  }
  if (config_.IsSparse(layer)) right(name + ".mlp.gate", {{0}});
  if (mtp) {
    right(name + ".embed_tokens", {{0}});
    right(name + ".eh_proj", {{0}, {0}});
    right(name + ".shared_head.head", {{0}});
  }
  if (low_rank) {
    left(attention + ".q_a_proj", {{1}});
    right(attention + ".q_b_proj", {{1}});
    if (traits_.indexer) right(attention + ".indexer.wq_b", {{1}});
  }
  left(attention + ".kv_b_proj", {{-1, config_.mla.nope}, {of_values}});
  right(attention + ".o_proj", {{of_values}});
  left(attention + ".kv_a_proj_with_mqa", {{of_latent}, {-1, config_.mla.rope}});
  right(attention + ".kv_b_proj", {{of_latent}});
}

std::vector<KeptFloat> DeepseekKeptFloat() {
  constexpr Verdict kUnknown = {Outcome::kUnknown, ""};
  constexpr Verdict kAsserts = {Outcome::kRefused, "its latent attention asserts a float layer"};
  constexpr Verdict kNoDrafts = {Outcome::kRefused, "the model loads, drafting stops"};
  return {
      {".kv_b_proj",
       "projections of latents to keys and values",
       "the engine multiplies them into its queries and outputs",
       {kAsserts, kAsserts, {Outcome::kLoss, "it makes floats of int8 codes, and refuses MXFP8"}, kUnknown}},
      {".eh_proj",
       "projections of the layer for multi-token prediction",
       "engines build this layer's extras as floats",
       {kNoDrafts, kNoDrafts, kUnknown, kUnknown}},
      {".shared_head.head",
       "heads of the layer for multi-token prediction",
       "the head of the whole model stays float, too",
       {{{Outcome::kLoss, "it drafts with a rounded head"}, kUnknown, kUnknown, kUnknown}}},
  };
}

}  // namespace modelslim
