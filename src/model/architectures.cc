#include "model/architectures.h"

#include <algorithm>

#include "io/json_ref.h"
#include "model/name_parts.h"

namespace modelslim {
namespace {

constexpr auto kEnd = FloatRow::Where::kEnd, kAnywhere = FloatRow::Where::kAnywhere;

constexpr std::string_view kRouter = "a router", kAbsorbed = "the server absorbs it into the attention",
                           kIndexer = "an indexer that servers build without quantization",
                           kSmall = "a small projection of linear attention",
                           kGlue = "glue of multi-token prediction that servers build without quantization",
                           kAdapter = "an adapter", kTower = "a tower for images, video or sound",
                           kReference = "the reference keeps it float";

constexpr FloatRow kGeneral[] = {
    {kEnd, "mlp.gate", kRouter},
    {kEnd, "mlp.router", kRouter},
    {kEnd, "router", kRouter},
    {kEnd, "router.proj", kRouter},
    {kEnd, "router.gate", kRouter},
    {kEnd, "router.classifier", kRouter},
    {kEnd, "gate.wg", kRouter},
    {kEnd, "block_sparse_moe.gate", kRouter},
    {kEnd, "moe.gate", kRouter},
    {kEnd, "ffn.gate", kRouter},
    {kEnd, "shared_expert_gate", kRouter},
    {kEnd, "gate.weight_1", kRouter},
    {kEnd, "g_proj", "a gate of the attention"},
    {kEnd, "kv_b_proj", kAbsorbed},
    {kEnd, "wo_a", kAbsorbed},
    {kEnd, "indexer.wk", kIndexer},
    {kEnd, "indexer.weights_proj", kIndexer},
    {kAnywhere, "compressor", kIndexer},
    {kEnd, "index_q_proj", kIndexer},
    {kEnd, "index_k_proj", kIndexer},
    {kEnd, "in_proj_a", kSmall},
    {kEnd, "in_proj_b", kSmall},
    {kEnd, "in_proj_ba", kSmall},
    {kEnd, "b_proj", kSmall},
    {kEnd, "f_a_proj", kSmall},
    {kEnd, "f_b_proj", kSmall},
    {kEnd, "g_a_proj", kSmall},
    {kEnd, "g_b_proj", kSmall},
    {kEnd, "eh_proj", kGlue},
    {kEnd, "e_proj", kGlue},
    {kEnd, "h_proj", kGlue},
    {kEnd, "mtp.fc", kGlue},
    {kAnywhere, "shared_head", kGlue},
    {kAnywhere, "mtp_linear_proj", kGlue},
    {kAnywhere, "lora_A", kAdapter},
    {kAnywhere, "lora_B", kAdapter},
    {kAnywhere, "visual", kTower},
    {kAnywhere, "vision_tower", kTower},
    {kAnywhere, "vision_model", kTower},
    {kAnywhere, "vision_adapter", kTower},
    {kAnywhere, "vision_embed_tokens", kTower},
    {kAnywhere, "vision", kTower},
    {kAnywhere, "vit", kTower},
    {kAnywhere, "vpm", kTower},
    {kAnywhere, "vit_large_projector", kTower},
    {kAnywhere, "image_newline", kTower},
    {kAnywhere, "multi_modal_projector", kTower},
    {kAnywhere, "mm_projector", kTower},
    {kAnywhere, "img_projection", kTower},
    {kAnywhere, "patch_merge_mlp", kTower},
    {kAnywhere, "resampler", kTower},
    {kAnywhere, "resampler_model", kTower},
    {kAnywhere, "embed_vision", kTower},
    {kAnywhere, "embed_audio", kTower},
    {kAnywhere, "audio_tower", kTower},
    {kAnywhere, "audio_model", kTower},
    {kAnywhere, "speech_encoder", kTower},
    {kAnywhere, "sam_model", kTower},
};

constexpr std::string_view kNoQuantizedExperts =
    "vLLM-Ascend has no quantized experts for this architecture; dense layers may load";

std::vector<ArchitectureRow> MakeRows() {
  return {
      {.name = "Qwen3.5 / 3.6",
       .types = {"qwen3_5", "qwen3_5_text"},
       .architectures = {"Qwen3_5ForConditionalGeneration", "Qwen3_5ForCausalLM"},
       .sure = Certainty::kReal,
       .signature = {"linear_attn"},
       .floats = {{kEnd, "linear_attn.out_proj", kReference}},
       .quantizes_mtp = true,
       .fused = {{"in_proj_qkv", "in_proj_z"}, {"in_proj_b", "in_proj_a"}},
       .practices = {"qwen3_5_moe"},
       .note = "the reference adds in_proj_qkv, in_proj_z and vision blocks for some sizes, and keeps mlp.down_proj of "
               "the 4B float"},
      {.name = "Qwen3.5 / 3.6 MoE",
       .types = {"qwen3_5_moe", "qwen3_5_moe_text"},
       .architectures = {"Qwen3_5MoeForConditionalGeneration", "Qwen3_5MoeForCausalLM"},
       .sure = Certainty::kReal,
       .signature = {"linear_attn"},
       .floats = {{kEnd, "self_attn.o_proj", kReference},
                  {kAnywhere, "linear_attn", kReference},
                  {kAnywhere, "shared_expert", kReference}},
       .stacked = StackedForm::kOutIn,
       .fused = {{"in_proj_qkv", "in_proj_z"}, {"in_proj_b", "in_proj_a"}},
       .practices = {"qwen3_5_moe"}},
      {.name = "GLM-4.5 / 4.6 / 4.7",
       .types = {"glm4_moe", "glm4_moe_lite", "glm4v_moe", "glm4v_moe_text"},
       .architectures = {"Glm4MoeForCausalLM", "Glm4MoeLiteForCausalLM", "Glm4vMoeForConditionalGeneration"},
       .sure = Certainty::kReal,
       .signature = {"e_score_correction_bias"},
       .floats = {{kEnd, "mlp.gate_proj", kReference},
                  {kEnd, "mlp.up_proj", kReference},
                  {kEnd, "mlp.down_proj", kReference},
                  {kAnywhere, "shared_experts", kReference}},
       .stacked = StackedForm::kOutIn,
       .copies_into_mtp = true,
       .practices = {"glm4_moe", "glm4_6v"}},
      {.name = "GLM-5 / 5.1 / 5.2",
       .types = {"glm_moe_dsa"},
       .architectures = {"GlmMoeDsaForCausalLM"},
       .sure = Certainty::kReal,
       .signature = {"indexer"},
       .copies_into_mtp = true,
       .fused = {{"q_a_proj", "kv_a_proj_with_mqa"}},
       .practices = {"glm_5"}},
      {.name = "GLM-5.3-Flash",
       .types = {"glm5_next", "glm5_next_text"},
       .architectures = {"Glm5NextForConditionalGeneration"},
       .signature = {"A_log", "hc_attn_fn"},
       .copies_into_mtp = true},
      {.name = "DeepSeek-V4",
       .types = {"deepseek_v4"},
       .architectures = {"DeepseekV4ForCausalLM"},
       .sure = Certainty::kReal,
       .signature = {"wq_a"},
       .floats = {{kEnd, "wo_b", kReference}},
       .quantizes_mtp = true,
       .fused = {{"wq_a", "wkv"}},
       .practices = {"deepseek_v4"},
       .note = "the reference rotates or smooths before it quantizes these; by names alone that is left out"},
      {.name = "MiniMax-M2",
       .types = {"minimax_m2"},
       .architectures = {"MiniMaxM2ForCausalLM"},
       .sure = Certainty::kReal,
       .signature = {"block_sparse_moe"},
       .practices = {"minimax_m2"}},
      {.name = "MiniMax-M3",
       .types = {"minimax_m3", "minimax_m3_vl", "minimax_m3_text"},
       .architectures = {"MiniMaxM3ForCausalLM", "MiniMaxM3VLForConditionalGeneration"},
       .signature = {"block_sparse_moe"},
       .floats = {{kEnd, "mlp.down_proj", kReference}, {kEnd, "shared_experts.down_proj", kReference}},
       .fused = {{"index_q_proj", "index_k_proj"}}},
      {.name = "Kimi-K2",
       .types = {"kimi_k2"},
       .architectures = {},
       .sure = Certainty::kReal,
       .signature = {"kv_a_proj_with_mqa"},
       .edits_w4a8_config = true,
       .fused = {{"q_a_proj", "kv_a_proj_with_mqa"}},
       .practices = {"kimi_k2"}},
      {.name = "Kimi-K2.5 / 2.6",
       .types = {"kimi_k25"},
       .architectures = {"KimiK25ForConditionalGeneration"},
       .sure = Certainty::kReal,
       .signature = {"kv_a_proj_with_mqa"},
       .edits_w4a8_config = true,
       .fused = {{"q_a_proj", "kv_a_proj_with_mqa"}},
       .practices = {"kimi_k2_5"}},
      {.name = "Kimi-K3",
       .types = {"kimi_k3", "kimi_linear"},
       .architectures = {},
       .sure = Certainty::kReal,
       .signature = {"block_sparse_moe", "mlp"},
       .floats = {{kAnywhere, "self_attn", kReference}}},
      {.name = "gpt-oss",
       .types = {"gpt_oss"},
       .architectures = {"GptOssForCausalLM"},
       .sure = Certainty::kReal,
       .signature = {"sinks"},
       .floats = {{kAnywhere, "experts", "no server loads quantized experts of gpt-oss"}},
       .stacked = StackedForm::kInOut,
       .interleaved = true,
       .note = kNoQuantizedExperts},
      {.name = "Gemma 3",
       .types = {"gemma3", "gemma3_text"},
       .architectures = {"Gemma3ForConditionalGeneration", "Gemma3ForCausalLM"},
       .signature = {"pre_feedforward_layernorm"}},
      {.name = "Gemma 4",
       .types = {"gemma4", "gemma4_text"},
       .architectures = {"Gemma4ForConditionalGeneration", "Gemma4ForCausalLM"},
       .sure = Certainty::kReal,
       .signature = {"pre_feedforward_layernorm"},
       .floats_beside_experts = {{kAnywhere, "self_attn", kReference}, {kAnywhere, "mlp", kReference}},
       .stacked = StackedForm::kOutIn,
       .writes_tied_head = true,
       .note = "full-attention layers have no v_proj; servers take q_proj and k_proj for it"},
      {.name = "Llama 4",
       .types = {"llama4", "llama4_text"},
       .architectures = {"Llama4ForConditionalGeneration", "Llama4ForCausalLM"},
       .sure = Certainty::kReal,
       .signature = {"feed_forward"},
       .stacked = StackedForm::kInOut,
       .note = kNoQuantizedExperts},
      {.name = "Mixtral",
       .types = {"mixtral"},
       .architectures = {"MixtralForCausalLM"},
       .sure = Certainty::kReal,
       .signature = {"block_sparse_moe"},
       .note = kNoQuantizedExperts},
      {.name = "Mistral 3 / Ministral 3",
       .types = {"mistral3", "ministral3"},
       .architectures = {"Mistral3ForConditionalGeneration"}},
      {.name = "Mistral 4",
       .types = {"mistral4"},
       .architectures = {},
       .signature = {"kv_a_proj_with_mqa"},
       .stacked = StackedForm::kOutIn,
       .fused = {{"q_a_proj", "kv_a_proj_with_mqa"}}},
      {.name = "Phi-3 / Phi-4",
       .types = {"phi3", "phi4mm"},
       .architectures = {"Phi3ForCausalLM", "Phi4MMForCausalLM"},
       .signature = {"qkv_proj"},
       .note = "qkv_proj and gate_up_proj stay one layer each, as servers load them"},
      {.name = "Phi-MoE",
       .types = {"phimoe"},
       .architectures = {"PhiMoEForCausalLM", "PhimoeForCausalLM"},
       .signature = {"block_sparse_moe"},
       .note = kNoQuantizedExperts},
      {.name = "InternLM 2",
       .types = {"internlm2"},
       .architectures = {"InternLM2ForCausalLM"},
       .signature = {"wqkv"},
       .fused = {{"feed_forward.w1", "feed_forward.w3"}},
       .note = "wqkv has its rows in groups of one key-value head and is not split"},
      {.name = "InternLM 3", .types = {"internlm3"}, .architectures = {"InternLM3ForCausalLM"}},
      {.name = "Hunyuan",
       .types = {"hunyuan_v1_dense"},
       .architectures = {"HunYuanDenseV1ForCausalLM"},
       .signature = {"query_layernorm"}},
      {.name = "Hunyuan MoE",
       .types = {"hunyuan", "hunyuan_v1_moe"},
       .architectures = {"HunYuanMoEV1ForCausalLM"},
       .sure = Certainty::kReal,
       .signature = {"wg"},
       .note = kNoQuantizedExperts},
      {.name = "Hunyuan 3",
       .types = {"hy_v3"},
       .architectures = {"HYV3ForCausalLM"},
       .signature = {"expert_bias"},
       .quantizes_mtp = true,
       .note = kNoQuantizedExperts},
      {.name = "ERNIE 4.5", .types = {"ernie4_5"}, .architectures = {"Ernie4_5ForCausalLM"}},
      {.name = "ERNIE 4.5 MoE",
       .types = {"ernie4_5_moe", "ernie4_5_moe_vl", "ernie4_5_vl_moe"},
       .architectures = {"Ernie4_5_MoeForCausalLM", "Ernie4_5_VLMoeForConditionalGeneration"},
       .signature = {"moe_statics"},
       .note = kNoQuantizedExperts},
      {.name = "Step-3.5 / 3.7",
       .types = {"step3p5", "step3p7"},
       .architectures = {"Step3p5ForCausalLM", "Step3p7ForConditionalGeneration"},
       .signature = {"moe"},
       .floats = {{kAnywhere, "self_attn", kReference},
                  {kAnywhere, "mlp", kReference},
                  {kAnywhere, "share_expert", kReference}},
       .stacked = StackedForm::kOutIn,
       .practices = {"step_3_5_flash"}},
      {.name = "LongCat-Flash",
       .types = {"longcat_flash"},
       .architectures = {"LongcatFlashForCausalLM"},
       .signature = {"mlps"},
       .floats = {{kEnd, "o_proj", kReference}},
       .fused = {{"q_a_proj", "kv_a_proj_with_mqa"}},
       .practices = {"longcat_flash"}},
      {.name = "MiMo-V2",
       .types = {"mimo_v2_flash", "mimo_v2"},
       .architectures = {"MiMoV2FlashForCausalLM", "MiMoV2ForCausalLM"},
       .sure = Certainty::kReal,
       .signature = {"e_score_correction_bias"},
       .note = kNoQuantizedExperts},
      {.name = "Qwen3-VL",
       .types = {"qwen3_vl", "qwen3_vl_text"},
       .architectures = {"Qwen3VLForConditionalGeneration"},
       .sure = Certainty::kReal,
       .signature = {"visual"},
       .practices = {"qwen3_vl"}},
      {.name = "Qwen3-VL-MoE",
       .types = {"qwen3_vl_moe", "qwen3_vl_moe_text"},
       .architectures = {"Qwen3VLMoeForConditionalGeneration"},
       .sure = Certainty::kReal,
       .signature = {"visual"},
       .practices = {"qwen3_vl_moe"}},
      {.name = "Qwen2.5-VL",
       .types = {"qwen2_5_vl", "qwen2_5_vl_text"},
       .architectures = {"Qwen2_5_VLForConditionalGeneration"},
       .signature = {"visual"},
       .practices = {"qwen2_5_vl"}},
  };
}

bool Contains(const std::vector<std::string_view>& list, std::string_view word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

std::string TypeOf(const Json* config) {
  if (config == nullptr || config->object() == nullptr) return "";
  const Json* const type = config->Find("model_type");
  return type != nullptr && type->string() != nullptr ? *type->string() : "";
}

}  // namespace

bool FloatRow::Matches(std::string_view module) const {
  return where == Where::kEnd ? EndsWithParts(module, parts) : HasParts(module, parts);
}

std::string_view CertaintyName(Certainty sure) {
  constexpr std::string_view kNames[] = {"code", "real files", "told", "inferred"};
  return kNames[static_cast<size_t>(sure)];
}

const std::vector<ArchitectureRow>& ArchitectureRows() {
  static const std::vector<ArchitectureRow> rows = MakeRows();
  return rows;
}

const ArchitectureRow* FindArchitecture(const Json& config) {
  if (config.object() == nullptr) return nullptr;
  std::vector<std::string> types = {TypeOf(&config)};
  for (const char* const key : {"text_config", "language_config", "llm_config"})
    types.push_back(TypeOf(config.Find(key)));
  for (const std::string& type : types) {
    for (const ArchitectureRow& row : ArchitectureRows()) {
      if (Contains(row.types, type)) return &row;
    }
  }
  const Json* const names = config.Find("architectures");
  if (names == nullptr || names->array() == nullptr) return nullptr;
  for (const Json& name : *names->array()) {
    for (const ArchitectureRow& row : ArchitectureRows()) {
      if (name.string() != nullptr && Contains(row.architectures, *name.string())) return &row;
    }
  }
  return nullptr;
}

std::span<const FloatRow> GeneralFloats() { return kGeneral; }

const std::vector<std::vector<std::string_view>>& FusedGroups() {
  static const std::vector<std::vector<std::string_view>> groups = {
      {"q_proj", "k_proj", "v_proj"}, {"gate_proj", "up_proj"}, {"w1", "w3"}};
  return groups;
}

bool IsInTower(std::string_view name) {
  return std::any_of(std::begin(kGeneral), std::end(kGeneral),
                     [&](const FloatRow& row) { return row.reason == kTower && row.Matches(name); });
}

bool IsEmbeddingName(std::string_view module) {
  constexpr std::string_view kNames[] = {"embed_tokens",
                                         "embed",
                                         "tok_embeddings",
                                         "wte",
                                         "embed_tokens_per_layer",
                                         "embeddings",
                                         "embedding",
                                         "wpe",
                                         "word_embeddings",
                                         "pos_embed",
                                         "pos_emb",
                                         "tok_emb",
                                         "position_embed",
                                         "pos_embedding",
                                         "position_embedding",
                                         "position_embeddings",
                                         "embed_positions"};
  const std::string_view last = module.substr(module.rfind('.') == std::string_view::npos ? 0 : module.rfind('.') + 1);
  return std::find(std::begin(kNames), std::end(kNames), last) != std::end(kNames);
}

bool IsHeadName(std::string_view module) {
  return EndsWithParts(module, "lm_head") || module == "head" || module == "output" || EndsWithParts(module, "score");
}

}  // namespace modelslim
