// The safetensors container: 8 bytes of header length (little endian), a JSON header padded with spaces, then the
// tensors' bytes one after the other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/file.h"
#include "tensor/tensor.h"

namespace modelslim {

inline constexpr uint64_t kMaxSafetensorsHeader = 100'000'000;  // the limit of the reference implementation
inline constexpr size_t kMaxTensorRank = 64;

using SafetensorsMetadata = std::vector<std::pair<std::string, std::string>>;

// A tensor and its place in the file.
struct SafetensorsSlot {
  std::string name;
  DType dtype;
  Shape shape;
  uint64_t offset;  // bytes from the start of the file
  uint64_t size;    // bytes
};

struct SafetensorsHeader {
  std::vector<SafetensorsSlot> slots;  // in the order of their bytes
  SafetensorsMetadata metadata;        // __metadata__, in the file's order
  uint64_t data_begin = 0;             // where the header ends
};

// Reads the header of a file of `file_size` bytes, of which `head` holds at least the header (the whole file will do).
// Every way in which header and file can contradict themselves or each other (length, JSON, names, dtypes, shapes,
// overlaps, holes, total size) is an Error(kInvalidModel) that names `file` and the tensor. Time is linear in the
// header (plus a sort).
SafetensorsHeader ParseSafetensorsHeader(std::span<const std::byte> head, uint64_t file_size, const std::string& file);

// A tensor to be written.
struct SafetensorsItem {
  std::string name;
  DType dtype;
  Shape shape;
};

struct SafetensorsPlan {
  std::string header;                  // what the file begins with: length prefix, JSON, padding to 8 bytes
  std::vector<SafetensorsSlot> slots;  // in file order
  uint64_t file_size = 0;
};

// The layout that the reference implementation gives: larger DType first, then names by bytes, without gaps; text of
// the header as it writes it. `metadata` empty: no __metadata__ entry. Throws Error(kUnexpected) on a name that occurs
// twice, a negative dimension, or sizes that overflow.
SafetensorsPlan PlanSafetensors(std::vector<SafetensorsItem> items, const SafetensorsMetadata& metadata = {});

// Writes a whole file beside the target, syncs and renames. `tensors` may come in any order; data is read during the
// call only.
void WriteSafetensors(const fs::path& path, const std::vector<std::pair<std::string, ConstView>>& tensors,
                      const SafetensorsMetadata& metadata = {}, unsigned mode = 0600);

// A mapped file with its header checked. Reading is thread-safe.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const fs::path& path);
  ~SafetensorsFile();
  SafetensorsFile(const SafetensorsFile&) = delete;
  SafetensorsFile& operator=(const SafetensorsFile&) = delete;

  const fs::path& path() const { return file_->path(); }
  uint64_t size() const { return file_->bytes().size(); }
  const FileStamp& stamp() const { return file_->stamp(); }
  const SafetensorsHeader& header() const { return header_; }
  std::span<const std::byte> header_bytes() const { return file_->bytes().first(header_.data_begin); }
  const SafetensorsSlot* Find(std::string_view name) const;  // nullptr when absent

  // The tensor in place, without a copy; it keeps the mapping. Where the file has it at an address that its type cannot
  // be read from (writers before 2023 did not pad the header), it is a copy instead, one for all who hold it.
  SharedTensor Get(std::string_view name) const;  // Error(kInvalidModel) when absent
  SharedTensor Get(const SafetensorsSlot& slot) const;

  // A part of the tensor, `begin` elements from its start and of this shape: in place where that can be read, else a
  // copy of the part alone.
  SharedTensor GetPart(const SafetensorsSlot& slot, int64_t begin, const Shape& shape) const;
  // Rows [begin, end) of a matrix, in memory of their own.
  Tensor CopyRows(const SafetensorsSlot& slot, int64_t begin, int64_t end) const;
  // Whether its type can be read where it lies.
  static bool IsInPlace(const SafetensorsSlot& slot) { return slot.offset % DTypeSize(slot.dtype) == 0; }

  // Hints for read-ahead and eviction.
  void WillNeed(const SafetensorsSlot& slot) const { file_->WillNeed(slot.offset, slot.size); }
  void DontNeed(const SafetensorsSlot& slot) const { file_->DontNeed(slot.offset, slot.size); }
  // The same for `bytes` of it from `begin` on.
  void WillNeed(const SafetensorsSlot& slot, uint64_t begin, uint64_t bytes) const {
    file_->WillNeed(slot.offset + begin, bytes);
  }
  void DontNeed(const SafetensorsSlot& slot, uint64_t begin, uint64_t bytes) const {
    file_->DontNeed(slot.offset + begin, bytes);
  }

 private:
  struct Copies;
  std::shared_ptr<const MappedFile> file_;
  SafetensorsHeader header_;
  std::unordered_map<std::string_view, uint32_t> index_;  // keys lie in header_
  std::unique_ptr<Copies> copies_;
};

}  // namespace modelslim
