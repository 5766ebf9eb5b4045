// The program: arguments in, exit status out. 0 success, 1 error, 2 usage.
#include <sys/resource.h>

#include <csignal>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mapping_fault.h"
#include "base/memory.h"
#include "base/standard_streams.h"
#include "base/stop.h"
#include "cli/commands.h"

namespace modelslim {
namespace {

constexpr int kInterrupted = 130;

void OnSignal(int) {
  // A second Ctrl-C ends the program at once; the journal keeps what is finished.
  if (StopRequested()) std::_Exit(kInterrupted);
  RequestStop();
}

void OnProcessorLimit(int) { RequestStop(); }

void SetLogLevelFromEnvironment() {
  const char* text = std::getenv("MSMODELSLIM_LOG_LEVEL");
  if (text == nullptr || *text == '\0') return;
  std::string level = text;
  for (char& c : level) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  if (level == "DEBUG") {
    SetLogLevel(LogLevel::kDebug);
  } else if (level != "INFO") {
    throw Error(ErrorCode::kEnvironmentVariable,
                "MSMODELSLIM_LOG_LEVEL: expected INFO or DEBUG, found '" + std::string(text) + "'");
  }
}

// A layer of experts keeps a scratch file for each of them, and the weights may have hundreds of shards: more than the
// 1024 files that a shell usually lets a program open, less than it may ask for.
void RaiseOpenFileLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);  // refused: what does not fit says so
}

int Run(const std::vector<std::string>& arguments) {
  SetLogLevelFromEnvironment();
  const int status = RunCommandLine(arguments, std::cout, std::cerr);
  CloseStandardOutput();
  return status;
}

// After whatever was printed before it.
int Report(const std::string& text, int status = 1) {
  try {
    std::cout.flush();
  } catch (const std::exception&) {  // it cannot be printed: what went wrong before is more to the point
  }
  std::cerr << text + "\n";
  return status;
}

int Main(const std::vector<std::string>& arguments) {
  try {
    return Run(arguments);
  } catch (const Error& error) {
    return Report(error.Text());
  } catch (const Stopped& stopped) {
    return Report(stopped.what(), kInterrupted);
  } catch (const std::bad_alloc&) {
    return Report(
        Error(ErrorCode::kUnexpected, "out of memory", "give a smaller --memory, which makes the run use less at once")
            .Text());
  } catch (const fs::filesystem_error& error) {
    return Report(SystemError(error).Text());
  } catch (const std::exception& error) {
    return Report(Error(ErrorCode::kUnexpected, error.what(), "please report this with the command line").Text());
  }
}

}  // namespace
}  // namespace modelslim

int main(int argc, char** argv) {
  modelslim::KeepHeapSmall();
  modelslim::OpenStandardStreams();
  std::signal(SIGINT, modelslim::OnSignal);
  std::signal(SIGTERM, modelslim::OnSignal);
  std::signal(SIGXCPU, modelslim::OnProcessorLimit);  // the soft limit of processor time: what is finished is kept
  // Not death by a signal but an error of the call that went too far.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  modelslim::ReportMappingFaults();
  modelslim::RaiseOpenFileLimit();
  return modelslim::Main(std::vector<std::string>(argv, argv + argc));
}
