#include "io/checkpoint.h"

#include <sys/stat.h>

#include <algorithm>
#include <exception>
#include <optional>
#include <set>

#include "base/parallel.h"
#include "io/hash.h"
#include "io/json_ref.h"
#include "io/quote.h"

namespace modelslim {
namespace {

constexpr size_t kNamesShown = 5;

[[noreturn]] void Fail(const fs::path& where, const std::string& what, const std::string& tip) {
  throw Error(ErrorCode::kInvalidModel, where.string() + ": " + what, tip);
}

// 'a', 'b' and 7 more.
std::string Some(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < std::min(names.size(), kNamesShown); ++i) text += (i == 0 ? "" : ", ") + Quote(names[i]);
  return names.size() <= kNamesShown ? text : text + " and " + std::to_string(names.size() - kNamesShown) + " more";
}

// A plain relative path below the directory: what a hub's index holds, and all that we open.
bool StaysInside(const std::string& file) {
  if (file.empty() || file.front() == '/' || file.find_first_of(std::string_view("\\\0", 2)) != std::string::npos)
    return false;
  for (const fs::path& part : fs::path(file)) {
    if (part.empty() || part == "." || part == "..") return false;
  }
  return true;
}

bool Exists(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

std::string OtherWeights(const fs::path& directory) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(directory, ignored)) {
    const std::string extension = entry.path().extension().string();
    if (extension == ".bin" || extension == ".pt" || extension == ".pth" || extension == ".gguf") {
      return "the directory has " + Quote(entry.path().filename().string()) + "; convert the weights to safetensors";
    }
    if (extension == ".safetensors") {
      return "the directory has " + Quote(entry.path().filename().string()) +
             ", which is not named as a model's weights are";
    }
  }
  return "give the directory that holds the model's weights, completely downloaded";
}

}  // namespace

Checkpoint::Checkpoint(Checkpoint&&) noexcept = default;
Checkpoint& Checkpoint::operator=(Checkpoint&&) noexcept = default;
Checkpoint::~Checkpoint() = default;

Checkpoint::Checkpoint(const fs::path& directory, const std::string& stem) : directory_(directory) {
  std::error_code error;
  if (!fs::is_directory(directory, error)) {
    Fail(directory,
         error && error != std::errc::no_such_file_or_directory ? "cannot be read: " + error.message()
         : Exists(directory)                                    ? "expected a model directory, found a file"
                                                                : "no such model directory",
         "check --model_path");
  }
  const fs::path index = directory / (stem + ".safetensors.index.json"), single = directory / (stem + ".safetensors");
  const bool sharded = Exists(index);
  if (sharded) {
    ReadIndex(index);
    if (Exists(single) &&
        std::find(shard_names_.begin(), shard_names_.end(), stem + ".safetensors") == shard_names_.end()) {
      warnings_.push_back(single.string() + " is not used: " + index.filename().string() + " names other files");
    }
  } else if (Exists(single)) {
    shard_names_.push_back(stem + ".safetensors");
  } else {
    Fail(directory, "expected " + index.filename().string() + " or " + single.filename().string() + ", found neither",
         OtherWeights(directory));
  }
  OpenShards();
  ListTensors();
  if (sharded) CheckIndex(index);
  if (tensors_.empty())
    Fail(sharded ? index : single, "expected weights, found no tensor at all", "download or export it again");
  weight_map_.clear();
}

void Checkpoint::ReadIndex(const fs::path& index) {
  JsonOptions options;
  options.duplicates = JsonDuplicates::kError;
  const Json json = ReadJson(index, options);
  const JsonRef map = JsonRef(json, index.string())["weight_map"];
  if (map.AsObject().empty()) map.Fail("the shards of the tensors", "download or export the index again");
  std::set<std::string> shards;
  for (const JsonMember& member : map.AsObject()) {
    const std::string& file = map[member.key].AsString();
    if (!StaysInside(file)) {
      throw Error(
          ErrorCode::kSecurity,
          map[member.key].where() + ": expected the name of a file in the model's directory, found " + Quote(file),
          "the index must not point elsewhere");
    }
    weight_map_.emplace(member.key, file);
    shards.insert(file);
  }
  shard_names_.assign(shards.begin(), shards.end());
}

void Checkpoint::OpenShards() {
  std::vector<std::string> missing;
  for (const std::string& name : shard_names_) {
    if (!Exists(directory_ / name)) missing.push_back(name);
  }
  if (!missing.empty()) {
    Fail(directory_,
         "expected " + std::to_string(shard_names_.size()) + " weight files, found " +
             std::to_string(shard_names_.size() - missing.size()) + "; missing: " + Some(missing),
         "download the missing files");
  }
  files_.resize(shard_names_.size());
  std::vector<std::exception_ptr> errors(shard_names_.size());
  ParallelFor(static_cast<int64_t>(files_.size()), [&](int64_t i) {
    try {
      files_[i] = std::make_unique<SafetensorsFile>(directory_ / shard_names_[i]);
    } catch (...) {
      errors[i] = std::current_exception();  // the first by name is reported, whichever thread was faster
    }
  });
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }
}

void Checkpoint::ListTensors() {
  const bool single = weight_map_.empty();
  size_t count = 0;
  for (const auto& file : files_) count += file->header().slots.size();
  tensors_.reserve(count);
  std::vector<std::string> unnamed, doubled;
  std::unordered_map<std::string_view, uint32_t> stray;
  for (uint32_t shard = 0; shard < files_.size(); ++shard) {
    for (const SafetensorsSlot& slot : files_[shard]->header().slots) {
      const auto entry = weight_map_.find(slot.name);
      const bool indexed = single || (entry != weight_map_.end() && entry->second == shard_names_[shard]);
      if (!indexed) {
        const bool known = entry != weight_map_.end() || !stray.emplace(slot.name, shard).second;
        (known ? doubled : unnamed).push_back(slot.name);
        if (known) continue;  // the place that the index names counts, else the first
      }
      tensors_.push_back({slot.name, slot.dtype, slot.shape, shard, slot.offset, slot.size, indexed});
      total_bytes_ += slot.size;
    }
  }
  index_.reserve(tensors_.size());
  for (size_t i = 0; i < tensors_.size(); ++i) index_.emplace(tensors_[i].name, static_cast<uint32_t>(i));
  if (!unnamed.empty()) warnings_.push_back(directory_.string() + ": the index does not name " + Some(unnamed));
  if (!doubled.empty())
    warnings_.push_back(directory_.string() + ": a second file holds " + Some(doubled) + ", which is not used");
}

void Checkpoint::CheckIndex(const fs::path& index) const {
  std::vector<std::string> missing;
  for (const auto& [name, file] : weight_map_) {
    if (Find(name) == nullptr) missing.push_back(name + " in " + file);
  }
  if (missing.empty()) return;
  std::sort(missing.begin(), missing.end());
  Fail(index,
       "expected " + std::to_string(weight_map_.size()) + " tensors in the files it names, found " +
           std::to_string(weight_map_.size() - missing.size()) + "; missing: " + Some(missing),
       "index and weight files are not of one export: download or export both again");
}

uint64_t Checkpoint::shard_size(uint32_t shard) const { return files_[shard]->size(); }
const SafetensorsMetadata& Checkpoint::metadata(uint32_t shard) const { return files_[shard]->header().metadata; }

const CheckpointTensor* Checkpoint::Find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

const CheckpointTensor& Checkpoint::Require(std::string_view name) const {
  if (const CheckpointTensor* const tensor = Find(name)) return *tensor;
  Fail(directory_,
       "expected a tensor " + Quote(name) + ", found none of that name among " + std::to_string(tensors_.size()),
       "the weights do not fit config.json, or the download is not complete");
}

SharedTensor Checkpoint::Get(std::string_view name) const { return Get(Require(name)); }
SharedTensor Checkpoint::Get(const CheckpointTensor& tensor) const { return files_[tensor.shard]->Get(tensor.name); }

void Checkpoint::WillNeed(std::string_view name) const {
  const CheckpointTensor* const tensor = Find(name);
  if (tensor != nullptr) files_[tensor->shard]->WillNeed(*files_[tensor->shard]->Find(name));
}

void Checkpoint::DontNeed(std::string_view name) const {
  const CheckpointTensor* const tensor = Find(name);
  if (tensor != nullptr) files_[tensor->shard]->DontNeed(*files_[tensor->shard]->Find(name));
}

std::string Checkpoint::Fingerprint() const {
  Hasher hasher;
  for (size_t i = 0; i < files_.size(); ++i) {
    struct stat info {};
    if (stat(files_[i]->path().c_str(), &info) != 0) ThrowSystemError("cannot read the date of", files_[i]->path());
    hasher.Update(shard_names_[i] + '\0' + std::to_string(files_[i]->size()) + '\0' +
                  std::to_string(info.st_mtim.tv_sec) + '.' + std::to_string(info.st_mtim.tv_nsec) + '\0');
    hasher.Update(files_[i]->header_bytes());
  }
  return hasher.Hex();
}

}  // namespace modelslim
