#include "app/practice_choice.h"

#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <string>

#include "base/error.h"
#include "base/installation.h"
#include "base/log.h"

namespace modelslim {

std::vector<fs::path> PracticeDirectories() {
  std::vector<fs::path> directories;
  if (const char* own = std::getenv("MSMODELSLIM_CUSTOM_PRACTICE_REPO"); own != nullptr && *own != '\0')
    directories.emplace_back(own);
  // The first place that ships them, so that an installed copy and the source tree do not both count.
  if (const std::vector<fs::path> shipped = ShippedDirectories("lab_practice"); !shipped.empty())
    directories.push_back(shipped.front());
  return directories;
}

PracticeQuery QueryFor(const FamilyEntry& entry, const std::string& model_type, const std::string& quant_type,
                       const std::vector<std::string>& tags) {
  PracticeQuery query;
  query.model_type = model_type;
  query.pedigree = entry.pedigree.empty() ? "default" : std::string(entry.pedigree);
  query.quant_type = quant_type;
  query.tags = tags;
  return query;
}

fs::path ChoosePracticeFile(const PracticeQuery& query, bool assume_yes) {
  const PracticeRepository repository(PracticeDirectories());
  const PracticeChoice choice = ChoosePractice(repository, query);
  if (choice.needs_confirmation && !assume_yes) {
    if (isatty(STDIN_FILENO) == 0)
      throw Error(ErrorCode::kUnsupported, choice.refusal, "give --yes, or a recipe with --config_path");
    std::cerr << choice.question << " [y/n] " << std::flush;
    std::string answer;
    if (!std::getline(std::cin, answer) || !IsYes(answer))
      throw Error(ErrorCode::kUnsupported, choice.refusal, "give a recipe with --config_path");
  }
  LogInfo("recipe " + choice.chosen->file.string() + ": " + choice.reason);
  return choice.chosen->file;
}

}  // namespace modelslim
