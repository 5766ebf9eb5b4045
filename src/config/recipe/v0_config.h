// The deprecated modelslim_v0 service: whole-model quantization described by the keyword arguments of the old Python
// classes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/recipe/recipe_enums.h"
#include "io/source_pos.h"

namespace modelslim {

// Exact module names, no wildcards.
struct NameList {
  std::vector<std::pair<std::string, SourcePos>> items;
  SourcePos pos;

  bool Contains(std::string_view name) const;
};

struct V0FlexConfig {
  std::optional<double> alpha;  // searched when unset
  std::optional<double> beta;
};

struct V0AntiConfig {
  AntiMethod anti_method = AntiMethod::kM2;
  int64_t w_bit = 8;
  int64_t a_bit = 8;
  bool w_sym = true;
  std::optional<int64_t> dev_id;
  NameList disable_anti_names;
  std::optional<V0FlexConfig> flex_config;
  SourcePos pos;
};

struct V0AntiParams {
  std::optional<std::string> norm_class_name;
};

// The type that the rules of the calibration configuration lead to.
enum class V0QuantType {
  kFloat,
  kW8A8,
  kW8A8Mix,
  kW8A8Dynamic,
  kW4A8Dynamic,
  kW4A4FlatquantDynamic,
  kW8A8S,
  kW8A16,
  kW4A16,
  kNf4,
  kUnknown
};
std::string_view V0QuantTypeName(V0QuantType type);

struct V0CalibConfig {
  int64_t w_bit = 8;
  int64_t a_bit = 8;
  NameList disable_names;
  bool disable_last_linear = true;
  int64_t act_method = 1;  // 1 min-max, 2 histogram, 3 automatic per layer
  V0WeightMethod w_method = V0WeightMethod::kMinMax;
  bool w_sym = true;
  bool mm_tensor = true;
  double pr = 1.0;
  bool is_dynamic = false;
  bool co_sparse = false;
  bool is_lowbit = false;
  bool do_smooth = false;
  bool use_sigma = false;
  double sigma_factor = 3.0;
  double fraction = 0.01;
  bool nonuniform = false;
  bool open_outlier = true;
  int64_t group_size = 64;
  double percdamp = 0.01;
  bool use_kvcache_quant = false;
  bool pdmix = false;
  std::optional<int64_t> dev_id;
  bool use_fa_quant = false;
  int64_t fa_amp = 0;
  SourcePos pos;

  // Derived, after the rules (co_sparse forces 4/8 bits, per-group mode changes mm_tensor, ...). `effective` values are
  // what a run uses; the fields above stay as written.
  struct Effective {
    int64_t w_bit = 8;
    int64_t a_bit = 8;
    bool co_sparse = false;
    bool mm_tensor = true;
    bool do_smooth = false;
    bool per_group = false;
    int64_t group_size = -1;
    double pr = 1.0;
    V0QuantType type = V0QuantType::kW8A8;
  } effective;
};

struct V0CalibParams {
  int64_t disable_level = 0;  // the n of "Ln"
  struct Mix {
    std::string pattern;
    V0MixType type;
    SourcePos pos;
  };
  std::vector<Mix> mix_cfg;  // in file order
};

struct V0SaveParams {
  std::optional<int64_t> part_file_size;  // GiB; unset: one file
  std::optional<std::string> safetensors_name;
};

struct V0Spec {
  std::optional<V0AntiConfig> anti_cfg;  // unset: no outlier suppression
  V0AntiParams anti_params;
  V0CalibConfig calib_cfg;
  V0CalibParams calib_params;
  V0SaveParams calib_save_params;
  int64_t batch_size = 4;  // samples per batch of anti_dataset only
  std::optional<std::string> anti_dataset;
  std::optional<std::string> calib_dataset = "teacher_qualification.jsonl";  // explicit null: data-free
};

}  // namespace modelslim
