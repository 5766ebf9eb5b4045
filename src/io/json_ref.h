// A value of a JSON document together with its place, so that whoever reads it can say what is wrong with which key.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "io/json.h"

namespace modelslim {

// A place in a document, present or not: JsonRef(config, "config.json")["rope_scaling"]["factor"].AsDouble(). Every
// failure is an Error such as "config.json: rope_scaling.factor: expected a number, found a string". The document must
// outlive it.
class JsonRef {
 public:
  JsonRef(const Json& root, std::string name, ErrorCode code = ErrorCode::kInvalidModel);

  // There is a value here and it is not null.
  bool present() const { return value_ != nullptr && !value_->is_null(); }
  explicit operator bool() const { return present(); }
  const Json* value() const { return value_; }
  std::string where() const;  // "config.json: rope_scaling.factor"
  const std::string& name() const { return document_->name; }
  ErrorCode code() const { return document_->code; }
  std::string found() const;  // "a string ('big')", "nothing (the key is missing)"

  // A member, which need not be there. Nothing has no members either; any other kind than an object is an Error.
  JsonRef operator[](std::string_view key) const;
  JsonRef at(size_t index) const;  // an element, which must be there
  // All elements of an array. For short ones: where there may be many, walk over AsArray() and name the bad one by
  // at().
  std::vector<JsonRef> Elements() const;

  // The value; an Error when it is absent, null or of another kind. A number may be an integer, not the other way
  // round.
  bool AsBool() const;
  int64_t AsInt() const;
  int64_t AsInt(int64_t low, int64_t high) const;  // both included
  double AsDouble() const;
  const std::string& AsString() const;
  const std::string& AsText() const;  // a string without lone surrogates, so UTF-8
  const JsonArray& AsArray() const;
  const JsonObject& AsObject() const;
  std::vector<int64_t> AsInts() const;
  std::vector<double> AsDoubles() const;
  std::vector<std::string> AsStrings() const;

  // The same, with `fallback` for an absent or null value (never for one of another kind).
  bool BoolOr(bool fallback) const { return present() ? AsBool() : fallback; }
  int64_t IntOr(int64_t fallback) const { return present() ? AsInt() : fallback; }
  double DoubleOr(double fallback) const { return present() ? AsDouble() : fallback; }
  std::string StringOr(std::string_view fallback) const { return present() ? AsString() : std::string(fallback); }

  // Throws "<where>: expected <expected>, found <what is here>".
  [[noreturn]] void Fail(std::string_view expected, std::string tip = "") const;

 private:
  struct Document {
    std::string name;
    ErrorCode code;
  };
  JsonRef(const Json* value, std::shared_ptr<const Document> document, std::string path);

  const Json* value_;
  std::shared_ptr<const Document> document_;
  std::string path_;
};

}  // namespace modelslim
