#include "servers/server.h"

#include <algorithm>

#include "base/error.h"

namespace modelslim {
namespace {

// The model classes of MindIE-LLM's mindie_llm/runtime; others go through older code, which was not looked at.
constexpr std::string_view kMindieModels[] = {"qwen2",       "qwen3",        "qwen3_moe",
                                              "deepseek_v3", "deepseek_v32", "deepseek_v3_2"};

constexpr std::array<Server, kServerCount> kServers = {{
    {"vllm-ascend", "vLLM-Ascend", "0.23.0.post1", true, {}},
    {"vllm-ascend", "vLLM-Ascend", "main 182b75e", true, {}},
    {"sglang", "SGLang", "0.5.23", true, {}},
    {"mindie", "MindIE-LLM", "8b4871a", false, kMindieModels},
}};

constexpr std::string_view OutcomeText(Outcome outcome) {
  switch (outcome) {
    case Outcome::kTakes:
      return "takes it";
    case Outcome::kUnknown:
      return "not known";
    case Outcome::kUnused:
      return "leaves it unread";
    case Outcome::kLoss:
      return "takes it, at a loss";
    case Outcome::kRefused:
      return "refused";
    case Outcome::kWrong:
      return "silently wrong";
  }
  return "";
}

// Joins "vLLM-Ascend 0.23" and "main" of the same server by "and", others by commas.
std::string Titles(const std::vector<size_t>& servers) {
  std::string text;
  for (size_t i = 0; i < servers.size(); ++i) {
    const Server& server = kServers[servers[i]];
    const bool same = i > 0 && kServers[servers[i - 1]].name == server.name;
    if (i > 0) text += same ? " and " : ", ";
    if (!same) text += std::string(server.title) + " ";
    text += server.version;
  }
  return text;
}

std::string Known(std::string_view name) {
  std::string text;
  for (const Server& server : kServers) {
    if (!name.empty() && server.name != name) continue;
    const std::string each(name.empty() ? server.name : server.version);
    if (text.find(each) == std::string::npos) text += (text.empty() ? "" : ", ") + each;
  }
  return text;
}

}  // namespace

const std::array<Server, kServerCount>& Servers() { return kServers; }

ServerChoice EveryServer() {
  ServerChoice choice;
  choice.asked.fill(true);
  return choice;
}

ServerChoice ChooseServers(const std::vector<std::string>& names, const std::string& version) {
  ServerChoice choice = EveryServer();
  if (names.empty() && version.empty()) return choice;
  if (names.size() != 1 && !version.empty()) {
    throw Error(ErrorCode::kSchema, "--server-version: a version needs one server",
                "give --for with one of " + Known("") + " too");
  }
  choice.by_name = true;
  choice.asked.fill(false);
  for (const std::string& name : names) {
    bool known = false, any = false;
    for (size_t i = 0; i < kServerCount; ++i) {
      if (kServers[i].name != name) continue;
      known = true;
      if (!kServers[i].version.starts_with(version)) continue;
      choice.asked[i] = any = true;
    }
    if (!known)
      throw Error(ErrorCode::kSchema, "--for: there are no rules for '" + name + "'", "there are: " + Known(""));
    if (!any) {
      throw Error(ErrorCode::kSchema,
                  "--server-version: expected " + Known(name) + " (what the rules for " + name +
                      " were found with), found '" + version + "'",
                  "leave --server-version out");
    }
  }
  return choice;
}

Outcome WorstOf(const Verdicts& verdicts, const ServerChoice& choice) {
  Outcome worst = Outcome::kTakes;
  for (size_t i = 0; i < kServerCount; ++i) {
    if (choice.asked[i]) worst = std::max(worst, verdicts[i].outcome);
  }
  return worst;
}

bool IsWarning(const Verdicts& verdicts, const ServerChoice& choice) {
  for (size_t i = 0; i < kServerCount; ++i) {
    if (choice.asked[i] && verdicts[i].outcome >= Outcome::kLoss && (kServers[i].run || choice.by_name)) return true;
  }
  return false;
}

std::string VerdictText(const Verdicts& verdicts, const ServerChoice& choice) {
  std::string text;
  std::array<bool, kServerCount> said = {};
  for (size_t i = 0; i < kServerCount; ++i) {
    if (said[i] || !choice.asked[i] || verdicts[i].outcome == Outcome::kUnknown) continue;
    std::vector<size_t> alike;
    for (size_t j = i; j < kServerCount; ++j) {
      if (!choice.asked[j] || verdicts[j].outcome != verdicts[i].outcome || verdicts[j].what != verdicts[i].what)
        continue;
      alike.push_back(j);
      said[j] = true;
    }
    text += (text.empty() ? "" : "; ") + Titles(alike) + ": " + std::string(OutcomeText(verdicts[i].outcome));
    if (!verdicts[i].what.empty()) text += " (" + std::string(verdicts[i].what) + ")";
  }
  return text;
}

}  // namespace modelslim
