// The command line as a function, for main and for tests.
#pragma once

#include <ostream>
#include <string>
#include <vector>

namespace modelslim {

// `arguments` as main gets them, the program's name first. Results go to `out`, usage errors to `err`. Returns the exit
// status (0, or 2 for a usage error); throws Error for everything else that goes wrong.
int RunCommandLine(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err);

}  // namespace modelslim
