// tokenizer.model from any bytes: it is refused with an Error, or it makes a tokenizer that encodes texts to ids below
// vocab_size(), the same ones the second time.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "text/sentencepiece.h"
#include "text/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace modelslim;
  const Json nothing;
  try {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    const Tokenizer tokenizer(ReadSentencePiece(bytes, "fuzz", JsonRef(nothing, "none")));
    for (const std::string_view text :
         {"", "abc ab  cab\n", "\u2581a\u4e2d\u3000\U0001F600<s>x</s>", "aaaaaaaaaaaaaaab"}) {
      const auto ids = tokenizer.Encode(text, true);
      for (const int32_t id : ids) {
        if (id < 0 || id >= tokenizer.vocab_size()) std::abort();
      }
      if (tokenizer.Encode(text, true) != ids) std::abort();
    }
  } catch (const Error& e) {
    if (e.code() == ErrorCode::kUnexpected) std::abort();
  }
  return 0;
}
