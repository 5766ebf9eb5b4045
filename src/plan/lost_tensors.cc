#include "plan/lost_tensors.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/progress.h"
#include "config/patterns/pattern.h"
#include "io/checkpoint.h"

namespace modelslim {
namespace {

constexpr size_t kLinesShown = 40, kPatternsShown = 6;

// What is lost without a word from the user, and the patterns of his that say something.
struct Judged {
  std::vector<UnusedTensors> silent;
  std::set<std::string> used;
};

Judged Judge(const std::vector<UnusedTensors>& unused, const std::vector<std::string>& drop) {
  std::vector<CompiledPattern> patterns;
  for (const std::string& text : drop) patterns.emplace_back(text);
  Judged judged;
  for (const UnusedTensors& group : unused) {
    UnusedTensors rest = group;
    std::erase_if(rest.tensors, [&](const CheckpointTensor* tensor) {
      bool matched = false;
      for (const CompiledPattern& pattern : patterns) {
        if (!pattern.Matches(tensor->name)) continue;
        judged.used.insert(pattern.text());
        matched = true;
      }
      return matched;
    });
    if (!group.told_only && !rest.tensors.empty()) judged.silent.push_back(std::move(rest));
  }
  return judged;
}

// "visual.*" for everything below a first name that holds nothing else than these; else the pattern itself.
std::vector<std::string> ShortPatterns(const std::vector<UnusedTensors>& groups) {
  std::vector<std::string> patterns;
  for (const UnusedTensors& group : groups) {
    std::string pattern = group.pattern;
    const std::string first = pattern.substr(0, pattern.find('.'));
    if (first != "model" && first != "lm_head" && first != pattern) pattern = first + ".*";
    if (std::find(patterns.begin(), patterns.end(), pattern) == patterns.end()) patterns.push_back(pattern);
  }
  return patterns;
}

std::string Advice(const std::vector<UnusedTensors>& groups) {
  std::string text;
  std::set<std::string_view> said;
  for (const UnusedTensors& group : groups) {
    if (!group.advice.empty() && said.insert(group.advice).second) text += std::string(group.advice) + "; or ";
  }
  text += "agree to the loss with";
  const std::vector<std::string> patterns = ShortPatterns(groups);
  if (patterns.size() > kPatternsShown) return text + " --drop and patterns of the names above (--drop '*' for all)";
  for (const std::string& pattern : patterns) text += " --drop '" + pattern + "'";
  return text;
}

}  // namespace

std::vector<std::string> LossLines(const std::vector<UnusedTensors>& unused) {
  std::vector<std::string> lines;
  for (size_t begin = 0, end = 0; begin < unused.size(); begin = end) {
    uint64_t bytes = 0;
    size_t tensors = 0;
    for (end = begin; end < unused.size() && unused[end].reason == unused[begin].reason; ++end) {
      bytes += unused[end].bytes();
      tensors += unused[end].tensors.size();
    }
    lines.push_back(std::string(unused[begin].reason) + ": " + std::to_string(tensors) +
                    (tensors == 1 ? " tensor, " : " tensors, ") + FormatBytes(bytes));
    for (size_t i = begin; i < std::min(end, begin + kLinesShown); ++i) lines.push_back("  " + Describe(unused[i]));
    if (end > begin + kLinesShown)
      lines.push_back("  and " + std::to_string(end - begin - kLinesShown) + " more kinds of names");
  }
  return lines;
}

std::vector<std::string> CheckLosses(const std::vector<UnusedTensors>& unused, const std::vector<std::string>& drop,
                                     const std::string& model) {
  const Judged judged = Judge(unused, drop);
  if (!judged.silent.empty()) {
    std::string text = model + ": the weights hold tensors that no output would have";
    for (const std::string& line : LossLines(judged.silent)) text += "\n  " + line;
    throw Error(ErrorCode::kInvalidModel, text, Advice(judged.silent));
  }
  std::vector<std::string> idle;
  for (const std::string& text : drop) {
    if (!judged.used.contains(text)) idle.push_back(text);
  }
  return idle;
}

}  // namespace modelslim
