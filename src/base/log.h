// Messages for people, on stderr, with a level. Results of commands go to stdout instead.
#pragma once

#include <string_view>

namespace modelslim {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// Messages below `level` are dropped. Default kInfo.
void SetLogLevel(LogLevel level);

// Thread-safe. A progress bar that is being drawn steps aside. What is not printable in the message is escaped.
void Log(LogLevel level, std::string_view message);
inline void LogDebug(std::string_view message) { Log(LogLevel::kDebug, message); }
inline void LogInfo(std::string_view message) { Log(LogLevel::kInfo, message); }
inline void LogWarning(std::string_view message) { Log(LogLevel::kWarning, message); }

}  // namespace modelslim
