#include "plan/lower_v0.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/words.h"
#include "format/format.h"
#include "plan/entries.h"
#include "plan/v0_anti.h"
#include "plan/v0_layers.h"
#include "plan/v0_quant.h"

namespace modelslim {
namespace {

// The adapters that provide the v0 pipeline. Source: 26.1.0.
constexpr std::array<std::string_view, 8> kAdapters = {"default", "qwen1_5", "qwen2",     "qwen2_5",
                                                       "qwen3",   "qwq",     "qwen3_moe", "qwen3_next"};

void CheckAdapter(const Recipe& recipe, const Family& family) {
  if (std::find(kAdapters.begin(), kAdapters.end(), family.name()) != kAdapters.end()) return;
  throw Error(ErrorCode::kSchema,
              PlaceOf(recipe, recipe.api_version_pos, "apiversion") + ": modelslim_v0 has no adapter for the family " +
                  std::string(family.name()),
              "use a modelslim_v1 recipe for this model");
}

StageData CalibData(const V0Spec& spec) { return {*spec.calib_dataset, "spec.calib_dataset"}; }

StageData AntiData(const Recipe& recipe) {
  const V0Spec& spec = *recipe.v0;
  // m3 looks at nothing but the first sample: the golden case's scales are powers of its means.
  const auto part = spec.anti_cfg->anti_method == AntiMethod::kM3 ? StageData::Part::kFirst : StageData::Part::kAll;
  if (spec.anti_dataset) return {*spec.anti_dataset, "spec.anti_dataset", spec.batch_size, part};
  if (spec.calib_dataset) return {*spec.calib_dataset, "spec.calib_dataset", 0, part};
  throw Error(ErrorCode::kSchema,
              PlaceOf(recipe, spec.anti_cfg->pos, "spec.anti_cfg") +
                  ": outlier suppression needs samples, and neither "
                  "anti_dataset nor calib_dataset names any",
              "name an anti_dataset, or take anti_cfg out");
}

JobStage CacheStage(const V0Spec& spec) {
  DynamicCacheConfig own;
  own.before_rope = true;
  return {"use_kvcache_quant",
          {{"dynamic_cache", spec.calib_cfg.pos, "spec.calib_cfg.use_kvcache_quant", own}},
          CalibData(spec)};
}

JobOutput OutputOf(const Recipe& recipe) {
  const V0Spec& spec = *recipe.v0;
  JobOutput output;
  output.saver = kV0Saver;
  output.edits_config = false;
  output.part_gib = spec.calib_save_params.part_file_size.value_or(0);
  output.type = V0QuantTypeName(spec.calib_cfg.effective.type);
  output.stem = "quant_model_weight_" + LowerAscii(output.type);
  if (const std::optional<std::string>& name = spec.calib_save_params.safetensors_name) {
    constexpr std::string_view kEnd = ".safetensors";
    const std::string path = "spec.calib_save_params.safetensors_name";
    if (!name->ends_with(kEnd) || name->size() == kEnd.size() || name->find('/') != std::string::npos) {
      throw Error(ErrorCode::kSchema,
                  PlaceOf(recipe, PosOf(recipe, path), path) + ": expected a file name that ends in " +
                      std::string(kEnd) + ", found '" + *name + "'",
                  "leave it out, or name a file such as model" + std::string(kEnd));
    }
    output.stem = name->substr(0, name->size() - kEnd.size());
  }
  return output;
}

JobStage AntiStage(const Recipe& recipe, const Family& family, PlanNotes* notes) {
  return {"anti_cfg", V0AntiSteps(recipe, family, notes), AntiData(recipe)};
}

// A head that is the embedding itself cannot have other numbers.
void CheckHead(const Recipe& recipe, const Family& family) {
  if (recipe.v0->calib_cfg.disable_last_linear) return;
  for (const ModuleInfo& module : family.layout().rest) {
    if (module.kind != ModuleKind::kLinear || module.params.front().alias_of.empty()) continue;
    const std::string path = "spec.calib_cfg.disable_last_linear";
    throw Error(ErrorCode::kUnsupported,
                PlaceOf(recipe, PosOf(recipe, path), path) + ": " + module.name + " shares its weight with " +
                    module.params.front().alias_of + ", which stays float",
                "leave disable_last_linear out");
  }
}

void Check(const Recipe& recipe, const Family& family) {
  CheckHead(recipe, family);
  CheckAdapter(recipe, family);
  CheckV0Names(recipe, family);
  CheckV0Quantization(recipe);
  if (recipe.v0->calib_cfg.use_kvcache_quant && !recipe.v0->calib_dataset) {
    const std::string path = "spec.calib_cfg.use_kvcache_quant";
    throw Error(ErrorCode::kSchema, PlaceOf(recipe, PosOf(recipe, path), path) + ": the cache needs calibration data",
                "name a calib_dataset");
  }
}

void TellWhatIsOpen(const Recipe& recipe, PlanNotes* notes) {
  const V0Spec& spec = *recipe.v0;
  const auto say = [&](const std::string& path, std::string text) {
    notes->Inform(PlaceOf(recipe, PosOf(recipe, path), path), std::move(text));
  };
  if (spec.calib_params.disable_level > 0) {
    say("spec.calib_params.disable_level",
        Counted(spec.calib_params.disable_level, "layer") +
            " more will stay float; which ones is found out at the start of the run, and they are not in this plan");
  }
  if (spec.calib_cfg.act_method == 3) {
    say("spec.calib_cfg.act_method", "histogram or min-max is chosen for each layer at the start of the run");
  }
}

void TellWhatIsOurs(const Recipe& recipe, PlanNotes* notes) {
  const V0Spec& spec = *recipe.v0;
  const V0CalibConfig& c = spec.calib_cfg;
  const auto place = [&](const std::string& path) { return PlaceOf(recipe, PosOf(recipe, path), path); };
  if (c.is_lowbit && c.use_sigma && c.effective.type == V0QuantType::kW8A8S && c.sigma_factor != 3.0) {
    notes->Inform(
        place("spec.calib_cfg.sigma_factor"),
        "has no effect in 26.1.0: outliers lie beyond three deviations of a row's magnitudes, whatever it says");
  }
  const bool is_static = c.effective.type == V0QuantType::kW8A8 || c.effective.type == V0QuantType::kW8A8Mix ||
                         c.effective.type == V0QuantType::kW8A8S;
  if (c.act_method != 1 && is_static) {
    notes->Warn(place("spec.calib_cfg.act_method"),
                "the histogram of modelslim_v0 is not known; what is computed is that of modelslim_v1, and its ranges "
                "differ from those of 26.1.0. Use 1 for ranges that are the same");
  }
  if (c.effective.type == V0QuantType::kW4A8Dynamic) {
    notes->Warn(
        place("spec.calib_cfg.w_bit"),
        "how 26.1.0 shares a scale between the two levels of W4A8_DYNAMIC is not known; their products are the scales "
        "of the groups");
  }
}

}  // namespace

std::optional<Job> DecidingJobOfV0(const Recipe& recipe, const Family& family) {
  const V0Spec& spec = *recipe.v0;
  if (!V0LooksAtData(spec)) return std::nullopt;
  Check(recipe, family);
  Job job;
  if (spec.anti_cfg) job.stages.push_back(AntiStage(recipe, family, &job.notes));
  job.notes = {};  // the job itself says it all again
  JobStage look{
      "disable_level", {{"input_range", spec.calib_cfg.pos, "spec.calib_params", InputRangeConfig{}}}, CalibData(spec)};
  // The golden case has the ratios of the last sample that passed, not of all; low-bit ones are looked at after one.
  look.data->part = spec.calib_cfg.is_lowbit ? StageData::Part::kFirst : StageData::Part::kLast;
  job.stages.push_back(std::move(look));
  return job;
}

Job LowerV0(const Recipe& recipe, const Family& family, const InputRanges* ranges) {
  const V0Spec& spec = *recipe.v0;
  Check(recipe, family);
  Job job;
  if (ranges == nullptr && V0LooksAtData(spec)) TellWhatIsOpen(recipe, &job.notes);
  TellWhatIsOurs(recipe, &job.notes);
  if (spec.anti_cfg) job.stages.push_back(AntiStage(recipe, family, &job.notes));
  if (spec.calib_cfg.use_kvcache_quant) job.stages.push_back(CacheStage(spec));
  JobStage quantize{"calib_cfg", V0QuantSteps(recipe, V0Layers(recipe, family, ranges)), std::nullopt};
  if (spec.calib_dataset) quantize.data = CalibData(spec);
  job.stages.push_back(std::move(quantize));
  job.output = OutputOf(recipe);
  return job;
}

}  // namespace modelslim
