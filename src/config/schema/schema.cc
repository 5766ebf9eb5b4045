#include "config/schema/schema.h"

#include <algorithm>
#include <cmath>

#include "config/recipe/coerce.h"

namespace modelslim {

bool NumberRule::Allows(double value) const {
  if (or_minus_one && value == -1) return true;
  if (!one_of.empty()) {
    return std::any_of(one_of.begin(), one_of.end(), [&](int64_t each) { return static_cast<double>(each) == value; });
  }
  if (low && (value < *low || (low_open && value == *low))) return false;
  if (high && (value > *high || (high_open && value == *high))) return false;
  if (power_of_two) {
    int exponent = 0;
    return value >= 1 && std::frexp(value, &exponent) == 0.5;
  }
  return true;
}

std::string NumberRule::Text() const {
  std::vector<std::string> parts;
  if (or_minus_one) parts.push_back("-1");
  if (!one_of.empty()) {
    for (int64_t each : one_of) parts.push_back(std::to_string(each));
    return JoinWords(parts);
  }
  std::string text;
  if (power_of_two) {
    text = "a power of two";
    if (high) text += " up to " + NumberText(*high);
  } else if (low && high) {
    text = std::string("a value in ") + (low_open ? "(" : "[") + NumberText(*low) + ", " + NumberText(*high) +
           (high_open ? ")" : "]");
  } else if (low) {
    text = std::string(low_open ? "> " : ">= ") + NumberText(*low);
  }
  parts.push_back(text);
  return JoinWords(parts);
}

NumberRule Open(double low, double high) {
  return {.low = low, .high = high, .low_open = true, .high_open = true, .one_of = {}};
}
NumberRule Closed(double low, double high) { return {.low = low, .high = high, .one_of = {}}; }
NumberRule AtLeast(double low) { return {.low = low, .high = {}, .one_of = {}}; }
NumberRule Above(double low) { return {.low = low, .high = {}, .low_open = true, .one_of = {}}; }
NumberRule PowerOfTwo(std::optional<double> high) {
  return {.low = {}, .high = high, .power_of_two = true, .one_of = {}};
}
NumberRule MinusOneOrPowerOfTwo() {
  return {.low = {}, .high = {}, .power_of_two = true, .or_minus_one = true, .one_of = {}};
}
NumberRule OneOf(std::vector<int64_t> values) { return {.low = {}, .high = {}, .one_of = std::move(values)}; }

const FieldSpec* ObjectSchema::Find(std::string_view field) const {
  for (const FieldSpec& each : fields) {
    if (each.name == field) return &each;
  }
  return nullptr;
}

std::vector<std::string> ObjectSchema::Names() const {
  std::vector<std::string> names;
  for (const FieldSpec& each : fields) names.push_back(each.name);
  return names;
}

const UnionMember* UnionSchema::Find(std::string_view type) const {
  for (const UnionMember& each : members) {
    if (each.type == type) return &each;
  }
  return nullptr;
}

std::vector<std::string> UnionSchema::Names() const {
  std::vector<std::string> names;
  for (const UnionMember& each : members) {
    if (each.advertised) names.push_back(each.type);
  }
  return names;
}

std::string JoinWords(const std::vector<std::string>& words) {
  std::string out;
  for (size_t i = 0; i < words.size(); ++i) {
    if (i > 0) out += i + 1 == words.size() ? " or " : ", ";
    out += words[i];
  }
  return out;
}

const YamlNode& EmptyMapping() {
  static const YamlNode* const node = [] {
    auto* made = new YamlNode;  // never freed: defaults may be read while statics die
    made->kind = YamlKind::kMapping;
    return made;
  }();
  return *node;
}

namespace {

void ReportUnknown(Reader& reader, const YamlEntry& entry, const ObjectSchema& schema,
                   const std::vector<std::string_view>& handled) {
  for (const RefusedKey& refused : schema.refused) {
    if (refused.name == entry.key) {
      return reader.Error(entry.key_pos, "the key " + entry.key + " is not accepted: " + std::string(refused.reason));
    }
  }
  if (schema.unknown == UnknownKeys::kKeep) return;
  std::vector<std::string> names = schema.Names();
  names.insert(names.end(), handled.begin(), handled.end());
  Remark remark;
  remark.suggestion = NearestWord(entry.key, names);
  if (remark.suggestion.empty()) remark.expected = names.empty() ? "no further key" : JoinWords(names);
  const std::string key = YamlQuoteIfNeeded(entry.key.substr(0, 100));
  if (schema.unknown == UnknownKeys::kWarn) {
    reader.Warn(entry.key_pos, "the unknown key " + key + " is ignored", std::move(remark));
  } else {
    reader.Error(entry.key_pos, "unknown key " + key, std::move(remark));
  }
}

}  // namespace

void ReadObject(Reader& reader, const YamlNode& node, const ObjectSchema& schema, void* object,
                const std::vector<std::string_view>& handled) {
  if (node.kind != YamlKind::kMapping) {
    return reader.WrongType(node, "a mapping");
  }
  const size_t errors = reader.error_count();
  for (const FieldSpec& field : schema.fields) {
    const YamlEntry* entry = node.Find(field.name);
    const Reader::Step step(reader, field.name);
    if (entry != nullptr) {
      field.read(reader, *entry->value, field, object);
    } else if (field.required) {
      reader.Error(node.pos, "the key " + field.name + " is missing",
                   {.expected = TypeText(field), .found = "", .suggestion = "", .tip = ""});
    } else {
      field.absent(reader, field, object);
    }
  }
  for (const YamlEntry& entry : node.entries) {
    if (entry.key_kind == YamlKind::kString && schema.Find(entry.key) != nullptr) continue;
    if (std::find(handled.begin(), handled.end(), entry.key) != handled.end()) continue;
    ReportUnknown(reader, entry, schema, handled);
  }
  if (schema.check && reader.error_count() == errors) schema.check(reader, node, object);
}

const UnionMember* ReadUnionType(Reader& reader, const YamlNode& node, const UnionSchema& schema) {
  if (node.kind != YamlKind::kMapping) {
    reader.WrongType(node, "a mapping with the key type");
    return nullptr;
  }
  const YamlEntry* entry = node.Find("type");
  const Reader::Step step(reader, "type");
  if (entry == nullptr) {
    reader.Error(node.pos, "the key type is missing",
                 {.expected = JoinWords(schema.Names()), .found = "", .suggestion = "", .tip = ""});
    return nullptr;
  }
  const YamlNode& value = *entry->value;
  if (value.kind != YamlKind::kString) {
    reader.WrongType(value, "a string");
    return nullptr;
  }
  const UnionMember* member = schema.Find(value.text);
  if (member == nullptr) {
    Remark remark;
    remark.suggestion = NearestWord(value.text, schema.Names());
    if (remark.suggestion.empty()) remark.expected = JoinWords(schema.Names());
    remark.found = YamlFlowText(value, 60);
    reader.Error(value.pos, "unknown type", std::move(remark));
    return nullptr;
  }
  if (!member->refused.empty()) {
    reader.Error(value.pos, "the type " + value.text + " is refused: " + std::string(member->refused),
                 {.expected = "", .found = "", .suggestion = "", .tip = "", .code = ErrorCode::kUnsupported});
    return nullptr;
  }
  if (!member->alias_of.empty()) member = schema.Find(member->alias_of);
  reader.Record(value.pos, member->type);
  return member;
}

}  // namespace modelslim
