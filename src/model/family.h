// A model architecture: its module table, block forward, smoothing groups and rotation maps. One file per family,
// mostly data.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/json.h"
#include "model/block.h"
#include "model/layout.h"
#include "servers/check.h"

namespace modelslim {

class Checkpoint;
struct FamilyEntry;

// What config.json alone tells of a model, whatever computes it.
struct ModelFacts {
  std::string type;                       // model_type; of text_config where only that has layers
  int64_t decoder_layers = 0;             // num_hidden_layers; 0: not said
  std::span<const KeptFloat> kept_float;  // Linears of the architecture that no server takes quantized
};
ModelFacts FactsOf(const Json& config);

// The rows of all architectures, each with the first of the architecture's model types.
std::vector<std::pair<std::string_view, KeptFloat>> AllKeptFloat();

// What decides how much memory a forward takes.
struct ForwardForm {
  int64_t rows = 0;     // that go through the block together
  int64_t longest = 0;  // of one sample
  int64_t samples = 0;
  DType dtype = DType::kBF16;  // the widest type among the activations
  bool rotates = false;        // some Linears have an input transform
  bool absorbed = false;       // attentions have an FaHook

  uint64_t bytes(int64_t elements) const { return static_cast<uint64_t>(rows * elements) * DTypeSize(dtype); }
  uint64_t f32_bytes(int64_t elements) const { return static_cast<uint64_t>(rows * elements) * sizeof(float); }
};

class Family {
 public:
  virtual ~Family() = default;

  const ModelLayout& layout() const { return layout_; }
  virtual std::string_view name() const = 0;  // the adapter: "default", "qwen3", ...
  const ModelFacts& facts() const { return facts_; }
  // Whether Forward() can be called: not where nothing but the names of the tensors is known.
  virtual bool HasForward() const { return true; }

  // Live modules of block `index` (or, with -1, of the modules outside of the blocks).
  virtual std::unique_ptr<Block> MakeBlock(int index, const WeightSource& source) const;

  // Token ids -> what enters block 0: [rows, HiddenWidth()].
  virtual Tensor Embed(Block& rest, std::span<const int32_t> ids) const;
  // Width of what is handed from block to block (several streams may lie side by side).
  virtual int64_t HiddenWidth() const = 0;
  // Runs the block over a chunk. Thread rule: one forward at a time; it uses the compute pool itself.
  virtual Tensor Forward(Block& block, const ForwardContext& context, const ConstView& hidden) const = 0;
  // Modules of the block that can run by themselves, by full name ("model.layers.3.self_attn"); Linears, which all can,
  // are not listed.
  virtual std::vector<std::string> Parts(int) const { return {}; }
  // Runs one of them over a chunk: x is what Forward() hands to it, the result what it hands back. With a chunk's own
  // context, the bits are those of Forward().
  virtual Tensor ForwardPart(Block& block, const ForwardContext& context, std::string_view part,
                             const ConstView& x) const;
  // Final norm and head on the last block's output (tests, perplexity): logits of the given rows, f32.
  virtual Tensor Logits(Block& rest, const ConstView& hidden) const;

  // Smoothing groups of one block in declared order; empty when the family has none.
  virtual std::vector<Subgraph> Subgraphs(int block) const;
  virtual std::vector<KvSmoothUnit> KvSmoothUnits(int block) const;
  virtual std::optional<RotationPlan> Rotations() const;
  virtual std::vector<OnlineRotationUnit> OnlineRotations(int block) const;
  virtual std::vector<RotationSite> RotationSites(int) const { return {}; }
  // Attentions of the block that run in absorbed form when Block::fa_hook() is set (FA3); empty: none can.
  virtual std::vector<FaAttention> FaAttentions(int) const { return {}; }
  // The routed experts of the block and how many of them each token chooses; none: a dense block.
  struct ExpertCount {
    int64_t experts = 0, chosen = 0;
  };
  virtual ExpertCount Experts(int) const { return {}; }
  virtual int64_t MultiplyAddsPerToken(int block) const;  // of the Linears that one token passes through
  // Whether Forward() reads a Linear of a block: the head of an MTP layer only stands beside it.
  virtual bool IsForwarded(const ModuleInfo&) const { return true; }
  // Bytes of intermediates in Forward() at the moment when there are most; weights aside. An upper bound that is close.
  virtual uint64_t ForwardBytes(int block, const ForwardForm& form) const = 0;
  virtual int64_t vocab_size() const = 0;

  // Whether a norm is worked on in another form than it is stored in (Qwen3-Next: 1 + w instead of w).
  virtual bool StoresShifted(std::string_view /*norm*/) const { return false; }
  // Brings such norms back; those that a smoothing step replaced only with `replaced` (26.1.0 forgets them).
  virtual void BeforeSave(Block&, bool /*replaced*/) const {}
  // The correction biases of the routers get the types that they have in the checkpoint (--mend f32-router-bias).
  // Before anything is planned.
  virtual void KeepRouterBias(const Checkpoint&) {}
  // Keeps the Linears that `wanted` names float, whatever the recipe says. Returns how many these are. Before anything
  // is planned.
  int64_t KeepFloat(const std::function<bool(std::string_view)>& wanted, const std::string& reason);
  // Keys to add to the copied config.json when W4A8 linears exist and so on: name -> JSON text. `modes` are description
  // strings.
  virtual std::vector<std::pair<std::string, std::string>> ConfigEdits(const std::vector<std::string_view>& modes,
                                                                       bool fa_quantized) const;

 protected:
  virtual NormKind NormKindOf(const ModuleInfo&) const { return NormKind::kPlain; }
  virtual double NormEps(const ModuleInfo&) const { return 1e-6; }
  ModelLayout layout_;
  ModelFacts facts_;

 private:
  friend std::unique_ptr<Family> MakeFamily(const FamilyEntry& entry, const Json& config, const Checkpoint& checkpoint);
  const BlockInfo& RestInfo() const;

  mutable std::once_flag rest_once_;
  mutable BlockInfo rest_;  // layout_.rest as the modules of one block; made at the first MakeBlock(-1)
};

// A row of the list of families.
struct FamilyEntry {
  std::string_view adapter;                    // "qwen2_5"
  std::string_view pedigree;                   // folder of the practices
  std::vector<std::string_view> model_types;   // names that --model_type accepts, besides the adapter's own
  std::vector<std::string_view> config_types;  // config.json "model_type" values that this family computes
  std::unique_ptr<Family> (*make)(const Json& config, const Checkpoint& checkpoint);
};
const std::vector<FamilyEntry>& Families();

// The entry for --model_type (exact, case-sensitive); the default adapter for any other name (`known` says which).
const FamilyEntry& FindFamily(std::string_view model_type, bool* known = nullptr);

// Builds the family for a checkpoint: the adapter chosen by --model_type, the forward by config.json. Throws
// Error(kUnsupported) when config.json describes an architecture that no family computes, or asks for something that
// this one does not (a sliding window in use, an unknown activation or rope type), Error(kInvalidModel) when it lacks a
// field.
std::unique_ptr<Family> MakeFamily(const FamilyEntry& entry, const Json& config, const Checkpoint& checkpoint);

// Whether some family computes the model_type of config.json; if not, its names may still do (names_family.h).
bool IsComputed(const Json& config);

// Reads through a checkpoint. Both must outlive it.
std::unique_ptr<WeightSource> MakeWeightSource(const Checkpoint& checkpoint);

// Compares the layout with what the checkpoint has: missing tensors and wrong shapes are one Error listing them;
// returns the names that no module loads.
std::vector<std::string> CheckAgainstCheckpoint(const ModelLayout& layout, const Checkpoint& checkpoint);

}  // namespace modelslim
