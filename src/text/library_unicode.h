// Two character classes as the tokenizers library has them: its tables for these are years older than those it uses in
// regular expressions, and results are to be the same to the last id.
#pragma once

namespace modelslim {

// Category P, and the symbols of ASCII (pre-tokenizers Punctuation and BertPreTokenizer).
bool IsLibraryPunctuation(char32_t c);
// Category M (normalizer StripAccents).
bool IsLibraryMark(char32_t c);

}  // namespace modelslim
