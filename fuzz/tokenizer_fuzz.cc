// tokenizer.json from any bytes: it is refused with an Error, or it makes a tokenizer that encodes texts, awkward ones
// and the file itself among them, to ids below vocab_size(), the same ones the second time.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/error.h"
#include "text/tokenizer.h"

namespace {

using namespace modelslim;

void Encode(const Tokenizer& tokenizer, std::string_view text) {
  try {
    const auto ids = tokenizer.Encode(text, true);
    const int64_t vocab_size = tokenizer.vocab_size();
    for (const int32_t id : ids) {
      if (id < 0 || id >= vocab_size) std::abort();
    }
    if (tokenizer.Encode(text, true) != ids) std::abort();
  } catch (const Error& e) {
    if (e.code() == ErrorCode::kUnexpected) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view json(reinterpret_cast<const char*>(data), size);
  try {
    const auto tokenizer = Tokenizer::FromJson(json, "fuzz");
    for (const std::string_view text : {"", "abc ab  cab\n", "a\u0323\u0301 \u00e9\u4e2d\u3000\U0001F600<s>x</s>",
                                        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"}) {
      Encode(*tokenizer, text);
    }
    Encode(*tokenizer, json);
  } catch (const Error& e) {
    if (e.code() == ErrorCode::kUnexpected) std::abort();
  }
  return 0;
}
