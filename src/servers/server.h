// The servers that load our outputs, and what can be said of one of them.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace modelslim {

// A server at the version that the rules were found with.
struct Server {
  std::string_view name;     // as --for takes it: "vllm-ascend"
  std::string_view title;    // "vLLM-Ascend"
  std::string_view version;  // "0.23.0.post1"
  bool run;                  // its loader was run on outputs of ours; else its code was read
  // config.json's model_type values that the rules are about; empty: all.
  std::span<const std::string_view> model_types;
};
inline constexpr size_t kServerCount = 4;
const std::array<Server, kServerCount>& Servers();

// From harmless to worst.
enum class Outcome : uint8_t {
  kTakes,
  kUnknown,
  kUnused,   // loads, and leaves a part of the output unread
  kLoss,     // loads, and gives away quality that nobody had to give away
  kRefused,  // stops with an error
  kWrong,    // loads without an error, and computes something else
};

struct Verdict {
  Outcome outcome = Outcome::kTakes;
  std::string_view what;  // what happens there, in a few words
};
using Verdicts = std::array<Verdict, kServerCount>;  // in the order of Servers()

// The servers that somebody asks about.
struct ServerChoice {
  std::array<bool, kServerCount> asked = {};
  bool by_name = false;  // the user named them; else all are asked, and those that were only read count less
};

// All of them.
ServerChoice EveryServer();

// Those called `names` ("vllm-ascend"), or all where there are none; of one version only where `version` is not empty
// (the beginning of a version is enough: "0.23"). Throws Error(kSchema) for names and versions that have no rules.
ServerChoice ChooseServers(const std::vector<std::string>& names, const std::string& version);

// The worst that happens on a server that was asked.
Outcome WorstOf(const Verdicts& verdicts, const ServerChoice& choice);

// Whether it is worth a warning: refused, wrong or a loss on a server that was run or named.
bool IsWarning(const Verdicts& verdicts, const ServerChoice& choice);

// "vLLM-Ascend 0.23.0.post1 and main 182b75e: refused (a KeyError); SGLang 0.5.23: takes it". Servers that were asked,
// of which something is known; those with the same verdict together.
std::string VerdictText(const Verdicts& verdicts, const ServerChoice& choice);

}  // namespace modelslim
