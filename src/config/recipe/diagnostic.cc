#include "config/recipe/diagnostic.h"

#include <algorithm>
#include <ostream>
#include <sstream>
#include <tuple>
#include <utility>

#include "base/printable.h"
#include "base/standard_streams.h"

namespace modelslim {
namespace {

size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> before(b.size() + 1), row(b.size() + 1), older(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) before[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({before[j] + 1, row[j - 1] + 1, before[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      // Two neighbours exchanged are one slip of the finger.
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], older[j - 2] + 1);
    }
    std::swap(older, before);
    std::swap(before, row);
  }
  return before[b.size()];
}

std::string Folded(std::string_view word) {
  std::string out;
  for (char c : word) {
    if (c >= 'A' && c <= 'Z')
      out += static_cast<char>(c - 'A' + 'a');
    else if (c == '-' || c == ' ' || c == '.')
      out += '_';
    else
      out += c;
  }
  return out;
}

std::string_view SourceLine(std::string_view source, int line) {
  for (int i = 1; i < line; ++i) {
    const size_t end = source.find('\n');
    if (end == std::string_view::npos) return {};
    source.remove_prefix(end + 1);
  }
  source = source.substr(0, source.find('\n'));
  if (source.ends_with('\r')) source.remove_suffix(1);
  return source;
}

// Spaces that reach as far as `text` on a terminal: East Asian wide characters count two columns, tabs stay tabs.
std::string BlankFor(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const unsigned char lead = static_cast<unsigned char>(text[i]);
    const size_t length = lead < 0xC0 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    const bool wide = lead >= 0xE3 && lead != 0xEF;
    if (text[i] == '\t')
      out += '\t';
    else
      out += wide ? "  " : " ";
    i += length;
  }
  return out;
}

std::string Place(const Diagnostic& d) {
  std::string out = d.file;
  if (d.pos.known()) out += ":" + std::to_string(d.pos.line) + ":" + std::to_string(d.pos.column);
  return out;
}

std::string Body(const Diagnostic& d) {
  std::string out;
  if (!d.yaml_path.empty()) out += d.yaml_path + ": ";
  out += d.message;
  if (!d.expected.empty()) out += "; expected " + d.expected;
  if (!d.found.empty()) out += std::string(d.expected.empty() ? ";" : ",") + " found " + d.found;
  if (!d.suggestion.empty()) out += "; did you mean " + d.suggestion + "?";
  return out;
}

std::string Kind(const Diagnostic& d) {
  return d.severity == Severity::kWarning ? "warning" : "error " + std::to_string(static_cast<int>(d.code));
}

}  // namespace

std::string DiagnosticLine(const Diagnostic& d) { return Place(d) + ": " + Kind(d) + ": " + Body(d); }

void PrintDiagnostic(const Diagnostic& d, std::string_view source, std::ostream& out) {
  out << Style::kBold << Place(d) << Style::kPlain << ": "
      << (d.severity == Severity::kWarning ? Style::kWarning : Style::kError) << Kind(d) << Style::kPlain << ": "
      << Body(d) << "\n";
  const std::string_view line = d.pos.known() ? SourceLine(source, d.pos.line) : std::string_view();
  if (!line.empty() && line.size() <= 500) {
    const size_t column = std::min(static_cast<size_t>(d.pos.column - 1), line.size());
    // Made printable here, so that the caret stands under what is shown.
    out << "    " << Printable(line) << "\n    " << BlankFor(Printable(line.substr(0, column))) << Style::kError << "^"
        << Style::kPlain << "\n";
  }
  if (!d.tip.empty()) out << "  tip: " << d.tip << "\n";
}

std::string RenderDiagnostic(const Diagnostic& diagnostic, std::string_view source) {
  std::ostringstream out;
  PrintDiagnostic(diagnostic, source, out);
  return std::move(out).str();
}

void Diagnostics::Sort() {
  std::stable_sort(items_.begin(), items_.end(), [](const Diagnostic& a, const Diagnostic& b) {
    const auto key = [](const Diagnostic& d) {
      return std::tuple(d.pos.line, d.pos.column, d.severity == Severity::kWarning);
    };
    return key(a) < key(b);
  });
}

size_t Diagnostics::error_count() const {
  return static_cast<size_t>(
      std::count_if(items_.begin(), items_.end(), [](const Diagnostic& d) { return d.severity == Severity::kError; }));
}

void Diagnostics::ThrowIfErrors() const {
  const Diagnostic* first = nullptr;
  std::string text;
  for (const Diagnostic& each : items_) {
    if (each.severity != Severity::kError) continue;
    if (first == nullptr) first = &each;
    text += (text.empty() ? "" : "\n") + DiagnosticLine(each);
  }
  if (first != nullptr) throw Error(first->code, text, first->tip);
}

std::string NearestWord(std::string_view word, const std::vector<std::string>& words) {
  if (word.size() > 100) return "";
  const std::string folded = Folded(word);
  size_t best = std::string::npos;
  std::string nearest;
  for (const std::string& each : words) {
    const size_t distance = EditDistance(folded, Folded(each));
    if (distance < best) {
      best = distance;
      nearest = each;
    }
  }
  const size_t longest = std::max(folded.size(), nearest.size());
  if (best <= 1 + longest / 5 && best < longest) return nearest;
  // "calib_dataset" for "dataset": a word that holds the other, when only one does.
  std::vector<std::string> holding;
  for (const std::string& each : words) {
    const std::string other = Folded(each);
    const bool long_enough = std::min(other.size(), folded.size()) >= 5;
    if (long_enough && (other.find(folded) != other.npos || folded.find(other) != folded.npos)) holding.push_back(each);
  }
  return holding.size() == 1 ? holding[0] : "";
}

}  // namespace modelslim
