#include "plan/server_notes.h"

#include <fmt/format.h>

#include <string>

#include "plan/entries.h"
#include "servers/check.h"

namespace modelslim {
namespace {

Served ServedOf(const RunPlan& plan) {
  Served served;
  const ModelFacts& facts = plan.family->facts();
  served.model_type = facts.type;
  served.decoder_layers = facts.decoder_layers;
  served.group_size = plan.summary.group_size;
  served.model_quant_type = plan.summary.model_quant_type;
  served.indexer_quantized = plan.summary.indexer_quantized;
  for (const OutputTensor& tensor : plan.layout.tensors)
    served.Add(tensor.name, tensor.type, tensor.shape.empty() ? 1 : tensor.shape.back());
  return served;
}

// The first include pattern of `entry` that matches one of the layers; null where it has none.
const Pattern* Reaching(const RecipeEntry& entry, const std::vector<std::string>& layers) {
  if (entry.selection == nullptr) return nullptr;
  for (const Pattern& pattern : entry.selection->include.items) {
    for (const std::string& layer : layers) {
      if (pattern.compiled->Matches(layer)) return &pattern;
    }
  }
  return nullptr;
}

}  // namespace

void ReportServers(const Recipe& recipe, const std::vector<ProcessorConfig>& process, const ServerChoice& servers,
                   RunPlan& plan) {
  const std::vector<RecipeEntry> entries = EntriesOf(process);
  for (const Finding& finding : CheckServed(ServedOf(plan), plan.family->facts().kept_float)) {
    if (WorstOf(finding.verdicts, servers) <= Outcome::kUnknown) continue;
    std::string where = finding.names.front(), text = FindingText(finding, servers);
    const auto decision = plan.model.decisions.linears.find(where);
    for (const RecipeEntry& entry : entries) {
      if (decision == plan.model.decisions.linears.end() || entry.config->path != decision->second.by) continue;
      const Pattern* const pattern = finding.kept != nullptr ? Reaching(entry, finding.names) : nullptr;
      where = PlaceOf(recipe, entry.config->pos, entry.config->path);
      if (pattern != nullptr) text = fmt::format("'{}' makes {}", pattern->text, text);
    }
    if (IsWarning(finding.verdicts, servers)) {
      plan.model.notes.Warn(std::move(where), std::move(text));
    } else {
      plan.model.notes.Inform(std::move(where), std::move(text));
    }
  }
}

}  // namespace modelslim
