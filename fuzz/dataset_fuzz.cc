// A calibration set from any bytes, lines or a list, with and without keys: it is refused with an Error, or its samples
// are UTF-8.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "data/dataset.h"
#include "io/quote.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace modelslim;
  const std::string_view content(reinterpret_cast<const char*>(data), size);
  for (const bool list : {false, true}) {
    for (const TextKeys& keys : {TextKeys{}, TextKeys{{}, "text"}, TextKeys{{"text", "messages"}, ""}}) {
      try {
        for (const TextSample& sample : ReadTextDataset(content, "fuzz", list, keys).samples) {
          if (!IsUtf8(sample.text)) std::abort();
        }
      } catch (const Error& e) {
        if (e.code() == ErrorCode::kUnexpected) std::abort();
      }
    }
  }
  return 0;
}
