#include "io/quote.h"

namespace modelslim {
namespace {
constexpr size_t kLongest = 160, kKept = 72;
}  // namespace

std::string Quote(std::string_view text) {
  std::string out = "'";
  if (text.size() <= kLongest) {
    AppendPrintable(out, text, Layout::kNone);
  } else {
    AppendPrintable(out, text.substr(0, kKept), Layout::kNone);
    out += "...";
    AppendPrintable(out, text.substr(text.size() - kKept), Layout::kNone);
  }
  return out + "'";
}

}  // namespace modelslim
