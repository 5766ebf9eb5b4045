#include "runner/ledger.h"

#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

namespace modelslim {
namespace {

using Json = nlohmann::ordered_json;

Json ToJson(const LedgerEntry& entry) {
  Json json = {{"name", entry.name},
               {"type", entry.type},
               {"by", entry.by},
               {"weight_error", entry.weight_error},
               {"max_abs_error", entry.max_abs_error},
               {"clipped_share", entry.clipped_share},
               {"scale_min", entry.scale_min},
               {"scale_max", entry.scale_max}};
  if (entry.output_error) json["output_error"] = *entry.output_error;
  if (entry.input) {
    json["input_scale"] = entry.input->scale;
    json["input_offset"] = entry.input->offset;
  }
  if (!entry.range_from.empty()) json["range_from"] = entry.range_from;
  return json;
}

LedgerEntry EntryFrom(const Json& json) {
  LedgerEntry entry;
  entry.name = json.at("name").get<std::string>();
  entry.type = json.at("type").get<std::string>();
  entry.by = json.at("by").get<std::string>();
  // A number that is not finite was written as null.
  const auto number = [&json](const char* key) { return json.at(key).is_number() ? json.at(key).get<double>() : 0.0; };
  entry.weight_error = number("weight_error");
  entry.max_abs_error = number("max_abs_error");
  entry.clipped_share = number("clipped_share");
  entry.scale_min = number("scale_min");
  entry.scale_max = number("scale_max");
  if (json.contains("output_error")) entry.output_error = number("output_error");
  if (json.contains("input_scale")) entry.input = LedgerEntry::Input{number("input_scale"), number("input_offset")};
  entry.range_from = json.value("range_from", "");
  return entry;
}

// `tensors`, `experts` and, where there is something to say, `not_finite` and `idle_experts`.
Json ToJson(const UnitFacts& facts) {
  Json json = {{"tensors", Json::array()}, {"experts", Json::array()}};
  for (const LedgerEntry& entry : facts.tensors) json["tensors"].push_back(ToJson(entry));
  for (const ExpertCoverage& layer : facts.experts) {
    json["experts"].push_back({{"name", layer.experts}, {"tokens", layer.tokens}, {"idle", layer.Idle()}});
  }
  for (const NotFiniteTensor& tensor : facts.not_finite) {
    json["not_finite"].push_back({{"name", tensor.name}, {"value", tensor.value}, {"index", tensor.index}});
  }
  if (!facts.idle_experts.empty()) json["idle_experts"] = facts.idle_experts;
  return json;
}

// A number of something: whole, and no more than there can be.
int64_t CountFrom(const Json& value) {
  constexpr uint64_t kMost = uint64_t{1} << 53;
  if (value.is_number_unsigned() && value.get<uint64_t>() <= kMost) return value.get<int64_t>();
  throw Json::type_error::create(302, "expected a whole number", &value);
}

std::vector<int64_t> CountsFrom(const Json& list) {
  std::vector<int64_t> counts;
  for (const Json& value : list) counts.push_back(CountFrom(value));
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

std::string FactsText(const UnitFacts& facts) { return ToJson(facts).dump(); }

std::optional<UnitFacts> ParseFacts(const std::string& text) {
  UnitFacts facts;
  try {
    const Json json = Json::parse(text);
    for (const Json& entry : json.at("tensors")) facts.tensors.push_back(EntryFrom(entry));
    for (const Json& layer : json.at("experts")) {
      facts.experts.push_back({layer.at("name").get<std::string>(), CountsFrom(layer.at("tokens"))});
    }
    for (const Json& tensor : json.value("not_finite", Json::array())) {
      facts.not_finite.push_back(
          {tensor.at("name").get<std::string>(), tensor.at("value").get<std::string>(), CountFrom(tensor.at("index"))});
    }
    facts.idle_experts = json.value("idle_experts", "");
  } catch (const Json::exception&) {
    return std::nullopt;
  }
  return facts;
}

std::string LedgerDocument(const UnitFacts& all, const LedgerHashes& hashes) {
  Json json = ToJson(all);
  json["hashes"] = hashes.tensors;
  json["files"] = hashes.files;
  return json.dump(2) + "\n";
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
