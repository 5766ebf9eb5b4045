#include "runner/publish.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "io/json.h"
#include "runner/run.h"

namespace modelslim {
namespace {

// Names that this tool (and the one whose format it writes) gives to weights and their index.
bool IsOurWeightFile(const std::string& name) {
  return name.starts_with("quant_model_weight") &&
         (name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json"));
}

void RemoveOldOutput(const fs::path& save_path, const OutputLayout& layout) {
  fs::remove(save_path / kDescriptionFile);
  const auto is_new = [&layout](const std::string& name) {
    return std::any_of(layout.shards.begin(), layout.shards.end(),
                       [&](const OutputShard& shard) { return shard.file == name; });
  };
  for (const fs::directory_entry& entry : fs::directory_iterator(save_path)) {
    const std::string name = entry.path().filename().string();
    // A shard of this run may already carry its name: publishing was interrupted.
    if (IsOurWeightFile(name) && !is_new(name)) {
      fs::remove(entry.path());
    } else if (name.ends_with(".safetensors") && !is_new(name)) {
      LogWarning(entry.path().string() +
                 " is not part of the output; loaders that read every .safetensors file will read it too");
    }
  }
}

// Keeps the modification time, as the reference's copies do.
void CopyFile(const fs::path& from, const fs::path& to) {
  WriteFileAtomically(to, ReadTextFile(from));
  struct stat info {};
  if (stat(from.c_str(), &info) != 0) return;
  const timespec times[2] = {info.st_atim, info.st_mtim};
  if (utimensat(AT_FDCWD, to.c_str(), times, 0) != 0) LogDebug("cannot set the time of " + to.string());
}

Json EntryToJson(const LedgerEntry& entry) {
  Json json{JsonObject()};
  json["name"] = Json(entry.name);
  json["type"] = Json(entry.type);
  json["by"] = Json(entry.by);
  json["weight_error"] = Json(entry.weight_error);
  json["max_abs_error"] = Json(entry.max_abs_error);
  json["clipped_share"] = Json(entry.clipped_share);
  json["scale_min"] = Json(entry.scale_min);
  json["scale_max"] = Json(entry.scale_max);
  if (entry.has_input) {
    json["input_scale"] = Json(entry.input_scale);
    json["input_offset"] = Json(entry.input_offset);
  }
  return json;
}

}  // namespace

std::string LedgerText(const std::vector<LedgerEntry>& entries) {
  JsonArray list;
  for (const LedgerEntry& entry : entries) list.push_back(EntryToJson(entry));
  return Json(std::move(list)).Dump();
}

void AppendLedger(const std::string& text, std::vector<LedgerEntry>* entries) {
  if (text.empty()) return;
  const Json json = ParseJson(text, "journal");
  if (json.array() == nullptr) return;
  for (const Json& item : *json.array()) {
    const auto number = [&item](std::string_view key) {
      const Json* value = item.Find(key);
      return value != nullptr ? value->number().value_or(0) : 0.0;
    };
    const auto string = [&item](std::string_view key) {
      const Json* value = item.Find(key);
      return value != nullptr && value->string() != nullptr ? *value->string() : std::string();
    };
    LedgerEntry entry;
    entry.name = string("name");
    entry.type = string("type");
    entry.by = string("by");
    entry.weight_error = number("weight_error");
    entry.max_abs_error = number("max_abs_error");
    entry.clipped_share = number("clipped_share");
    entry.scale_min = number("scale_min");
    entry.scale_max = number("scale_max");
    entry.has_input = item.Find("input_scale") != nullptr;
    entry.input_scale = number("input_scale");
    entry.input_offset = number("input_offset");
    entries->push_back(std::move(entry));
  }
}

void PublishOutput(const RunPlan& plan, const fs::path& model_path, const fs::path& save_path, const RunReport& report,
                   OutputWriter& writer) {
  RemoveOldOutput(save_path, plan.layout);
  writer.Publish();
  for (const CopiedFile& file : plan.copied) {
    if (file.edited) {
      WriteFileAtomically(save_path / file.name, file.content);
    } else {
      CopyFile(model_path / file.name, save_path / file.name);
    }
  }
  if (plan.names.part_gib > 0) {
    WriteFileAtomically(save_path / (plan.names.stem + ".safetensors.index.json"), IndexJson(plan.layout));
  }
  Json ledger{JsonObject()};
  ledger["tensors"] = ParseJson(LedgerText(report.ledger), "ledger");
  ledger["hashes"] = Json(JsonObject());
  for (const auto& [name, hash] : writer.hashes()) ledger["hashes"].object()->Set(name, Json(hash));
  WriteFileAtomically(save_path / kLedgerFile, ledger.Dump(2));
  WriteFileAtomically(save_path / kDescriptionFile, DescriptionJson(plan.layout, plan.globals, plan.compat));
}

}  // namespace modelslim
