// Text of unknown origin (tensor names, keys) made fit for a message: quoted, without control characters, not too long.
#pragma once

#include <string>
#include <string_view>

namespace modelslim {

// 'model.norm.weight'. Control characters and bytes that are not UTF-8 become \xNN; beyond 160 bytes the middle is left
// out.
std::string Quote(std::string_view text);

// Bytes of the UTF-8 sequence that starts at `at` (1 to 4), or 0 when there is no valid one (RFC 3629: no overlong
// forms, no surrogates). `at` < text.size().
size_t Utf8Length(std::string_view text, size_t at);

}  // namespace modelslim
