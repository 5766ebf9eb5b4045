// Options as newer guides of the reference write them: other names of the same things, and things that have no meaning
// here.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace modelslim {

// What `quant`, `plan` and `analyze` take so; lives as long as the command.
struct NewerOptions {
  std::vector<std::string> device_ids;
  std::string log_level, timeout;
  bool verbose = false, quiet = false;

  void AddTo(CLI::App& command);
  // Sets the level of the log, and says in a line each what was accepted without a meaning. Throws Error(kSchema) for a
  // level that there is not.
  void Apply() const;
};

// A bare --trust_remote_code means True.
std::vector<std::string> FillBareOptions(std::vector<std::string> arguments);

}  // namespace modelslim
