#include "io/hash.h"

#include <gtest/gtest.h>

#include <vector>

namespace modelslim {
namespace {

// Values published with the XXH3-128 specification's reference implementation (seed 0): the empty input.
TEST(Hash, KnownValue) { EXPECT_EQ(HashHex(""), "99aa06d3014798d86001c324468d497f"); }

TEST(Hash, PiecesEqualTheWhole) {
  std::string bytes;
  for (int i = 0; i < 100000; ++i) bytes += static_cast<char>(i * 31 + i / 251);
  for (const size_t piece : {size_t{1}, size_t{7}, size_t{255}, size_t{4096}}) {
    Hasher hasher;
    for (size_t at = 0; at < bytes.size(); at += piece) hasher.Update(std::string_view(bytes).substr(at, piece));
    EXPECT_EQ(hasher.Hex(), HashHex(bytes)) << piece;
  }
  std::string changed = bytes;
  changed[54321] ^= 1;
  EXPECT_NE(HashHex(changed), HashHex(bytes));
}

}  // namespace
}  // namespace modelslim
