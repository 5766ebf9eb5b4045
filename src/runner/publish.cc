#include "runner/publish.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "runner/ledger.h"
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

}  // namespace

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
  WriteFileAtomically(save_path / kLedgerFile, LedgerDocument(report.facts, writer.hashes()));
  WriteFileAtomically(save_path / kDescriptionFile, DescriptionJson(plan.layout, plan.globals, plan.compat));
}

}  // namespace modelslim
