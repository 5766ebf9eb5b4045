// Small pieces of sentences that messages are made of.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace modelslim {

// "1 layer", "3 layers".
std::string Counted(size_t count, std::string_view one);
// "a, b, c".
std::string Joined(const std::vector<std::string_view>& words);
// Every line on one of its own below what stands before, at most `most`: "\n  a\n  b\n  and 3 more".
std::string LinesBelow(const std::vector<std::string>& lines, size_t most);
// Letters A to Z as a to z, everything else as it is.
std::string LowerAscii(std::string_view text);

}  // namespace modelslim
