#include "io/safetensors.h"

#include <cstring>
#include <mutex>

#include "io/quote.h"

namespace modelslim {

// Copies of tensors that lie at odd addresses, as long as somebody holds them.
struct SafetensorsFile::Copies {
  std::mutex mutex;
  std::unordered_map<uint64_t, std::weak_ptr<const Tensor>> by_offset;
};

SafetensorsFile::SafetensorsFile(const fs::path& path)
    : file_(std::make_shared<const MappedFile>(path)),
      header_(ParseSafetensorsHeader(file_->bytes(), file_->bytes().size(), path.string())),
      copies_(std::make_unique<Copies>()) {
  index_.reserve(header_.slots.size());
  for (size_t i = 0; i < header_.slots.size(); ++i) index_.emplace(header_.slots[i].name, static_cast<uint32_t>(i));
}

SafetensorsFile::~SafetensorsFile() = default;

const SafetensorsSlot* SafetensorsFile::Find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &header_.slots[found->second];
}

SharedTensor SafetensorsFile::Get(std::string_view name) const {
  const SafetensorsSlot* const slot = Find(name);
  if (slot == nullptr) {
    throw Error(ErrorCode::kInvalidModel, path().string() + ": expected a tensor " + Quote(name) +
                                              ", found none of that name among " +
                                              std::to_string(header_.slots.size()));
  }
  return Get(*slot);
}

SharedTensor SafetensorsFile::GetPart(const SafetensorsSlot& slot, int64_t begin, const Shape& shape) const {
  const int64_t count = NumElements(shape);
  MODELSLIM_CHECK(begin >= 0 && begin + count <= NumElements(slot.shape));
  const std::byte* const data =
      file_->bytes().data() + slot.offset + static_cast<size_t>(begin) * DTypeSize(slot.dtype);
  if (IsInPlace(slot)) return {file_, {data, slot.dtype, shape}};
  Tensor copy(slot.dtype, shape);
  std::memcpy(copy.view().data, data, copy.bytes());
  return copy;
}

Tensor SafetensorsFile::CopyRows(const SafetensorsSlot& slot, int64_t begin, int64_t end) const {
  MODELSLIM_CHECK(slot.shape.size() == 2 && begin >= 0 && begin <= end && end <= slot.shape[0]);
  Tensor rows(slot.dtype, {end - begin, slot.shape[1]});
  const size_t row_bytes = static_cast<size_t>(slot.shape[1]) * DTypeSize(slot.dtype);
  std::memcpy(rows.view().data, file_->bytes().data() + slot.offset + static_cast<size_t>(begin) * row_bytes,
              rows.bytes());
  return rows;
}

SharedTensor SafetensorsFile::Get(const SafetensorsSlot& slot) const {
  const std::byte* const data = file_->bytes().data() + slot.offset;
  // The mapping begins at a page, so the offset decides. C64 consists of two floats; asking for 8 costs a copy at
  // worst.
  if (IsInPlace(slot) || slot.size == 0) return {file_, {data, slot.dtype, slot.shape}};
  const std::lock_guard lock(copies_->mutex);
  std::weak_ptr<const Tensor>& known = copies_->by_offset[slot.offset];
  std::shared_ptr<const Tensor> copy = known.lock();
  if (!copy) {
    Tensor made(slot.dtype, slot.shape);
    std::memcpy(made.view().data, data, slot.size);
    copy = std::make_shared<const Tensor>(std::move(made));
    known = copy;
  }
  const ConstView view = copy->view();
  return {std::move(copy), view};
}

}  // namespace modelslim
