#include "data/sample_text.h"

#include <algorithm>
#include <array>

#include "io/quote.h"

namespace modelslim {
namespace {

void AppendLine(std::string& text, const std::string& line) {
  if (line.empty()) return;
  if (!text.empty()) text += '\n';
  text += line;
}

}  // namespace

std::string TextOfValue(const JsonRef& value) {
  if (!value) return "";
  if (value.value()->string() != nullptr) return value.AsText();
  std::string text;
  if (const JsonArray* const list = value.value()->array()) {
    for (size_t i = 0; i < list->size(); ++i) AppendLine(text, TextOfValue(value.at(i)));
    return text;
  }
  if (value.value()->object() != nullptr) {
    // Messages of OpenAI's form, of ShareGPT's, and parts of a message with several.
    for (const char* key : {"content", "value", "text"}) {
      if (const JsonRef inner = value[key]) return TextOfValue(inner);
    }
    return "";  // a picture, or a call of a tool
  }
  value.Fail("a text, or a list of texts or messages");
}

std::string TextOfKeys(const JsonRef& object, const std::vector<std::string>& keys) {
  std::string text;
  bool found = false;
  for (const std::string& key : keys) {
    const JsonRef value = object[key];
    if (!value) continue;
    found = true;
    AppendLine(text, TextOfValue(value));
  }
  if (found) return text;
  std::string wanted;
  for (const std::string& key : keys) wanted += (wanted.empty() ? "" : " or ") + Quote(key);
  const std::string suggested = SuggestedKeys(object.AsObject());
  throw Error(object.code(), object.where() + ": expected the key " + wanted + ", found " + KeyNames(object.AsObject()),
              suggested.empty() ? "mend the data set" : "--text_key " + suggested + " fits this line");
}

std::string SuggestedKeys(const JsonObject& object) {
  constexpr std::array<const char*, 10> kKnown = {
      "inputs_pretokenized", "text",  "prompt",  "messages", "conversations",
      "conversation",        "input", "content", "question", "instruction"};
  if (object.Find("instruction") != nullptr && object.Find("output") != nullptr) {  // Alpaca
    return object.Find("input") != nullptr ? "instruction,input,output" : "instruction,output";
  }
  for (const char* key : kKnown) {
    if (object.Find(key) != nullptr) return key;
  }
  // A comma would read as two keys.
  const auto text = std::find_if(object.begin(), object.end(), [](const JsonMember& member) {
    return member.value.string() != nullptr && !member.key.empty() && member.key.find(',') == std::string::npos;
  });
  return text == object.end() ? "" : text->key;
}

std::string KeyNames(const JsonObject& object) {
  constexpr size_t kShown = 6;
  if (object.empty()) return "no key";
  std::string names;
  for (size_t i = 0; i < std::min(object.size(), kShown); ++i) {
    names += (i == 0 ? "" : ", ") + Quote(object.members()[i].key);
  }
  return object.size() <= kShown ? names : names + " and " + std::to_string(object.size() - kShown) + " more";
}

}  // namespace modelslim
