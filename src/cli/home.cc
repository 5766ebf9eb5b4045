#include "cli/home.h"

#include <pwd.h>
#include <unistd.h>

#include <cstdlib>

namespace modelslim {

std::string ExpandHome(const std::string& path) {
  if (path != "~" && !path.starts_with("~/")) return path;
  const char* home = std::getenv("HOME");
  if (home == nullptr || *home == '\0') {
    const passwd* const user = getpwuid(getuid());
    home = user == nullptr ? nullptr : user->pw_dir;
  }
  return home == nullptr ? path : home + path.substr(1);
}

}  // namespace modelslim
