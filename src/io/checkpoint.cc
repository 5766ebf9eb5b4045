#include "io/checkpoint.h"

#include <algorithm>
#include <exception>
#include <map>
#include <optional>
#include <set>

#include "base/parallel.h"
#include "io/hash.h"
#include "io/json_ref.h"
#include "io/model_directory.h"
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

// Files that no index names but that are numbered as shards are: "model-00002-of-00003.safetensors".
struct NumberedFiles {
  std::map<std::string, std::set<std::string>> by_total;  // "00003" -> the files that say so
};

NumberedFiles FindNumbered(const fs::path& directory, const std::string& stem) {
  NumberedFiles found;
  std::error_code error;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    const std::string_view ending = ".safetensors";
    if (!name.starts_with(stem + "-") || !name.ends_with(ending)) continue;
    const std::string middle = name.substr(stem.size() + 1, name.size() - stem.size() - 1 - ending.size());
    const size_t of = middle.find("-of-");
    if (of == std::string::npos) continue;
    const std::string number = middle.substr(0, of), total = middle.substr(of + 4);
    const auto digits = [](const std::string& text) {
      return !text.empty() && text.size() <= 6 && text.find_first_not_of("0123456789") == std::string::npos;
    };
    if (digits(number) && digits(total) && std::stoi(total) > 0) found.by_total[total].insert(name);
  }
  return found;
}

// All names of a numbered set, in the width that its files have.
std::vector<std::string> FullSet(const std::string& stem, const std::string& total) {
  std::vector<std::string> names;
  for (int i = 1; i <= std::stoi(total); ++i) {
    std::string number = std::to_string(i);
    if (number.size() < total.size()) number.insert(0, total.size() - number.size(), '0');
    names.push_back(stem + "-" + number + "-of-" + total + ".safetensors");
  }
  return names;
}

std::string OtherWeights(const fs::path& directory) {
  std::string tip = "give the directory that holds the model's weights, completely downloaded";
  std::error_code error;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string(), extension = it->path().extension().string();
    const std::string has = "the directory has " + Quote(name) + ", ";
    if (name.starts_with("adapter_model.")) {
      return has + "an adapter: merge it into its base model and give the result (peft: merge_and_unload)";
    }
    if (name.starts_with("consolidated.")) {
      tip = has + "the publisher's own format: give the model in the format of Hugging Face transformers";
    } else if (extension == ".gguf") {
      tip = has + "which is quantized already: give the Hugging Face checkpoint that it was made from";
    } else if (extension == ".bin" || extension == ".pt" || extension == ".pth") {
      tip = "the directory has " + Quote(name) + "; convert the weights to safetensors";
    } else if (extension == ".safetensors") {
      tip = has + "a name that weights do not have: rename it to model.safetensors if it is the whole model";
    }
  }
  return tip;
}

}  // namespace

Checkpoint::Checkpoint(Checkpoint&&) noexcept = default;
Checkpoint& Checkpoint::operator=(Checkpoint&&) noexcept = default;
Checkpoint::~Checkpoint() = default;

Checkpoint::Checkpoint(const fs::path& directory, const std::string& stem, const std::string& suffix)
    : directory_(directory), suffix_(suffix) {
  std::error_code error;
  if (!fs::is_directory(directory, error)) {
    Fail(directory,
         error && error != std::errc::no_such_file_or_directory ? "cannot be read: " + error.message()
         : Exists(directory)                                    ? "expected a model directory, found a file"
                                                                : "no such model directory",
         "give the directory that holds the model's weights");
  }
  FindFiles(stem);
  OpenShards();
  ListTensors();
  if (!weight_map_.empty()) CheckIndex(PathOf(stem + ".safetensors.index.json"));
  if (tensors_.empty())
    Fail(PathOf(shard_names_.front()), "expected weights, found no tensor at all", "download or export it again");
  weight_map_.clear();
}

// Which files hold the weights: those of the index, else the whole file, else a complete numbered set.
void Checkpoint::FindFiles(const std::string& stem) {
  const fs::path index = PathOf(stem + ".safetensors.index.json");
  const std::string whole = stem + ".safetensors";
  const bool has_whole = Exists(PathOf(whole));
  if (const std::optional<Substitute> found = FindSubstitute(index))
    Fail(index, "expected the index of the weights, found " + found->what, found->tip);
  if (Exists(index)) {
    ReadIndex(index);
    const bool names_whole = std::find(shard_names_.begin(), shard_names_.end(), whole) != shard_names_.end();
    std::vector<std::string> missing;
    for (const std::string& name : shard_names_) {
      if (!Exists(PathOf(name))) missing.push_back(name);
    }
    if (missing.empty()) {
      if (has_whole && !names_whole)
        warnings_.push_back(PathOf(whole).string() + " is not used: " + index.filename().string() +
                            " names other files; remove what is out of date");
      return;
    }
    if (!has_whole || names_whole) FailMissing(stem, missing);
    warnings_.push_back(index.string() + " is out of date: it names " + Some(missing) + ", which are not there; " +
                        whole + " is read instead. Remove the index");
    weight_map_.clear();
  }
  if (has_whole) {
    shard_names_ = {whole};
    return;
  }
  if (const std::optional<Substitute> found = FindSubstitute(PathOf(whole)))
    Fail(PathOf(whole), "expected the weights, found " + found->what, found->tip);
  const NumberedFiles numbered = FindNumbered(directory_, stem);
  if (numbered.by_total.empty())
    Fail(directory_, "expected " + index.filename().string() + " or " + whole + ", found neither",
         OtherWeights(directory_));
  if (numbered.by_total.size() > 1) {
    Fail(directory_,
         "expected " + index.filename().string() +
             ", found none, and files of two exports: " + Quote(*numbered.by_total.begin()->second.begin()) + " and " +
             Quote(*numbered.by_total.rbegin()->second.begin()),
         "remove the files of one of them");
  }
  const auto& [total, files] = *numbered.by_total.begin();
  shard_names_ = FullSet(stem, total);
  std::vector<std::string> missing;
  for (const std::string& name : shard_names_) {
    if (!files.contains(name)) missing.push_back(name);
  }
  if (!missing.empty()) FailMissing(stem, missing);
  warnings_.push_back(index.string() + " is missing; the " + std::to_string(files.size()) +
                      " files that are numbered as its shards are read");
}

// What is wrong with the first missing file decides what is said; of files that are just not there, all are named.
void Checkpoint::FailMissing(const std::string& stem, const std::vector<std::string>& missing) const {
  for (const std::string& name : missing) {
    if (const std::optional<Substitute> found = FindSubstitute(PathOf(name)))
      Fail(PathOf(name), "expected the weights, found " + found->what, found->tip);
  }
  std::vector<std::string> strays;
  for (const auto& [total, files] : FindNumbered(directory_, stem).by_total) {
    for (const std::string& name : files) {
      if (std::find(shard_names_.begin(), shard_names_.end(), name) == shard_names_.end()) strays.push_back(name);
    }
  }
  const std::string what = "expected " + std::to_string(shard_names_.size()) + " weight files, found " +
                           std::to_string(shard_names_.size() - missing.size()) + "; missing: " + Some(missing);
  if (strays.empty()) Fail(directory_, what, "download the missing files");
  const std::string index = stem + ".safetensors.index.json";
  Fail(directory_, what + "; there are instead: " + Some(strays),
       "the index and these files are of two exports: download them again together, or remove " + index +
           " if these files are the whole model");
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
          "download or export the index again");
    }
    weight_map_.emplace(member.key, file);
    shards.insert(file);
  }
  shard_names_.assign(shards.begin(), shards.end());
}

void Checkpoint::OpenShards() {
  files_.resize(shard_names_.size());
  std::vector<std::exception_ptr> errors(shard_names_.size());
  ParallelFor(static_cast<int64_t>(files_.size()), [&](int64_t i) {
    try {
      files_[i] = std::make_unique<SafetensorsFile>(PathOf(shard_names_[i]));
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
    const std::vector<SafetensorsSlot>& slots = files_[shard]->header().slots;
    for (uint32_t i = 0; i < slots.size(); ++i) {
      const SafetensorsSlot& slot = slots[i];
      if (single && !stray.emplace(slot.name, shard).second) {
        doubled.push_back(slot.name);
        continue;
      }
      const auto entry = weight_map_.find(slot.name);
      const bool indexed = single || (entry != weight_map_.end() && entry->second == shard_names_[shard]);
      if (!indexed) {
        const bool known = entry != weight_map_.end() || !stray.emplace(slot.name, shard).second;
        (known ? doubled : unnamed).push_back(slot.name);
        if (known) continue;  // the place that the index names counts, else the first
      }
      tensors_.push_back({slot.name, slot.dtype, slot.shape, shard, slot.offset, slot.size, indexed, i});
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
       "take config.json and the weights from the same download");
}

SharedTensor Checkpoint::Get(std::string_view name) const { return Get(Require(name)); }
SharedTensor Checkpoint::Get(const CheckpointTensor& tensor) const { return files_[tensor.shard]->Get(SlotOf(tensor)); }

SharedTensor Checkpoint::GetPart(const CheckpointTensor& tensor, int64_t begin, const Shape& shape) const {
  return files_[tensor.shard]->GetPart(SlotOf(tensor), begin, shape);
}

const SafetensorsSlot& Checkpoint::SlotOf(const CheckpointTensor& tensor) const {
  return files_[tensor.shard]->header().slots[tensor.slot];
}

void Checkpoint::Rename(const std::function<std::string(const std::string&)>& new_name) {
  index_.clear();  // its keys lie in the names
  for (size_t i = 0; i < tensors_.size(); ++i) tensors_[i].name = new_name(tensors_[i].name);
  for (size_t i = 0; i < tensors_.size(); ++i) {
    if (index_.emplace(tensors_[i].name, static_cast<uint32_t>(i)).second) continue;
    Fail(directory_, "two tensors would both be " + Quote(tensors_[i].name), "remove one of them from the weights");
  }
}

Tensor Checkpoint::CopyRows(const CheckpointTensor& tensor, int64_t begin, int64_t end) const {
  return files_[tensor.shard]->CopyRows(SlotOf(tensor), begin, end);
}

bool Checkpoint::IsInPlace(const CheckpointTensor& tensor) const { return SafetensorsFile::IsInPlace(SlotOf(tensor)); }

void Checkpoint::WillNeed(std::string_view name) const {
  const CheckpointTensor* const tensor = Find(name);
  if (tensor != nullptr) files_[tensor->shard]->WillNeed(SlotOf(*tensor));
}

void Checkpoint::DontNeed(std::string_view name) const {
  const CheckpointTensor* const tensor = Find(name);
  if (tensor != nullptr) files_[tensor->shard]->DontNeed(SlotOf(*tensor));
}

void Checkpoint::WillNeedPart(const CheckpointTensor& tensor, int64_t begin, int64_t count) const {
  const uint64_t size = DTypeSize(tensor.dtype);
  files_[tensor.shard]->WillNeed(SlotOf(tensor), static_cast<uint64_t>(begin) * size,
                                 static_cast<uint64_t>(count) * size);
}

void Checkpoint::DontNeedPart(const CheckpointTensor& tensor, int64_t begin, int64_t count) const {
  const uint64_t size = DTypeSize(tensor.dtype);
  files_[tensor.shard]->DontNeed(SlotOf(tensor), static_cast<uint64_t>(begin) * size,
                                 static_cast<uint64_t>(count) * size);
}

std::string Checkpoint::Fingerprint() const {
  Hasher hasher;
  for (size_t i = 0; i < files_.size(); ++i) {
    const FileStamp& stamp = files_[i]->stamp();
    hasher.Update(shard_names_[i] + '\0' + std::to_string(stamp.size) + '\0' + std::to_string(stamp.seconds) + '.' +
                  std::to_string(stamp.nanoseconds) + '\0');
    hasher.Update(files_[i]->header_bytes());
  }
  return hasher.Hex();
}

void Checkpoint::ThrowIfChanged() const {
  for (const auto& file : files_) {
    const FileStamp now = StampOf(file->path());
    if (now == file->stamp()) continue;
    Fail(file->path(),
         "expected the weights as they were when the run began, found that the file changed meanwhile (" +
             (now.size == file->stamp().size
                  ? "written to at the same size"
                  : std::to_string(file->stamp().size) + " bytes then, " + std::to_string(now.size) + " now") +
             ")",
         "let whatever writes there finish, and give the same command again: it starts over with the new weights");
  }
}

}  // namespace modelslim
