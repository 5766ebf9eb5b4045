#include "runner/work_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "base/error.h"

namespace modelslim {
namespace {

void Refuse(const fs::path& path, const std::string& expected, const std::string& found) {
  throw Error(ErrorCode::kSecurity, path.string() + ": expected " + expected + ", found " + found,
              "remove it and run the command again");
}

void MakeRealDirectory(const fs::path& directory) {
  MakeDirectories(directory.parent_path());
  if (mkdir(directory.c_str(), 0750) == 0) return;
  if (errno != EEXIST) ThrowSystemError("cannot create the directory", directory);
  struct stat info {};
  if (lstat(directory.c_str(), &info) != 0) ThrowSystemError("cannot look at", directory);
  if (S_ISLNK(info.st_mode)) Refuse(directory, "a directory of our own", "a symbolic link");
  if (!S_ISDIR(info.st_mode)) Refuse(directory, "a directory", "another kind of file");
}

void CheckContent(const fs::path& directory) {
  for (const fs::directory_entry& entry : fs::directory_iterator(directory)) {
    struct stat info {};
    if (lstat(entry.path().c_str(), &info) != 0) ThrowSystemError("cannot look at", entry.path());
    const std::string expected = "a file of an earlier run";
    if (S_ISLNK(info.st_mode)) Refuse(entry.path(), expected, "a symbolic link");
    if (!S_ISREG(info.st_mode)) Refuse(entry.path(), expected, "another kind of file");
    if (info.st_nlink > 1) Refuse(entry.path(), expected, "one that has other names too (hard links)");
  }
}

}  // namespace

fs::path WorkDirectory(const fs::path& save_path) { return save_path / ".modelslim"; }

WorkDirectoryLock::WorkDirectoryLock(const fs::path& directory) {
  MakeRealDirectory(directory);
  const fs::path path = directory / "lock";
  fd_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd_ < 0) ThrowSystemError("cannot create", path);
  if (flock(fd_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    close(fd_);
    throw Error(ErrorCode::kMisuse, directory.parent_path().string() + ": another run is writing here",
                "wait for it, or choose another --save_path");
  }
  try {
    CheckContent(directory);
  } catch (...) {
    close(fd_);
    throw;
  }
}

WorkDirectoryLock::~WorkDirectoryLock() { close(fd_); }

}  // namespace modelslim
