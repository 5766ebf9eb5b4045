// Long options may be shortened as far as they stay unique, as in the reference's parser.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace modelslim {

// Replaces shortened long options by their full names, for the command named by the first argument. What is unknown or
// not unique stays as it is, for the parser to complain about.
std::vector<std::string> ExpandAbbreviations(const CLI::App& app, std::vector<std::string> arguments);

// The first long option that the command does not have, with the nearest that it has: "--modle_path; did you mean
// --model_path?". Empty when all are known.
std::string UnknownOption(const CLI::App& app, const std::vector<std::string>& arguments);

}  // namespace modelslim
