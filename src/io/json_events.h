// JSON text as a series of calls, for documents that are too large to be held as values (headers of 100k tensors,
// vocabularies).
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace modelslim {

// Receives a document in order. Texts are valid during the call only. A handler may throw to stop.
class JsonHandler {
 public:
  virtual ~JsonHandler() = default;
  virtual void Null() = 0;
  virtual void Bool(bool value) = 0;
  // In JSON's grammar, or NaN, Infinity, -Infinity as Python writes them; see Json::Number.
  virtual void Number(std::string_view text) = 0;
  virtual void String(std::string_view value) = 0;  // unescaped; UTF-8 but for lone surrogates, see io/json.h
  virtual void BeginObject() = 0;
  virtual void Key(std::string_view key) = 0;  // duplicates are passed on
  virtual void EndObject() = 0;
  virtual void BeginArray() = 0;
  virtual void EndArray() = 0;
};

// One whole document as Python's json module takes it: any value with white space around it, nothing after it, perhaps
// a byte order mark in front. Nesting deeper than `max_depth`, bad UTF-8 and everything else that Python refuses is an
// Error of `code` that reads "<name>: line 3, column 7: ...".
void ParseJsonEvents(std::string_view text, const std::string& name, ErrorCode code, int max_depth,
                     JsonHandler& handler);

}  // namespace modelslim
