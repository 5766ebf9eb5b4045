#include "io/safetensors.h"

#include <cstring>
#include <mutex>

#include "io/quote.h"

namespace modelslim {

// Private copies of tensors that lie at odd addresses.
struct SafetensorsFile::Copies {
  std::mutex mutex;
  std::unordered_map<uint64_t, Tensor> by_offset;
};

SafetensorsFile::SafetensorsFile(const fs::path& path)
    : file_(path),
      header_(ParseSafetensorsHeader(file_.bytes(), file_.bytes().size(), path.string())),
      copies_(std::make_unique<Copies>()) {
  index_.reserve(header_.slots.size());
  for (size_t i = 0; i < header_.slots.size(); ++i) index_.emplace(header_.slots[i].name, static_cast<uint32_t>(i));
}

SafetensorsFile::~SafetensorsFile() = default;

const SafetensorsSlot* SafetensorsFile::Find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &header_.slots[found->second];
}

ConstView SafetensorsFile::View(std::string_view name) const {
  const SafetensorsSlot* const slot = Find(name);
  if (slot == nullptr) {
    throw Error(ErrorCode::kInvalidModel, path().string() + ": expected a tensor " + Quote(name) +
                                              ", found none of that name among " +
                                              std::to_string(header_.slots.size()));
  }
  return View(*slot);
}

ConstView SafetensorsFile::View(const SafetensorsSlot& slot) const {
  const std::byte* const data = file_.bytes().data() + slot.offset;
  // The mapping begins at a page, so the offset decides. C64 consists of two floats; asking for 8 costs a copy at
  // worst.
  if (slot.offset % DTypeSize(slot.dtype) == 0 || slot.size == 0) return {data, slot.dtype, slot.shape};
  const std::lock_guard lock(copies_->mutex);
  Tensor& copy = copies_->by_offset[slot.offset];
  if (!copy) {
    copy = Tensor(slot.dtype, slot.shape);
    std::memcpy(copy.view().data, data, slot.size);
  }
  return std::as_const(copy).view();
}

void SafetensorsFile::DontNeed(const SafetensorsSlot& slot) const {
  {
    const std::lock_guard lock(copies_->mutex);
    copies_->by_offset.erase(slot.offset);
  }
  file_.DontNeed(slot.offset, slot.size);
}

}  // namespace modelslim
