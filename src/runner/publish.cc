#include "runner/publish.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cstdio>
#include <map>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "io/hash.h"
#include "runner/ledger.h"
#include "runner/run.h"

namespace modelslim {
namespace {

// Names that this tool (and the one whose format it writes) gives to weights and their index.
bool IsOurWeightFile(const std::string& name) {
  return name.starts_with("quant_model_weight") &&
         (name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json"));
}

std::set<std::string> NamesOf(const OutputLayout& layout) {
  std::set<std::string> names;
  for (const OutputShard& shard : layout.shards) names.insert(shard.file);
  return names;
}

void RemoveOldOutput(const fs::path& save_path, const OutputLayout& layout) {
  fs::remove(save_path / kDescriptionFile);
  const std::set<std::string> shards = NamesOf(layout);
  const auto is_new = [&shards](const std::string& name) { return shards.count(name) > 0; };
  for (const fs::directory_entry& entry : fs::directory_iterator(save_path)) {
    const std::string name = entry.path().filename().string();
    if (IsOurWeightFile(name) && !is_new(name)) {
      fs::remove(entry.path());
    } else if (name.ends_with(".safetensors") && !is_new(name)) {
      LogWarning(entry.path().string() +
                 " is not part of the output; loaders that read every .safetensors file will read it too");
    }
  }
}

// Puts the small files of an output beside their names, and later gives them these.
class SmallFiles {
 public:
  explicit SmallFiles(const fs::path& save_path) : save_path_(save_path) {}

  void Write(const std::string& name, const std::string& content) {
    WriteFileAtomically(Unpublished(save_path_ / name), content);
    Add(name, HashHex(content));
  }

  // Of the model directory, as it was when the plan was made. Keeps the modification time, as the reference's copies
  // do.
  void Copy(const CopiedFile& file, const fs::path& model_path) {
    const fs::path from = model_path / file.name;
    const std::string text = ReadTextFile(from);
    if (HashHex(text) != file.hash) {
      throw Error(ErrorCode::kInvalidModel,
                  from.string() + ": expected the file as it was when the run began, found that it changed meanwhile",
                  "let whatever writes there finish, and give the same command again");
    }
    if (file.edited) return Write(file.name, file.content);
    Write(file.name, text);
    struct stat info {};
    if (stat(from.c_str(), &info) != 0) return;
    const timespec times[2] = {info.st_atim, info.st_mtim};
    const fs::path to = Unpublished(save_path_ / file.name);
    if (utimensat(AT_FDCWD, to.c_str(), times, 0) != 0) LogDebug("cannot set the time of " + to.string());
  }

  // One that is there already, beside its name.
  void Take(const std::string& name) { Add(name, HashHex(ReadTextFile(Unpublished(save_path_ / name)))); }

  // The last one written is named last, when the others are sure to be on the disk.
  void Publish() const {
    for (const std::string& name : names_) {
      if (name == names_.back()) SyncDirectory(save_path_);
      const fs::path to = save_path_ / name;
      if (std::rename(Unpublished(to).c_str(), to.c_str()) != 0) ThrowSystemError("cannot rename to", to);
    }
    SyncDirectory(save_path_);
  }

  const std::map<std::string, std::string>& hashes() const { return hashes_; }

 private:
  void Add(const std::string& name, std::string hash) {
    names_.push_back(name);
    hashes_[name] = std::move(hash);
  }

  const fs::path& save_path_;
  std::vector<std::string> names_;
  std::map<std::string, std::string> hashes_;
};

}  // namespace

void RemoveUnfinished(const fs::path& save_path, const OutputLayout& layout) {
  const std::set<std::string> kept = NamesOf(layout);
  for (const fs::directory_entry& entry : fs::directory_iterator(save_path)) {
    const std::string name = entry.path().filename().string();
    if (!name.ends_with(kUnpublished)) continue;
    const std::string final_name = name.substr(0, name.size() - std::string_view(kUnpublished).size());
    if (IsOurWeightFile(final_name) && kept.count(final_name) == 0) fs::remove(entry.path());
  }
}

void PublishOutput(const RunPlan& plan, const RunOptions& options, const RunReport& report, OutputWriter& writer) {
  writer.Complete();
  SmallFiles files(options.save_path);
  for (const CopiedFile& file : plan.copied) files.Copy(file, options.model_path);
  if (plan.names.part_gib > 0) files.Write(plan.names.stem + ".safetensors.index.json", IndexJson(plan.layout));
  if (!plan.globals.global_rotation_file.empty()) files.Take(plan.globals.global_rotation_file);
  const std::string description = DescriptionJson(plan.layout, plan.globals, plan.model.options.compat);
  LedgerHashes hashes{writer.hashes(), files.hashes()};
  hashes.files[kDescriptionFile] = HashHex(description);
  files.Write(kLedgerFile, LedgerDocument(report.facts, hashes));
  files.Write(kDescriptionFile, description);
  plan.checkpoint->ThrowIfChanged();
  if (options.check) options.check();
  RemoveOldOutput(options.save_path, plan.layout);
  writer.Publish();
  files.Publish();
}

}  // namespace modelslim
