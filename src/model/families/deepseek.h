// What DeepSeek-V3 and V3.2 share: configuration, layer table, smoothing groups, rotations, experts, the MTP layer's
// input.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "model/families/decoder_family.h"
#include "model/parts/mla.h"
#include "model/parts/moe.h"
#include "ops/experts/routing_noaux.h"
#include "ops/rope.h"

namespace modelslim {

struct DeepseekConfig {
  DecoderSizes sizes;  // layers: without the MTP layer
  MlaSizes mla;
  int64_t intermediate = 0, moe_intermediate = 0;
  int64_t experts = 0, shared_experts = 0, first_dense = 0, moe_frequency = 1;
  NoauxOptions routing;
  RopeConfig rope;
  Activation act = Activation::kSilu;
  bool tied = false;
  bool announces_mtp = true;  // config.json tells servers how MTP layers are quantized; not that of Kimi-K2
  bool mtp = false;           // the checkpoint has one layer more, which predicts the token after the next
  DType dtype = DType::kBF16;

  int64_t total_layers() const { return sizes.layers + (mtp ? 1 : 0); }
  bool IsMtp(int64_t layer) const { return layer == sizes.layers; }
  bool IsSparse(int64_t layer) const { return experts > 0 && layer >= first_dense && layer % moe_frequency == 0; }
};

// Absent keys have the values of the published models.
DeepseekConfig ReadDeepseek(const Json& config, const Checkpoint& checkpoint);

// How the two differ in their tables.
struct DeepseekTraits {
  DType norm_dtype = DType::kBF16;   // of the norms of ordinary layers
  DType extra_dtype = DType::kBF16;  // of what only the MTP layer has
  DType bias_dtype = DType::kBF16;   // of the router's correction bias
  DType head_dtype = DType::kBF16;
  DType rotation_dtype = DType::kF32;
  bool indexer = false;       // V3.2
  bool router_first = false;  // the router stands before the experts; V3.2
  bool down_before_up = false;
  int64_t index_heads = 0, index_dim = 0;
};

class DeepseekFamily : public DecoderFamily {
 public:
  std::vector<Subgraph> Subgraphs(int block) const override;
  std::optional<RotationPlan> Rotations() const override;
  ExpertCount Experts(int block) const override;
  int64_t MultiplyAddsPerToken(int block) const override;
  bool IsForwarded(const ModuleInfo& module) const override { return !module.name.ends_with(".shared_head.head"); }

  void KeepRouterBias(const Checkpoint& checkpoint) override;

 protected:
  DeepseekFamily(std::string_view adapter, const DeepseekConfig& config, const DeepseekTraits& traits,
                 const Checkpoint& checkpoint);
  // The latent norms and the MTP layer's own are made with 1e-6 whatever the file says.
  double NormEps(const ModuleInfo& module) const override;

  // Of the mlp of a layer, see ForwardBytes(), and of the MTP layer, whose ordinary part takes `layer` bytes.
  uint64_t MlpBytes(int64_t layer, const ForwardForm& form) const;
  uint64_t MtpBytes(const ForwardForm& form, uint64_t layer) const;

  DeepseekConfig config_;
  DeepseekTraits traits_;

 private:
  BlockInfo MakeBlockInfo(int64_t index, const Checkpoint& checkpoint) const;
  void AddMoe(const std::string& mlp, const Checkpoint& checkpoint, std::vector<ModuleInfo>* modules) const;
  void AddMtpExtras(const std::string& layer, std::vector<ModuleInfo>* modules) const;
  // What reads the layer's first norm, and what the norm of the latent query.
  std::vector<std::string> InputReaders(const std::string& attention) const;
  std::vector<std::string> QueryReaders(const std::string& attention) const;
  void AddFusions(int64_t layer, RotationPlan* plan) const;
  void AddSteps(int64_t layer, RotationPlan* plan) const;
  // The gated units of a layer: routed experts first, then the shared ones; or the dense one.
  std::vector<std::string> Units(int64_t layer) const;
};

// Router and routed experts below "mlp": f32 [rows, hidden], summed in f32.
Tensor DeepseekExperts(const DeepseekConfig& config, Block& block, const UnitForward& unit, const ConstView& x,
                       const ForwardContext& context);

// ---- the MTP layer ----

// The ids that its embedding reads, of one sample: the first 0 (the mark of the beginning) leaves, or the first id
// where there is none; `next` is appended.
std::vector<int32_t> ShiftIds(std::span<const int32_t> ids, int32_t next);

// eh_proj([enorm(embed(shifted ids)) | hnorm(hidden)]). `next` are the predicted ids, one per sample; hidden [rows, H].
// `bf16_ids`: the shifted ids are rounded to bf16 first, the predicted ones not. That is what 26.1.0 does to a bf16
// V3.2 (its ids pass through a tensor of the default type), so its calibration of the MTP layer sees other tokens than
// it should; so do we, to find its scales.
Tensor MtpInput(Block& block, const ForwardContext& context, std::span<const int32_t> next, const ConstView& hidden,
                bool bf16_ids = false);

// What stays float in both.
std::vector<KeptFloat> DeepseekKeptFloat();

// The most likely next id of every sample after the final norm and the head, which are read from context.rest; hidden
// [rows, H].
std::vector<int32_t> PredictNext(const ForwardContext& context, const ConstView& hidden);
// The most likely next id of every sample from the logits [samples, vocab]; the lowest of equal ones.
std::vector<int32_t> ArgMaxRows(const ConstView& logits);
// Row numbers of the last token of every sample; an empty sample is an Error(kInvalidDataset).
std::vector<int64_t> LastRows(const RowGroups& groups);

}  // namespace modelslim
