#include "base/file_identity.h"

#include <sys/stat.h>

#include <algorithm>

namespace modelslim {

std::optional<FileIdentity> IdentityOf(const fs::path& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return std::nullopt;
  return FileIdentity{info.st_dev, info.st_ino};
}

fs::path RealPath(const fs::path& path) {
  std::error_code error;
  // Once more, because a ".." after a missing part brings the path back to where there may be links.
  fs::path real = fs::weakly_canonical(fs::weakly_canonical(path, error), error);
  if (error) real = fs::absolute(path, error).lexically_normal();
  return real.has_filename() ? real : real.parent_path();
}

std::vector<fs::path> SelfAndParents(const fs::path& path) {
  std::vector<fs::path> all = {RealPath(path)};
  while (all.back() != all.back().parent_path()) all.push_back(all.back().parent_path());
  return all;
}

bool IsInside(const fs::path& inner, const fs::path& outer) {
  const std::optional<FileIdentity> wanted = IdentityOf(outer);
  const fs::path real = RealPath(outer);
  const std::vector<fs::path> parents = SelfAndParents(inner);
  return std::any_of(parents.begin(), parents.end(),
                     [&](const fs::path& each) { return each == real || (wanted && IdentityOf(each) == wanted); });
}

}  // namespace modelslim
