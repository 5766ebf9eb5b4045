#include "model/unused_tensors.h"

#include <algorithm>
#include <map>
#include <optional>
#include <unordered_set>
#include <utility>

#include "base/progress.h"
#include "io/checkpoint.h"
#include "model/architectures.h"
#include "model/name_parts.h"

namespace modelslim {
namespace {

// What is known about a name that no module loads.
struct Unused {
  std::string_view name;
  std::vector<std::string_view> parts;
  bool left_out = false;               // by ModelLayout::left_out_prefixes
  bool module_is_there = false;        // the model has the module that this would be a parameter of
  std::optional<bool> layer_is_there;  // "model.layers.N.": whether the model has a layer N
  bool in_mtp_layer = false;           // the checkpoint has what joins two tokens in that layer
};

bool HasPart(const Unused& unused, std::initializer_list<std::string_view> words) {
  return std::any_of(unused.parts.begin(), unused.parts.end(),
                     [&](std::string_view part) { return std::find(words.begin(), words.end(), part) != words.end(); });
}

bool EndsWith(const Unused& unused, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), unused.parts.back()) != words.end();
}

// The reasons, most telling first; the first that fits is given.
struct Reason {
  std::string_view text, advice;
  bool told_only;
  bool (*fits)(const Unused& unused);
};

constexpr Reason kReasons[] = {
    {"layers for multi-token prediction, which msModelSlim leaves out of this model's output too", "", true,
     [](const Unused& u) { return u.left_out; }},
    {"an adapter that was not merged",
     "merge the adapter into the weights (peft: merge_and_unload) and give the result", false,
     [](const Unused& u) {
       return HasPart(u, {"lora_A", "lora_B", "lora_embedding_A", "lora_embedding_B", "lora_magnitude_vector",
                          "base_layer", "modules_to_save"});
     }},
    {"a tower for images, video or sound, or what joins it to the language model", "", false,
     [](const Unused& u) { return IsInTower(u.name); }},
    {"layers for multi-token prediction (MTP)", "", false,
     [](const Unused& u) {
       return u.in_mtp_layer || HasPart(u, {"mtp", "mtp_block", "mtp_layers", "mtp_emb_norm", "mtp_hidden_norm",
                                            "mtp_linear_proj", "eh_proj", "enorm", "hnorm", "nextn"});
     }},
    {"scales of another quantization", "", false,
     [](const Unused& u) {
       return EndsWith(u, {"weight_scale_inv", "weight_scale", "weight_scale_2", "weight_offset", "input_scale",
                           "activation_scale", "output_scale", "k_scale", "v_scale", "kv_scale"});
     }},
    {"layers beyond num_hidden_layers of config.json", "correct num_hidden_layers in config.json", false,
     [](const Unused& u) { return u.layer_is_there == false; }},
    {"parameters that config.json does not give to these modules, so that the output would compute something else",
     "take the config.json that was saved with these weights (attention_bias and mlp_bias tell of biases)", false,
     [](const Unused& u) { return u.module_is_there; }},
    {"modules that layers of this model_type do not have", "check model_type in config.json", false,
     [](const Unused& u) { return u.layer_is_there == true; }},
    {"a head for another task than text generation", "", false,
     [](const Unused& u) {
       return HasPart(u, {"score", "classifier", "v_head", "value_head", "reward_head", "regression_head", "pooler"});
     }},
    {"tensors that are not part of this model_type", "", false, [](const Unused&) { return true; }}};

// Modules and layers that the model has.
class Modules {
 public:
  Modules(const ModelLayout& layout, const Checkpoint& checkpoint) : layout_(layout), checkpoint_(checkpoint) {
    for (const BlockInfo& block : layout.blocks) {
      blocks_.insert(block.name);
      Add(block.modules);
    }
    Add(layout.rest);
  }

  Unused About(const std::string& name) const {
    Unused unused;
    unused.name = name;
    unused.parts = PartsOf(name);
    unused.left_out = std::any_of(layout_.left_out_prefixes.begin(), layout_.left_out_prefixes.end(),
                                  [&](const std::string& prefix) { return name.starts_with(prefix); });
    const size_t last = name.rfind('.');
    unused.module_is_there = last != std::string::npos && names_.contains(std::string_view(name).substr(0, last));
    if (unused.parts.size() > 3 && unused.parts[0] == "model" && unused.parts[1] == "layers" &&
        IsNumber(unused.parts[2])) {
      const auto end = static_cast<size_t>(unused.parts[2].data() + unused.parts[2].size() - name.data());
      const std::string layer = name.substr(0, end);
      unused.layer_is_there = blocks_.contains(layer);
      unused.in_mtp_layer = !*unused.layer_is_there && (checkpoint_.Find(layer + ".eh_proj.weight") != nullptr ||
                                                        checkpoint_.Find(layer + ".enorm.weight") != nullptr);
    }
    return unused;
  }

 private:
  void Add(const std::vector<ModuleInfo>& modules) {
    for (const ModuleInfo& module : modules) names_.insert(module.name);
  }

  const ModelLayout& layout_;
  const Checkpoint& checkpoint_;
  std::unordered_set<std::string_view> names_, blocks_;
};

}  // namespace

uint64_t UnusedTensors::bytes() const {
  uint64_t sum = 0;
  for (const CheckpointTensor* const tensor : tensors) sum += tensor->bytes;
  return sum;
}

std::vector<UnusedTensors> GroupUnused(const ModelLayout& layout, const Checkpoint& checkpoint,
                                       const std::vector<std::string>& names) {
  const Modules modules(layout, checkpoint);
  std::map<std::pair<const Reason*, std::string>, UnusedTensors> groups;
  for (const std::string& name : names) {
    const Unused unused = modules.About(name);
    const Reason* const reason =
        std::find_if(std::begin(kReasons), std::end(kReasons), [&](const Reason& each) { return each.fits(unused); });
    std::string pattern = PatternOf(name);
    UnusedTensors& group = groups[{reason, pattern}];
    group.reason = reason->text;
    group.advice = reason->advice;
    group.told_only = reason->told_only;
    group.pattern = std::move(pattern);
    group.tensors.push_back(&checkpoint.Require(name));
  }
  // The map has them by reason already.
  std::vector<UnusedTensors> sorted;
  for (auto& [key, group] : groups) {
    auto place = sorted.end();
    while (place != sorted.begin() && (place - 1)->reason == group.reason && (place - 1)->bytes() < group.bytes())
      --place;
    sorted.insert(place, std::move(group));
  }
  return sorted;
}

std::string Describe(const UnusedTensors& group) {
  const std::string& first = group.tensors.front()->name;
  if (group.tensors.size() == 1) return first + " (" + FormatBytes(group.bytes()) + ")";
  return group.pattern + " (" + std::to_string(group.tensors.size()) + " tensors, " + FormatBytes(group.bytes()) +
         ", the first is " + first + ")";
}

}  // namespace modelslim
