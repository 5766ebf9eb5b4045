#include "base/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include "base/printable.h"
#include "base/progress.h"

namespace modelslim {
namespace {

spdlog::logger& Logger() {
  static const std::shared_ptr<spdlog::logger> logger = [] {
    auto made = spdlog::stderr_color_mt("modelslim");
    made->set_pattern("%H:%M:%S %^%l%$ %v");
    return made;
  }();
  return *logger;
}

}  // namespace

void SetLogLevel(LogLevel level) {
  constexpr spdlog::level::level_enum kLevels[] = {spdlog::level::debug, spdlog::level::info, spdlog::level::warn,
                                                   spdlog::level::err};
  Logger().set_level(kLevels[static_cast<int>(level)]);
}

void Log(LogLevel level, std::string_view text) {
  const std::string message = Printable(text);
  const ProgressPause pause;
  switch (level) {
    case LogLevel::kDebug:
      Logger().debug("{}", message);
      break;
    case LogLevel::kInfo:
      Logger().info("{}", message);
      break;
    case LogLevel::kWarning:
      Logger().warn("{}", message);
      break;
    case LogLevel::kError:
      Logger().error("{}", message);
      break;
  }
}

}  // namespace modelslim
