#include "plan/copied_files.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "io/json.h"
#include "plan/plan.h"

namespace modelslim {
namespace {

constexpr std::string_view kDescription = "quant_model_description.json";

bool IsCopied(const std::string& name) {
  if (name.ends_with("index.json") || name == kDescription) return false;
  return name.ends_with(".json") || name.ends_with(".py") || name.ends_with(".txt") || name.ends_with(".jinja");
}

// The edited text, or nothing when the file stays as it is.
std::string EditedConfig(const fs::path& path, const Family& family, const ModelPlan& plan) {
  Json config = ReadJson(path);
  JsonObject* object = config.object();
  if (object == nullptr) return "";
  bool changed = object->Erase("quantization_config");
  if (Json* text = object->Find("text_config"); text != nullptr && text->object() != nullptr) {
    changed = text->object()->Erase("quantization_config") || changed;
  }
  std::vector<std::string_view> modes;
  for (const auto& [name, decision] : plan.linears) modes.push_back(QuantModeName(decision.mode));
  for (const auto& [key, value] : family.ConfigEdits(modes, plan.static_fa)) {
    object->Set(key, ParseJson(value, "edit of config.json"));
    changed = true;
  }
  if (plan.unties_embeddings) {
    object->Set("tie_word_embeddings", Json(false));
    changed = true;
  }
  return changed ? config.Dump(2) : "";
}

}  // namespace

std::vector<CopiedFile> FilesToCopy(const fs::path& model_path, const Family& family, const ModelPlan& plan) {
  std::vector<CopiedFile> files;
  for (const fs::directory_entry& entry : fs::directory_iterator(model_path)) {
    const std::string name = entry.path().filename().string();
    if (!entry.is_regular_file() || !IsCopied(name)) continue;
    CopiedFile file{name, "", false};
    if (name == "config.json") {
      file.content = EditedConfig(entry.path(), family, plan);
      file.edited = !file.content.empty();
    }
    files.push_back(std::move(file));
  }
  std::sort(files.begin(), files.end(), [](const CopiedFile& a, const CopiedFile& b) { return a.name < b.name; });
  return files;
}

}  // namespace modelslim
