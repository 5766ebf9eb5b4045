#include "io/json_ref.h"

#include "io/json_writer.h"
#include "io/quote.h"

namespace modelslim {
namespace {

// "a.b", or a["b.c"] where the key itself holds what would mislead.
std::string Member(const std::string& path, std::string_view key) {
  if (key.empty() || key.size() > 200 || key.find_first_of(".[]\"' \n") != std::string_view::npos) {
    return path + "[" + Quote(key) + "]";
  }
  return path.empty() ? std::string(key) : path + "." + std::string(key);
}

}  // namespace

JsonRef::JsonRef(const Json& root, std::string name, ErrorCode code)
    : value_(&root), document_(std::make_shared<const Document>(Document{std::move(name), code})) {}

JsonRef::JsonRef(const Json* value, std::shared_ptr<const Document> document, std::string path)
    : value_(value), document_(std::move(document)), path_(std::move(path)) {}

std::string JsonRef::found() const {
  if (value_ == nullptr) return "nothing (the key is missing)";
  std::string text(JsonKindText(value_->kind()));
  if (const std::string* const string = value_->string()) return text + " (" + Quote(*string) + ")";
  if (value_->number() || value_->boolean()) return text + " (" + value_->Dump().substr(0, 40) + ")";
  return text;
}

std::string JsonRef::where() const { return path_.empty() ? document_->name : document_->name + ": " + path_; }

void JsonRef::Fail(std::string_view expected, std::string tip) const {
  throw Error(document_->code, where() + ": expected " + std::string(expected) + ", found " + found(), std::move(tip));
}

JsonRef JsonRef::operator[](std::string_view key) const {
  if (present() && value_->object() == nullptr) Fail("an object");
  return {present() ? value_->Find(key) : nullptr, document_, Member(path_, key)};
}

JsonRef JsonRef::at(size_t index) const {
  const JsonArray& array = AsArray();
  if (index >= array.size()) Fail("an array of at least " + std::to_string(index + 1) + " elements");
  return {&array[index], document_, path_ + "[" + std::to_string(index) + "]"};
}

std::vector<JsonRef> JsonRef::Elements() const {
  std::vector<JsonRef> elements;
  for (size_t i = 0; i < AsArray().size(); ++i) elements.push_back(at(i));
  return elements;
}

bool JsonRef::AsBool() const {
  const auto value = value_ == nullptr ? std::nullopt : value_->boolean();
  if (!value) Fail("true or false");
  return *value;
}

int64_t JsonRef::AsInt() const {
  const auto value = value_ == nullptr ? std::nullopt : value_->integer();
  if (!value) Fail(value_ != nullptr && value_->is_integer() ? "an integer of at most 63 bits" : "an integer");
  return *value;
}

int64_t JsonRef::AsInt(int64_t low, int64_t high) const {
  const int64_t value = AsInt();
  if (value < low || value > high) Fail("an integer from " + std::to_string(low) + " to " + std::to_string(high));
  return value;
}

double JsonRef::AsDouble() const {
  const auto value = value_ == nullptr ? std::nullopt : value_->number();
  if (!value) Fail("a number");
  return *value;
}

const std::string& JsonRef::AsString() const {
  if (value_ == nullptr || value_->string() == nullptr) Fail("a string");
  return *value_->string();
}

const std::string& JsonRef::AsText() const {
  const std::string& text = AsString();
  if (!IsUtf8(text)) Fail("text", "half a surrogate pair stands alone in it (\\ud800 to \\udfff)");
  return text;
}

const JsonArray& JsonRef::AsArray() const {
  if (value_ == nullptr || value_->array() == nullptr) Fail("an array");
  return *value_->array();
}

const JsonObject& JsonRef::AsObject() const {
  if (value_ == nullptr || value_->object() == nullptr) Fail("an object");
  return *value_->object();
}

std::vector<int64_t> JsonRef::AsInts() const {
  std::vector<int64_t> values;
  for (const JsonRef& each : Elements()) values.push_back(each.AsInt());
  return values;
}

std::vector<double> JsonRef::AsDoubles() const {
  std::vector<double> values;
  for (const JsonRef& each : Elements()) values.push_back(each.AsDouble());
  return values;
}

std::vector<std::string> JsonRef::AsStrings() const {
  std::vector<std::string> values;
  for (const JsonRef& each : Elements()) values.push_back(each.AsString());
  return values;
}

}  // namespace modelslim
