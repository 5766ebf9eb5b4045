#include "text/growth.h"

#include <algorithm>
#include <cstdint>
#include <string>

#include "base/error.h"

namespace modelslim {

size_t GrowthLimit(size_t size) {
  constexpr size_t kLeast = size_t{1} << 20, kMost = UINT32_MAX;
  return size > kMost / kGrowthFactor ? kMost : std::max(kLeast, kGrowthFactor * size);
}

void CheckGrowth(size_t size, size_t limit) {
  if (size <= limit) return;
  throw Error(ErrorCode::kUnsupported,
              "the tokenizer lets this text grow to more than " + std::to_string(kGrowthFactor) + " times its length",
              "look at normalizer and pre_tokenizer of tokenizer.json: one of their steps multiplies the text");
}

}  // namespace modelslim
