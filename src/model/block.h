// One block with its live modules, and what a forward pass needs to know.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/module.h"

namespace modelslim {

// Stands in an attention and sees what FA3 quantizes; may replace it (fake quantization). A latent attention that has
// one runs in its absorbed form: queries [rows, heads * kv_lora], keys and values [rows, kv_lora], the latter being the
// keys as the hook left them, and what comes back for them is not used.
enum class FaPart : uint8_t { kQuery, kKey, kValue };
class FaHook {
 public:
  virtual ~FaHook() = default;
  // Nothing: x goes on as it is.
  virtual std::optional<Tensor> Apply(FaPart part, const ConstView& x, const RowGroups& groups) = 0;
};

// Modules by name. Built when the runner enters the block, dropped when it leaves.
class Block {
 public:
  Block(const BlockInfo& info, const WeightSource& source) : info_(&info), source_(&source) {}

  const BlockInfo& info() const { return *info_; }
  const std::string& name() const { return info_->name; }
  const WeightSource& source() const { return *source_; }

  // Null when the block has no such module. Names are full.
  LinearModule* FindLinear(std::string_view name);
  NormModule* FindNorm(std::string_view name);
  Parameter* FindParameter(std::string_view tensor_name);  // of a kOther or kEmbedding module
  // The same by the name inside the block ("self_attn.q_proj"); must exist.
  LinearModule& linear(std::string_view suffix);
  NormModule& norm(std::string_view suffix);
  Parameter& parameter(std::string_view suffix);

  // In the order of info().modules.
  std::vector<LinearModule*> linears();
  // Of an attention of this block (a name in info().attention); null unless a processor set one. Only DeepSeek-V3 heeds
  // it.
  std::shared_ptr<FaHook>& fa_hook(const std::string& attention) { return fa_hooks_[attention]; }

  // Of a RotationSite of this block; null unless a processor set one. Gets [rows, heads * size].
  std::shared_ptr<const InputTransform>& rotation(const std::string& site) { return rotations_[site]; }

  void Add(std::unique_ptr<LinearModule> module);
  void Add(std::unique_ptr<NormModule> module);
  void Add(Parameter parameter);

 private:
  const BlockInfo* info_;
  const WeightSource* source_;
  std::vector<LinearModule*> order_;
  std::map<std::string, std::unique_ptr<LinearModule>, std::less<>> linears_;
  std::map<std::string, std::unique_ptr<NormModule>, std::less<>> norms_;
  std::map<std::string, Parameter, std::less<>> parameters_;
  std::map<std::string, std::shared_ptr<FaHook>, std::less<>> fa_hooks_;
  std::map<std::string, std::shared_ptr<const InputTransform>, std::less<>> rotations_;
};

// Sees keys and values where an attention would put them into its cache: after norms and rotary embedding.
// keys [rows, kv_heads * dim], values [rows, kv_heads * v_dim].
class KvObserver {
 public:
  virtual ~KvObserver() = default;
  virtual void Observe(const std::string& attention, const ConstView& keys, const ConstView& values,
                       const RowGroups& groups) = 0;
};

// Sees how the tokens of a chunk are spread over the experts of a layer.
class ExpertObserver {
 public:
  virtual ~ExpertObserver() = default;
  // experts: their common name, "model.layers.3.mlp.experts"; tokens[e]: how many of the rows chose expert e;
  // x [rows, hidden]: what an expert that every row chose would read.
  virtual void Observe(const std::string& experts, std::span<const int64_t> tokens, const ConstView& x,
                       const RowGroups& groups) = 0;
};

// Everything beside the hidden states that a forward of one chunk of samples needs.
struct ForwardContext {
  RowGroups groups;
  std::span<const int32_t> ids;  // token ids of the rows
  KvObserver* kv = nullptr;
  ExpertObserver* experts = nullptr;
  Keep keep = Keep::kPacked;
  // The modules outside of the blocks (MTP layers need the final norm and the head).
  Block* rest = nullptr;
};

// y of several Linears that read the same tensor, x [rows, in]. For each module its input transform comes first (once
// for modules that share it), then its observers, then its activation stage (once for modules that share one; untouched
// stages that would compute the same become one), then the product. Each is released to `keep` when it is done.
// groups.watch sees what enters and leaves.
std::vector<Tensor> ForwardLinears(std::span<LinearModule* const> modules, const ConstView& x, const RowGroups& groups,
                                   Keep keep);
Tensor ForwardLinear(LinearModule& module, const ConstView& x, const RowGroups& groups, Keep keep);

// Shows keys and values to the observer of the context, if there is one, and before it to the watch.
void ObserveKeysAndValues(const ForwardContext& context, const std::string& attention, const ConstView& keys,
                          const ConstView& values);

}  // namespace modelslim
