#include "config/recipe/convert_v0.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "config/recipe/coerce.h"
#include "io/yaml.h"

namespace modelslim {
namespace {

using Names = std::vector<std::string>;

// What stands in the way, by the key that asks for it.
class Obstacles {
 public:
  explicit Obstacles(const Recipe& recipe) : spec_(*recipe.v0) {}

  Names Find() {
    Quantization();
    Data();
    if (spec_.anti_cfg) Anti(*spec_.anti_cfg);
    for (const V0CalibParams::Mix& mix : spec_.calib_params.mix_cfg) {
      const bool differs = mix.pattern.find_first_of("{}\\") != std::string::npos;
      Note(differs, "spec.calib_params.mix_cfg", "'" + mix.pattern + "' means something else as a pattern of v1");
    }
    return std::move(found_);
  }

 private:
  void Note(bool there, const std::string& key, const std::string& why) {
    if (there) found_.push_back(key + ": " + why);
  }

  void Quantization() {
    const V0CalibConfig& c = spec_.calib_cfg;
    const V0QuantType type = c.effective.type;
    const bool has_form =
        type == V0QuantType::kW8A8 || type == V0QuantType::kW8A8Dynamic || type == V0QuantType::kW8A16;
    Note(!has_form, "spec.calib_cfg",
         std::string(V0QuantTypeName(type)) + " is calibrated or written in another way by v1");
    Note(c.effective.mm_tensor, "spec.calib_cfg.mm_tensor", "v1 has one scale for each output channel");
    Note(type == V0QuantType::kW8A16 && !c.w_sym && c.w_method != V0WeightMethod::kGptq, "spec.calib_cfg.w_sym",
         "v1 has offsets of weights with gptq only");
    Note(c.effective.pr < 1, "spec.calib_cfg.pr", "v1 quantizes everything while it calibrates");
    Note(c.use_kvcache_quant, "spec.calib_cfg.use_kvcache_quant", "v1 takes the keys behind the rotary embedding");
    Note(c.use_fa_quant, "spec.calib_cfg.use_fa_quant", "v1 has fa3_quant, which works in another way");
    Note(c.act_method == 3 && type == V0QuantType::kW8A8, "spec.calib_cfg.act_method",
         "v1 does not choose a method for each layer");
    Note(!c.disable_last_linear, "spec.calib_cfg.disable_last_linear",
         "v1 never quantizes what is outside of the layers");
  }

  void Data() {
    Note(spec_.calib_params.disable_level > 0, "spec.calib_params.disable_level", "v1 rolls no layers back by itself");
    Note(spec_.anti_cfg && spec_.anti_dataset, "spec.anti_dataset",
         "v1 has no batches: it adds special tokens and pads nothing");
    Note(!spec_.calib_dataset && spec_.anti_cfg.has_value(), "spec.calib_dataset", "smoothing needs samples");
  }

  void Anti(const V0AntiConfig& anti) {
    const bool unknown = anti.anti_method == AntiMethod::kM2 || anti.anti_method == AntiMethod::kM5;
    Note(anti.anti_method == AntiMethod::kM3, "spec.anti_cfg.anti_method", "m3 looks at the first sample only");
    Note(unknown, "spec.anti_cfg.anti_method",
         "the algorithm of " + std::string(EnumName(anti.anti_method)) + " is not known");
    const bool other_order = anti.anti_method == AntiMethod::kM4 || anti.anti_method == AntiMethod::kM6;
    Note(other_order, "spec.anti_cfg.anti_method",
         std::string(EnumName(anti.anti_method)) +
             " smooths the groups in another order than v1 does, or by other statistics");
  }

  const V0Spec& spec_;
  Names found_;
};

class Writer {
 public:
  explicit Writer(const Recipe& recipe) : recipe_(recipe), spec_(*recipe.v0) {}

  std::string Write() {
    Line(0, "# What " + recipe_.file + " computes, for modelslim_v1.");
    Line(0, "apiversion: modelslim_v1");
    Line(0, "spec:");
    if (spec_.anti_cfg) Prior();
    Line(1, "process:");
    // Layers of several types are calibrated together.
    const bool mixed = std::any_of(spec_.calib_params.mix_cfg.begin(), spec_.calib_params.mix_cfg.end(),
                                   [](const V0CalibParams::Mix& mix) { return mix.type != V0MixType::kFloat; });
    if (mixed) {
      Line(2, "- type: group");
      Line(3, "configs:");
      depth_ = 4;
    }
    Quantization();
    if (spec_.calib_dataset) Line(1, "dataset: " + YamlQuoteIfNeeded(*spec_.calib_dataset));
    Line(1, "save:");
    Line(2, "- type: ascendv1_saver");
    Line(3, "part_file_size: " + std::to_string(spec_.calib_save_params.part_file_size.value_or(0)));
    return std::move(text_);
  }

 private:
  void Line(int depth, const std::string& text) {
    text_ += std::string(static_cast<size_t>(2 * depth), ' ') + text + "\n";
  }

  void List(int depth, const std::string& key, const Names& names) {
    if (names.empty()) return;
    Line(depth, key + ":");
    for (const std::string& name : names) Line(depth + 1, "- " + YamlQuoteIfNeeded(name));
  }

  // m1, which is all that has an equivalent, on the float model.
  void Prior() {
    Line(1, "prior:");
    Line(2, "- process:");
    Line(4, "- type: smooth_quant");
    Line(5, "alpha: 0.5");
    List(5, "exclude", {"*expert*"});
    Line(3, "dataset: " + YamlQuoteIfNeeded(*spec_.calib_dataset));
  }

  // Exact names of mix_cfg first, then its patterns in order, then everything else. What an earlier entry leaves float
  // has to be excluded from all later ones.
  void Quantization() {
    Names kept;
    for (const auto& [name, pos] : spec_.calib_cfg.disable_names.items) kept.push_back(name);
    for (const bool exact : {true, false}) {
      for (const V0CalibParams::Mix& mix : spec_.calib_params.mix_cfg) {
        if (exact != (mix.pattern.find_first_of("*?[") == std::string::npos)) continue;
        if (mix.type == V0MixType::kFloat)
          kept.push_back(mix.pattern);
        else
          Entry(TypeOf(mix.type), mix.pattern, kept);
      }
    }
    Entry(spec_.calib_cfg.effective.type, "*", kept);
  }

  static V0QuantType TypeOf(V0MixType type) {
    return type == V0MixType::kW8A8Dynamic ? V0QuantType::kW8A8Dynamic
           : type == V0MixType::kW8A16     ? V0QuantType::kW8A16
                                           : V0QuantType::kW8A8;
  }

  void Entry(V0QuantType type, const std::string& include, const Names& exclude) {
    const V0CalibConfig& c = spec_.calib_cfg;
    const int depth = depth_;
    Line(depth, "- type: linear_quant");
    Line(depth + 1, "qconfig:");
    if (type == V0QuantType::kW8A8) {
      Line(depth + 2, c.act_method == 2
                          ? "act: {dtype: int8, scope: per_tensor, symmetric: false, method: histogram}"
                          : "act: {dtype: int8, scope: per_tensor, symmetric: false, method: minmax, ext: "
                            "{aggregation_type: mean}}");
    } else if (type == V0QuantType::kW8A8Dynamic) {
      Line(depth + 2, "act: {dtype: int8, scope: per_token, symmetric: true, method: minmax}");
    }
    std::string weight = "dtype: int8, scope: ";
    const bool own = type != V0QuantType::kW8A8, gptq = own && c.w_method == V0WeightMethod::kGptq;
    const bool grouped = own && c.effective.per_group;
    weight += grouped ? "per_group" : "per_channel";
    weight += std::string(", symmetric: ") + (own && !c.w_sym ? "false" : "true");
    weight += std::string(", method: ") + (gptq ? "gptq" : "minmax");
    if (gptq) weight += ", ext: {percdamp: " + NumberText(c.percdamp);
    if (gptq && grouped) weight += ", group_size: " + std::to_string(c.effective.group_size);
    if (gptq) weight += "}";
    Line(depth + 2, "weight: {" + weight + "}");
    List(depth + 1, "include", {include});
    List(depth + 1, "exclude", exclude);
  }

  const Recipe& recipe_;
  const V0Spec& spec_;
  int depth_ = 2;  // of a step
  std::string text_;
};

}  // namespace

ConvertedRecipe ConvertV0(const Recipe& recipe) {
  ConvertedRecipe converted;
  converted.obstacles = Obstacles(recipe).Find();
  if (converted.obstacles.empty()) converted.text = Writer(recipe).Write();
  return converted;
}

}  // namespace modelslim
