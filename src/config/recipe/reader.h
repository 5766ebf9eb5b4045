// Where reading a recipe stands: the YAML path, the mistakes so far, the values in effect.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/recipe/diagnostic.h"
#include "io/yaml.h"

namespace modelslim {

struct EffectiveValue;

// What a diagnostic says beyond its message.
struct Remark {
  std::string expected;
  std::string found;
  std::string suggestion;
  std::string tip;
  ErrorCode code = ErrorCode::kSchema;
};

class Reader {
 public:
  Reader(std::string file, Diagnostics& diagnostics, std::vector<EffectiveValue>& values)
      : file_(std::move(file)), diagnostics_(diagnostics), values_(values) {}

  // Appends ".name" or "[index]" to the path while it lives.
  class Step {
   public:
    Step(Reader& reader, std::string_view name);
    Step(Reader& reader, size_t index);
    ~Step() { reader_.path_.resize(length_); }
    Step(const Step&) = delete;
    Step& operator=(const Step&) = delete;

   private:
    Reader& reader_;
    size_t length_;
  };

  const std::string& path() const { return path_; }
  size_t error_count() const { return errors_; }

  void Error(SourcePos pos, std::string message, Remark remark = {});
  // As Error, for a value whose path is known, wherever the reader stands.
  void ErrorAt(std::string_view path, SourcePos pos, std::string message, Remark remark = {});
  void Warn(SourcePos pos, std::string message, Remark remark = {});
  void WarnAt(std::string_view path, SourcePos pos, std::string message, Remark remark = {});
  // "expected X, found Y" for a value of the wrong type.
  void WrongType(const YamlNode& node, std::string_view expected, std::string tip = "");
  void Record(SourcePos pos, std::string value);
  // What was recorded here last takes effect as `value`.
  void Amend(std::string value);

  // v0 takes no booleans for numbers and no texts for booleans; the v1 family does.
  bool strict_types = false;

 private:
  void Add(Severity severity, SourcePos pos, std::string message, Remark remark);

  std::string file_;
  std::string path_;
  size_t errors_ = 0;
  Diagnostics& diagnostics_;
  std::vector<EffectiveValue>& values_;
};

// The value as a message shows it: "the string 1e2", "null", "a mapping".
std::string FoundText(const YamlNode& node);

}  // namespace modelslim
