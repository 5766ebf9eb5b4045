// "~" at the beginning of a path, for which a shell stands in only where a word begins: not in --save_path=~/out.
#pragma once

#include <string>

namespace modelslim {

// "/home/ann/out" for "~/out" and "/home/ann" for "~", by $HOME or else the system's list of users. Any other text,
// "~bob" among it, stays as it is.
std::string ExpandHome(const std::string& path);

}  // namespace modelslim
