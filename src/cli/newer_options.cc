#include "cli/newer_options.h"

#include <CLI/CLI.hpp>

#include "base/error.h"
#include "base/log.h"
#include "base/words.h"

namespace modelslim {
namespace {

LogLevel ParseLevel(const std::string& text) {
  constexpr std::pair<std::string_view, LogLevel> kLevels[] = {
      {"debug", LogLevel::kDebug},     {"info", LogLevel::kInfo},   {"warning", LogLevel::kWarning},
      {"warn", LogLevel::kWarning},    {"error", LogLevel::kError}, {"critical", LogLevel::kError},
      {"success", LogLevel::kWarning}, {"fatal", LogLevel::kError}};
  for (const auto& [name, level] : kLevels) {
    if (LowerAscii(text) == name) return level;
  }
  throw Error(ErrorCode::kSchema, "--log_level: expected debug, info, warning or error, found '" + text + "'");
}

void TellIdle(const std::string& option, const std::string& why) {
  LogInfo(option + " is accepted and has no meaning here: " + why);
}

}  // namespace

void NewerOptions::AddTo(CLI::App& command) {
  command.add_option("--device_id", device_ids, "Accepted for compatibility; everything is computed on the CPU")
      ->expected(1, 64);
  command.add_option("--log_level", log_level, "debug, info, warning or error");
  command.add_option("--timeout", timeout, "Accepted for compatibility; nothing here waits for other processes");
  command.add_flag("-v,--verbose", verbose, "As --log_level debug");
  command.add_flag("-q,--quiet", quiet, "As --log_level warning");
}

void NewerOptions::Apply() const {
  if (!log_level.empty()) SetLogLevel(ParseLevel(log_level));
  if (verbose) SetLogLevel(LogLevel::kDebug);
  if (quiet) SetLogLevel(LogLevel::kWarning);
  if (!device_ids.empty()) TellIdle("--device_id", "everything is computed on the CPU");
  if (!timeout.empty()) TellIdle("--timeout", "one process does all the work");
}

std::vector<std::string> FillBareOptions(std::vector<std::string> arguments) {
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] != "--trust_remote_code") continue;
    const bool bare = i + 1 == arguments.size() || arguments[i + 1].starts_with("-");
    if (bare) arguments[i] += "=True";
  }
  return arguments;
}

}  // namespace modelslim
