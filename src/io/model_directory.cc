#include "io/model_directory.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <vector>

#include "base/error.h"
#include "io/quote.h"

namespace modelslim {
namespace {

constexpr size_t kNamesShown = 5;
constexpr std::string_view kPointer = "version https://git-lfs.github.com/spec/";

[[noreturn]] void Fail(const fs::path& where, const std::string& what, const std::string& tip) {
  throw Error(ErrorCode::kInvalidModel, where.string() + ": " + what, tip);
}

std::vector<fs::path> EntriesOf(const fs::path& directory) {
  std::vector<fs::path> entries;
  std::error_code error;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    entries.push_back(it->path());
  }
  std::sort(entries.begin(), entries.end());
  return entries;
}

// Folders one step below that hold a model.
std::vector<fs::path> ModelsBelow(const fs::path& directory) {
  std::vector<fs::path> found;
  for (const fs::path& entry : EntriesOf(directory)) {
    if (Exists(entry / "config.json")) found.push_back(entry);
  }
  return found;
}

std::string Listed(const std::vector<fs::path>& paths) {
  std::string text;
  for (size_t i = 0; i < std::min(paths.size(), kNamesShown); ++i) text += (i == 0 ? "" : " or ") + paths[i].string();
  return paths.size() <= kNamesShown ? text
                                     : text + " or one of " + std::to_string(paths.size() - kNamesShown) + " more";
}

// "Qwen/Qwen3-8B" of a folder named "models--Qwen--Qwen3-8B"; nothing for another name.
std::string RepositoryOf(const fs::path& directory) {
  const fs::path name = directory.has_filename() ? directory.filename() : directory.parent_path().filename();
  constexpr std::string_view kPrefix = "models--";
  std::string text = name.string();
  if (!text.starts_with(kPrefix)) return "";
  text.erase(0, kPrefix.size());
  if (const size_t dashes = text.find("--"); dashes != std::string::npos) text.replace(dashes, 2, "/");
  return text;
}

std::string DownloadTip(const std::string& repository) {
  return "download it: hf download " + (repository.empty() ? "REPOSITORY" : repository) + " --local-dir DIRECTORY";
}

// The snapshot that the cache's main branch stands at, else every one there is.
std::vector<fs::path> SnapshotsOf(const fs::path& repository) {
  std::error_code ignored;
  const fs::path main = repository / "refs" / "main";
  if (fs::is_regular_file(main, ignored)) {
    std::ifstream file(main);
    std::string commit;
    file >> commit;
    const bool plain =
        !commit.empty() && commit.size() <= 64 && commit.find_first_not_of("0123456789abcdef") == std::string::npos;
    if (plain && Exists(repository / "snapshots" / commit / "config.json")) return {repository / "snapshots" / commit};
  }
  return ModelsBelow(repository / "snapshots");
}

// The folder that the Hub's library keeps a repository in, or the one with all of them.
void RefuseHubCache(const fs::path& directory) {
  std::error_code ignored;
  if (Exists(directory / "config.json")) return;
  if (fs::is_directory(directory / "snapshots", ignored)) {
    const std::vector<fs::path> snapshots = SnapshotsOf(directory);
    Fail(directory, "expected a model directory, found the folder of a repository in the Hub's cache",
         snapshots.empty() ? "no snapshot in it is complete; " + DownloadTip(RepositoryOf(directory))
                           : "give the snapshot: " + Listed(snapshots));
  }
  if (directory.filename() == "snapshots" && !ModelsBelow(directory).empty()) {
    Fail(directory, "expected a model directory, found the snapshots of a repository in the Hub's cache",
         "give the snapshot: " + Listed(SnapshotsOf(directory.parent_path())));
  }
  std::vector<fs::path> models;
  for (const fs::path& entry : EntriesOf(directory)) {
    if (RepositoryOf(entry).empty() || !fs::is_directory(entry / "snapshots", ignored)) continue;
    for (const fs::path& snapshot : SnapshotsOf(entry)) models.push_back(snapshot);
  }
  if (!models.empty()) {
    Fail(directory, "expected a model directory, found a cache of the Hub with several repositories",
         "give a snapshot: " + Listed(models));
  }
}

[[noreturn]] void FailWithoutConfig(const fs::path& directory) {
  const std::string what = "expected config.json of a model, found none";
  if (const std::vector<fs::path> below = ModelsBelow(directory); !below.empty()) {
    Fail(directory, what, "it is in a folder below: give " + Listed(below));
  }
  if (Exists(directory / "model_index.json")) {
    Fail(directory, what + ", but model_index.json of a pipeline of several models",
         "this version quantizes language models only ('modelslim models' lists them)");
  }
  for (const fs::path& entry : EntriesOf(directory)) {
    if (entry.extension() == ".gguf") {
      Fail(directory, what + ", but " + Quote(entry.filename().string()),
           "a GGUF file is quantized already: give the Hugging Face checkpoint that it was made from");
    }
  }
  if (Exists(directory / "params.json")) {
    Fail(directory, what + ", but params.json of the publisher's own format",
         "give the same model in the format of Hugging Face transformers");
  }
  Fail(directory, what, "give the directory that holds config.json and the safetensors files");
}

}  // namespace

bool Exists(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

bool IsModelFile(std::string_view name) {
  if (name.ends_with("index.json")) return false;
  static constexpr std::array<std::string_view, 6> kEndings = {".json", ".py", ".txt", ".jinja", ".model", ".tiktoken"};
  return name.starts_with("tokenizer.model.") ||  // Mistral's have a version behind the name
         std::any_of(kEndings.begin(), kEndings.end(), [&](std::string_view ending) { return name.ends_with(ending); });
}

bool IsNeededFile(std::string_view name) {
  static constexpr std::array<std::string_view, 8> kBeginnings = {
      "config.json",  "tokenizer",         "vocab",        "merges", "special_tokens_map",
      "added_tokens", "generation_config", "chat_template"};
  return name.ends_with(".model") || name.ends_with(".tiktoken") ||
         std::any_of(kBeginnings.begin(), kBeginnings.end(),
                     [&](std::string_view beginning) { return name.starts_with(beginning); });
}

std::optional<Substitute> FindSubstitute(const fs::path& path) {
  std::error_code error;
  const fs::file_status link = fs::symlink_status(path, error);
  if (fs::is_symlink(link) && !Exists(path)) {
    const fs::path target = fs::read_symlink(path, error);
    return Substitute{"a link to a file that is not there (" + Quote(target.string()) + ")",
                      "download the model again, or remove the link if the file is not needed"};
  }
  if (!fs::is_regular_file(path, error)) return std::nullopt;
  std::ifstream file(path, std::ios::binary);
  std::array<char, 64> begin{};
  file.read(begin.data(), begin.size());
  std::string_view text(begin.data(), static_cast<size_t>(std::max<std::streamsize>(0, file.gcount())));
  if (text.starts_with(kPointer)) {
    return Substitute{"a Git LFS pointer to it", "fetch the files behind the pointers: git lfs pull"};
  }
  const size_t start = text.find_first_not_of(" \r\n\t");
  if (start == std::string_view::npos) return std::nullopt;
  text.remove_prefix(start);
  for (const std::string_view page : {"<!DOCTYPE", "<!doctype", "<html", "<HTML", "<?xml"}) {
    if (text.starts_with(page) && path.extension() != ".txt" && path.extension() != ".py") {
      return Substitute{"a web page (an error of the server, perhaps)", "download the file again"};
    }
  }
  return std::nullopt;
}

void CheckDirectory(const fs::path& directory) {
  std::error_code error;
  if (fs::is_directory(directory, error)) return RefuseHubCache(directory);
  if (error && error != std::errc::no_such_file_or_directory && error != std::errc::not_a_directory) {
    Fail(directory, "cannot be read: " + error.message(), "check the permissions of the directory");
  }
  if (Exists(directory)) {
    Fail(directory, "expected a model directory, found a file",
         "give the directory that it is in: " + (directory.has_parent_path() ? directory.parent_path() : ".").string());
  }
  const std::string text = directory.string();
  const bool like_a_repository = std::count(text.begin(), text.end(), '/') == 1 && text.front() != '/' &&
                                 text.front() != '.' && text.back() != '/';
  Fail(directory, "no such model directory",
       like_a_repository
           ? "models are not downloaded by name: hf download " + text + " --local-dir DIRECTORY, then give it"
           : "give the directory that holds config.json and the safetensors files");
}

void CheckModelDirectory(const fs::path& directory) {
  CheckDirectory(directory);
  for (const fs::path& entry : EntriesOf(directory)) {
    const std::string name = entry.filename().string();
    if (!IsModelFile(name) && !name.ends_with("index.json")) continue;
    // Other links to nothing are told when it is planned what is copied.
    std::error_code ignored;
    if (fs::is_symlink(entry, ignored) && !Exists(entry) && !IsNeededFile(name) && IsModelFile(name)) continue;
    if (const std::optional<Substitute> found = FindSubstitute(entry)) {
      Fail(entry, "expected the file, found " + found->what, found->tip);
    }
  }
  if (!Exists(directory / "config.json")) FailWithoutConfig(directory);
}

}  // namespace modelslim
