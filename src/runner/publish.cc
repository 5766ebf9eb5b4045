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
#include "plan/output_tensors.h"
#include "runner/ledger.h"
#include "runner/run.h"

namespace modelslim {
namespace {

std::set<std::string> NamesOf(const OutputLayout& layout) {
  std::set<std::string> names;
  for (const OutputShard& shard : layout.shards) names.insert(shard.file);
  return names;
}

void RemoveOldOutput(const fs::path& save_path, const RunPlan& plan) {
  fs::remove(save_path / std::string(plan.format->completing_file()));
  const std::set<std::string> shards = NamesOf(plan.layout);
  const auto is_new = [&shards](const std::string& name) { return shards.count(name) > 0; };
  for (const fs::directory_entry& entry : fs::directory_iterator(save_path)) {
    const std::string name = entry.path().filename().string();
    if (plan.format->IsWeightFile(name) && !is_new(name)) {
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

  // One that the writer has made and will publish.
  void Note(const std::string& name) { hashes_[name] = HashHex(ReadTextFile(Unpublished(save_path_ / name))); }

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

void RemoveUnfinished(const fs::path& save_path, const RunPlan& plan) {
  const std::set<std::string> kept = NamesOf(plan.layout);
  for (const fs::directory_entry& entry : fs::directory_iterator(save_path)) {
    const std::string name = entry.path().filename().string();
    if (!name.ends_with(kUnpublished)) continue;
    const std::string final_name = name.substr(0, name.size() - std::string_view(kUnpublished).size());
    if (plan.format->IsWeightFile(final_name) && kept.count(final_name) == 0) fs::remove(entry.path());
  }
}

void PublishOutput(const RunPlan& plan, const RunOptions& options, const RunReport& report, OutputWriter& writer) {
  writer.Complete();
  SmallFiles files(options.save_path);
  for (const CopiedFile& file : plan.copied) files.Copy(file, options.model_path);
  for (size_t i = plan.layout.weight_shards; i < plan.layout.shards.size(); ++i) files.Note(plan.layout.shards[i].file);
  std::vector<SmallFile> small =
      plan.format->SmallFiles(plan.layout, WrittenOf(plan.family->layout(), plan.model.decisions));
  const SmallFile last = std::move(small.back());
  small.pop_back();
  for (const SmallFile& file : small) files.Write(file.name, file.content);
  LedgerHashes hashes{writer.hashes(), files.hashes()};
  for (const OutputTensor& tensor : plan.layout.tensors) {
    if (!tensor.file.empty()) hashes.tensors.erase(tensor.name);  // its file has a checksum
  }
  hashes.files[last.name] = HashHex(last.content);
  files.Write(kLedgerFile, LedgerDocument(report.facts, plan.floats, hashes));
  files.Write(last.name, last.content);
  plan.checkpoint->ThrowIfChanged();
  if (options.check) options.check();
  RemoveOldOutput(options.save_path, plan);
  writer.Publish();
  files.Publish();
}

}  // namespace modelslim
