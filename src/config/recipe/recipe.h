// A validated recipe. LoadRecipe reads one from YAML; whatever a recipe may contain is checked there, so that users of
// these structs need no checks of their own.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "config/recipe/diagnostic.h"
#include "config/recipe/processor_configs.h"
#include "config/recipe/v0_config.h"

namespace modelslim {

struct Label {
  std::optional<int64_t> w_bit;
  std::optional<int64_t> a_bit;
  bool is_sparse = false;
  bool kv_cache = false;
  bool fa_quant = false;
  std::optional<int64_t> fa_bit;
};

struct VerifiedTags {
  std::string model_type;
  std::vector<std::vector<std::string>> scenarios;
};

// Only the look-up of best practices reads it.
struct Metadata {
  std::string config_id = "Unknown";
  double score = 100;
  Label label;
  std::vector<std::string> verified_model_types;
  std::vector<VerifiedTags> verified_tags;  // counts only where verified_model_types is empty

  // The model types that it was verified for; empty: it says nothing about models.
  std::vector<std::string> VerifiedNames() const;
};

// `type` as written, with the alias "distributed_ascendv1_saver" turned into "ascendv1_saver_distributed".
struct SaverConfig {
  std::string type;
  int64_t part_file_size = 4;  // GiB (2^30 bytes); 0: one file
  std::string save_directory = ".";
  SourcePos pos;
  std::string path;  // "spec.save[0]"
};

// A stage that runs before the main one (adapt_rotation).
struct PriorStage {
  std::vector<ProcessorConfig> process;
  std::optional<std::string> dataset;  // unset: the dataset of the spec
  SourcePos pos;
};

// spec of modelslim_v1, and the common part of the two multimodal services.
struct TextSpec {
  RunnerKind runner = RunnerKind::kAuto;
  std::vector<ProcessorConfig> process;
  std::vector<SaverConfig> save;  // may be empty: nothing is written
  std::string dataset = "mix_calib.jsonl";
  std::vector<PriorStage> prior;
};

// The multimodal services know one schedule, so it is their default (26.1.0).
struct VlmSpec : TextSpec {
  VlmSpec() { runner = RunnerKind::kLayerWise; }
  std::string default_text = "Describe this image in detail.";
};

struct DumpConfig {
  CaptureMode capture_mode = CaptureMode::kArgs;
  std::string dump_data_dir;  // empty: the save path
  bool enable_dump = true;
};

// An attribute of the diffusion pipeline's argument object, as written.
struct PipelineArgument {
  enum class Kind { kNull, kBool, kInt, kFloat, kString, kOther };
  std::string name;
  Kind kind = Kind::kNull;
  std::string text;
  SourcePos pos;
};

struct SdConfig {
  DumpConfig dump_config;
  std::vector<PipelineArgument> model_config;  // model_config or inference_config, in file order
  bool from_inference_config = false;

  const PipelineArgument* Find(std::string_view name) const;
};

struct SdSpec : TextSpec {
  SdSpec() { runner = RunnerKind::kLayerWise; }
  SdConfig multimodal_sd_config;
};

// One value of the recipe as it takes effect, for `recipe explain`.
struct EffectiveValue {
  std::string path;   // "spec.process[0].alpha"
  std::string value;  // YAML text
  SourcePos pos;      // unknown: the default
};

struct ConvertSpec;

struct Recipe {
  std::string file;  // as the user gave it
  ApiVersion api_version = ApiVersion::kV1;
  SourcePos api_version_pos;
  Metadata metadata;
  bool has_metadata = false;

  // Exactly one of these is set, by api_version.
  std::optional<V0Spec> v0;
  std::optional<TextSpec> v1;
  std::optional<VlmSpec> vlm;
  std::optional<SdSpec> sd;

  std::vector<EffectiveValue> values;  // in the order of the schema

  // Of a modelslim_convert recipe, which else reads as the v1 recipe that makes the same types; null for all others.
  std::shared_ptr<const ConvertSpec> conversion;

  // The common part of v1, VLM and SD recipes; null for v0.
  const TextSpec* text() const;
};

// Reads and validates. Every mistake found goes to `diagnostics`; when it holds an error afterwards the returned recipe
// is incomplete and must not be run. Throws only for a file that cannot be read.
Recipe LoadRecipe(const fs::path& path, Diagnostics& diagnostics);
Recipe ParseRecipe(std::string_view text, const std::string& name, Diagnostics& diagnostics);

// As LoadRecipe, but throws Error (code of the first error, text of all of them). Warnings are handed to `diagnostics`.
Recipe LoadRecipeOrThrow(const fs::path& path, Diagnostics& diagnostics);

}  // namespace modelslim
