#include "model/rope_config.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>
#include <utility>

#include "base/log.h"
#include "model/config_reader.h"

namespace modelslim {
namespace {

// A place where nothing is.
JsonRef Nothing() {
  static const Json kNull;
  return {kNull, "config.json"};
}

// A filled object of settings; an empty one says as much as none.
bool IsFilled(const JsonRef& settings) { return settings && !settings.AsObject().empty(); }

// The two objects that may hold settings: the one that counts, and the other where it is filled too.
struct Sources {
  JsonRef counts, other;
};

Sources SourcesOf(const JsonRef& config) {
  const JsonRef older = config["rope_scaling"], newer = config["rope_parameters"];
  if (!IsFilled(older)) return {newer, Nothing()};
  return {older, IsFilled(newer) ? newer : Nothing()};
}

// Settings for each kind of layer instead of one for all.
bool IsNested(const JsonRef& settings) {
  if (!IsFilled(settings)) return false;
  const JsonObject& members = settings.AsObject();
  return std::all_of(members.begin(), members.end(), [](const JsonMember& member) {
    return member.value.object() != nullptr || member.value.is_null();
  });
}

RopeType ReadRopeType(const JsonRef& settings) {
  const JsonRef value = FirstOf(settings, {"rope_type", "type"});
  if (!value) return RopeType::kDefault;
  const std::optional<RopeType> type = ParseRopeType(value.AsString());
  if (type) return *type;
  throw Error(ErrorCode::kUnsupported,
              value.where() + ": expected default, linear, dynamic, llama3, yarn or longrope, found \"" +
                  value.AsString() + "\"" + (value.AsString() == "mrope" ? ", which vision-language models have" : ""));
}

// Refuses settings of which we know that they change the rotation, and that are not computed here; tells of unknown
// ones.
void CheckKeys(const JsonRef& settings) {
  RefuseKeys(settings, {"mrope_section", "mrope_interleaved", "interleaved", "alpha", "llama_4_scaling_beta"});
  static constexpr std::string_view kKnown[] = {"rope_type",
                                                "type",
                                                "rope_theta",
                                                "factor",
                                                "original_max_position_embeddings",
                                                "attention_factor",
                                                "beta_fast",
                                                "beta_slow",
                                                "mscale",
                                                "mscale_all_dim",
                                                "truncate",
                                                "low_freq_factor",
                                                "high_freq_factor",
                                                "short_factor",
                                                "long_factor",
                                                "partial_rotary_factor",
                                                "finetuned"};
  if (!settings) return;
  for (const JsonMember& member : settings.AsObject()) {
    if (std::find(std::begin(kKnown), std::end(kKnown), member.key) != std::end(kKnown) || IsOff(member.value))
      continue;
    LogWarning(settings[member.key].where() + " is not known and not used");
  }
}

void ReadYarn(const JsonRef& settings, RopeConfig* rope) {
  rope->beta_fast = PositiveOr(settings["beta_fast"], 32);
  rope->beta_slow = PositiveOr(settings["beta_slow"], 1);
  rope->truncate = settings["truncate"].BoolOr(true);
  if (settings["mscale"]) rope->mscale = settings["mscale"].AsDouble();
  if (settings["mscale_all_dim"]) rope->mscale_all_dim = settings["mscale_all_dim"].AsDouble();
}

void ReadLlama3(const JsonRef& settings, RopeConfig* rope) {
  if (!rope->original_max_position) settings["original_max_position_embeddings"].Fail("an integer");
  rope->low_freq_factor = ReadPositive(settings["low_freq_factor"]);
  rope->high_freq_factor = ReadPositive(settings["high_freq_factor"]);
  if (rope->high_freq_factor <= rope->low_freq_factor)
    settings["high_freq_factor"].Fail("a number above low_freq_factor");
}

void ReadLongRope(const JsonRef& settings, RopeConfig* rope) {
  rope->short_factor = settings["short_factor"].AsDoubles();
  rope->long_factor = settings["long_factor"].AsDoubles();
  const auto pairs = static_cast<size_t>(rope->dim / 2);
  for (const char* const key : {"short_factor", "long_factor"}) {
    const std::vector<double> values = settings[key].AsDoubles();
    if (values.size() != pairs) settings[key].Fail("a list of " + std::to_string(pairs) + " numbers");
    for (size_t i = 0; i < values.size(); ++i) ReadPositive(settings[key].at(i));
  }
}

// How many elements rotate.
int64_t ReadDim(const JsonRef& value, const JsonRef& config, const RopeRules& rules) {
  double share = rules.default_share.value_or(1.0);
  if (value) {
    share = value.AsDouble();
    if (!(share > 0 && share <= 1)) value.Fail("a number above 0 and up to 1");
    if (share != 1 && !rules.default_share) {
      throw Error(ErrorCode::kUnsupported, value.where() + ": expected 1 (all of a head rotates), found " +
                                               value.value()->Dump() + ", which is not computed for this model_type");
    }
  }
  const auto dim = static_cast<int64_t>(static_cast<double>(rules.head_dim) * share);
  if (dim < 2 || dim % 2 != 0)
    config["head_dim"].Fail("an even number of rotated elements of a head, not " + std::to_string(dim));
  return dim;
}

// What config.json says, under a family's rules. With `tell`, values that stand twice and differ are told.
class Reader {
 public:
  Reader(const JsonRef& config, const RopeRules& rules, bool tell) : config_(config), rules_(rules), tell_(tell) {}

  // By `settings`, and what they lack by `other`.
  LayerRopes Layers(const JsonRef& settings, const JsonRef& other, int64_t layers) const {
    LayerRopes ropes;
    ropes.of_layer.assign(static_cast<size_t>(layers), 0);
    if (!IsNested(settings)) {
      ropes.kinds = {Settings(settings, IsNested(other) ? Nothing() : other)};
      return ropes;
    }
    const std::vector<std::string> types = ReadLayerTypes(config_, layers);
    std::vector<std::string> read;
    for (size_t layer = 0; layer < ropes.of_layer.size(); ++layer) {
      const std::string kind = types.empty() ? "" : types[layer];
      if (kind == "linear_attention") continue;  // rotates nothing
      auto known = std::find(read.begin(), read.end(), kind);
      ropes.of_layer[layer] = static_cast<size_t>(known - read.begin());
      if (known != read.end()) continue;
      ropes.kinds.push_back(Settings(EntryFor(settings, kind), Nothing()));
      read.push_back(kind);
    }
    if (ropes.kinds.empty()) ropes.kinds = {Settings(Nothing(), Nothing())};
    return ropes;
  }

 private:
  // The first of the places that have a value for `key`: the settings, the file itself, the other object.
  JsonRef Place(const char* key, const JsonRef& settings, const JsonRef& other) const {
    const JsonRef places[] = {settings[key], config_[key], other[key]};
    const JsonRef* const first =
        std::find_if(std::begin(places), std::end(places), [](const JsonRef& place) { return place.present(); });
    if (first == std::end(places)) return config_[key];
    for (const JsonRef* later = first + 1; tell_ && later < std::end(places); ++later) TellDisagreement(*first, *later);
    return *first;
  }

  RopeConfig Settings(const JsonRef& settings, const JsonRef& other) const {
    const auto find = [&](const char* key) { return Place(key, settings, other); };
    RopeConfig rope;
    rope.dim = ReadDim(find("partial_rotary_factor"), config_, rules_);
    rope.theta = PositiveOr(find("rope_theta"), rules_.default_theta);
    rope.max_position = ReadSizeOr(config_, "max_position_embeddings", 2048);
    if (tell_) CheckKeys(settings);
    rope.type = ReadRopeType(settings);
    if (rope.type == RopeType::kDefault) return rope;
    if (const JsonRef original = find("original_max_position_embeddings"); original)
      rope.original_max_position = original.AsInt(1, kLargestSize);
    if (!settings["factor"] && rope.type != RopeType::kLongRope) settings["factor"].Fail("a positive number");
    rope.factor =
        PositiveOr(settings["factor"], rope.original_max_position ? static_cast<double>(rope.max_position) /
                                                                        static_cast<double>(*rope.original_max_position)
                                                                  : 1.0);
    if (settings["attention_factor"]) rope.attention_factor = ReadPositive(settings["attention_factor"]);
    if (rope.type == RopeType::kLlama3) ReadLlama3(settings, &rope);
    if (rope.type == RopeType::kYarn) ReadYarn(settings, &rope);
    if (rope.type == RopeType::kLongRope) ReadLongRope(settings, &rope);
    return rope;
  }

  // The entry of a nested object that a layer of this kind ("" when the file does not say) uses.
  JsonRef EntryFor(const JsonRef& nested, const std::string& kind) const {
    if (!kind.empty()) {
      const JsonRef entry = nested[kind];
      if (!entry) entry.Fail("the settings of this kind of layers, which layer_types names");
      return entry;
    }
    std::vector<JsonRef> entries;
    for (const JsonMember& member : nested.AsObject()) {
      if (!member.value.is_null()) entries.push_back(nested[member.key]);
    }
    const bool same = std::all_of(entries.begin(), entries.end(), [&](const JsonRef& entry) {
      return entry.value()->Dump() == entries.front().value()->Dump();
    });
    if (entries.empty() || !same)
      config_["layer_types"].Fail("a list that says which layer has which of the settings in " + nested.where());
    return entries.front();
  }

  const JsonRef& config_;
  const RopeRules& rules_;
  bool tell_;
};

}  // namespace

LayerRopes ReadLayerRopes(const JsonRef& config, const RopeRules& rules, int64_t layers) {
  const auto [counts, other] = SourcesOf(config);
  LayerRopes ropes = Reader(config, rules, /*tell=*/true).Layers(counts, other, layers);
  if (!other) return ropes;
  const LayerRopes second = Reader(config, rules, /*tell=*/false).Layers(other, counts, layers);
  for (int64_t layer = 0; layer < layers; ++layer) {
    if (ropes.of(layer) == second.of(layer)) continue;
    LogWarning(counts.where() + " and " + other.where() + " disagree; the first one is used, as in transformers 5");
    break;
  }
  return ropes;
}

RopeConfig ReadRope(const JsonRef& config, const RopeRules& rules, int64_t layers) {
  const LayerRopes ropes = ReadLayerRopes(config, rules, layers);
  for (const RopeConfig& rope : ropes.kinds) {
    if (rope == ropes.kinds.front()) continue;
    throw Error(ErrorCode::kUnsupported, SourcesOf(config).counts.where() +
                                             ": expected the same settings for all layers of this model_type, found "
                                             "different ones");
  }
  return ropes.kinds.front();
}

bool HasRopeSettings(const JsonRef& config) { return IsFilled(SourcesOf(config).counts); }

}  // namespace modelslim
