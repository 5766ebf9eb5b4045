#include <algorithm>
#include <utility>

#include "base/words.h"
#include "io/checkpoint.h"
#include "io/json_ref.h"
#include "model/checkpoint_facts.h"
#include "model/families/deepseek_v3.h"
#include "model/families/deepseek_v3_2.h"
#include "model/families/dense.h"
#include "model/families/qwen3_moe.h"
#include "model/families/qwen3_next.h"
#include "model/family.h"
#include "model/multimodal.h"
#include "model/source_forms.h"

namespace modelslim {
namespace {

using Made = std::unique_ptr<Family>;

// An architecture: the model_type values of config.json and who computes them, under any adapter's name.
struct Architecture {
  std::vector<std::string_view> config_types;
  Made (*make)(std::string_view adapter, const Json& config, const Checkpoint& checkpoint);
  std::span<const KeptFloat> kept_float = {};
};

const std::vector<Architecture>& Architectures() {
  static const std::vector<Architecture> list = {
      {{"llama", "mistral", "qwen2", "qwen3"}, MakeDense},
      {{"qwen3_moe"}, MakeQwen3Moe, Qwen3MoeKeptFloat()},
      {{"qwen3_next"}, MakeQwen3Next, Qwen3NextKeptFloat()},
      {{"deepseek_v3", "kimi_k2"}, MakeDeepseekV3, DeepseekV3KeptFloat()},
      {{"deepseek_v32", "deepseek_v3_2"}, MakeDeepseekV32, DeepseekV32KeptFloat()},
  };
  return list;
}

std::string ConfigType(const Json& config) { return JsonRef(config, "config.json")["model_type"].StringOr(""); }

bool Contains(const std::vector<std::string_view>& list, std::string_view name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

template <const auto& kAdapter>
Made MakeAny(const Json& config, const Checkpoint& checkpoint) {
  const std::string type = ConfigType(config);
  const auto& list = Architectures();
  const auto found = std::find_if(list.begin(), list.end(), [&](const Architecture& architecture) {
    return Contains(architecture.config_types, type);
  });
  MODELSLIM_CHECK(found != list.end());  // MakeFamily() has looked
  return found->make(kAdapter, config, checkpoint);
}

constexpr char kDefault[] = "default", kQwen15[] = "qwen1_5", kQwen2[] = "qwen2", kQwen25[] = "qwen2_5", kQwq[] = "qwq",
               kQwen3[] = "qwen3", kQwen3Moe[] = "qwen3_moe", kQwen3Next[] = "qwen3_next",
               kDeepseekV3[] = "deepseek_v3", kDeepseekV32[] = "deepseek_v3_2", kKimiK2[] = "kimi_k2";

std::vector<std::string_view> AllConfigTypes() {
  std::vector<std::string_view> all;
  for (const Architecture& architecture : Architectures()) {
    all.insert(all.end(), architecture.config_types.begin(), architecture.config_types.end());
  }
  return all;
}

}  // namespace

ModelFacts FactsOf(const Json& config) {
  JsonRef ref(config, "config.json");
  if (!ref["num_hidden_layers"] && ref["text_config"]) ref = ref["text_config"];
  ModelFacts facts;
  facts.type = ref["model_type"].StringOr("");
  facts.decoder_layers = ref["num_hidden_layers"] ? ref["num_hidden_layers"].AsInt(0, 10000) : 0;
  for (const Architecture& architecture : Architectures()) {
    if (Contains(architecture.config_types, facts.type)) facts.kept_float = architecture.kept_float;
  }
  return facts;
}

std::vector<std::pair<std::string_view, KeptFloat>> AllKeptFloat() {
  std::vector<std::pair<std::string_view, KeptFloat>> all;
  for (const Architecture& architecture : Architectures()) {
    for (const KeptFloat& row : architecture.kept_float) all.emplace_back(architecture.config_types.front(), row);
  }
  return all;
}

bool IsComputed(const Json& config) { return Contains(AllConfigTypes(), ConfigType(config)); }

const std::vector<FamilyEntry>& Families() {
  static const std::vector<std::string_view> kDense = {"llama", "mistral", "qwen2", "qwen3"};
  static const std::vector<FamilyEntry> list = {
      {kDefault, "", {"default"}, AllConfigTypes(), MakeAny<kDefault>},
      {kQwen15, "qwen1_5", {"Qwen1.5-110B"}, kDense, MakeAny<kQwen15>},
      {kQwen2, "qwen2", {"Qwen2-7B", "Qwen2-7B-Instruct", "Qwen2-72B"}, kDense, MakeAny<kQwen2>},
      {kQwen25,
       "qwen2_5",
       {"Qwen2.5-7B-Instruct", "Qwen2.5-32B-Instruct", "Qwen2.5-72B-Instruct", "Qwen2.5-Coder-7B-Instruct",
        "DeepSeek-R1-Distill-Qwen-1.5B", "DeepSeek-R1-Distill-Qwen-7B"},
       kDense,
       MakeAny<kQwen25>},
      {kQwq, "qwq", {"Qwen-QwQ-32B", "QwQ-32B"}, kDense, MakeAny<kQwq>},
      {kQwen3, "qwen3", {"Qwen3-8B", "Qwen3-14B", "Qwen3-32B"}, kDense, MakeAny<kQwen3>},
      {kQwen3Moe, "qwen3_moe", {"Qwen3-30B", "Qwen3-235B", "Qwen3-Coder-480B-A35B"}, {"qwen3_moe"}, MakeAny<kQwen3Moe>},
      {kQwen3Next, "qwen3_next", {"Qwen3-Next-80B-A3B-Instruct"}, {"qwen3_next"}, MakeAny<kQwen3Next>},
      {kDeepseekV3,
       "deepseek_v3",
       {"DeepSeek-V3", "DeepSeek-V3-0324", "DeepSeek-R1", "DeepSeek-R1-0528", "DeepSeek-V3.1",
        "DeepSeek-V3.1-Terminus"},
       {"deepseek_v3"},
       MakeAny<kDeepseekV3>},
      {kKimiK2, "kimi_k2", {"Kimi-K2-Instruct-0905", "Kimi-K2-Thinking"}, {"kimi_k2"}, MakeAny<kKimiK2>},
      {kDeepseekV32,
       "deepseek_v3_2",
       {"DeepSeek-V3.2-Exp", "DeepSeek-V3.2"},
       {"deepseek_v32", "deepseek_v3_2"},
       MakeAny<kDeepseekV32>},
  };
  return list;
}

const FamilyEntry& FindFamily(std::string_view model_type, bool* known) {
  const std::vector<FamilyEntry>& list = Families();
  const auto found = std::find_if(list.begin(), list.end(), [&](const FamilyEntry& entry) {
    return entry.adapter == model_type || Contains(entry.model_types, model_type);
  });
  if (known != nullptr) *known = found != list.end();
  return found != list.end() ? *found : list.front();
}

namespace {

// The adapters that would take a model of this type, for a message; empty when none does.
std::string AdaptersFor(std::string_view type) {
  std::vector<std::string_view> names;
  for (const FamilyEntry& entry : Families()) {
    if (Contains(entry.config_types, type)) names.push_back(entry.adapter);
  }
  return Joined(names);
}

[[noreturn]] void RefuseType(const FamilyEntry& entry, const std::string& type) {
  const std::string found = type.empty() ? "no model_type" : "\"" + type + "\"";
  std::string what = "config.json: model_type: expected " + Joined(entry.config_types);
  if (entry.adapter != kDefault) what += " for the adapter \"" + std::string(entry.adapter) + "\"";
  what += ", found " + found;
  if (const std::string adapters = AdaptersFor(type); !adapters.empty())
    throw Error(ErrorCode::kUnsupported, what, "leave --model_type out, or give one of " + adapters);
  throw Error(ErrorCode::kUnsupported, what,
              "leave --model_type out: a recipe that needs no data then works by the names of the tensors; 'modelslim "
              "models' lists the models that are computed");
}

}  // namespace

Made MakeFamily(const FamilyEntry& entry, const Json& config, const Checkpoint& checkpoint) {
  RefuseMultimodal(config);
  const std::string type = ConfigType(config);
  if (!Contains(entry.config_types, type)) RefuseType(entry, type);
  Made family = entry.make(config, checkpoint);
  family->facts_ = FactsOf(config);
  AttachStoredForms(checkpoint, SourceForms(checkpoint, config), &family->layout_);
  return family;
}

}  // namespace modelslim
