// A value of a JSON document together with where it stands, so that every complaint names file and path. Internal to
// the readers of tokenizer files: the only header here that shows simdjson.
#pragma once

#include <simdjson.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace modelslim {

class JsonNode {
 public:
  JsonNode(simdjson::dom::element element, std::string where) : element_(element), where_(std::move(where)) {}

  // "DIR/tokenizer.json: /model/vocab".
  const std::string& where() const { return where_; }
  [[noreturn]] void Fail(const std::string& what, ErrorCode code = ErrorCode::kInvalidModel) const;

  bool IsString() const { return element_.is_string(); }
  bool IsArray() const { return element_.is_array(); }
  bool IsObject() const { return element_.is_object(); }
  std::string String() const;
  bool Bool() const;
  // Within [least, most].
  int64_t Int(int64_t least, int64_t most) const;
  // "a string", "null" and so on.
  std::string Kind() const;

  // A member of an object; absent and null are the same. Fails when this is no object.
  std::optional<JsonNode> Find(std::string_view key) const;
  // Fails when it is absent.
  JsonNode At(std::string_view key) const;
  bool BoolOr(std::string_view key, bool otherwise) const;

  // visit(JsonNode) for every element of an array; visit(std::string_view key, JsonNode) for every member of an object.
  template <typename Visit>
  void ForEachElement(Visit visit) const {
    size_t i = 0;
    for (const auto element : Array()) visit(JsonNode(element, where_ + "/" + std::to_string(i++)));
  }
  template <typename Visit>
  void ForEachMember(Visit visit) const {
    for (const auto field : Object()) visit(field.key, JsonNode(field.value, where_ + "/" + std::string(field.key)));
  }
  // The bare containers, for the two lists that are too long to name every element (vocabulary, merges).
  simdjson::dom::array Array() const;
  simdjson::dom::object Object() const;

 private:
  simdjson::dom::element element_;
  std::string where_;
};

// Parses a whole document. The parser must outlive the nodes. Throws Error(kInvalidModel) naming `name`.
JsonNode ParseJson(simdjson::dom::parser& parser, std::string_view json, const std::string& name);

}  // namespace modelslim
