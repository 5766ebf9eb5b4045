#include "text/json_node.h"

#include "text/unicode.h"

namespace modelslim {

void JsonNode::Fail(const std::string& what, ErrorCode code) const { throw Error(code, where_ + ": " + what); }

std::string JsonNode::Kind() const {
  switch (element_.type()) {
    case simdjson::dom::element_type::ARRAY:
      return "a list";
    case simdjson::dom::element_type::OBJECT:
      return "an object";
    case simdjson::dom::element_type::STRING:
      return "a string";
    case simdjson::dom::element_type::BOOL:
      return "a boolean";
    case simdjson::dom::element_type::NULL_VALUE:
      return "null";
    default:
      return "a number";
  }
}

std::string JsonNode::String() const {
  std::string_view value;
  if (element_.get_string().get(value)) Fail("expected a string, found " + Kind());
  return std::string(value);
}

bool JsonNode::Bool() const {
  bool value = false;
  if (element_.get_bool().get(value)) Fail("expected true or false, found " + Kind());
  return value;
}

int64_t JsonNode::Int(int64_t least, int64_t most) const {
  int64_t value = 0;
  if (element_.get_int64().get(value)) Fail("expected an integer, found " + Kind());
  if (value < least || value > most) {
    Fail("expected an integer from " + std::to_string(least) + " to " + std::to_string(most) + ", found " +
         std::to_string(value));
  }
  return value;
}

simdjson::dom::array JsonNode::Array() const {
  simdjson::dom::array array;
  if (element_.get_array().get(array)) Fail("expected a list, found " + Kind());
  return array;
}

simdjson::dom::object JsonNode::Object() const {
  simdjson::dom::object object;
  if (element_.get_object().get(object)) Fail("expected an object, found " + Kind());
  return object;
}

std::optional<JsonNode> JsonNode::Find(std::string_view key) const {
  simdjson::dom::element value;
  if (Object().at_key(key).get(value) || value.is_null()) return std::nullopt;
  return JsonNode(value, where_ + "/" + std::string(key));
}

JsonNode JsonNode::At(std::string_view key) const {
  if (auto node = Find(key)) return *std::move(node);
  Fail("\"" + std::string(key) + "\" is missing");
}

bool JsonNode::BoolOr(std::string_view key, bool otherwise) const {
  const auto node = Find(key);
  return node ? node->Bool() : otherwise;
}

JsonNode ParseJson(simdjson::dom::parser& parser, std::string_view json, const std::string& name) {
  simdjson::dom::element root;
  const auto error = parser.parse(simdjson::padded_string(json)).get(root);
  if (error) {
    std::string what = simdjson::error_message(error);
    if (const size_t bad = FirstInvalidUtf8(json); bad != std::string_view::npos) {
      what = "byte " + std::to_string(bad) + " is not UTF-8";
    }
    throw Error(ErrorCode::kInvalidModel, name + ": not a JSON document: " + what);
  }
  return JsonNode(root, name + ": ");
}

}  // namespace modelslim
