#include "cli/abbreviations.h"

#include <CLI/CLI.hpp>
#include <functional>

#include "config/recipe/diagnostic.h"

namespace modelslim {
namespace {

// Calls `visit` with every long option of the arguments and the command it belongs to.
void VisitOptions(const CLI::App& app, std::vector<std::string>& arguments,
                  const std::function<void(std::string&, const CLI::App&)>& visit) {
  const CLI::App* command = &app;
  for (std::string& argument : arguments) {
    if (argument == "--") return;
    if (argument.size() > 2 && argument.starts_with("--")) {
      visit(argument, *command);
      continue;
    }
    for (const CLI::App* sub : command->get_subcommands([](const CLI::App*) { return true; })) {
      if (sub->get_name() != argument) continue;
      command = sub;
      break;
    }
  }
}

std::vector<std::string> LongNames(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options()) {
    names.insert(names.end(), option->get_lnames().begin(), option->get_lnames().end());
  }
  return names;
}

std::string WordOf(const std::string& argument) { return argument.substr(2, argument.find('=') - 2); }

}  // namespace

std::vector<std::string> ExpandAbbreviations(const CLI::App& app, std::vector<std::string> arguments) {
  VisitOptions(app, arguments, [](std::string& argument, const CLI::App& command) {
    const std::string word = WordOf(argument);
    std::string full;
    int matches = 0;  // options, each of which may have several names
    for (const CLI::Option* option : command.get_options()) {
      bool begins = false;
      for (const std::string& name : option->get_lnames()) {
        if (name == word) return;
        if (!begins && name.starts_with(word)) full = name;
        begins = begins || name.starts_with(word);
      }
      matches += begins ? 1 : 0;
    }
    if (matches == 1) argument = "--" + full + argument.substr(2 + word.size());
  });
  return arguments;
}

std::string UnknownOption(const CLI::App& app, const std::vector<std::string>& arguments) {
  std::string unknown;
  std::vector<std::string> copy = arguments;
  VisitOptions(app, copy, [&unknown](std::string& argument, const CLI::App& command) {
    const std::vector<std::string> names = LongNames(command);
    const std::string word = WordOf(argument);
    if (!unknown.empty() || std::find(names.begin(), names.end(), word) != names.end()) return;
    unknown = "--" + word;
    if (const std::string near = NearestWord(word, names); !near.empty()) unknown += "; did you mean --" + near + "?";
  });
  return unknown;
}

}  // namespace modelslim
