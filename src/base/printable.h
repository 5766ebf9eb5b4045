// Text of unknown origin (names of tensors, values of recipes, paths) made fit for a terminal. What may reach one is
// decided here and nowhere else: the standard streams, the log and the progress bar all pass their text through this.
#pragma once

#include <string>
#include <string_view>

namespace modelslim {

// What a text may keep of its control characters.
enum class Layout {
  kNone,          // for what is quoted inside a sentence
  kLinesAndTabs,  // for whole messages: newlines and tabs
};

// Appends `text` with everything escaped that a terminal would obey or that would make it show another text than there
// is: control characters, C1 ones, line separators, and what changes the direction of writing. Bytes below 0x20 and
// bytes that are no UTF-8 become \xNN, the others \uNNNN, which is what JSON calls them too.
void AppendPrintable(std::string& out, std::string_view text, Layout layout);

// A whole message: newlines and tabs stay.
std::string Printable(std::string_view text);

// Bytes of the UTF-8 sequence that starts at `at` (1 to 4), or 0 when there is no valid one (RFC 3629: no overlong
// forms, no surrogates). `at` < text.size().
size_t Utf8Length(std::string_view text, size_t at);
// Every byte belongs to such a sequence.
bool IsUtf8(std::string_view text);

// How many bytes at the end of `text` are the beginning of a UTF-8 sequence that is not complete yet (0 to 3).
size_t IncompleteUtf8Tail(std::string_view text);

}  // namespace modelslim
