#include "base/installation.h"

#include <cstdlib>
#include <system_error>

namespace modelslim {

std::vector<fs::path> ShippedDirectories(const std::string& name) {
  std::vector<fs::path> candidates;
  if (const char* home = std::getenv("MODELSLIM_HOME"); home != nullptr && *home != '\0') {
    candidates.push_back(fs::path(home) / name);
  }
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error).parent_path();
  if (!error) {
    candidates.push_back(program.parent_path() / "share" / "modelslim" / name);
    // A directory of that name beside a CMakePresets.json is the source tree's, not a stranger's.
    for (fs::path up = program; up != up.parent_path(); up = up.parent_path()) {
      if (fs::exists(up / "CMakePresets.json", error)) candidates.push_back(up / name);
    }
  }
  std::vector<fs::path> found;
  for (const fs::path& candidate : candidates) {
    if (fs::is_directory(candidate, error)) found.push_back(candidate);
  }
  return found;
}

}  // namespace modelslim
