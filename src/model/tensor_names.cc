#include "model/tensor_names.h"

#include <set>
#include <string_view>

#include "io/checkpoint.h"
#include "io/quote.h"

namespace modelslim {
namespace {

constexpr std::string_view kModel = "model.", kHead = "lm_head.";

// What stands before the names of a decoder: "" of "layers.0.input_layernorm.weight" beside "embed_tokens.weight".
std::set<std::string> PrefixesOf(const Checkpoint& checkpoint) {
  constexpr std::string_view kEmbedding = "embed_tokens.weight";
  std::set<std::string> prefixes;
  for (const CheckpointTensor& tensor : checkpoint.tensors()) {
    if (!tensor.name.ends_with(kEmbedding)) continue;
    const std::string prefix = tensor.name.substr(0, tensor.name.size() - kEmbedding.size());
    if (!prefix.empty() && !prefix.ends_with('.')) continue;
    if (checkpoint.Find(prefix + "layers.0.input_layernorm.weight") != nullptr) prefixes.insert(prefix);
  }
  return prefixes;
}

bool IsOfDecoder(std::string_view rest) {
  for (const std::string_view part : {"layers.", "embed_tokens.", "norm.", "rotary_emb."}) {
    if (rest.starts_with(part)) return true;
  }
  return false;
}

}  // namespace

std::string NormalizeNames(Checkpoint* checkpoint) {
  const std::set<std::string> prefixes = PrefixesOf(*checkpoint);
  if (prefixes.size() != 1 || prefixes.contains(std::string(kModel))) return "";
  const std::string& prefix = *prefixes.begin();
  // "language_model.lm_head." beside "language_model.model.layers."
  const std::string outer = prefix.ends_with(kModel) ? prefix.substr(0, prefix.size() - kModel.size()) : prefix;
  const std::string head = outer + std::string(kHead);
  const bool has_head = checkpoint->Find(std::string(kHead) + "weight") != nullptr;
  checkpoint->Rename([&](const std::string& name) {
    if (name.starts_with(prefix) && IsOfDecoder(std::string_view(name).substr(prefix.size())))
      return std::string(kModel) + name.substr(prefix.size());
    if (!has_head && name.starts_with(head)) return std::string(kHead) + name.substr(head.size());
    return name;
  });
  const bool inner = prefix.find("language") != std::string::npos || prefix.find("text") != std::string::npos;
  return "the weights are named " + Quote(prefix + "layers.0...") +
         (prefix.empty() ? ", as a model saved without its head has them"
          : inner        ? ", as the language model inside of a larger one has them"
                         : "") +
         "; the output names them 'model.layers.0...', as config.json's model has them";
}

}  // namespace modelslim
