#include "io/json.h"
#include "io/json_events.h"
#include "io/quote.h"

namespace modelslim {
namespace {

class Builder : public JsonHandler {
 public:
  Builder(const std::string& name, const JsonOptions& options) : name_(name), options_(options) {}

  void Null() override { Add(Json()); }
  void Bool(bool value) override { Add(Json(value)); }
  void Number(std::string_view text) override { Add(*Json::Number(text)); }
  void String(std::string_view value) override { Add(Json(value)); }
  void BeginObject() override { open_.emplace_back().value = JsonObject(); }
  void BeginArray() override { open_.emplace_back().value = JsonArray(); }
  void EndObject() override { Close(); }
  void EndArray() override { Close(); }

  void Key(std::string_view key) override {
    if (options_.duplicates == JsonDuplicates::kError && open_.back().value.Find(key) != nullptr) {
      throw Error(options_.code, name_ + ": expected every key once, found " + Quote(key) + " twice in one object",
                  "remove one of the two");
    }
    open_.back().key = key;
  }

  Json Take() { return std::move(root_); }

 private:
  struct Open {
    Json value;
    std::string key;  // of the member to come
  };

  void Add(Json value) {
    if (open_.empty()) {
      root_ = std::move(value);
    } else if (JsonArray* const array = open_.back().value.array()) {
      array->push_back(std::move(value));
    } else {
      open_.back().value.object()->Set(std::move(open_.back().key), std::move(value));
    }
  }

  void Close() {
    Json done = std::move(open_.back().value);
    open_.pop_back();
    Add(std::move(done));
  }

  const std::string& name_;
  const JsonOptions& options_;
  std::vector<Open> open_;
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
