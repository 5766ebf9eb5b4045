// What a model consists of, known from config.json alone: blocks, modules, tensor names and shapes. Plain data.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/terms.h"
#include "tensor/tensor.h"

namespace modelslim {

enum class ModuleKind : uint8_t {
  kLinear,     // quantizable: weight [out, in], maybe bias [out]
  kNorm,       // weight [n], maybe bias [n]
  kEmbedding,  // weight [vocab, hidden]
  kOther       // bare parameters (router, convolution, decay rates, ...)
};

struct StoredWeight;  // model/stored_weight.h

// One tensor of a module as the model holds it in memory, which is also how an untouched one is written.
struct ParamInfo {
  std::string name;  // full name, in the checkpoint and in the output
  Shape shape;
  DType dtype;  // after loading; differs from the file where the model casts or dequantizes
  // Other tensors of the checkpoint that this one is made of (a block-fp8 scale, a slice of a fused tensor): only for
  // those that call for them. Empty: the tensor `name` itself.
  std::string scale_name;  // block-fp8: [ceil(out/128), ceil(in/128)] f32 multipliers
  std::string alias_of;    // tied: the bytes of this other parameter
  // Where the values lie if not in a float tensor of this name: a slice of stacked experts, codes with scales.
  std::shared_ptr<const StoredWeight> stored = nullptr;
};

// Why a Linear stays float although a pattern of the recipe matches its name: nobody means the routers by "*". A
// pattern that names them does.
struct FloatDefault {
  std::string word;    // such a pattern contains it: "mlp.gate"; empty: none does
  std::string reason;  // "a router"
};

struct ModuleInfo {
  std::string name;  // full dotted name
  ModuleKind kind;
  std::vector<ParamInfo> params;  // in output order; a Linear's weight first, its bias second
  std::shared_ptr<const FloatDefault> kept_float = nullptr;  // null: whatever the patterns of the recipe say

  int64_t out_features() const { return params.front().shape.front(); }
  int64_t in_features() const { return params.front().shape.back(); }
  bool has_bias() const { return params.size() > 1; }
};

// The unit the runner schedules. Modules in pre-order of the module tree, which is the order in which they are written.
struct BlockInfo {
  std::string name;  // "model.layers.3"
  int index = 0;
  std::vector<ModuleInfo> modules;
  std::vector<std::string> attention;  // names of the attention modules inside ("model.layers.3.self_attn")
};

// Attention that does not see more than the last `tokens` of a sequence, itself included. The forward pass does not
// compute it, so its results are right for sequences that are no longer.
struct AttentionWindow {
  int64_t tokens = 0;
  std::string where;  // what says so: "config.json: sliding_window"
};

// How the name of a router's correction bias ends, below its mlp.
inline constexpr std::string_view kRouterBias = ".gate.e_score_correction_bias";

struct ModelLayout {
  std::vector<BlockInfo> blocks;
  std::vector<ModuleInfo> rest;  // embeddings, final norm, lm_head: outside of every block, never visited by processors
  DType dtype = DType::kBF16;    // of activations and, mostly, of parameters
  std::optional<AttentionWindow> window;
  // Suffixes of tensors that can be made from config.json at any time ("model.layers.3.rotary_emb.inv_freq"): nothing
  // is lost without them.
  std::vector<std::string> ignored_suffixes;
  // Prefixes of what the original leaves out of its output on purpose ("mtp." of Qwen3-Next); told, but no loss that
  // needs the user's word.
  std::vector<std::string> left_out_prefixes;
};

// The expert that a Linear belongs to: "model.layers.3.mlp.experts.7" of "model.layers.3.mlp.experts.7.up_proj"; empty
// for others.
std::string ExpertOf(std::string_view linear);

// ---- what processors ask of a family ----

// A smoothing group: `source` feeds `targets`, all named in full; statistics are taken at the input of targets[0].
struct Subgraph {
  SubgraphType type;
  std::string source;
  std::vector<std::string> targets;
  // ov only: how query heads share value heads, and where the value rows lie in a fused projection.
  enum class Fusion : uint8_t { kNone, kQkv, kKv } fusion = Fusion::kNone;
  int64_t heads = 0, kv_heads = 0;
  int64_t nope_dim = 0, v_dim = 0;  // kKv: rows of a head are [nope_dim | v_dim]
  bool group_max = true;            // flex: reduce statistics over the query heads of one value head by max
};

// Where kv_smooth folds its scale.
struct KvSmoothUnit {
  std::string attention;   // "model.layers.3.self_attn"
  std::string query, key;  // projections, or norms when `into_norm`
  bool into_norm = false;
  int64_t heads = 0, kv_heads = 0, head_dim = 0;
};

// An attention that FA3 can quantize: queries per head, keys and values as one head each.
struct FaAttention {
  std::string name;
  int64_t heads = 0;
};

// Rotation maps of quarot for one model. Matrices are numbered in creation order; number 0 is the global one.
struct RotationSpec {
  int64_t size = 0;
  bool shifted = false;  // block_hadamard_shifted instead of hadamard
};
// A side of a linear (or an embedding, right only) that is multiplied by a block-diagonal list of matrices repeated
// along the dimension. A part is a matrix number, or -1 for an identity of `identity_size`.
struct RotationStep {
  std::string target;  // a Linear, an embedding, or another module's parameter "<target>.weight" (a router)
  bool left = false;   // R^T W (outputs), else W R (inputs)
  struct Part {
    int matrix = 0;
    int64_t identity_size = 0;
  };
  std::vector<Part> parts;
};
struct NormFusion {
  std::vector<std::string> norms;  // concatenated along the inputs of the linears
  std::vector<std::string> linears;
};
struct RotationPlan {
  std::vector<RotationSpec> matrices;
  // In which 26.1.0 takes the square root that scales a Hadamard matrix: the model's type where that is torch's default
  // type at the time, so that the matrix is orthogonal only to bf16 rounding (5.65625 for the root of 32).
  DType root_dtype = DType::kF32;
  std::vector<NormFusion> fusions;
  std::vector<RotationStep> pre_run;  // embeddings
  std::vector<RotationStep> steps;    // in execution order inside a block (the lists of all blocks one after another)
};

// A place in an attention where online_quarot can put a rotation: what passes there, per head, is multiplied by it. The
// sites of one attention cancel out when all of them have the same.
struct RotationSite {
  std::string name;       // "model.layers.3.self_attn.indexer.q_rot"
  std::string attention;  // "model.layers.3.self_attn"
  int64_t size = 0;       // of a head
};

// Online rotation (quarot online: true): which linears get which.
struct OnlineRotationUnit {
  std::string o_proj, down_proj;
  int64_t heads = 0, head_dim = 0, intermediate = 0;
};

}  // namespace modelslim
