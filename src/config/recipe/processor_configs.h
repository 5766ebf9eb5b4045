// The processors of the v1 family as plain values: what `spec.process` items hold after validation. Defaults stand here
// and nowhere else; types, ranges and texts stand in schema_processors.cc.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "config/patterns/pattern_list.h"
#include "config/recipe/qconfig.h"

namespace modelslim {

struct ProcessorConfig;

// All four, in the order of the documentation.
std::vector<SubgraphType> AllSubgraphTypes();

struct LinearQuantConfig {
  LinearQConfig qconfig;
  // What no recipe of the v1 family can say. The type to write, where it does not follow from `qconfig`: the qconfig
  // then says how to calibrate.
  std::optional<QuantMode> written_as;
  Selection select = Selection::All(EmptyList::kNothing);
};

struct GroupConfig {
  std::vector<ProcessorConfig> configs;
};

// include/exclude of the smoothing processors match the source module of a subgraph: the norm, v_proj or up_proj.
struct SmoothQuantConfig {
  double alpha = 0.5;
  bool symmetric = true;
  Selection select = Selection::All(EmptyList::kEverything);
};

struct IterSmoothConfig {
  double alpha = 0.9;
  double scale_min = 1e-5;
  bool symmetric = true;
  std::vector<SubgraphType> enable_subgraph_type = AllSubgraphTypes();
  Selection select = Selection::All(EmptyList::kEverything);
  // What no recipe of the v1 family can say: the groups behind norms come first; the statistics are magnitudes, of the
  // weights in all groups and of the inputs as they are before a shift.
  bool norms_first = false;
  bool magnitudes = false;
};

// Both are searched unless both are given.
struct FlexSmoothConfig {
  std::optional<double> alpha;
  std::optional<double> beta;
  std::vector<SubgraphType> enable_subgraph_type = AllSubgraphTypes();
  Selection select = Selection::All(EmptyList::kEverything);
  bool norms_first = false;  // as in IterSmoothConfig
};

struct FlexAwqSszConfig {
  LinearQConfig qconfig;
  std::optional<double> alpha;
  std::optional<double> beta;  // accepted and never used
  std::vector<SubgraphType> enable_subgraph_type = AllSubgraphTypes();
  Selection select = Selection::All(EmptyList::kEverything);
};

struct AwqConfig {
  QConfig weight_qconfig;
  int64_t n_grid = 20;
  std::vector<SubgraphType> enable_subgraph_type = AllSubgraphTypes();
  Selection select = Selection::All(EmptyList::kEverything);
};

struct KvSmoothConfig {
  double smooth_factor = 1.0;
  Selection select = Selection::All(EmptyList::kNothing);
};

struct DynamicCacheConfig {
  QConfig qconfig;
  // modelslim_v0: what k_proj and v_proj put out is observed, before the rotary embedding, over all samples.
  bool before_rope = false;
  Selection select = Selection::All(EmptyList::kEverything);
};

// What each branch becomes; a branch that is absent keeps int8 per_head.
struct Fa3Details {
  std::optional<QConfig> fa_q;
  std::optional<QConfig> fa_k;
  std::optional<QConfig> fa_v;
};

struct Fa3Config {
  std::optional<QConfig> qconfig;  // for q, k and v alike; exclusive with details
  std::optional<Fa3Details> details;
  Selection select = Selection::All(EmptyList::kNothing);
};

// Of modelslim_v0, and in no recipe: every norm of the model gets a bias of zeros.
struct NormBiasConfig {};

// Of modelslim_v0, and in no recipe: finds out how far the inputs of linears reach (see ScoresOf).
struct InputRangeConfig {};

struct FloatSparseConfig {
  double sparse_ratio = 0.3;
  Selection select = Selection::All(EmptyList::kEverything);
};

struct QuarotConfig {
  bool online = false;
  int64_t block_size = -1;  // -1: the full size
  std::vector<int64_t> down_proj_online_layers;
  int64_t max_tp_size = 4;
  bool export_extra_info = true;
};

struct OnlineQuarotConfig {
  int64_t block_size = -1;
  Selection select = Selection::All(EmptyList::kEverything);
};

struct AutoroundStrategy {
  LinearQConfig qconfig;
  Selection select = Selection::All(EmptyList::kNothing);
  SourcePos pos;
  std::string path;
};

struct AutoroundConfig {
  int64_t iters = 10;
  bool enable_round_tuning = true;
  bool enable_minmax_tuning = true;
  std::vector<AutoroundStrategy> strategies;  // the first that matches a layer has it
};

struct AdaptRotationConfig {
  int64_t stage = 1;
  int64_t block_size = -1;
  // stage 1
  int64_t steps = 20;
  RotationQuantDType quant_dtype = RotationQuantDType::kInt4;
  std::vector<std::string> layer_type{"up_proj"};  // substrings of module names
  int64_t max_samples = 2048;
  // stage 2
  bool online = false;
  std::vector<int64_t> down_proj_online_layers;
  int64_t max_tp_size = 4;
};

struct FlatquantConfig {
  Selection select = Selection::All(EmptyList::kNothing);
};

struct SvdResConfig {
  int64_t rank = 32;
  Selection select = Selection::All(EmptyList::kNothing);
};

// Internal to the reference's layer-wise runner; accepted, and without effect here.
struct LoadConfig {
  std::string device = "cpu";
  bool non_blocking = false;
  LoadMode mode = LoadMode::kLoad;
  bool cleanup = false;
  bool post_offload = false;
};

// A saver written as an item of `process`. Its directory is not replaced by the one of the command line.
struct SaverProcessorConfig {
  int64_t part_file_size = 4;  // GiB (2^30 bytes); 0: one file
  std::string save_directory = ".";
};

using ProcessorVariant =
    std::variant<std::monostate, LinearQuantConfig, GroupConfig, SmoothQuantConfig, IterSmoothConfig, FlexSmoothConfig,
                 FlexAwqSszConfig, AwqConfig, KvSmoothConfig, DynamicCacheConfig, Fa3Config, FloatSparseConfig,
                 QuarotConfig, OnlineQuarotConfig, AutoroundConfig, AdaptRotationConfig, FlatquantConfig, SvdResConfig,
                 LoadConfig, SaverProcessorConfig, NormBiasConfig, InputRangeConfig>;

struct ProcessorConfig {
  std::string type;  // "linear_quant"
  SourcePos pos;     // of the item
  std::string path;  // "spec.process[0]"
  ProcessorVariant config;

  // The typed configuration, or null when this is another processor.
  template <class T>
  const T* As() const {
    return std::get_if<T>(&config);
  }
};

}  // namespace modelslim
