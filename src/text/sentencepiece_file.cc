// The wire format of protocol buffers, as far as tokenizer.model uses it.
#include <bit>
#include <cstring>

#include "base/error.h"
#include "io/quote.h"
#include "text/sentencepiece.h"

namespace modelslim {
namespace {

constexpr size_t kMaxPieces = 1 << 24;
constexpr size_t kMaxPiece = 1024;  // bytes; every way to cut a piece in two is looked at

// One field of a message: its number and its value, which is a number or bytes.
struct Field {
  uint64_t number = 0;
  uint64_t value = 0;
  std::string_view bytes;
  bool is_bytes = false;

  bool flag() const { return value != 0; }
  float real() const { return std::bit_cast<float>(static_cast<uint32_t>(value)); }
};

class Message {
 public:
  Message(std::string_view bytes, const std::string& name) : bytes_(bytes), name_(name) {}

  // False at the end.
  bool Next(Field& field) {
    if (at_ == bytes_.size()) return false;
    const uint64_t key = Varint();
    field = Field();
    field.number = key >> 3;
    if (field.number == 0) Damaged();
    switch (key & 7) {
      case 0:
        field.value = Varint();
        return true;
      case 1:
        field.value = Fixed(8);
        return true;
      case 2: {
        const uint64_t size = Varint();
        if (size > bytes_.size() - at_) Damaged();
        field.bytes = bytes_.substr(at_, size);
        field.is_bytes = true;
        at_ += size;
        return true;
      }
      case 5:
        field.value = Fixed(4);
        return true;
      default:
        Damaged();
    }
  }

  [[noreturn]] void Damaged() const {
    throw Error(ErrorCode::kInvalidModel, name_ + ": expected a SentencePiece model, found something else in it",
                "download the file again");
  }

 private:
  uint64_t Varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (at_ == bytes_.size()) Damaged();
      const auto byte = static_cast<uint8_t>(bytes_[at_++]);
      value |= uint64_t{byte & 0x7fU} << shift;
      if ((byte & 0x80U) == 0) return value;
    }
    Damaged();
  }

  uint64_t Fixed(size_t size) {
    if (bytes_.size() - at_ < size) Damaged();
    uint64_t value = 0;
    for (size_t i = size; i-- > 0;) value = value << 8 | static_cast<uint8_t>(bytes_[at_ + i]);
    at_ += size;
    return value;
  }

  std::string_view bytes_;
  const std::string& name_;
  size_t at_ = 0;
};

SentencePieceFile::Piece ReadPiece(std::string_view bytes, const std::string& name) {
  SentencePieceFile::Piece piece;
  Message message(bytes, name);
  for (Field field; message.Next(field);) {
    if (field.number == 1) piece.text = field.bytes;
    if (field.number == 2) piece.score = field.real();
    if (field.number == 3) {
      if (field.value < 1 || field.value > 6) message.Damaged();
      piece.type = static_cast<SentencePieceFile::Type>(field.value);
    }
  }
  if (!IsUtf8(piece.text) || piece.text.size() > kMaxPiece) message.Damaged();
  return piece;
}

void ReadTraining(std::string_view bytes, const std::string& name, SentencePieceFile& file) {
  Message message(bytes, name);
  for (Field field; message.Next(field);) {
    if (field.number == 3) file.model_type = static_cast<int>(field.value & 0xff);
    if (field.number == 24) file.whitespace_as_suffix = field.flag();
    if (field.number == 35) file.byte_fallback = field.flag();
  }
}

void ReadNormalization(std::string_view bytes, const std::string& name, SentencePieceFile& file) {
  Message message(bytes, name);
  for (Field field; message.Next(field);) {
    if (field.number == 1) file.normalization = field.bytes;
    if (field.number == 2) file.has_rules = !field.bytes.empty();
    if (field.number == 3) file.adds_dummy_prefix = field.flag();
    if (field.number == 4) file.removes_extra_whitespace = field.flag();
    if (field.number == 5) file.escapes_whitespace = field.flag();
  }
}

}  // namespace

SentencePieceFile ParseSentencePiece(std::string_view bytes, const std::string& name) {
  SentencePieceFile file;
  Message message(bytes, name);
  for (Field field; message.Next(field);) {
    if (field.number >= 1 && field.number <= 3 && !field.is_bytes) message.Damaged();
    if (field.number == 1) {
      if (file.pieces.size() == kMaxPieces) message.Damaged();
      file.pieces.push_back(ReadPiece(field.bytes, name));
    }
    if (field.number == 2) ReadTraining(field.bytes, name, file);
    if (field.number == 3) ReadNormalization(field.bytes, name, file);
  }
  if (file.pieces.empty()) message.Damaged();
  return file;
}

}  // namespace modelslim
