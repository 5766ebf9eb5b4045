// A JSON Schema for editors, from the same tables that read recipes.
#include <nlohmann/json.hpp>
#include <ostream>
#include <set>

#include "config/recipe/commands.h"
#include "config/schema/schema_builder.h"

namespace modelslim {
namespace {

using Json = nlohmann::ordered_json;

std::string Key(std::string name) {
  for (char& c : name) {
    if (c == ' ') c = '_';
  }
  return name;
}

class Writer {
 public:
  Json Definitions() && { return std::move(definitions_); }

  Json Ref(const ObjectSchema& schema, const std::string& type = "") {
    const std::string key = Key(type.empty() ? schema.name : "type." + type);
    if (definitions_.find(key) == definitions_.end()) {
      definitions_[key] = Json::object();  // a group holds groups
      Json made = Object(schema, type);
      definitions_[key] = std::move(made);
    }
    return {{"$ref", "#/$defs/" + key}};
  }

 private:
  Json Object(const ObjectSchema& schema, const std::string& type) {
    Json properties = Json::object(), required = Json::array();
    if (!type.empty()) {
      properties["type"] = {{"const", type}};
      required.push_back("type");
    }
    for (const FieldSpec& field : schema.fields) {
      properties[field.name] = Field(field);
      if (field.required) required.push_back(field.name);
    }
    Json out{{"type", "object"}, {"description", std::string(schema.doc.en)}, {"properties", properties}};
    if (!required.empty()) out["required"] = required;
    if (schema.unknown == UnknownKeys::kError) out["additionalProperties"] = false;
    return out;
  }

  static void AddRule(const NumberRule& rule, Json& out) {
    if (!rule.one_of.empty()) {
      out["enum"] = rule.one_of;
      return;
    }
    if (rule.power_of_two) {
      Json values = Json::array();
      if (rule.or_minus_one) values.push_back(-1);
      for (int64_t value = 1; value <= static_cast<int64_t>(rule.high.value_or(65536)); value *= 2)
        values.push_back(value);
      out["enum"] = values;
      return;
    }
    if (rule.low) out[rule.low_open ? "exclusiveMinimum" : "minimum"] = *rule.low;
    if (rule.high) out[rule.high_open ? "exclusiveMaximum" : "maximum"] = *rule.high;
  }

  Json Element(const FieldSpec& field) {
    const TypeSpec& type = field.type;
    Json out = Json::object();
    switch (type.type) {
      case ValueType::kBool:
        out["type"] = "boolean";
        break;
      case ValueType::kInt:
        out["type"] = "integer";
        AddRule(field.rule, out);
        break;
      case ValueType::kFloat: {
        // 1e-5 is a text in YAML 1.1 and a number here.
        Json number{{"type", "number"}};
        AddRule(field.rule, number);
        out["anyOf"] = Json::array({number, {{"type", "string"}, {"pattern", "^[-+0-9.eE]+$"}}});
        break;
      }
      case ValueType::kString:
        out["type"] = "string";
        if (field.max_length > 0) out["maxLength"] = field.max_length;
        break;
      case ValueType::kWord:
        out["enum"] = type.words;
        break;
      case ValueType::kObject:
        return Ref(type.object());
      case ValueType::kUnion: {
        Json any = Json::array();
        for (const UnionMember& member : type.alternatives().members) {
          if (member.refused.empty() && member.alias_of.empty()) any.push_back(Ref(member.schema(), member.type));
        }
        out["anyOf"] = any;
        break;
      }
      case ValueType::kFreeMapping:
        out["type"] = "object";
        break;
    }
    return out;
  }

  Json Field(const FieldSpec& field) {
    Json out = Element(field);
    if (field.type.list) {
      Json list{{"type", "array"}, {"items", out}};
      out = field.type.single_or_list ? Json{{"anyOf", Json::array({out, list})}} : list;
    }
    if (field.nullable) out = {{"anyOf", Json::array({out, {{"type", "null"}}})}};
    out["description"] = std::string(field.doc.en);
    return out;
  }

  Json definitions_ = Json::object();
};

Json Service(Writer& writer, ApiVersion version, const ObjectSchema& spec) {
  return {{"if", {{"properties", {{"apiversion", {{"const", EnumName(version)}}}}}}},
          {"then", {{"properties", {{"spec", writer.Ref(spec)}}}}}};
}

}  // namespace

void WriteJsonSchema(std::ostream& out) {
  Writer writer;
  Json versions = Json::array();
  for (const auto& [version, name] : EnumNames<ApiVersion>::kList) versions.push_back(name);
  Json schema{{"$schema", "https://json-schema.org/draft/2020-12/schema"},
              {"title", "modelslim recipe"},
              {"type", "object"},
              {"required", Json::array({"apiversion"})},
              {"properties", {{"apiversion", {{"enum", versions}}}, {"metadata", writer.Ref(SchemaOf<Metadata>())}}}};
  schema["allOf"] = Json::array(
      {Service(writer, ApiVersion::kV0, SchemaOf<V0Spec>()), Service(writer, ApiVersion::kV1, SchemaOf<TextSpec>()),
       Service(writer, ApiVersion::kVlm, SchemaOf<VlmSpec>()), Service(writer, ApiVersion::kSd, SchemaOf<SdSpec>())});
  schema["$defs"] = std::move(writer).Definitions();
  out << schema.dump(2) << "\n";
}

}  // namespace modelslim
