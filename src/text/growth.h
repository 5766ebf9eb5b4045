// How long a text may become while it is tokenized. The steps of a tokenizer.json multiply a text (a replacement for
// every character, a sequence of them), so a small file could ask for more memory than there is.
#pragma once

#include <cstddef>

namespace modelslim {

// The longest decomposition of Unicode is 18 characters for one.
inline constexpr size_t kGrowthFactor = 64;

// What a text of `size` bytes may come to: kGrowthFactor times as much, at least 1 MiB, always below 4 GiB, which
// offsets of 32 bits can hold.
size_t GrowthLimit(size_t size);

// Throws Error(kUnsupported) when `size` is beyond `limit`.
void CheckGrowth(size_t size, size_t limit);

}  // namespace modelslim
