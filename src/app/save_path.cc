#include "app/save_path.h"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file_identity.h"

namespace modelslim {
namespace {

// A model directory holds some hundred entries; somebody may name the root of a disk by mistake.
constexpr int kDeepest = 4;
constexpr size_t kMostEntries = 100000;

struct SourcePlaces {
  std::map<FileIdentity, fs::path> files;        // everything that is read, by any name
  std::map<FileIdentity, fs::path> directories;  // the model's own
  std::map<FileIdentity, fs::path> homes;        // outside of it: where configuration or weights behind links lie
  std::map<FileIdentity, fs::path> neighbours;   // outside of it: where other files behind links lie
};

bool IsHeart(const fs::path& name) { return name.filename() == "config.json" || name.extension() == ".safetensors"; }

void AddFile(const fs::path& path, bool is_link, SourcePlaces& places) {
  if (const auto identity = IdentityOf(path)) places.files.emplace(*identity, path);
  if (!is_link) return;
  // Every stop on the way: a link may lead to a link in yet another directory.
  constexpr int kMostStops = 40;  // as the kernel has it
  std::error_code error;
  fs::path stop = path;
  for (int i = 0; i < kMostStops && fs::is_symlink(fs::symlink_status(stop, error)); ++i) {
    const fs::path target = fs::read_symlink(stop, error);
    if (error) return;
    stop = stop.parent_path() / target;
    const fs::path directory = RealPath(stop.parent_path());
    if (const auto identity = IdentityOf(directory)) {
      (IsHeart(path) ? places.homes : places.neighbours).emplace(*identity, directory);
    }
  }
}

std::vector<fs::directory_entry> EntriesOf(const fs::path& directory) {
  std::vector<fs::directory_entry> entries;
  std::error_code error;
  for (auto entry = fs::directory_iterator(directory, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    if (entries.size() == kMostEntries) break;
    entries.push_back(*entry);
  }
  return entries;
}

// `is_link`: the directory was reached through a link. Then it counts if it holds what a model has; a link to
// somebody's whole data directory does not make that a part of the model.
void AddDirectory(const fs::path& directory, bool is_link, int depth, SourcePlaces& places) {
  const auto identity = IdentityOf(directory);
  if (!identity || places.directories.contains(*identity) || places.homes.contains(*identity)) return;
  const std::vector<fs::directory_entry> entries = EntriesOf(directory);
  if (is_link &&
      std::none_of(entries.begin(), entries.end(), [](const auto& entry) { return IsHeart(entry.path()); })) {
    places.neighbours.emplace(*identity, RealPath(directory));
    return;
  }
  (is_link ? places.homes : places.directories).emplace(*identity, RealPath(directory));
  for (const fs::directory_entry& entry : entries) {
    if (places.files.size() + places.directories.size() > kMostEntries) return;
    std::error_code ignored;
    const bool link = entry.is_symlink(ignored);
    if (!entry.is_directory(ignored)) {
      AddFile(entry.path(), link, places);
    } else if (depth < kDeepest) {
      AddDirectory(entry.path(), is_link || link, depth + 1, places);
    }
  }
}

[[noreturn]] void Refuse(const fs::path& save_path, const std::string& what, const std::string& tip) {
  throw Error(ErrorCode::kSecurity,
              "--save_path " + save_path.string() + " " + what + "; the source must stay as it is", tip);
}

void RefuseWithinTheSource(const fs::path& save_path, const SourcePlaces& places) {
  const std::string tip = "choose a --save_path outside of the directories that hold the model's files";
  const std::vector<fs::path> parents = SelfAndParents(save_path);
  for (size_t i = 0; i < parents.size(); ++i) {
    const auto identity = IdentityOf(parents[i]);
    if (!identity) continue;
    const std::string how = i == 0 ? "is the directory " : "lies inside the directory ";
    for (const auto* const group : {&places.directories, &places.homes, &places.neighbours}) {
      if (i > 0 && group == &places.neighbours) continue;
      if (const auto found = group->find(*identity); found != group->end()) {
        Refuse(save_path,
               how + found->second.string() +
                   (group == &places.directories ? ", which is the source"
                                                 : ", to which links of the model directory lead"),
               tip);
      }
    }
  }
}

void RefuseSharedFiles(const fs::path& save_path, const SourcePlaces& places) {
  std::error_code error;
  for (auto entry = fs::directory_iterator(save_path, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    const auto identity = IdentityOf(entry->path());
    if (!identity) continue;
    if (const auto found = places.files.find(*identity); found != places.files.end()) {
      Refuse(save_path,
             "holds " + entry->path().filename().string() + ", which is the same file as " + found->second.string(),
             "choose an empty directory, or remove that name from this one");
    }
  }
}

}  // namespace

void CheckSavePath(const fs::path& save_path, const fs::path& model_path) {
  if (IsInside(model_path, save_path) && !IsInside(save_path, model_path)) {
    Refuse(save_path, "holds --model_path " + model_path.string(),
           "choose a --save_path outside of the model directory");
  }
  SourcePlaces places;
  AddDirectory(model_path, /*is_link=*/false, 0, places);
  RefuseWithinTheSource(save_path, places);
  RefuseSharedFiles(save_path, places);
  CheckDirectoryCanBeWritten(save_path);
}

void CheckNamesAreFree(const fs::path& save_path, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    for (const fs::path& path : {save_path / name, Unpublished(save_path / name)}) {
      std::error_code ignored;
      if (!fs::is_directory(fs::symlink_status(path, ignored))) continue;
      throw Error(ErrorCode::kSecurity,
                  path.string() + ": expected a file of an earlier output or nothing, found a directory",
                  "move it away, or choose another --save_path");
    }
  }
}

}  // namespace modelslim
