#include "runner/ledger.h"

#include <cmath>
#include <iterator>
#include <utility>

#include "base/error.h"
#include "io/json_make.h"
#include "io/json_ref.h"

namespace modelslim {
namespace {

// Readers of the ledger need not know the NaN of Python: a number that is not finite is written as null.
Json NumberOrNull(double value) { return std::isfinite(value) ? Json(value) : Json(); }

Json ToJson(const LedgerEntry& entry) {
  Json json = MakeJson({{"name", entry.name},
                        {"type", entry.type},
                        {"by", entry.by},
                        {"weight_error", NumberOrNull(entry.weight_error)},
                        {"max_abs_error", NumberOrNull(entry.max_abs_error)},
                        {"clipped_share", NumberOrNull(entry.clipped_share)},
                        {"scale_min", NumberOrNull(entry.scale_min)},
                        {"scale_max", NumberOrNull(entry.scale_max)}});
  if (entry.output_error) json["output_error"] = NumberOrNull(*entry.output_error);
  if (entry.input) {
    json["input_scale"] = NumberOrNull(entry.input->scale);
    json["input_offset"] = NumberOrNull(entry.input->offset);
  }
  if (!entry.range_from.empty()) json["range_from"] = entry.range_from;
  return json;
}

LedgerEntry EntryFrom(const JsonRef& json) {
  LedgerEntry entry;
  entry.name = json["name"].AsString();
  entry.type = json["type"].AsString();
  entry.by = json["by"].AsString();
  const auto has = [&json](const char* key) { return json.value()->Find(key) != nullptr; };
  const auto number = [&](const char* key) {
    return has(key) ? json[key].DoubleOr(0) : json[key].AsDouble();  // null is 0, absent an error
  };
  entry.weight_error = number("weight_error");
  entry.max_abs_error = number("max_abs_error");
  entry.clipped_share = number("clipped_share");
  entry.scale_min = number("scale_min");
  entry.scale_max = number("scale_max");
  if (has("output_error")) entry.output_error = number("output_error");
  if (has("input_scale")) entry.input = LedgerEntry::Input{number("input_scale"), number("input_offset")};
  entry.range_from = json["range_from"].StringOr("");
  return entry;
}

// `tensors`, `experts` and, where there is something to say, `not_finite` and `idle_experts`.
Json ToJson(const UnitFacts& facts) {
  JsonArray tensors, experts, not_finite;
  for (const LedgerEntry& entry : facts.tensors) tensors.push_back(ToJson(entry));
  for (const ExpertCoverage& layer : facts.experts) {
    experts.push_back(MakeJson(
        {{"name", layer.experts}, {"tokens", MakeJsonArray(layer.tokens)}, {"idle", MakeJsonArray(layer.Idle())}}));
  }
  for (const NotFiniteTensor& tensor : facts.not_finite) {
    not_finite.push_back(MakeJson({{"name", tensor.name}, {"value", tensor.value}, {"index", tensor.index}}));
  }
  Json json = MakeJson({{"tensors", std::move(tensors)}, {"experts", std::move(experts)}});
  if (!not_finite.empty()) json["not_finite"] = std::move(not_finite);
  if (!facts.idle_experts.empty()) json["idle_experts"] = facts.idle_experts;
  return json;
}

// A number of something: whole, and no more than there can be.
int64_t CountFrom(const JsonRef& value) { return value.AsInt(0, int64_t{1} << 53); }

std::vector<int64_t> CountsFrom(const JsonRef& list) {
  std::vector<int64_t> counts;
  for (const JsonRef& value : list.Elements()) counts.push_back(CountFrom(value));
  return counts;
}

}  // namespace

std::vector<int64_t> ExpertCoverage::Idle() const {
  std::vector<int64_t> idle;
  for (size_t e = 0; e < tokens.size(); ++e) {
    if (tokens[e] == 0) idle.push_back(static_cast<int64_t>(e));
  }
  return idle;
}

std::string FactsText(const UnitFacts& facts) { return ToJson(facts).Dump(Json::kCompact, false); }

std::optional<UnitFacts> ParseFacts(const std::string& text) {
  UnitFacts facts;
  try {
    const Json document = ParseJson(text, "facts");
    const JsonRef json(document, "facts");
    for (const JsonRef& entry : json["tensors"].Elements()) facts.tensors.push_back(EntryFrom(entry));
    for (const JsonRef& layer : json["experts"].Elements()) {
      facts.experts.push_back({layer["name"].AsString(), CountsFrom(layer["tokens"])});
    }
    if (const JsonRef not_finite = json["not_finite"]) {
      for (const JsonRef& tensor : not_finite.Elements()) {
        facts.not_finite.push_back({tensor["name"].AsString(), tensor["value"].AsString(), CountFrom(tensor["index"])});
      }
    }
    facts.idle_experts = json["idle_experts"].StringOr("");
  } catch (const Error&) {
    return std::nullopt;
  }
  return facts;
}

std::string LedgerDocument(const UnitFacts& all, const FloatShare& floats, const LedgerHashes& hashes) {
  Json json = ToJson(all);
  JsonArray parts;
  for (const FloatShare::Part& part : floats.parts) {
    parts.push_back(MakeJson({{"reason", part.reason},
                              {"share", static_cast<double>(part.parameters) / static_cast<double>(floats.parameters)},
                              {"tensors", part.tensors},
                              {"example", part.example}}));
  }
  json["float_share"] = Json(std::move(parts));
  json["hashes"] = MakeJsonObject(hashes.tensors);
  json["files"] = MakeJsonObject(hashes.files);
  return json.Dump(2, false) + "\n";
}

void Append(UnitFacts facts, UnitFacts* all) {
  all->tensors.insert(all->tensors.end(), std::make_move_iterator(facts.tensors.begin()),
                      std::make_move_iterator(facts.tensors.end()));
  all->experts.insert(all->experts.end(), std::make_move_iterator(facts.experts.begin()),
                      std::make_move_iterator(facts.experts.end()));
  all->not_finite.insert(all->not_finite.end(), std::make_move_iterator(facts.not_finite.begin()),
                         std::make_move_iterator(facts.not_finite.end()));
  if (!facts.idle_experts.empty()) all->idle_experts = facts.idle_experts;
}

}  // namespace modelslim
