// JSON values: what a parsed document consists of, and what is printed as Python's json.dump would print it. There is
// no other JSON value in the program; io/json_ref.h gives it places, io/json_events.h reads and io/json_writer.h writes
// what is too large to be held as one.
#pragma once

#include <compare>
#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.h"
#include "base/file.h"

namespace modelslim {

class Json;
struct JsonMember;
using JsonArray = std::vector<Json>;

// Members in the order in which they were added; looking one up takes constant time at any size.
class JsonObject {
 public:
  // In the source file, where a member's type is complete (clang looks that far ahead).
  JsonObject();
  JsonObject(const JsonObject&);
  JsonObject(JsonObject&&) noexcept;
  JsonObject& operator=(const JsonObject&);
  JsonObject& operator=(JsonObject&&) noexcept;
  ~JsonObject();
  const Json* Find(std::string_view key) const;  // nullptr when absent
  Json* Find(std::string_view key);
  // Replaces the value where the key stands, or appends. The reference lasts until the next Set or Erase.
  Json& Set(std::string key, Json value);
  bool Erase(std::string_view key);  // false when absent; linear
  size_t size() const;
  bool empty() const { return size() == 0; }
  const std::vector<JsonMember>& members() const { return members_; }
  std::vector<JsonMember>::const_iterator begin() const;
  std::vector<JsonMember>::const_iterator end() const;
  bool operator==(const JsonObject& other) const;  // order matters

 private:
  size_t Position(std::string_view key) const;  // members_.size() when absent
  void Rehash(size_t slots);
  void Insert(size_t position);

  std::vector<JsonMember> members_;
  std::vector<uint32_t> slots_;  // open addressing: position + 1, 0 = free; empty while there are few members
};

// One value, copied deeply. It holds whatever Python's json module holds: integers keep every digit (those beyond 64
// bits, model_max_length of many tokenizers, are kept as text), doubles include NaN and the infinities, and half a
// surrogate pair that stands alone is kept in a string as three bytes, as UTF-8 would write it if it could (so such a
// string is not UTF-8: whoever hands it on to what needs UTF-8 checks, see IsUtf8).
class Json {
 public:
  enum class Kind : uint8_t { kNull, kBool, kInt, kUint, kDouble, kString, kBigInt, kArray, kObject };

  Json() = default;  // null
  // In the source file: inlined, they make g++ 12 warn of members that it believes uninitialized.
  Json(const Json&);
  Json(Json&&) noexcept;
  Json& operator=(const Json&);
  Json& operator=(Json&&) noexcept;
  ~Json();
  Json(std::nullptr_t) {}
  Json(bool value) : value_(value) {}
  Json(std::signed_integral auto value) : value_(static_cast<int64_t>(value)) {}
  Json(std::unsigned_integral auto value) : Json(FromUnsigned(static_cast<uint64_t>(value))) {}
  Json(double value) : value_(value) {}
  Json(std::string value) : value_(std::move(value)) {}
  Json(std::string_view value) : value_(std::string(value)) {}
  Json(const char* value) : value_(std::string(value)) {}
  Json(JsonArray value);
  Json(JsonObject value);

  // A number as it stands in a document: JSON's grammar, or NaN, Infinity, -Infinity. Nothing when it is none of these.
  static std::optional<Json> Number(std::string_view text);
  static bool IsNumber(std::string_view text);

  Kind kind() const { return static_cast<Kind>(value_.index()); }
  bool is_null() const { return kind() == Kind::kNull; }
  bool is_integer() const { return kind() == Kind::kInt || kind() == Kind::kUint || kind() == Kind::kBigInt; }  // any
  // The value if it has that kind, else nothing. `integer` also refuses what int64 cannot hold; `number` takes any
  // number.
  std::optional<bool> boolean() const;
  std::optional<int64_t> integer() const;
  std::optional<uint64_t> unsigned_integer() const;  // any integer from 0 to 2^64 - 1
  std::optional<double> number() const;
  const std::string* string() const { return std::get_if<std::string>(&value_); }
  const JsonArray* array() const { return std::get_if<JsonArray>(&value_); }
  const JsonObject* object() const { return std::get_if<JsonObject>(&value_); }
  JsonArray* array() { return std::get_if<JsonArray>(&value_); }
  JsonObject* object() { return std::get_if<JsonObject>(&value_); }
  const std::string* big_integer() const;
  // Member `key` of an object; nullptr when this is no object or has none.
  const Json* Find(std::string_view key) const;

  // For building: member `key` of an object (null becomes an empty object first), appended as null when absent.
  Json& operator[](std::string_view key);
  void Append(Json value);  // to an array (null becomes an empty array first)

  // json.dump(value, indent=..., ensure_ascii=...): no newline at the end. kOneLine is Python's indent=None (", " and
  // ": "), kCompact is separators=(",", ":").
  static constexpr int kOneLine = -1, kCompact = -2;
  std::string Dump(int indent = kOneLine, bool ensure_ascii = true) const;

  bool operator==(const Json& other) const = default;

 private:
  struct BigInt {
    std::string digits;
    bool operator==(const BigInt&) const = default;
  };
  static Json FromUnsigned(uint64_t value);

  std::variant<std::monostate, bool, int64_t, uint64_t, double, std::string, BigInt, JsonArray, JsonObject> value_;
};

struct JsonMember {
  std::string key;
  Json value;
  bool operator==(const JsonMember&) const = default;
};

// "a string", "an integer" and so on.
std::string_view JsonKindText(Json::Kind kind);

enum class JsonDuplicates { kLastWins, kError };  // kLastWins is what Python does: the first place, the last value

struct JsonOptions {
  ErrorCode code = ErrorCode::kInvalidModel;  // of the Error thrown when the text is not JSON
  JsonDuplicates duplicates = JsonDuplicates::kLastWins;
  int max_depth = 1000;  // about where Python gives up
};

// Takes what Python's json.loads takes, a byte order mark included. `name` stands in front of every message, which also
// has line and column.
Json ParseJson(std::string_view text, const std::string& name, const JsonOptions& options = {});
// A whole file. Errors name the path.
Json ReadJson(const fs::path& path, const JsonOptions& options = {});
// Throws unless the text is one JSON object. Keeps nothing of it, however large it is.
void RequireJsonObject(std::string_view text, const std::string& name, const JsonOptions& options = {});

}  // namespace modelslim
