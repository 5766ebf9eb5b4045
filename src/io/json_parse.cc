#include <iterator>

#include "io/json.h"
#include "io/json_events.h"
#include "io/quote.h"

namespace modelslim {
namespace {

// What is open waits on two stacks, so that a list gets its memory once, when its length is known: a vocabulary's
// merges are a hundred thousand lists of two.
class Builder : public JsonHandler {
 public:
  Builder(const std::string& name, const JsonOptions& options) : name_(name), options_(options) {}

  void Null() override { Add(Json()); }
  void Bool(bool value) override { Add(Json(value)); }
  void Number(std::string_view text) override { Add(*Json::Number(text)); }
  void String(std::string_view value) override { Add(Json(value)); }
  void BeginObject() override { open_.push_back({true, members_.size()}); }
  void BeginArray() override { open_.push_back({false, values_.size()}); }
  void Key(std::string_view key) override { members_.push_back({std::string(key), Json()}); }

  void EndArray() override {
    const auto begin = values_.begin() + static_cast<std::ptrdiff_t>(open_.back().begin);
    JsonArray array(std::make_move_iterator(begin), std::make_move_iterator(values_.end()));
    values_.erase(begin, values_.end());
    open_.pop_back();
    Add(Json(std::move(array)));
  }

  void EndObject() override {
    const auto begin = members_.begin() + static_cast<std::ptrdiff_t>(open_.back().begin);
    JsonObject object;
    for (auto member = begin; member != members_.end(); ++member) {
      const bool once = options_.duplicates == JsonDuplicates::kError;
      if (once && object.Find(member->key) != nullptr) {
        throw Error(options_.code,
                    name_ + ": expected every key once, found " + Quote(member->key) + " twice in one object",
                    "remove one of the two");
      }
      object.Set(std::move(member->key), std::move(member->value));
    }
    members_.erase(begin, members_.end());
    open_.pop_back();
    Add(Json(std::move(object)));
  }

  Json Take() { return std::move(root_); }

 private:
  struct Open {
    bool object;
    size_t begin;  // of what belongs to it on its stack
  };

  void Add(Json value) {
    if (open_.empty()) {
      root_ = std::move(value);
    } else if (open_.back().object) {
      members_.back().value = std::move(value);
    } else {
      values_.push_back(std::move(value));
    }
  }

  const std::string& name_;
  const JsonOptions& options_;
  std::vector<Open> open_;
  std::vector<Json> values_;         // of the open arrays
  std::vector<JsonMember> members_;  // of the open objects; the last one waits for its value
  Json root_;
};

// Looks at the kind of the document only.
class ObjectCheck : public JsonHandler {
 public:
  void Null() override { Value("null"); }
  void Bool(bool) override { Value("a truth value"); }
  void Number(std::string_view) override { Value("a number"); }
  void String(std::string_view) override { Value("a string"); }
  void BeginObject() override { Value(""); }
  void Key(std::string_view) override {}
  void EndObject() override {}
  void BeginArray() override { Value("an array"); }
  void EndArray() override {}

  const char* other = nullptr;  // what the document is instead of an object

 private:
  void Value(const char* what) {
    if (other == nullptr) other = what;
  }
};

}  // namespace

Json ParseJson(std::string_view text, const std::string& name, const JsonOptions& options) {
  Builder builder(name, options);
  ParseJsonEvents(text, name, options.code, options.max_depth, builder);
  return builder.Take();
}

Json ReadJson(const fs::path& path, const JsonOptions& options) {
  return ParseJson(ReadTextFile(path), path.string(), options);
}

void RequireJsonObject(std::string_view text, const std::string& name, const JsonOptions& options) {
  ObjectCheck check;
  ParseJsonEvents(text, name, options.code, options.max_depth, check);
  if (*check.other != '\0') {
    throw Error(options.code, name + ": expected a JSON object, found " + check.other, "download or export it again");
  }
}

}  // namespace modelslim
