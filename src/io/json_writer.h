// JSON text in the form of Python's json module, written piece by piece: memory and time grow with the text alone.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "io/json.h"

namespace modelslim {

// Appends to `*out`, which must outlive it. `indent`: spaces a level, Json::kOneLine or Json::kCompact. Calls must nest
// properly (a key before every value of an object); a wrong order is our own bug (an internal check).
class JsonWriter {
 public:
  explicit JsonWriter(std::string* out, int indent = Json::kOneLine, bool ensure_ascii = true);

  void BeginObject();
  void EndObject();
  void BeginArray();
  void EndArray();
  void Key(std::string_view key);
  void Value(const Json& value);
  void String(std::string_view value);
  void Int(int64_t value);
  void Member(std::string_view key, std::string_view value) {
    Key(key);
    String(value);
  }

 private:
  struct Level {
    char close;
    size_t count;
  };
  void BeforeValue();
  void Open(char open, char close);
  void Close(char close);
  void NewLine(size_t depth);

  std::string* out_;
  int indent_;
  bool ensure_ascii_;
  bool after_key_ = false;
  std::vector<Level> levels_;
};

// The string in quotes. With `ensure_ascii` all beyond ASCII is \uXXXX, in surrogate pairs above the BMP; a lone
// surrogate always is. A byte that is no UTF-8 (a file name can hold one) becomes \udcXX, as Python's surrogateescape
// has it, or U+FFFD without `ensure_ascii`.
void AppendJsonString(std::string& out, std::string_view text, bool ensure_ascii = true);

// repr of a Python float: the shortest digits that read back equal; 1e-06, 10000.0, 1e+16, NaN, Infinity.
void AppendPythonFloat(std::string& out, double value);

}  // namespace modelslim
