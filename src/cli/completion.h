// Completion scripts, made from the same table that parses the command line.
#pragma once

#include <ostream>
#include <string>

namespace CLI {
class App;
}

namespace modelslim {

// `shell`: "bash" or "zsh".
void WriteCompletion(const CLI::App& app, const std::string& shell, std::ostream& out);

}  // namespace modelslim
