// JSON from any bytes: it is refused with an Error, or it is a value that prints, and what is printed reads back as the
// same value, in every layout.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/error.h"
#include "io/json.h"

namespace {

using namespace modelslim;

void CheckPrinted(const Json& value) {
  const std::string text = value.Dump();  // NaN is not equal to itself, but its text is
  for (const int indent : {Json::kOneLine, Json::kCompact, 2}) {
    for (const bool ensure_ascii : {true, false}) {
      if (ParseJson(value.Dump(indent, ensure_ascii), "printed").Dump() != text) std::abort();
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    CheckPrinted(ParseJson(std::string_view(reinterpret_cast<const char*>(data), size), "fuzz"));
  } catch (const Error& e) {
    if (e.code() == ErrorCode::kUnexpected) std::abort();
  }
  return 0;
}
