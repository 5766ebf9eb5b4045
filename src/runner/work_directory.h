// The directory of journals and scratch files inside an output that is not finished.
#pragma once

#include "base/file.h"

namespace modelslim {

// Its place.
fs::path WorkDirectory(const fs::path& save_path);

// Makes it and keeps other runs out of it while the object lives. Whatever is in it is ours: a link in its place or
// inside (a symbolic one, or a file that has another name elsewhere) is an Error, because writing would reach what it
// leads to.
class WorkDirectoryLock {
 public:
  explicit WorkDirectoryLock(const fs::path& directory);
  ~WorkDirectoryLock();
  WorkDirectoryLock(const WorkDirectoryLock&) = delete;
  WorkDirectoryLock& operator=(const WorkDirectoryLock&) = delete;

 private:
  int fd_;
};

}  // namespace modelslim
