#include "cli/abbreviations.h"

#include <CLI/CLI.hpp>

namespace modelslim {

std::vector<std::string> ExpandAbbreviations(const CLI::App& app, std::vector<std::string> arguments) {
  const CLI::App* command = &app;
  for (std::string& argument : arguments) {
    if (argument == "--") break;
    if (argument.empty() || argument[0] != '-') {
      for (const CLI::App* sub : command->get_subcommands([](const CLI::App*) { return true; })) {
        if (sub->get_name() == argument) {
          command = sub;
          break;
        }
      }
      continue;
    }
    if (argument.size() < 3 || argument[1] != '-') continue;
    const size_t equals = argument.find('=');
    const std::string word = argument.substr(2, equals == std::string::npos ? equals : equals - 2);
    std::string full;
    int matches = 0;
    for (const CLI::Option* option : command->get_options()) {
      for (const std::string& name : option->get_lnames()) {
        if (name == word) matches = 2;  // exact: nothing to do
        if (name.rfind(word, 0) == 0) ++matches, full = name;
      }
    }
    if (matches == 1) argument = "--" + full + (equals == std::string::npos ? "" : argument.substr(equals));
  }
  return arguments;
}

}  // namespace modelslim
