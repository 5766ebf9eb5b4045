// Reading and checking the header of a safetensors file.
#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>
#include <unordered_set>

#include "base/printable.h"
#include "io/json.h"
#include "io/json_events.h"
#include "io/quote.h"
#include "io/safetensors.h"

namespace modelslim {
namespace {

constexpr char kDamaged[] = "the file is damaged or was not made by a safetensors writer: download or export it again";
constexpr char kCut[] = "the file is cut short: download it again";

[[noreturn]] void Fail(const std::string& file, const std::string& what, const char* tip = kDamaged) {
  throw Error(ErrorCode::kInvalidModel, file + ": " + what, tip);
}

[[noreturn]] void FailTensor(const std::string& file, std::string_view tensor, const std::string& what,
                             const char* tip = kDamaged) {
  Fail(file, "tensor " + Quote(tensor) + ": " + what, tip);
}

std::string Text(uint64_t number) { return std::to_string(number); }

std::optional<uint64_t> Multiply(uint64_t a, uint64_t b) {
  uint64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

// Takes the header's JSON apart. Offsets are still relative to the data when it is done, `size` is what the entry
// claims. Metadata are nothing that the tensors depend on: of those only texts are kept, and anything else is passed
// by.
class HeaderHandler : public JsonHandler {
 public:
  HeaderHandler(const std::string& file, SafetensorsHeader* header) : file_(file), header_(header) {}

  void Null() override {
    if (PassedBy() || (place_ == Place::kTop && key_ == kMetadata)) return;
    Unexpected("null");
  }
  void Bool(bool value) override {
    if (!PassedBy()) Unexpected(value ? "true" : "false");
  }

  void Number(std::string_view text) override {
    if (PassedBy()) return;
    if (place_ != Place::kShape && place_ != Place::kOffsets)
      Unexpected("the number " + std::string(text.substr(0, 40)));
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool fits = error == std::errc() && end == text.data() + text.size() && value <= uint64_t{INT64_MAX};
    if (!fits) Fail(Where() + "expected integers from 0 to 2^63 - 1, found " + std::string(text.substr(0, 40)));
    numbers_.push_back(value);
    const size_t most = place_ == Place::kShape ? kMaxTensorRank : 2;
    if (numbers_.size() > most) Fail(Where() + "expected at most " + Text(most) + " numbers, found more");
  }

  void String(std::string_view value) override {
    if (place_ == Place::kMetadata) {
      if (inside_ == 0) header_->metadata.emplace_back(key_, value);
    } else if (place_ == Place::kTensor && key_ == "dtype") {
      const auto dtype = ParseDType(value);
      if (!dtype) {
        Fail(Where() + "expected a known element type (BF16, F16, F32, F8_E4M3, I8, ...), found " + Quote(value),
             "this program cannot read the type; convert the checkpoint to a known one");
      }
      header_->slots.back().dtype = *dtype;
    } else {
      Unexpected("the string " + Quote(value));
    }
  }

  void BeginObject() override {
    if (PassedBy()) {
      ++inside_;
    } else if (place_ == Place::kStart) {
      place_ = Place::kTop;
    } else if (place_ == Place::kTop && key_ == kMetadata) {
      if (has_metadata_) Fail("the header has '__metadata__' twice; expected it once at most");
      has_metadata_ = true;
      place_ = Place::kMetadata;
    } else if (place_ == Place::kTop) {
      header_->slots.push_back({key_, DType::kF32, {}, 0, 0});
      seen_ = 0;
      place_ = Place::kTensor;
    } else {
      Unexpected("an object");
    }
  }

  void Key(std::string_view key) override {
    if (inside_ > 0) return;
    key_ = key;
    if (place_ == Place::kTop && !IsUtf8(key)) {
      Fail("the tensor name " + Quote(key) + " is no text: half a surrogate pair stands alone in it");
    }
    if (place_ != Place::kTensor) return;
    const unsigned field = key == "dtype" ? 1 : key == "shape" ? 2 : key == "data_offsets" ? 4 : 0;
    if (field == 0) Fail(TensorText() + "expected dtype, shape and data_offsets, found the field " + Quote(key));
    if ((seen_ & field) != 0) Fail(TensorText() + "expected every field once, found " + Quote(key) + " twice");
    seen_ |= field;
  }

  void EndObject() override {
    if (inside_ > 0) {
      --inside_;
      return;
    }
    if (place_ == Place::kTensor && seen_ != 7) {
      const char* const missing = (seen_ & 1) == 0 ? "dtype" : (seen_ & 2) == 0 ? "shape" : "data_offsets";
      Fail(TensorText() + "expected dtype, shape and data_offsets, found no " + missing);
    }
    place_ = place_ == Place::kTop ? Place::kEnd : Place::kTop;
  }

  void BeginArray() override {
    if (PassedBy()) {
      ++inside_;
      return;
    }
    if (place_ != Place::kTensor || key_ == "dtype") Unexpected("an array");
    place_ = key_ == "shape" ? Place::kShape : Place::kOffsets;
    numbers_.clear();
  }

  void EndArray() override {
    if (inside_ > 0) {
      --inside_;
      return;
    }
    SafetensorsSlot& slot = header_->slots.back();
    if (place_ == Place::kShape) {
      slot.shape.assign(numbers_.begin(), numbers_.end());
    } else {
      if (numbers_.size() != 2) Fail(Where() + "expected two numbers, begin and end, found " + Text(numbers_.size()));
      if (numbers_[0] > numbers_[1]) {
        Fail(Where() + "expected begin <= end, found [" + Text(numbers_[0]) + ", " + Text(numbers_[1]) + "]");
      }
      slot.offset = numbers_[0];
      slot.size = numbers_[1] - numbers_[0];
    }
    place_ = Place::kTensor;
  }

 private:
  enum class Place { kStart, kTop, kMetadata, kTensor, kShape, kOffsets, kEnd };
  static constexpr std::string_view kMetadata = "__metadata__";

  bool PassedBy() const { return place_ == Place::kMetadata; }
  std::string TensorText() const { return "tensor " + Quote(header_->slots.back().name) + ": "; }
  std::string Where() const { return TensorText() + key_ + ": "; }

  void Fail(const std::string& what, const char* tip = kDamaged) const { modelslim::Fail(file_, what, tip); }

  void Unexpected(const std::string& found) const {
    switch (place_) {
      case Place::kStart:
        return Fail("header: expected an object of tensors, found " + found);
      case Place::kTop:
        return Fail("tensor " + Quote(key_) + ": expected an object with dtype, shape and data_offsets, found " +
                    found);
      case Place::kShape:
      case Place::kOffsets:
        return Fail(Where() + "expected integers, found " + found);
      default:
        return Fail(Where() +
                    (key_ == "dtype" ? "expected a string, found " : "expected an array of integers, found ") + found);
    }
  }

  const std::string& file_;
  SafetensorsHeader* const header_;
  Place place_ = Place::kStart;
  std::string key_;
  int inside_ = 0;     // values of the metadata that are open around the one being read
  unsigned seen_ = 0;  // fields of the tensor being read: dtype 1, shape 2, data_offsets 4
  bool has_metadata_ = false;
  std::vector<uint64_t> numbers_;
};

// The length of the header's JSON.
uint64_t HeaderLength(std::span<const std::byte> head, uint64_t file_size, const std::string& file) {
  constexpr std::string_view kPointer = "version https://git-lfs";
  const std::string_view text(reinterpret_cast<const char*>(head.data()), head.size());
  if (text.substr(0, kPointer.size()) == kPointer) {
    Fail(file, "expected a safetensors file, found a Git LFS pointer to one", "fetch the weights: git lfs pull");
  }
  if (file_size < 8 || head.size() < 8) {
    Fail(file,
         "expected at least 8 bytes (the length of the header), found " +
             Text(std::min<uint64_t>(file_size, head.size())),
         kCut);
  }
  uint64_t length = 0;
  for (int i = 7; i >= 0; --i) length = length << 8 | std::to_integer<uint64_t>(head[i]);
  if (length > kMaxSafetensorsHeader) {
    Fail(file,
         "expected a header of at most " + Text(kMaxSafetensorsHeader) + " bytes, found a length of " + Text(length));
  }
  if (length > file_size - 8 || length > head.size() - 8) {
    Fail(file, "expected a header of " + Text(length) + " bytes, found a file of " + Text(file_size) + " bytes in all",
         kCut);
  }
  if (length < 2 || text[8] != '{') {
    Fail(file, length < 2 ? "expected a header of at least 2 bytes, found a length of " + Text(length)
                          : "expected a header that begins with '{', found " +
                                Quote(text.substr(8, std::min<uint64_t>(length, 8))));
  }
  return length;
}

void CheckSizes(const std::vector<SafetensorsSlot>& slots, uint64_t data_size, const std::string& file) {
  for (const SafetensorsSlot& slot : slots) {
    std::optional<uint64_t> bytes = DTypeSize(slot.dtype);
    for (const int64_t dim : slot.shape) bytes = bytes ? Multiply(*bytes, static_cast<uint64_t>(dim)) : bytes;
    const std::string what = std::string(DTypeName(slot.dtype)) + " " + ShapeText(slot.shape);
    if (!bytes || *bytes > uint64_t{INT64_MAX}) FailTensor(file, slot.name, what + " is larger than any file can be");
    if (*bytes != slot.size) {
      FailTensor(
          file, slot.name,
          "expected " + Text(*bytes) + " bytes for " + what + ", found data_offsets that span " + Text(slot.size));
    }
    if (slot.offset > data_size || slot.size > data_size - slot.offset) {
      FailTensor(file, slot.name,
                 "expected bytes [" + Text(slot.offset) + ", " + Text(slot.offset + slot.size) +
                     ") of the data, found a file with " + Text(data_size) + " bytes of data",
                 kCut);
    }
  }
}

// Slots sorted by offset: every byte of the data belongs to exactly one tensor.
void CheckCoverage(const std::vector<SafetensorsSlot>& slots, uint64_t data_size, const std::string& file) {
  uint64_t end = 0;
  const SafetensorsSlot* previous = nullptr;
  for (const SafetensorsSlot& slot : slots) {
    if (slot.offset != end) {
      const std::string after = previous == nullptr ? "the start of the data" : Quote(previous->name);
      FailTensor(file, slot.name,
                 "expected its bytes to begin at " + Text(end) + ", right after " + after + ", found " +
                     Text(slot.offset) + (slot.offset < end ? " (they overlap)" : " (a hole lies between)"));
    }
    end += slot.size;
    previous = &slot;
  }
  if (end != data_size) {
    Fail(file, "expected " + Text(end) + " bytes of data (where the last tensor ends), found " + Text(data_size));
  }
}

}  // namespace

SafetensorsHeader ParseSafetensorsHeader(std::span<const std::byte> head, uint64_t file_size, const std::string& file) {
  const uint64_t length = HeaderLength(head, file_size, file);
  SafetensorsHeader header;
  header.data_begin = 8 + length;
  HeaderHandler handler(file, &header);
  const std::string_view json(reinterpret_cast<const char*>(head.data()) + 8, length);
  ParseJsonEvents(json, file + ": header", ErrorCode::kInvalidModel, JsonOptions().max_depth, handler);

  std::unordered_set<std::string_view> names;
  names.reserve(header.slots.size());
  for (const SafetensorsSlot& slot : header.slots) {
    if (!names.insert(slot.name).second) FailTensor(file, slot.name, "expected every name once, found it twice");
  }
  const uint64_t data_size = file_size - header.data_begin;
  CheckSizes(header.slots, data_size, file);
  // Writers list tensors in the order of their bytes, so there is seldom anything to sort.
  const auto before = [](const SafetensorsSlot& a, const SafetensorsSlot& b) {
    return a.offset != b.offset ? a.offset < b.offset : a.size < b.size;
  };
  if (!std::is_sorted(header.slots.begin(), header.slots.end(), before)) {
    std::stable_sort(header.slots.begin(), header.slots.end(), before);
  }
  CheckCoverage(header.slots, data_size, file);
  for (SafetensorsSlot& slot : header.slots) slot.offset += header.data_begin;
  return header;
}

}  // namespace modelslim
