#include "text/regex_property.h"

#include <array>
#include <cctype>
#include <utility>

namespace modelslim {
namespace {

constexpr std::array<std::pair<std::string_view, std::string_view>, 44> kLongNames = {{
    {"letter", "L"},
    {"uppercaseletter", "Lu"},
    {"lowercaseletter", "Ll"},
    {"titlecaseletter", "Lt"},
    {"modifierletter", "Lm"},
    {"otherletter", "Lo"},
    {"mark", "M"},
    {"combiningmark", "M"},
    {"nonspacingmark", "Mn"},
    {"spacingmark", "Mc"},
    {"enclosingmark", "Me"},
    {"number", "N"},
    {"decimalnumber", "Nd"},
    {"letternumber", "Nl"},
    {"othernumber", "No"},
    {"punctuation", "P"},
    {"punct", "P"},
    {"connectorpunctuation", "Pc"},
    {"dashpunctuation", "Pd"},
    {"openpunctuation", "Ps"},
    {"closepunctuation", "Pe"},
    {"initialpunctuation", "Pi"},
    {"finalpunctuation", "Pf"},
    {"otherpunctuation", "Po"},
    {"symbol", "S"},
    {"mathsymbol", "Sm"},
    {"currencysymbol", "Sc"},
    {"modifiersymbol", "Sk"},
    {"othersymbol", "So"},
    {"separator", "Z"},
    {"spaceseparator", "Zs"},
    {"lineseparator", "Zl"},
    {"paragraphseparator", "Zp"},
    {"other", "C"},
    {"control", "Cc"},
    {"cntrl", "Cc"},
    {"format", "Cf"},
    {"surrogate", "Cs"},
    {"privateuse", "Co"},
    {"unassigned", "Cn"},
    {"alpha", "Alphabetic"},
    {"upper", "Uppercase"},
    {"lower", "Lowercase"},
    {"space", "White_Space"},
}};
// Names that PCRE2 takes as they are and that are no scripts.
constexpr std::array<std::string_view, 12> kBinary = {
    "alphabetic",           "lowercase", "uppercase",   "whitespace", "emoji", "emojipresentation",
    "extendedpictographic", "any",       "ideographic", "math",       "dash",  "digit"};

}  // namespace

std::string PcreProperty(std::string_view name) {
  std::string plain;
  for (const char c : name) {
    if (c != '_' && c != ' ' && c != '-') plain += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  if (plain.size() <= 2) {  // L, Lu, ...: any case in Oniguruma
    for (size_t i = 0; i < plain.size(); ++i) {
      if (i == 0) plain[i] = static_cast<char>(std::toupper(static_cast<unsigned char>(plain[i])));
    }
    return plain;
  }
  for (const auto& [from, to] : kLongNames) {
    if (plain == from) return std::string(to);
  }
  for (const auto known : kBinary) {
    if (plain == known) return plain == "digit" ? "Nd" : plain == "any" ? "Any" : std::string(name);
  }
  return "sc:" + std::string(name);  // a script; PCRE2 would otherwise take the script extensions too
}

}  // namespace modelslim
