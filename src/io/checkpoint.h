// The weights of a model directory: one safetensors file, or shards under an index. Nothing is copied, nothing is
// written.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/file.h"
#include "io/safetensors.h"

namespace modelslim {

struct CheckpointTensor {
  std::string name;
  DType dtype;
  Shape shape;
  uint32_t shard;   // position in shards()
  uint64_t offset;  // in the shard's file
  uint64_t bytes;
  bool indexed;   // false: a shard holds it but the index does not name it
  uint32_t slot;  // position in the shard's header

  int64_t size() const { return NumElements(shape); }
};

// Reads STEM.safetensors.index.json and its shards; or STEM.safetensors when there is no index, or one whose shards are
// gone; or, without an index, the complete set of STEM-00001-of-N.safetensors. All headers are checked when the object
// is made; the tensors' bytes are mapped and read when used. Reading is thread-safe. Everything that is wrong is an
// Error(kInvalidModel) naming the file: no directory, no weights, shards missing, cut short or damaged, paths that
// leave the directory, tensors that the index names and the shard lacks.
// Every file is looked for under its name + `suffix`, as an output has them that is not published yet.
class Checkpoint {
 public:
  explicit Checkpoint(const fs::path& directory, const std::string& stem = "model", const std::string& suffix = "");
  Checkpoint(Checkpoint&&) noexcept;
  Checkpoint& operator=(Checkpoint&&) noexcept;
  ~Checkpoint();

  const fs::path& directory() const { return directory_; }
  // By shard (file names ascending), then in the order of the bytes: the fastest order to read.
  const std::vector<CheckpointTensor>& tensors() const { return tensors_; }
  const std::vector<std::string>& shards() const { return shard_names_; }
  uint64_t shard_size(uint32_t shard) const;
  const SafetensorsMetadata& metadata(uint32_t shard) const;
  uint64_t total_bytes() const { return total_bytes_; }  // of all tensors
  // What is odd but harmless, in words: tensors that the index does not name, or that a second shard holds too; which
  // files were read where the index does not decide it.
  const std::vector<std::string>& warnings() const { return warnings_; }

  const CheckpointTensor* Find(std::string_view name) const;     // nullptr when absent
  const CheckpointTensor& Require(std::string_view name) const;  // Error(kInvalidModel) when absent
  // The tensor's bytes in place; see SafetensorsFile::Get.
  SharedTensor Get(std::string_view name) const;
  SharedTensor Get(const CheckpointTensor& tensor) const;
  // A part of it, `begin` elements from its start; see SafetensorsFile::GetPart.
  SharedTensor GetPart(const CheckpointTensor& tensor, int64_t begin, const Shape& shape) const;

  Tensor CopyRows(const CheckpointTensor& tensor, int64_t begin, int64_t end) const;  // see SafetensorsFile::CopyRows
  // Whether that is where it lies in the file, and no copy; see SafetensorsFile::IsInPlace.
  bool IsInPlace(const CheckpointTensor& tensor) const;

  // Gives tensors other names; from here on they are found by these only. Not thread-safe. Throws Error(kInvalidModel)
  // when two would have the same.
  void Rename(const std::function<std::string(const std::string&)>& new_name);

  // Hints for read-ahead and eviction. Unknown names are ignored.
  void WillNeed(std::string_view name) const;
  void DontNeed(std::string_view name) const;
  // The same for a part of a tensor, `begin` elements from its start.
  void WillNeedPart(const CheckpointTensor& tensor, int64_t begin, int64_t count) const;
  void DontNeedPart(const CheckpointTensor& tensor, int64_t begin, int64_t count) const;

  // A cheap identity: XXH3-128 over the shards' names, sizes, modification times and header bytes, all as they were
  // when the files were opened.
  std::string Fingerprint() const;
  // Error(kInvalidModel) that names the file when one is no longer what it was then.
  void ThrowIfChanged() const;

 private:
  void FindFiles(const std::string& stem);
  fs::path PathOf(const std::string& name) const { return directory_ / (name + suffix_); }
  void ReadIndex(const fs::path& index);
  [[noreturn]] void FailMissing(const std::string& stem, const std::vector<std::string>& missing) const;
  const SafetensorsSlot& SlotOf(const CheckpointTensor& tensor) const;
  void OpenShards();
  void ListTensors();
  void CheckIndex(const fs::path& index) const;

  fs::path directory_;
  std::string suffix_;
  std::unordered_map<std::string, std::string> weight_map_;  // while opening; empty for a single file
  std::vector<std::string> shard_names_;
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::vector<CheckpointTensor> tensors_;
  std::unordered_map<std::string_view, uint32_t> index_;  // keys lie in tensors_
  std::vector<std::string> warnings_;
  uint64_t total_bytes_ = 0;
};

}  // namespace modelslim
