// What the servers make of an output, planned or written.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "servers/server.h"

namespace modelslim {

// A kind of Linear that a family keeps float: what no server takes quantized, or what only loses by it.
struct KeptFloat {
  std::string_view suffix;  // of the layers' names: ".mlp.gate"; with a star in front it is the pattern to exclude
  std::string_view what;    // in the plural: "routers"
  std::string_view reason;  // why, in one clause
  Verdicts verdicts;        // what happens where it is quantized
};

// A tensor NAME.weight that the description lists, and what there is beside it.
struct ServedLayer {
  std::string name;
  std::string type;      // "W8A8_DYNAMIC"
  bool grouped = false;  // several scales in a row
  bool has_bias = false;
  int64_t inputs = 0;
};

// As much of an output as the rules look at.
struct Served {
  std::string model_type;  // of config.json
  int64_t decoder_layers =
      0;                   // num_hidden_layers: layers from this number on are for multi-token prediction; 0: not known
  int64_t group_size = 0;  // of the description, as model_quant_type
  std::string model_quant_type;
  bool has_group_size = true;      // the key is there
  bool indexer_quantized = false;  // the description has indexer_quant_type
  bool config_quantized = false;   // config.json has a quantization_config
  std::vector<ServedLayer> layers;
  std::vector<std::string> fa_attention;       // attentions with fa_k.scale
  std::vector<std::string> cached_attention;   // attentions with scales of a C8 cache
  std::vector<std::string> indexer_rotations;  // tensors of online_quarot
  std::vector<std::string> online_rotations;   // tensors of quarot with online: true

  // Sorts in one tensor of the output. `type`: its entry in the description, empty if it has none. The tensors of a
  // layer come in any order, `columns` is the last dimension (1 for scalars).
  void Add(std::string_view name, std::string_view type, int64_t columns);

 private:
  ServedLayer& LayerOf(std::string_view name);
  std::unordered_map<std::string, size_t> places_;  // of the layers
};

// A rule that an output breaks for at least one server.
struct Finding {
  std::string subject;  // "6 layers of type W4A8_DYNAMIC outside of experts, for example model.layers.0.mlp.up_proj"
  std::vector<std::string> names;   // the layers
  const KeptFloat* kept = nullptr;  // the row, where it is about one
  Verdicts verdicts;
  std::string tip;  // what to do, an imperative clause
};

// All findings, in the order of the rules. `kept`: the rows of the family; they must outlive the findings.
std::vector<Finding> CheckServed(Served served, std::span<const KeptFloat> kept);

// "SUBJECT. VERDICTS. Better: TIP"
std::string FindingText(const Finding& finding, const ServerChoice& choice);

// The engine's name of the fused layer that `name` becomes a part of ("...self_attn.qkv_proj"); empty when it stays
// alone.
std::string FusedName(std::string_view name);

// ---- types ----

// What servers make of a type, in layers outside of experts and in experts.
struct TypeRow {
  std::string_view type;
  bool grouped;  // with several scales in a row
  Verdicts linear, experts;
  std::string_view tip;
};
std::span<const TypeRow> TypeRows();

// The row of a type; the one for unknown types when it has none.
const TypeRow& TypeRowOf(std::string_view type, bool grouped);

}  // namespace modelslim
