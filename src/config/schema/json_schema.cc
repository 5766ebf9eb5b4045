// A JSON Schema for editors, from the same tables that read recipes.
#include <ostream>

#include "config/recipe/commands.h"
#include "config/schema/schema_builder.h"
#include "io/json_make.h"

namespace modelslim {
namespace {

std::string Key(std::string name) {
  for (char& c : name) {
    if (c == ' ') c = '_';
  }
  return name;
}

// An array of the values as they stand.
template <class... Values>
Json List(Values... values) {
  JsonArray array;
  (array.push_back(std::move(values)), ...);
  return array;
}

class Writer {
 public:
  Json Definitions() && { return std::move(definitions_); }

  Json Ref(const ObjectSchema& schema, const std::string& type = "") {
    const std::string key = Key(type.empty() ? schema.name : "type." + type);
    if (definitions_.Find(key) == nullptr) {
      definitions_[key] = Json(JsonObject());  // a group holds groups
      Json made = Object(schema, type);
      definitions_[key] = std::move(made);
    }
    return MakeJson({{"$ref", "#/$defs/" + key}});
  }

 private:
  Json Object(const ObjectSchema& schema, const std::string& type) {
    JsonObject properties;
    JsonArray required;
    if (!type.empty()) {
      properties.Set("type", MakeJson({{"const", type}}));
      required.push_back("type");
    }
    for (const FieldSpec& field : schema.fields) {
      properties.Set(field.name, Field(field));
      if (field.required) required.push_back(field.name);
    }
    Json out = MakeJson({{"type", "object"}, {"description", schema.doc.en}, {"properties", std::move(properties)}});
    if (!required.empty()) out["required"] = std::move(required);
    if (schema.unknown == UnknownKeys::kError) out["additionalProperties"] = false;
    return out;
  }

  static void AddRule(const NumberRule& rule, Json& out) {
    if (!rule.one_of.empty()) {
      out["enum"] = MakeJsonArray(rule.one_of);
      return;
    }
    if (rule.power_of_two) {
      JsonArray values;
      if (rule.or_minus_one) values.push_back(-1);
      for (int64_t value = 1; value <= static_cast<int64_t>(rule.high.value_or(65536)); value *= 2)
        values.push_back(value);
      out["enum"] = std::move(values);
      return;
    }
    if (rule.low) out[rule.low_open ? "exclusiveMinimum" : "minimum"] = *rule.low;
    if (rule.high) out[rule.high_open ? "exclusiveMaximum" : "maximum"] = *rule.high;
  }

  Json Element(const FieldSpec& field) {
    const TypeSpec& type = field.type;
    Json out{JsonObject()};
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
        Json number = MakeJson({{"type", "number"}});
        AddRule(field.rule, number);
        out["anyOf"] = List(number, MakeJson({{"type", "string"}, {"pattern", "^[-+0-9.eE]+$"}}));
        break;
      }
      case ValueType::kString:
        out["type"] = "string";
        if (field.max_length > 0) out["maxLength"] = field.max_length;
        break;
      case ValueType::kWord:
        out["enum"] = MakeJsonArray(type.words);
        break;
      case ValueType::kObject:
        return Ref(type.object());
      case ValueType::kUnion: {
        JsonArray any;
        for (const UnionMember& member : type.alternatives().members) {
          if (member.refused.empty() && member.alias_of.empty()) any.push_back(Ref(member.schema(), member.type));
        }
        out["anyOf"] = std::move(any);
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
      Json list = MakeJson({{"type", "array"}, {"items", out}});
      out = field.type.single_or_list ? MakeJson({{"anyOf", List(out, list)}}) : list;
    }
    if (field.nullable) out = MakeJson({{"anyOf", List(out, MakeJson({{"type", "null"}}))}});
    out["description"] = field.doc.en;
    return out;
  }

  Json definitions_{JsonObject()};
};

Json Service(Writer& writer, ApiVersion version, const ObjectSchema& spec) {
  const auto properties = [](std::string_view name, Json value) {
    return MakeJson({{"properties", MakeJson({{name, std::move(value)}})}});
  };
  return MakeJson({{"if", properties("apiversion", MakeJson({{"const", EnumName(version)}}))},
                   {"then", properties("spec", writer.Ref(spec))}});
}

}  // namespace

void WriteJsonSchema(std::ostream& out) {
  Writer writer;
  JsonArray versions;
  for (const auto& [version, name] : EnumNames<ApiVersion>::kList) versions.push_back(name);
  Json properties = MakeJson(
      {{"apiversion", MakeJson({{"enum", std::move(versions)}})}, {"metadata", writer.Ref(SchemaOf<Metadata>())}});
  Json schema = MakeJson({{"$schema", "https://json-schema.org/draft/2020-12/schema"},
                          {"title", "modelslim recipe"},
                          {"type", "object"},
                          {"required", List(Json("apiversion"), Json("spec"))},
                          {"properties", std::move(properties)}});
  schema["allOf"] = List(
      Service(writer, ApiVersion::kV0, SchemaOf<V0Spec>()), Service(writer, ApiVersion::kV1, SchemaOf<TextSpec>()),
      Service(writer, ApiVersion::kVlm, SchemaOf<VlmSpec>()), Service(writer, ApiVersion::kSd, SchemaOf<SdSpec>()));
  schema["$defs"] = std::move(writer).Definitions();
  out << schema.Dump(2, false) << "\n";
}

}  // namespace modelslim
