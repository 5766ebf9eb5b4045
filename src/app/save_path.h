// Where an output may be written: never where the source is, by whatever links.
#pragma once

#include <string>
#include <vector>

#include "base/file.h"

namespace modelslim {

// Throws Error when something of the source could be written through `save_path`, or when the directory cannot be made
// or written. The source is: the model directory and those below it, the files in them, and where the files really lie
// that links in it name. Files are compared by device and inode, so that hard links and bind mounts count. Nothing is
// created.
void CheckSavePath(const fs::path& save_path, const fs::path& model_path);

// Throws Error when one of the files `names` could not get its name, or the one that it has before, in the existing
// directory `save_path`, because a directory has it: better now than after the work.
void CheckNamesAreFree(const fs::path& save_path, const std::vector<std::string>& names);

}  // namespace modelslim
