// What the control groups that this process is in allow it.
#pragma once

#include <cstdint>

#include "base/file.h"

namespace modelslim {

struct CgroupLimits {
  uint64_t memory = 0;  // bytes; 0: no limit
  double cpus = 0;      // cores' worth of time; 0: no limit
};

// The smallest limits of the process's own groups and of all around them that can be seen, in both versions of the file
// system, wherever they are mounted. `root` stands for "/": proc/self/cgroup and proc/self/mountinfo are read below it,
// and so are the groups. What is missing or cannot be read limits nothing.
CgroupLimits ReadCgroupLimits(const fs::path& root = "/");

}  // namespace modelslim
