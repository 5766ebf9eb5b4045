#include "config/recipe/commands.h"

#include <ostream>

#include "base/words.h"
#include "config/recipe/coerce.h"
#include "config/schema/schema_builder.h"
#include "io/json_make.h"

namespace modelslim {
namespace {

struct Loaded {
  std::string source;
  Recipe recipe;
  Diagnostics diagnostics;
};

// Reads and reports. The file's own problems (missing, unreadable) become a diagnostic, too.
Loaded Load(const std::string& file, std::ostream& err) {
  Loaded loaded;
  try {
    loaded.recipe = LoadRecipe(file, loaded.diagnostics);
    loaded.source = ReadTextFile(file, YamlLimits().bytes);
  } catch (const Error& error) {
    Diagnostic d;
    d.code = error.code();
    d.file = file;
    d.message = error.what();
    d.tip = error.tip();
    loaded.diagnostics.Add(std::move(d));
  }
  for (const Diagnostic& each : loaded.diagnostics.items()) PrintDiagnostic(each, loaded.source, err);
  return loaded;
}

std::string Summary(const Recipe& recipe) {
  std::string text(EnumName(recipe.api_version));
  if (recipe.v0) return text + ", " + std::string(V0QuantTypeName(recipe.v0->calib_cfg.effective.type));
  const TextSpec* spec = recipe.text();
  if (spec == nullptr) return text;
  text += ", " + Counted(spec->process.size(), "processor") + ", " + Counted(spec->save.size(), "saver");
  return text;
}

Json FieldJson(const FieldSpec& field) {
  Json out = MakeJson({{"name", field.name}, {"type", TypeText(field)}, {"required", field.required}});
  if (!field.default_text.empty()) out["default"] = field.default_text;
  out["doc"] = field.doc.en;
  if (field.since_26) out["since"] = "26.1.0";
  return out;
}

// `runs` may be empty: then nothing is said about it.
Json MembersJson(const UnionSchema& schema, const RunsType& runs) {
  JsonArray out;
  for (const UnionMember& member : schema.members) {
    if (!member.advertised) continue;
    JsonArray fields;
    for (const FieldSpec& field : member.schema().fields) fields.push_back(FieldJson(field));
    Json made = MakeJson({{"type", member.type}, {"doc", member.doc.en}, {"distributed", member.distributed}});
    if (runs) made["runs"] = runs(member.type);
    made["fields"] = std::move(fields);
    out.push_back(std::move(made));
  }
  return out;
}

void PrintMembers(const UnionSchema& schema, const RunsType& runs, std::ostream& out) {
  for (const UnionMember& member : schema.members) {
    if (!member.advertised) continue;
    out << member.type << (member.since_26 ? "  (since 26.1.0)" : "")
        << (runs && !runs(member.type) ? "  (checked and explained, not run yet)" : "") << "\n    " << member.doc.en
        << "\n";
    for (const FieldSpec& field : member.schema().fields) {
      out << "    " << field.name << ": " << TypeText(field);
      if (field.required)
        out << "  (required)";
      else if (!field.unset.en.empty())
        out << "  (default: " << field.unset.en << ")";
      else if (!field.default_text.empty())
        out << "  (default: " << field.default_text << ")";
      out << "\n";
    }
  }
}

std::string LabelText(const Label& label) {
  const auto bits = [](const std::optional<int64_t>& value) { return value ? std::to_string(*value) : "?"; };
  std::string text = "w" + bits(label.w_bit) + "a" + bits(label.a_bit);
  if (label.kv_cache) text += "c8";
  if (label.fa_quant) text += "f" + bits(label.fa_bit ? label.fa_bit : std::optional<int64_t>(8));
  if (label.is_sparse) text += "s";
  return text;
}

std::string Models(const Metadata& metadata) {
  std::string text;
  for (const std::string& each : metadata.VerifiedNames()) text += (text.empty() ? "" : ", ") + each;
  return text.empty() ? "any model" : text;
}

Json TagsJson(const Metadata& metadata) {
  JsonObject all;
  for (const VerifiedTags& each : metadata.verified_tags) {
    JsonArray scenarios;
    for (const std::vector<std::string>& scenario : each.scenarios) scenarios.push_back(MakeJsonArray(scenario));
    all.Set(each.model_type, std::move(scenarios));
  }
  return all;
}

}  // namespace

namespace {

// What follows from the values of a v0 recipe by the rules of its service.
std::string V0Derived(const V0Spec& spec) {
  const V0CalibConfig& c = spec.calib_cfg;
  const auto& e = c.effective;
  std::string text = "# derived: type " + std::string(V0QuantTypeName(e.type)) + ", w_bit " + std::to_string(e.w_bit) +
                     ", a_bit " + std::to_string(e.a_bit) + ", weight scales per " +
                     (e.per_group   ? "group of " + std::to_string(e.group_size) + " columns"
                      : e.mm_tensor ? std::string("tensor")
                                    : std::string("output channel"));
  if (e.type == V0QuantType::kW8A8S) {
    text += e.co_sparse   ? ", outliers by their share of the matrix"
            : c.use_sigma ? ", outliers by the deviation of their row"
                          : ", outliers by their share of the row";
  }
  text += "\n";
  for (const V0CalibParams::Mix& mix : spec.calib_params.mix_cfg) {
    text += "# derived: " + mix.pattern + " " + std::string(EnumName(mix.type)) + "\n";
  }
  return text;
}

}  // namespace

int RecipeCheck(const std::vector<std::string>& files, std::ostream& out, std::ostream& err) {
  int status = 0;
  for (const std::string& file : files) {
    const Loaded loaded = Load(file, err);
    const size_t errors = loaded.diagnostics.error_count(), warnings = loaded.diagnostics.warning_count();
    if (errors > 0) status = 1;
    out << file << ": ";
    if (errors > 0)
      out << Counted(errors, "error");
    else
      out << "ok (" << Summary(loaded.recipe) << ")";
    if (warnings > 0) out << ", " << Counted(warnings, "warning");
    out << "\n";
  }
  return status;
}

int RecipeExplain(const std::string& file, std::ostream& out, std::ostream& err) {
  const Loaded loaded = Load(file, err);
  if (loaded.diagnostics.HasErrors()) return 1;
  const std::string derived = loaded.recipe.v0 ? V0Derived(*loaded.recipe.v0) : "";
  size_t width = 0;
  for (const EffectiveValue& value : loaded.recipe.values)
    width = std::max(width, value.path.size() + value.value.size() + 2);
  width = std::min<size_t>(width, 90);
  out << "# " << file << ": " << Summary(loaded.recipe) << "\n" << derived;
  for (const EffectiveValue& value : loaded.recipe.values) {
    const std::string text = value.path + ": " + value.value;
    out << text << std::string(text.size() < width ? width - text.size() : 0, ' ') << "  # ";
    if (value.pos.known())
      out << file << ":" << value.pos.line << ":" << value.pos.column << "\n";
    else
      out << "default\n";
  }
  return 0;
}

void ListProcessors(std::ostream& out, bool json, const RunsType& runs) {
  if (json) {
    const Json all =
        MakeJson({{"processors", MembersJson(ProcessorUnion(), runs)}, {"savers", MembersJson(SaverUnion(), {})}});
    out << all.Dump(2, false) << "\n";
    return;
  }
  out << "Processors (items of spec.process)\n\n";
  PrintMembers(ProcessorUnion(), runs, out);
  out << "\nSavers (items of spec.save)\n\n";
  PrintMembers(SaverUnion(), {}, out);
}

void ListPractices(const PracticeRepository& repository, std::ostream& out, bool json) {
  JsonArray all;
  for (const std::string& pedigree : repository.Pedigrees()) {
    if (!json) out << pedigree << "/\n";
    for (const Practice* practice : repository.Of(pedigree)) {
      const Metadata& metadata = practice->metadata();
      if (json) {
        all.push_back(MakeJson({{"pedigree", pedigree},
                                {"config_id", metadata.config_id},
                                {"file", practice->file.string()},
                                {"apiversion", EnumName(practice->recipe.api_version)},
                                {"quant_type", LabelText(metadata.label)},
                                {"score", metadata.score},
                                {"verified_model_types", MakeJsonArray(metadata.verified_model_types)},
                                {"verified_tags", TagsJson(metadata)}}));
      } else {
        out << "    " << metadata.config_id << "  " << LabelText(metadata.label) << "  score "
            << NumberText(metadata.score) << "  " << EnumName(practice->recipe.api_version) << "  " << Models(metadata)
            << "\n";
      }
    }
  }
  if (json) out << Json(std::move(all)).Dump(2, false) << "\n";
}

void ExplainChoice(const PracticeChoice& choice, std::ostream& out, bool json) {
  if (json) {
    JsonArray passed;
    for (const PassedOver& each : choice.passed_over) {
      passed.push_back(MakeJson({{"file", each.practice->file.string()}, {"reason", each.reason}}));
    }
    const Json all = MakeJson({{"chosen", choice.chosen->file.string()},
                               {"reason", choice.reason},
                               {"needs_confirmation", choice.needs_confirmation},
                               {"passed_over", std::move(passed)}});
    out << all.Dump(2, false) << "\n";
    return;
  }
  out << "chosen: " << choice.chosen->file.string() << "\n    " << choice.reason << "\n";
  for (const PassedOver& each : choice.passed_over) {
    out << "passed over: " << each.practice->file.string() << "\n    " << each.reason << "\n";
  }
}

}  // namespace modelslim
