#include "base/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <mutex>

#include "base/printable.h"

namespace modelslim {
namespace {

using Clock = std::chrono::steady_clock;
constexpr double kBarSeconds = 0.1, kLineSeconds = 15;

std::recursive_mutex& ScreenMutex() {
  static std::recursive_mutex mutex;
  return mutex;
}

int TerminalWidth() {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20) return size.ws_col;
  return 80;
}

}  // namespace

struct Progress::State {
  std::string title, label;
  double total, done = 0, skipped = 0;
  bool terminal;
  Clock::time_point start = Clock::now(), drawn{};

  double Seconds() const { return std::chrono::duration<double>(Clock::now() - start).count(); }

  std::string TimeLeft() const {
    const double fresh = done - skipped, left = total - done;
    if (fresh <= 0 || Seconds() < 1) return "";
    return FormatDuration(Seconds() * left / fresh) + " left";
  }

  void Draw(bool last) {
    const double share = total > 0 ? std::min(1.0, done / total) : 1.0;
    char percent[16];
    std::snprintf(percent, sizeof percent, "%5.1f %%", share * 100);
    if (!terminal) {
      std::fprintf(stderr, "%s %s  %s  %s\n", title.c_str(), percent, FormatDuration(Seconds()).c_str(),
                   last ? "done" : (label + "  " + TimeLeft()).c_str());
      return;
    }
    constexpr int kCells = 24;
    std::string bar;
    const int full = static_cast<int>(share * kCells + 0.5);
    for (int i = 0; i < kCells; ++i) bar += i < full ? "#" : "-";
    std::string line = title + " [" + bar + "] " + percent + "  " + label;
    if (const std::string left = TimeLeft(); !left.empty()) line += "  " + left;
    line.resize(std::min(line.size(), static_cast<size_t>(TerminalWidth() - 1)));
    std::fprintf(stderr, "\r\033[K%s", line.c_str());
    std::fflush(stderr);
  }
};

namespace {
Progress::State* shown = nullptr;  // the bar on the screen, under ScreenMutex()
}

Progress::Progress(const std::string& title, double total) : state_(std::make_unique<State>()) {
  state_->title = Printable(title);
  state_->total = total;
  state_->terminal = isatty(STDERR_FILENO) != 0;
  const std::lock_guard lock(ScreenMutex());
  shown = state_.get();
}

Progress::~Progress() {
  const std::lock_guard lock(ScreenMutex());
  if (state_->terminal) {
    std::fputs("\r\033[K", stderr);
    std::fflush(stderr);
  } else {
    state_->Draw(state_->done >= state_->total);
  }
  shown = nullptr;
}

void Progress::Advance(double work, const std::string& label) {
  const std::lock_guard lock(ScreenMutex());
  state_->done += work;
  state_->label = Printable(label);
  const double since = std::chrono::duration<double>(Clock::now() - state_->drawn).count();
  if (since < (state_->terminal ? kBarSeconds : kLineSeconds)) return;
  state_->drawn = Clock::now();
  state_->Draw(false);
}

void Progress::Skip(double work) {
  const std::lock_guard lock(ScreenMutex());
  state_->done += work;
  state_->skipped += work;
}

ProgressPause::ProgressPause() {
  ScreenMutex().lock();
  if (shown != nullptr && shown->terminal) {
    std::fputs("\r\033[K", stderr);
    std::fflush(stderr);
  }
}

ProgressPause::~ProgressPause() {
  if (shown != nullptr && shown->terminal) shown->Draw(false);
  ScreenMutex().unlock();
}

std::string FormatDuration(double seconds) {
  char text[48];
  if (seconds < 60) {
    std::snprintf(text, sizeof text, "%.1f s", seconds);
  } else if (seconds < 3600) {
    const int whole = static_cast<int>(seconds + 0.5);
    std::snprintf(text, sizeof text, "%d min %02d s", whole / 60, whole % 60);
  } else {
    const int minutes = static_cast<int>(seconds / 60 + 0.5);
    std::snprintf(text, sizeof text, "%d h %02d min", minutes / 60, minutes % 60);
  }
  return text;
}

std::string FormatBytes(uint64_t bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  int unit = 0;
  while (value >= 1024 && unit < 4) value /= 1024, ++unit;
  char text[32];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : value < 10 ? "%.2f %s" : "%.1f %s", value, kUnits[unit]);
  return text;
}

}  // namespace modelslim
