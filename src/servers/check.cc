#include "servers/check.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <utility>

#include "base/words.h"

namespace modelslim {
namespace {

constexpr Verdict kTakes = {}, kUnknown = {Outcome::kUnknown, ""};

bool IsExpert(std::string_view name) { return name.find(".experts.") != std::string_view::npos; }
bool IsFp4(std::string_view type) { return type == "W4A8_MXFP" || type == "W4A4_MXFP4"; }
// W16A16S are floats, too, some of them zero.
bool IsFloat(const ServedLayer& layer) { return layer.type == "FLOAT" || layer.type == "W16A16S"; }

// The N of "model.layers.N.", or -1.
int64_t LayerNumber(std::string_view name) {
  constexpr std::string_view kLayers = "layers.";
  const size_t at = name.find(kLayers);
  int64_t number = -1;
  if (at != std::string_view::npos)
    std::from_chars(name.data() + at + kLayers.size(), name.data() + name.size(), number);
  return number;
}

std::string Example(const std::vector<std::string>& names) {
  return names.size() == 1 ? "" : ", for example " + names.front();
}
// "6 layers of type W8A16, for example model.layers.0.self_attn.q_proj"; the name alone where there is one.
std::string Subject(const std::vector<std::string>& names, std::string_view what) {
  return names.size() == 1 ? fmt::format("{} ({})", names.front(), what)
                           : fmt::format("{} {}{}", Counted(names.size(), "layer"), what, Example(names));
}

class Checker {
 public:
  Checker(const Served& served, std::span<const KeptFloat> kept) : served_(served), kept_(kept) {}

  std::vector<Finding> Run() {
    for (const KeptFloat& row : kept_) CheckKept(row);
    CheckTypes();
    CheckFused();
    CheckConfig();
    CheckGroupSize();
    CheckPairs();
    CheckBiases();
    CheckMix();
    CheckAttention();
    CheckRotations();
    return std::move(findings_);
  }

 private:
  void Report(std::string subject, std::vector<std::string> names, const Verdicts& verdicts, std::string tip,
              const KeptFloat* kept = nullptr) {
    if (names.empty()) return;
    Finding finding{std::move(subject), std::move(names), kept, verdicts, std::move(tip)};
    for (size_t i = 0; i < kServerCount; ++i) {
      const auto& types = Servers()[i].model_types;
      const bool about = types.empty() || std::find(types.begin(), types.end(), served_.model_type) != types.end();
      if (!about) finding.verdicts[i] = kUnknown;
    }
    if (WorstOf(finding.verdicts, EveryServer()) > Outcome::kUnknown) findings_.push_back(std::move(finding));
  }

  void CheckKept(const KeptFloat& row) {
    std::vector<std::string> names;
    std::string types;
    for (const ServedLayer& layer : served_.layers) {
      if (IsFloat(layer) || !layer.name.ends_with(row.suffix)) continue;
      names.push_back(layer.name);
      if (types.find(layer.type) == std::string::npos) types += (types.empty() ? "" : ", ") + layer.type;
    }
    if (names.empty()) return;
    const std::string subject = fmt::format("{} of type {} ({}{}): {}", row.what, types, Counted(names.size(), "layer"),
                                            ", for example " + names.front(), row.reason);
    Report(subject, std::move(names), row.verdicts, fmt::format("exclude \"*{}\"", row.suffix), &row);
  }

  void CheckTypes() {
    struct Kind {
      const TypeRow* row;
      bool experts;
      std::string type;
      std::vector<std::string> names;
    };
    std::vector<Kind> kinds;
    for (const ServedLayer& layer : served_.layers) {
      const TypeRow* const row = &TypeRowOf(layer.type, layer.grouped);
      const bool experts = IsExpert(layer.name);
      auto found = std::find_if(kinds.begin(), kinds.end(), [&](const Kind& kind) {
        return kind.row == row && kind.experts == experts && kind.type == layer.type;
      });
      if (found == kinds.end()) found = kinds.insert(found, {row, experts, layer.type, {}});
      found->names.push_back(layer.name);
    }
    for (Kind& kind : kinds) {
      std::string what = "of type " + kind.type;
      if (kind.row->grouped) what += " with scales for groups of inputs";
      if (kind.experts) what += " in experts";
      std::string subject = Subject(kind.names, what);
      Report(std::move(subject), std::move(kind.names), kind.experts ? kind.row->experts : kind.row->linear,
             std::string(kind.row->tip));
    }
  }

  void CheckFused() {
    std::map<std::string, std::map<std::string, std::string>> groups;  // fused name -> type -> an example
    for (const ServedLayer& layer : served_.layers) {
      const std::string fused = FusedName(layer.name);
      if (!fused.empty()) groups[fused].emplace(layer.type + (layer.grouped ? " by groups" : ""), layer.name);
    }
    std::vector<std::string> mixed;
    std::string example;
    for (const auto& [fused, types] : groups) {
      if (types.size() < 2) continue;
      mixed.push_back(fused);
      if (mixed.size() > 1) continue;
      for (const auto& [type, name] : types) example += (example.empty() ? "" : ", ") + name + " is " + type;
    }
    constexpr Verdict kOneType = {Outcome::kRefused, "a fused layer has one type"};
    const std::string subject = fmt::format("{} that servers fuse would hold different types ({})",
                                            Counted(mixed.size(), "layer group"), example);
    constexpr Verdict kFirstType = {Outcome::kWrong, "it reads all parts by the type of the first"};
    Report(subject, std::move(mixed), {kOneType, kOneType, kFirstType, kOneType},
           "give all parts of a group the same type");
  }

  void CheckConfig() {
    if (!served_.config_quantized) return;
    Report("config.json has a quantization_config beside the description", {"config.json"},
           {{{Outcome::kRefused, "it takes the description for that of the config"},
             {Outcome::kRefused, "it takes the description for that of the config"},
             {Outcome::kWrong, "it goes by the config and leaves the description"},
             kUnknown}},
           "take the key out of config.json");
  }

  // One number for the whole model, which every MX or grouped layer sets.
  void CheckGroupSize() {
    std::vector<std::string> names;
    for (const ServedLayer& layer : served_.layers) {
      if (IsExpert(layer.name) && layer.type == "W4A8_DYNAMIC") names.push_back(layer.name);
    }
    if (names.empty() || (served_.has_group_size && served_.group_size <= 0)) return;
    if (!served_.has_group_size) {
      Report(Subject(names, "of type W4A8_DYNAMIC in experts, where the description has no group_size"), names,
             {{{Outcome::kWrong, "it assumes 256"}, kTakes, kTakes, kUnknown}}, "write \"group_size\": 0");
      return;
    }
    const Verdicts verdicts = {
        {{Outcome::kWrong, "it takes them for scales in two levels, of which nothing fills the second"},
         {Outcome::kRefused, "it takes none with a group size"},
         kTakes,
         kUnknown}};
    Report(Subject(names, fmt::format("of type W4A8_DYNAMIC in experts, beside group_size {} of other layers",
                                      served_.group_size)),
           names, verdicts, "give the other layers types without groups (int8 per_channel instead of MX or per_group)");
  }

  // Kernels take the scales of 32 inputs in pairs; only the MXFP8 layer outside of experts fills up an odd number.
  void CheckPairs() {
    std::vector<std::string> names;
    for (const ServedLayer& layer : served_.layers) {
      const bool pairs = IsFp4(layer.type) || (layer.type == "W8A8_MXFP8" && IsExpert(layer.name));
      if (pairs && layer.inputs % 64 != 0) names.push_back(layer.name);
    }
    if (names.empty()) return;
    constexpr Verdict kPairs = {Outcome::kRefused, "it takes scales in pairs: inputs that 64 divides"};
    std::string subject = Subject(names, "of an MX type whose number of inputs 64 does not divide");
    Report(std::move(subject), std::move(names), {kPairs, kUnknown, kPairs, kUnknown},
           "exclude them, or use W8A8_DYNAMIC there");
  }

  void CheckBiases() {
    std::vector<std::string> names;
    for (const ServedLayer& layer : served_.layers) {
      if (layer.type == "W8A8_MXFP8" && layer.has_bias) names.push_back(layer.name);
    }
    if (names.empty()) return;
    Report(Subject(names, "of type W8A8_MXFP8 with a bias"), names,
           {kTakes, kTakes, kTakes, {Outcome::kWrong, "its layer of this type has no bias"}},
           "exclude them, or use W8A8_DYNAMIC there");
  }

  void CheckMix() {
    const std::string& said = served_.model_quant_type;
    if (said == "W8A8_MIX" || said == "W8A8") return;  // a layer of W8A8_MIX holds all that one of W8A8 has
    std::vector<std::string> names;
    for (const ServedLayer& layer : served_.layers) {
      if (layer.type == "W8A8_MIX") names.push_back(layer.name);
    }
    if (names.empty()) return;
    Report(Subject(names, "of type W8A8_MIX where model_quant_type is " + said), names,
           {kTakes, kTakes, kTakes, {Outcome::kWrong, "it reads them as model_quant_type says"}},
           "use one type beside pd_mix, or none");
  }

  void CheckAttention() {
    std::vector<std::string> drafts;
    for (const std::string& name : served_.fa_attention) {
      if (served_.decoder_layers > 0 && LayerNumber(name) >= served_.decoder_layers) drafts.push_back(name);
    }
    const Verdict stops = {Outcome::kRefused, "the model loads, drafting stops at fa_k"};
    if (!drafts.empty()) {
      Report(fmt::format("{} (fa3_quant on the layer for multi-token prediction)", drafts.front()), drafts,
             {stops, stops, {Outcome::kUnused, "it drops the scales"}, kUnknown},
             fmt::format("exclude \"{}\" in fa3_quant", drafts.front()));
    }
    const Verdicts not_sglang = {kTakes, kTakes, {Outcome::kUnused, "its cache stays float"}, kUnknown};
    if (const auto& names = served_.fa_attention; !names.empty())
      Report(Subject(names, "with scales of fa3_quant"), names, not_sglang, "leave it to vLLM-Ascend");
    if (const auto& names = served_.cached_attention; !names.empty())
      Report(Subject(names, "with scales of a C8 cache"), names, not_sglang, "leave it to vLLM-Ascend");
  }

  void CheckRotations() {
    if (const auto& names = served_.indexer_rotations; !names.empty() && !served_.indexer_quantized) {
      const Verdict nowhere = {Outcome::kRefused, "it has a place for them only beside indexer_quant_type"};
      Report(fmt::format("rotations of the indexer ({}) without indexer_quant_type", names.front()), names,
             {nowhere, nowhere, {Outcome::kWrong, "it drops them"}, kUnknown},
             "leave online_quarot out: nothing loads it until fa3_quant quantizes the indexer per token");
    }
    if (const auto& names = served_.online_rotations; !names.empty()) {
      Report(fmt::format("rotations that are done while the model runs ({})", names.front()), names,
             {{{Outcome::kWrong, "it drops them, or stops at them"},
               kUnknown,
               {Outcome::kWrong, "it drops them"},
               kUnknown}},
             "give quarot online: false");
    }
  }

  const Served& served_;
  std::span<const KeptFloat> kept_;
  std::vector<Finding> findings_;
};

}  // namespace

void Served::Add(std::string_view name, std::string_view type, int64_t columns) {
  const auto base = [&](std::string_view suffix) { return std::string(name.substr(0, name.size() - suffix.size())); };
  const auto ends = [&](std::string_view suffix) { return name.ends_with(suffix); };
  if (ends(".weight") && !type.empty()) {
    ServedLayer& layer = LayerOf(base(".weight"));
    layer.type = type;
    layer.inputs = IsFp4(type) ? 2 * columns : columns;  // two in a byte
  } else if (ends(".weight_scale") && !type.starts_with("W8A8_MXFP") && !type.starts_with("W4A8_MXFP") &&
             !type.starts_with("W4A4_MXFP")) {
    if (columns > 1) LayerOf(base(".weight_scale")).grouped = true;
  } else if (ends(".bias")) {
    LayerOf(base(".bias")).has_bias = true;
  } else if (ends(".fa_k.scale")) {
    fa_attention.push_back(base(".fa_k.scale"));
  } else if (ends(".k_proj.kv_cache_scale")) {
    cached_attention.push_back(base(".k_proj.kv_cache_scale"));
  } else if (ends(".indexer.q_rot") || ends(".indexer.k_rot")) {
    indexer_rotations.emplace_back(name);
  } else if (ends(".heads_rotation") || ends(".kronecker_rotation_m") || ends(".kronecker_rotation_n")) {
    online_rotations.emplace_back(name);
  }
}

ServedLayer& Served::LayerOf(std::string_view name) {
  // The tensors of a layer are neighbours wherever they are listed in the order of writing; else it is looked for.
  if (!layers.empty() && layers.back().name == name) return layers.back();
  const auto [found, added] = places_.try_emplace(std::string(name), layers.size());
  if (added) layers.push_back({std::string(name), "", false, false});
  return layers[found->second];
}

std::vector<Finding> CheckServed(Served served, std::span<const KeptFloat> kept) {
  // Something beside a weight that the description does not list, or that is no layer's.
  std::erase_if(served.layers, [](const ServedLayer& layer) { return layer.type.empty(); });
  return Checker(served, kept).Run();
}

std::string FindingText(const Finding& finding, const ServerChoice& choice) {
  std::string text = finding.subject + ". " + VerdictText(finding.verdicts, choice);
  if (!finding.tip.empty()) text += ". Better: " + finding.tip;
  return text;
}

std::string FusedName(std::string_view name) {
  constexpr std::pair<std::string_view, std::string_view> kParts[] = {{"q_proj", "qkv_proj"},
                                                                      {"k_proj", "qkv_proj"},
                                                                      {"v_proj", "qkv_proj"},
                                                                      {"gate_proj", "gate_up_proj"},
                                                                      {"up_proj", "gate_up_proj"},
                                                                      {"q_a_proj", "fused_qkv_a_proj"},
                                                                      {"kv_a_proj_with_mqa", "fused_qkv_a_proj"}};
  // All projections of all experts of a block are one module for the engine.
  if (const size_t experts = name.find(".experts."); experts != std::string_view::npos)
    return std::string(name.substr(0, experts + 8));
  const size_t dot = name.rfind('.');
  for (const auto& [part, fused] : kParts) {
    if (name.substr(dot + 1) == part) return std::string(name.substr(0, dot + 1)) + std::string(fused);
  }
  return "";
}

}  // namespace modelslim
