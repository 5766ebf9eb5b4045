// Options that several commands have. What they fill in must outlive the command.
#pragma once

#include <string>
#include <vector>

#include "app/session.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace modelslim {

// Of an option that names files or directories: "~" at the beginning is the home directory.
CLI::Option* AsPath(CLI::Option* option);

// `without`: where the text is looked for when the option is not given.
void AddTextKeyOption(CLI::App& command, std::vector<std::string>& keys, const std::string& without);
void AddStackedOption(CLI::App& command, std::string& stacked);
// What every command that opens a model takes.
void AddModelOptions(CLI::App& command, ModelArguments& model);
void AddServerOptions(CLI::App& command, std::vector<std::string>& servers, std::string& version);
// And what those take that plan; `saves`: a directory to write has to be given.
void AddJobOptions(CLI::App& command, JobArguments& job, bool saves);

}  // namespace modelslim
