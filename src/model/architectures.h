// Architectures that are known by the names in their checkpoints, and what everybody's names mean. Rows of data: with
// these a checkpoint can be quantized without being computed. Facts from the loaders of transformers 5.19 / 5.24, vLLM
// 0.27.1, vLLM-Ascend, SGLang 0.5.23 and the adapters of msModelSlim 26.1.0, as each row says.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/json.h"

namespace modelslim {

// Linears that stay float unless a pattern of the recipe names them by `parts`.
struct FloatRow {
  enum class Where : uint8_t { kEnd, kAnywhere } where;
  std::string_view parts;   // whole parts of the name: "mlp.gate"
  std::string_view reason;  // "a router"

  bool Matches(std::string_view module) const;
};

// How sure a row is.
enum class Certainty : uint8_t {
  kCode,      // names and shapes from the code that loads them
  kReal,      // and seen in a real config.json or index
  kThread,    // told in public by users
  kInferred,  // concluded from its relatives
};
std::string_view CertaintyName(Certainty sure);

// How experts lie in one tensor.
enum class StackedForm : uint8_t {
  kByShape,  // [experts, out, in] or [experts, in, out], as its sizes say
  kOutIn,    // [experts, out, in] where sizes leave it open
  kInOut,    // [experts, in, out] where sizes leave it open
};

struct ArchitectureRow {
  std::string_view name = {};  // "Qwen3.5 / 3.6 MoE"
  // model_type of config.json or of its text_config, and entries of `architectures`.
  std::vector<std::string_view> types = {}, architectures = {};
  Certainty sure = Certainty::kCode;
  // Parts of names that every such checkpoint has: one of them is there, or config.json and weights do not belong
  // together. Empty: nothing that others have not.
  std::vector<std::string_view> signature = {};
  std::vector<FloatRow> floats = {};                 // beside GeneralFloats()
  std::vector<FloatRow> floats_beside_experts = {};  // where the checkpoint has experts
  StackedForm stacked = StackedForm::kByShape;
  bool interleaved = false;      // gate and up take turns row by row in a fused gate_up; else the gate comes first
  bool quantizes_mtp = false;    // the reference quantizes layers for multi-token prediction as it does the others
  bool copies_into_mtp = false;  // servers want embedding and head beside such layers, which the source may lack
  bool writes_tied_head = false;
  bool edits_w4a8_config = false;  // config.json gains the keys that Kimi-K2's has with W4A8 experts
  // Beside FusedGroups(): Linears that a server makes one of, by the last parts of their names.
  std::vector<std::vector<std::string_view>> fused = {};
  std::vector<std::string_view> practices = {};  // folders of lab_practice
  std::string_view note = {};                    // what the user should know
};

const std::vector<ArchitectureRow>& ArchitectureRows();

// The row for a config.json; null when none fits.
const ArchitectureRow* FindArchitecture(const Json& config);

// What holds for all, known or not: routers, absorbed projections, indexers, adapters, towers.
std::span<const FloatRow> GeneralFloats();
// Linears that servers fuse in all architectures: one type for all members.
const std::vector<std::vector<std::string_view>>& FusedGroups();

// Whether a name is of a tower for images, video or sound, or of what joins one to the language model.
bool IsInTower(std::string_view name);

// Whether the last part of a module's name is that of an embedding, or the whole name that of the model's head.
bool IsEmbeddingName(std::string_view module);
bool IsHeadName(std::string_view module);

}  // namespace modelslim
