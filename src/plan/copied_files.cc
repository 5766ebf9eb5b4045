#include "plan/copied_files.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "io/hash.h"
#include "io/json.h"
#include "io/model_directory.h"
#include "plan/plan.h"
#include "plan/source_links.h"

namespace modelslim {
namespace {

constexpr std::string_view kDescription = "quant_model_description.json";

bool IsCopied(const std::string& name) { return IsModelFile(name) && name != kDescription; }

std::string WhereItLeads(const fs::path& link) {
  std::error_code error;
  const fs::path target = fs::read_symlink(link, error);
  return "a link " +
         std::string(fs::exists(link, error) ? "out of the model directory, to " : "that leads nowhere, to ") +
         target.string();
}

// The edited text, or nothing when the file stays as it is.
std::string EditedConfig(const std::string& source, const fs::path& path, const Family& family, const ModelPlan& plan) {
  Json config = ParseJson(source, path.string());
  JsonObject* object = config.object();
  if (object == nullptr) return "";
  bool changed = object->Erase("quantization_config");
  if (Json* text = object->Find("text_config"); text != nullptr && text->object() != nullptr) {
    changed = text->object()->Erase("quantization_config") || changed;
  }
  std::vector<std::string_view> modes;
  for (const auto& [name, decision] : plan.decisions.linears) modes.push_back(QuantModeName(decision.mode));
  for (const auto& [key, value] : family.ConfigEdits(modes, HasFact<PlannedFaScales>(plan.decisions.facts))) {
    object->Set(key, ParseJson(value, "edit of config.json"));
    changed = true;
  }
  if (plan.decisions.unties_embeddings) {
    object->Set("tie_word_embeddings", Json(false));
    changed = true;
  }
  return changed ? config.Dump(2) : "";
}

}  // namespace

std::vector<CopiedFile> FilesToCopy(const fs::path& model_path, const Family& family, ModelPlan& plan,
                                    bool edits_config) {
  const SourceLinks links(model_path);
  std::vector<CopiedFile> files;
  for (const fs::directory_entry& entry : fs::directory_iterator(model_path)) {
    const std::string name = entry.path().filename().string();
    if (!IsCopied(name)) continue;
    std::error_code ignored;
    if (entry.is_symlink(ignored) && !links.MayCopy(entry.path())) {
      const std::string what = WhereItLeads(entry.path());
      if (IsNeededFile(name))
        throw Error(ErrorCode::kSecurity, entry.path().string() + ": expected a file of the model, found " + what,
                    "put the file itself in the place of the link (a copy, or download it again)");
      plan.notes.Warn(entry.path().string(), "is " + what + ", so it is not copied into the output");
      continue;
    }
    if (!entry.is_regular_file(ignored)) continue;
    // Read now, and not only when the layers are done and it is copied.
    const std::string text = ReadTextFile(entry.path());
    if (std::find(kReadByServers.begin(), kReadByServers.end(), name) != kReadByServers.end()) {
      RequireJsonObject(text, entry.path().string());
    }
    CopiedFile file{name, "", false, HashHex(text)};
    if (name == "config.json" && edits_config) {
      file.content = EditedConfig(text, entry.path(), family, plan);
      file.edited = !file.content.empty();
    }
    files.push_back(std::move(file));
  }
  std::sort(files.begin(), files.end(), [](const CopiedFile& a, const CopiedFile& b) { return a.name < b.name; });
  return files;
}

}  // namespace modelslim
