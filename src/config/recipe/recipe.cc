#include "config/recipe/recipe.h"

#include <algorithm>

#include "config/recipe/convert.h"
#include "config/schema/schema_builder.h"

namespace modelslim {
namespace {

std::vector<std::string> ApiVersionNames() {
  std::vector<std::string> names;
  for (const auto& [value, name] : EnumNames<ApiVersion>::kList) names.emplace_back(name);
  return names;
}

std::optional<ApiVersion> ReadApiVersion(Reader& reader, const YamlNode& root) {
  const Reader::Step step(reader, "apiversion");
  const YamlEntry* entry = root.Find("apiversion");
  Remark remark;
  remark.code = ErrorCode::kEnvironment;
  remark.expected = JoinWords(ApiVersionNames());
  if (entry == nullptr) {
    reader.Error(root.pos, "the key apiversion is missing", std::move(remark));
    return std::nullopt;
  }
  const YamlNode& value = *entry->value;
  if (value.kind == YamlKind::kString) {
    for (const auto& [version, name] : EnumNames<ApiVersion>::kList) {
      if (value.text == name) return version;
    }
    remark.suggestion = NearestWord(value.text, ApiVersionNames());
  }
  remark.found = FoundText(value);
  reader.Error(value.pos, "unknown apiversion", std::move(remark));
  return std::nullopt;
}

void ReadMetadata(Reader& reader, const YamlNode& root, Recipe& recipe) {
  const YamlEntry* entry = root.Find("metadata");
  if (entry == nullptr) return;
  const Reader::Step step(reader, "metadata");
  recipe.has_metadata = true;
  ReadObject(reader, *entry->value, SchemaOf<Metadata>(), &recipe.metadata);
}

// An alias is the very node of its anchor, so a node with a second owner is used in a second place.
bool UsedElsewhere(const YamlNodePtr& node) {
  return node.use_count() > 1 || std::any_of(node->items.begin(), node->items.end(), UsedElsewhere) ||
         std::any_of(node->entries.begin(), node->entries.end(),
                     [](const YamlEntry& entry) { return UsedElsewhere(entry.value); });
}

// A value of the spec that stands one level too high is not read, and its default silently is. Nothing is said of an
// anchor's block, which may be named like the key that takes its alias.
void WarnAboutKeysOutside(Reader& reader, const YamlNode& root, const ObjectSchema& spec) {
  for (const YamlEntry& entry : root.entries) {
    if (entry.key_kind != YamlKind::kString || spec.Find(entry.key) == nullptr || UsedElsewhere(entry.value)) continue;
    Remark remark;
    remark.tip = "indent it below spec, or delete it";
    reader.Warn(entry.key_pos, "the key " + entry.key + " stands beside spec and is ignored", std::move(remark));
  }
}

template <class T>
void ReadSpec(Reader& reader, const YamlNode& root, std::optional<T>& out) {
  WarnAboutKeysOutside(reader, root, SchemaOf<T>());
  const Reader::Step step(reader, "spec");
  out.emplace();
  const YamlEntry* entry = root.Find("spec");
  if (entry == nullptr) {
    Remark remark;
    remark.expected = "a mapping";
    const std::vector<FieldSpec>& fields = SchemaOf<T>().fields;
    const bool optional =
        std::none_of(fields.begin(), fields.end(), [](const FieldSpec& each) { return each.required; });
    if (optional) remark.tip = "spec: {} takes every default of the service";
    return reader.Error(root.pos, "the key spec is missing", std::move(remark));
  }
  ReadObject(reader, *entry->value, SchemaOf<T>(), &*out);
}

void ReadSpecOf(Reader& reader, const YamlNode& root, Recipe& recipe) {
  switch (recipe.api_version) {
    case ApiVersion::kV0:
      reader.strict_types = true;
      return ReadSpec(reader, root, recipe.v0);
    case ApiVersion::kV1:
      return ReadSpec(reader, root, recipe.v1);
    case ApiVersion::kVlm:
      return ReadSpec(reader, root, recipe.vlm);
    case ApiVersion::kSd:
      return ReadSpec(reader, root, recipe.sd);
  }
}

// Other top-level keys are free (they hold anchors), but a slip of the pen there loses a whole section.
void WarnAboutSlips(Reader& reader, const YamlNode& root) {
  const std::vector<std::string> names{"apiversion", "metadata", "spec"};
  for (const YamlEntry& entry : root.entries) {
    if (entry.key == names[0] || entry.key == names[1] || entry.key == names[2]) continue;
    Remark remark;
    remark.suggestion = NearestWord(entry.key, names);
    if (remark.suggestion.empty() || root.Find(remark.suggestion) != nullptr) continue;
    reader.Warn(entry.key_pos, "the unknown key " + YamlQuoteIfNeeded(entry.key) + " is ignored", std::move(remark));
  }
}

void ReadRoot(Reader& reader, const YamlNode& root, Recipe& recipe) {
  if (root.kind != YamlKind::kMapping) {
    Remark remark;
    remark.expected = "a mapping with apiversion and spec";
    remark.found = root.kind == YamlKind::kNull && root.text.empty() ? "nothing" : FoundText(root);
    return reader.Error(root.pos, "this is not a recipe", std::move(remark));
  }
  WarnAboutSlips(reader, root);
  const std::optional<ApiVersion> version = ReadApiVersion(reader, root);
  ReadMetadata(reader, root, recipe);
  if (!version) return;
  recipe.api_version = *version;
  recipe.api_version_pos = root.Find("apiversion")->value->pos;
  ReadSpecOf(reader, root, recipe);
}

}  // namespace

std::vector<std::string> Metadata::VerifiedNames() const {
  if (!verified_model_types.empty()) return verified_model_types;
  std::vector<std::string> names;
  for (const VerifiedTags& each : verified_tags) names.push_back(each.model_type);
  return names;
}

const TextSpec* Recipe::text() const {
  if (v1) return &*v1;
  if (vlm) return &*vlm;
  return sd ? &*sd : nullptr;
}

const PipelineArgument* SdConfig::Find(std::string_view name) const {
  for (const PipelineArgument& each : model_config) {
    if (each.name == name) return &each;
  }
  return nullptr;
}

std::vector<SubgraphType> AllSubgraphTypes() {
  return {SubgraphType::kNormLinear, SubgraphType::kLinearLinear, SubgraphType::kOv, SubgraphType::kUpDown};
}

Recipe ParseRecipe(std::string_view text, const std::string& name, Diagnostics& diagnostics) {
  const YamlDocument document = ParseYaml(text);
  if (IsConversion(document)) {
    const auto conversion = std::make_shared<const ConvertSpec>(ReadConversion(text, name, diagnostics));
    if (diagnostics.HasErrors()) return {};
    Recipe recipe = ParseRecipe(AsRecipe(*conversion), name, diagnostics);
    recipe.conversion = conversion;
    return recipe;
  }
  Recipe recipe;
  recipe.file = name;
  Reader reader(name, diagnostics, recipe.values);
  for (const YamlWarning& warning : document.warnings) {
    Remark remark;
    remark.tip = warning.tip;
    reader.Warn(warning.pos, warning.message, std::move(remark));
  }
  for (const YamlProblem& problem : document.problems) {
    Remark remark;
    remark.tip = problem.tip;
    reader.Error(problem.pos, problem.message, std::move(remark));
  }
  if (document.root) ReadRoot(reader, *document.root, recipe);
  diagnostics.Sort();
  return recipe;
}

Recipe LoadRecipe(const fs::path& path, Diagnostics& diagnostics) {
  const std::string name = path.string();
  if (!name.ends_with("yml") && !name.ends_with("yaml")) {
    throw Error(ErrorCode::kSecurity, name + ": expected a file that ends in .yaml or .yml", "rename the recipe");
  }
  return ParseRecipe(ReadTextFile(path, YamlLimits().bytes), name, diagnostics);
}

Recipe LoadRecipeOrThrow(const fs::path& path, Diagnostics& diagnostics) {
  Recipe recipe = LoadRecipe(path, diagnostics);
  diagnostics.ThrowIfErrors();
  return recipe;
}

}  // namespace modelslim
