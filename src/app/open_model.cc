#include "app/open_model.h"

#include "app/convert.h"
#include "base/error.h"
#include "base/log.h"
#include "config/patterns/pattern.h"
#include "model/families/names_family.h"
#include "model/open_weights.h"

namespace modelslim {
namespace {

const FamilyEntry& ChooseEntry(const ModelArguments& arguments, const Json& config) {
  if (!arguments.model_type.empty()) {
    bool known = false;
    const FamilyEntry& entry = FindFamily(arguments.model_type, &known);
    if (!known) {
      LogWarning("--model_type " + arguments.model_type +
                 " is not a known name; using the family of config.json ('modelslim models' lists the names)");
    }
    if (known) return entry;
  }
  const Json* type = config.Find("model_type");
  const std::string name = type != nullptr && type->string() != nullptr ? *type->string() : "";
  for (const FamilyEntry& entry : Families()) {
    for (const std::string_view each : entry.config_types) {
      if (each == name && arguments.model_type.empty()) return entry;
    }
  }
  return FindFamily("default");
}

}  // namespace

std::optional<bool> Transposed(const std::string& stacked) {
  if (stacked.empty()) return std::nullopt;
  return stacked == "in-out";
}

bool KnowsNamesOnly(const ModelArguments& arguments, const OpenedModel& model) {
  const bool any = model.entry->adapter == FindFamily("default").adapter;
  return arguments.no_forward || (any && !IsComputed(model.config));
}

void OpenConfig(const ModelArguments& arguments, OpenedModel& model) {
  model.config = ReadJson(arguments.model_path / "config.json");
  model.entry = &ChooseEntry(arguments, model.config);
}

void OpenCheckpoint(const ModelArguments& arguments, OpenedModel& model, const ConvertSpec* conversion) {
  const bool names = conversion != nullptr || KnowsNamesOnly(arguments, model);
  model.checkpoint =
      OpenWeights(arguments.model_path, model.config, names ? SourceNames::kAsTheyAre : SourceNames::kNormalized);
  if (names) {
    NamesOptions options{.asked = arguments.no_forward || conversion != nullptr,
                         .stacks_transposed = Transposed(arguments.stacked_experts)};
    NamesConversion rules;
    if (conversion != nullptr) rules = ConversionOf(*conversion);
    if (conversion != nullptr) options.conversion = &rules;
    model.family = MakeNamesFamily(model.config, *model.checkpoint, options);
    if (conversion != nullptr) CheckConversion(*conversion, model.family->layout());
  } else {
    model.family = MakeFamily(*model.entry, model.config, *model.checkpoint);
  }
  model.weights = MakeWeightSource(*model.checkpoint);
  for (const std::string& text : arguments.keep_float) {
    const CompiledPattern pattern(text);
    const auto matches = [&](std::string_view name) { return pattern.Matches(name); };
    if (model.family->KeepFloat(matches, "--float '" + text + "'") > 0) continue;
    throw Error(ErrorCode::kSchema,
                "--float: expected a pattern of linear layers, found '" + text + "', which matches none",
                "'modelslim plan' lists the names of the layers");
  }
}

}  // namespace modelslim
