#include "app/servers.h"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include "format/saved_output.h"
#include "io/json.h"
#include "io/json_ref.h"
#include "model/family.h"
#include "servers/check.h"

namespace modelslim {
namespace {

// In one word, for tables.
std::string_view WordOf(Outcome outcome) {
  constexpr std::array<std::string_view, 6> kWords = {"yes", "?", "unread", "loss", "no", "WRONG"};
  return kWords[static_cast<size_t>(outcome)];
}

Served ServedIn(const fs::path& directory, ModelFacts* facts) {
  const std::unique_ptr<SavedOutput> saved = OpenSaved(directory);
  const SavedSummary summary = saved->Summary();
  const Json config = ReadJson(directory / "config.json");
  *facts = FactsOf(config);
  Served served;
  served.model_type = facts->type;
  served.decoder_layers = facts->decoder_layers;
  const JsonRef text(config, "config.json");
  served.config_quantized = text["quantization_config"].present() ||
                            (text["text_config"] && text["text_config"]["quantization_config"].present());
  served.has_group_size = summary.has_group_size;
  served.group_size = summary.group_size;
  served.model_quant_type = summary.model_quant_type;
  served.indexer_quantized = summary.indexer_quantized;
  for (const CheckpointTensor& tensor : saved->weights().tensors())
    served.Add(tensor.name, saved->TypeOf(tensor.name), tensor.shape.empty() ? 1 : tensor.shape.back());
  return served;
}

void PrintRow(std::string_view what, std::string_view where, const Verdicts& verdicts, std::ostream& out) {
  fmt::print(out, "  {:<24} {:<14}", what, where);
  for (const Verdict& verdict : verdicts) fmt::print(out, " {:<16}", WordOf(verdict.outcome));
  fmt::print(out, "\n");
}

Json RowJson(std::string_view what, std::string_view where, const Verdicts& verdicts) {
  Json row{JsonObject()};
  row["what"] = Json(what);
  row["where"] = Json(where);
  row["servers"] = Json(JsonArray());
  for (size_t i = 0; i < kServerCount; ++i) {
    Json entry{JsonObject()};
    entry["server"] = Json(Servers()[i].name);
    entry["version"] = Json(Servers()[i].version);
    entry["outcome"] = Json(WordOf(verdicts[i].outcome));
    entry["text"] = Json(verdicts[i].what);
    row["servers"].Append(std::move(entry));
  }
  return row;
}

// Calls f(what, where, verdicts) for every row there is.
template <typename F>
void ForRows(F&& f) {
  for (const TypeRow& row : TypeRows()) {
    const std::string what = std::string(row.type) + (row.grouped ? " by groups" : "");
    f(what, "layers", row.linear);
    f(what, "experts", row.experts);
  }
  for (const auto& [type, kept] : AllKeptFloat()) f("*" + std::string(kept.suffix), type, kept.verdicts);
}

}  // namespace

void AddServerFindings(const fs::path& directory, const ServerChoice& servers, VerifyReport* report) {
  ModelFacts facts;
  const Served served = ServedIn(directory, &facts);
  for (const Finding& finding : CheckServed(served, facts.kept_float)) {
    const Outcome worst = WorstOf(finding.verdicts, servers);
    if (worst <= Outcome::kUnknown) continue;
    auto& list = worst >= Outcome::kRefused ? report->problems : report->remarks;
    list.push_back(FindingText(finding, servers));
  }
}

void ListServers(bool json, std::ostream& out) {
  if (json) {
    Json rows{JsonArray()};
    ForRows([&](std::string_view what, std::string_view where, const Verdicts& verdicts) {
      rows.Append(RowJson(what, where, verdicts));
    });
    out << rows.Dump(2, /*ensure_ascii=*/false) << "\n";
    return;
  }
  fmt::print(out, "  {:<24} {:<14}", "type or layer", "in");
  for (const Server& server : Servers()) fmt::print(out, " {:<16}", server.title);
  fmt::print(out, "\n  {:<24} {:<14}", "", "");
  for (const Server& server : Servers()) fmt::print(out, " {:<16}", server.version);
  fmt::print(out, "\n");
  ForRows([&](std::string_view what, std::string_view where, const Verdicts& verdicts) {
    PrintRow(what, where, verdicts, out);
  });
  fmt::print(
      out,
      "yes: loads; no: stops with an error; WRONG: loads, and computes something else; unread: loads without a part; "
      "loss: loads,\nand is worse than it need be; ?: nothing is known. Found by running the loaders on outputs "
      "(MindIE-LLM: by "
      "reading its code).\nLayers with a star must stay float; between layers there are further rules, which 'plan' "
      "and "
      "'verify --for' apply.\n");
}

}  // namespace modelslim
