#include "io/json.h"

#include <charconv>
#include <cmath>
#include <functional>
#include <limits>

#include "io/json_writer.h"

namespace modelslim {
namespace {

constexpr size_t kFew = 8;  // up to here a walk over the members beats a table

// JSON's grammar of a number: -? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?
struct NumberShape {
  bool valid = false, integral = false;
};

NumberShape ShapeOf(std::string_view text) {
  size_t i = 0;
  const auto digits = [&] {
    const size_t begin = i;
    while (i < text.size() && text[i] >= '0' && text[i] <= '9') ++i;
    return i - begin;
  };
  if (i < text.size() && text[i] == '-') ++i;
  const bool leading_zero = i < text.size() && text[i] == '0';
  const size_t count = digits();
  if (count == 0 || (leading_zero && count > 1)) return {};
  bool integral = true;
  if (i < text.size() && text[i] == '.') {
    integral = false;
    ++i;
    if (digits() == 0) return {};
  }
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    integral = false;
    ++i;
    if (i < text.size() && (text[i] == '+' || text[i] == '-')) ++i;
    if (digits() == 0) return {};
  }
  return {i == text.size(), integral};
}

// What a decimal number beyond the range of double becomes: zero or infinity, as in Python.
double OutOfRange(std::string_view text) {
  const bool negative = text.front() == '-';
  const size_t e = text.find_first_of("eE");
  const bool tiny = e == std::string_view::npos ? text.find_first_of("123456789") > text.find('.')
                                                : e + 1 < text.size() && text[e + 1] == '-';
  const double magnitude = tiny ? 0.0 : std::numeric_limits<double>::infinity();
  return negative ? -magnitude : magnitude;
}

double ParseDouble(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc::result_out_of_range ? OutOfRange(text) : value;
}

}  // namespace

Json::Json(const Json&) = default;
Json::Json(Json&&) noexcept = default;
Json& Json::operator=(const Json&) = default;
Json& Json::operator=(Json&&) noexcept = default;
Json::~Json() = default;
Json::Json(JsonArray value) : value_(std::move(value)) {}
Json::Json(JsonObject value) : value_(std::move(value)) {}

bool Json::IsNumber(std::string_view text) {
  return ShapeOf(text).valid || text == "NaN" || text == "Infinity" || text == "-Infinity";
}

std::optional<Json> Json::Number(std::string_view text) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (text == "NaN") return Json(std::numeric_limits<double>::quiet_NaN());
  if (text == "Infinity") return Json(kInfinity);
  if (text == "-Infinity") return Json(-kInfinity);
  const NumberShape shape = ShapeOf(text);
  if (!shape.valid) return std::nullopt;
  const char *const begin = text.data(), *const end = begin + text.size();
  if (!shape.integral) return Json(ParseDouble(text));
  int64_t integer = 0;
  if (std::from_chars(begin, end, integer).ec == std::errc()) return Json(integer);
  uint64_t positive = 0;
  if (text.front() != '-' && std::from_chars(begin, end, positive).ec == std::errc()) return Json(positive);
  Json big;
  big.value_ = BigInt{std::string(text)};
  return big;
}

Json Json::FromUnsigned(uint64_t value) {
  if (value <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return Json(static_cast<int64_t>(value));
  Json result;
  result.value_ = value;
  return result;
}

std::optional<bool> Json::boolean() const {
  const bool* const value = std::get_if<bool>(&value_);
  return value == nullptr ? std::nullopt : std::optional(*value);
}

std::optional<int64_t> Json::integer() const {
  const int64_t* const value = std::get_if<int64_t>(&value_);
  return value == nullptr ? std::nullopt : std::optional(*value);
}

std::optional<uint64_t> Json::unsigned_integer() const {
  if (const uint64_t* const value = std::get_if<uint64_t>(&value_)) return *value;
  const int64_t* const value = std::get_if<int64_t>(&value_);
  return value == nullptr || *value < 0 ? std::nullopt : std::optional(static_cast<uint64_t>(*value));
}

std::optional<double> Json::number() const {
  switch (kind()) {
    case Kind::kInt:
      return static_cast<double>(std::get<int64_t>(value_));
    case Kind::kUint:
      return static_cast<double>(std::get<uint64_t>(value_));
    case Kind::kDouble:
      return std::get<double>(value_);
    case Kind::kBigInt:
      return ParseDouble(std::get<BigInt>(value_).digits);
    default:
      return std::nullopt;
  }
}

const std::string* Json::big_integer() const {
  const BigInt* const value = std::get_if<BigInt>(&value_);
  return value == nullptr ? nullptr : &value->digits;
}

const Json* Json::Find(std::string_view key) const {
  const JsonObject* const members = object();
  return members == nullptr ? nullptr : members->Find(key);
}

Json& Json::operator[](std::string_view key) {
  if (is_null()) value_ = JsonObject();
  JsonObject* const members = object();
  MODELSLIM_CHECK(members != nullptr);
  Json* const found = members->Find(key);
  return found != nullptr ? *found : members->Set(std::string(key), Json());
}

void Json::Append(Json value) {
  if (is_null()) value_ = JsonArray();
  MODELSLIM_CHECK(array() != nullptr);
  array()->push_back(std::move(value));
}

std::string Json::Dump(int indent, bool ensure_ascii) const {
  std::string text;
  JsonWriter writer(&text, indent, ensure_ascii);
  writer.Value(*this);
  return text;
}

std::string_view JsonKindText(Json::Kind kind) {
  switch (kind) {
    case Json::Kind::kNull:
      return "null";
    case Json::Kind::kBool:
      return "a boolean";
    case Json::Kind::kInt:
      return "an integer";
    case Json::Kind::kUint:
      return "an integer beyond 63 bits";
    case Json::Kind::kDouble:
      return "a number with a fraction or exponent";
    case Json::Kind::kString:
      return "a string";
    case Json::Kind::kBigInt:
      return "an integer beyond 64 bits";
    case Json::Kind::kArray:
      return "an array";
    case Json::Kind::kObject:
      return "an object";
  }
  return "an unknown kind";
}

JsonObject::JsonObject() = default;
JsonObject::JsonObject(const JsonObject&) = default;
JsonObject::JsonObject(JsonObject&&) noexcept = default;
JsonObject& JsonObject::operator=(const JsonObject&) = default;
JsonObject& JsonObject::operator=(JsonObject&&) noexcept = default;
JsonObject::~JsonObject() = default;

size_t JsonObject::size() const { return members_.size(); }
std::vector<JsonMember>::const_iterator JsonObject::begin() const { return members_.begin(); }
std::vector<JsonMember>::const_iterator JsonObject::end() const { return members_.end(); }
bool JsonObject::operator==(const JsonObject& other) const { return members_ == other.members_; }

size_t JsonObject::Position(std::string_view key) const {
  if (slots_.empty()) {
    for (size_t i = 0; i < members_.size(); ++i) {
      if (members_[i].key == key) return i;
    }
    return members_.size();
  }
  const size_t mask = slots_.size() - 1;
  for (size_t slot = std::hash<std::string_view>()(key) & mask; slots_[slot] != 0; slot = (slot + 1) & mask) {
    if (members_[slots_[slot] - 1].key == key) return slots_[slot] - 1;
  }
  return members_.size();
}

void JsonObject::Insert(size_t position) {
  const size_t mask = slots_.size() - 1;
  size_t slot = std::hash<std::string_view>()(members_[position].key) & mask;
  while (slots_[slot] != 0) slot = (slot + 1) & mask;
  slots_[slot] = static_cast<uint32_t>(position + 1);
}

void JsonObject::Rehash(size_t slots) {
  slots_.assign(slots, 0);
  for (size_t i = 0; slots != 0 && i < members_.size(); ++i) Insert(i);
}

const Json* JsonObject::Find(std::string_view key) const {
  const size_t position = Position(key);
  return position == members_.size() ? nullptr : &members_[position].value;
}

Json* JsonObject::Find(std::string_view key) {
  const size_t position = Position(key);
  return position == members_.size() ? nullptr : &members_[position].value;
}

Json& JsonObject::Set(std::string key, Json value) {
  if (slots_.empty()) {
    const size_t position = Position(key);
    if (position < members_.size()) return members_[position].value = std::move(value);
    members_.push_back({std::move(key), std::move(value)});
    if (members_.size() > kFew) Rehash(4 * kFew);
    return members_.back().value;
  }
  // One look at the table: the place where the key is not found is where it goes.
  const size_t mask = slots_.size() - 1;
  size_t slot = std::hash<std::string_view>()(key) & mask;
  for (; slots_[slot] != 0; slot = (slot + 1) & mask) {
    JsonMember& member = members_[slots_[slot] - 1];
    if (member.key == key) return member.value = std::move(value);
  }
  members_.push_back({std::move(key), std::move(value)});
  slots_[slot] = static_cast<uint32_t>(members_.size());
  if (members_.size() * 2 > slots_.size()) Rehash(4 * slots_.size());  // at most half full
  return members_.back().value;
}

bool JsonObject::Erase(std::string_view key) {
  const size_t position = Position(key);
  if (position == members_.size()) return false;
  members_.erase(members_.begin() + static_cast<std::ptrdiff_t>(position));
  Rehash(slots_.size());
  return true;
}

}  // namespace modelslim
