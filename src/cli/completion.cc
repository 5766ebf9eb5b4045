#include "cli/completion.h"

#include <CLI/CLI.hpp>

namespace modelslim {
namespace {

std::vector<const CLI::App*> SubCommands(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App*) { return true; });
}

std::string Words(const CLI::App& app) {
  std::string words;
  for (const CLI::App* sub : SubCommands(app)) words += sub->get_name() + " ";
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) words += "--" + name + " ";
  }
  return words;
}

// One case for every command and sub-command: "quant", "recipe check".
void WriteCases(const CLI::App& app, const std::string& path, std::ostream& out) {
  for (const CLI::App* sub : SubCommands(app)) {
    const std::string name = path.empty() ? sub->get_name() : path + " " + sub->get_name();
    out << "    \"" << name << "\") words=\"" << Words(*sub) << "\" ;;\n";
    WriteCases(*sub, name, out);
  }
}

}  // namespace

void WriteCompletion(const CLI::App& app, const std::string& shell, std::ostream& out) {
  if (shell == "zsh") out << "autoload -U +X bashcompinit && bashcompinit\n";
  out << "_modelslim() {\n"
         "  local current=\"${COMP_WORDS[COMP_CWORD]}\" path=\"\" words=\"\" word\n"
         "  for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
         "    case \"$word\" in -*) break ;; *) path=\"${path:+$path }$word\" ;; esac\n"
         "  done\n"
         "  case \"$path\" in\n"
         "    \"\") words=\""
      << Words(app) << "\" ;;\n";
  WriteCases(app, "", out);
  out << "  esac\n"
         "  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
         "  case \"$current\" in -*) ;; *) COMPREPLY+=($(compgen -f -- \"$current\")) ;; esac\n"
         "}\n"
         "complete -o filenames -F _modelslim modelslim\n";
}

}  // namespace modelslim
