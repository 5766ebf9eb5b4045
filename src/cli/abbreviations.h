// Long options may be shortened as far as they stay unique, as in the reference's parser.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace modelslim {

// Replaces shortened long options by their full names, for the command named by the first argument. What is unknown or not
// unique stays as it is, for the parser to complain about.
std::vector<std::string> ExpandAbbreviations(const CLI::App& app, std::vector<std::string> arguments);

}  // namespace modelslim
