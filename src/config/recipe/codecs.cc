// Readers of the list types that keep places.
#include "config/schema/schema_builder.h"

namespace modelslim {

bool Codec<PatternList>::Read(Reader& reader, const YamlNode& node, const FieldSpec& field, PatternList& out) {
  out.given = true;
  out.pos = node.pos;
  out.items.clear();
  if (node.kind != YamlKind::kSequence) {
    reader.WrongType(node, TypeText(field), node.kind == YamlKind::kString ? "write [\"" + node.text + "\"]" : "");
    return false;
  }
  bool good = true;
  for (size_t i = 0; i < node.items.size(); ++i) {
    const Reader::Step step(reader, i);
    const YamlNode& item = *node.items[i];
    const std::optional<std::string> text = ReadString(reader, item, field);
    good = good && text;
    if (!text) continue;
    try {
      out.Add(*text, item.pos);
    } catch (const Error& error) {
      Remark remark;
      remark.tip = error.tip();
      reader.Error(item.pos, error.what(), std::move(remark));
      good = false;
    }
  }
  if (good && out.items.empty() && field.name == "include" && out.when_empty == EmptyList::kNothing) {
    Remark remark;
    remark.tip = "leave the key out, or write [\"*\"], to select everything";
    reader.Warn(node.pos, "an empty include selects nothing", std::move(remark));
  }
  return good;
}

std::string Codec<PatternList>::Text(const PatternList& value) {
  std::string out = "[";
  for (const Pattern& each : value.items) out += (out.size() > 1 ? ", " : "") + YamlQuoteIfNeeded(each.text);
  return out + "]";
}

bool Codec<NameList>::Read(Reader& reader, const YamlNode& node, const FieldSpec& field, NameList& out) {
  if (node.kind != YamlKind::kSequence) return reader.WrongType(node, TypeText(field)), false;
  out.pos = node.pos;
  out.items.clear();
  bool good = true;
  for (size_t i = 0; i < node.items.size(); ++i) {
    const Reader::Step step(reader, i);
    std::optional<std::string> text = ReadString(reader, *node.items[i], field);
    good = good && text;
    if (text) out.items.emplace_back(std::move(*text), node.items[i]->pos);
  }
  return good;
}

std::string Codec<NameList>::Text(const NameList& value) {
  std::string out = "[";
  for (const auto& [name, pos] : value.items) out += (out.size() > 1 ? ", " : "") + YamlQuoteIfNeeded(name);
  return out + "]";
}

}  // namespace modelslim
