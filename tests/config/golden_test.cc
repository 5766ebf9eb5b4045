// Every recipe that ran through the reference parses without an error.
#include <gtest/gtest.h>

#include <algorithm>

#include "config/recipe/recipe.h"
#include "config/test_data.h"

namespace modelslim {
namespace {

// All *.yaml files below, sorted.
std::vector<fs::path> YamlFiles(const fs::path& directory) {
  std::vector<fs::path> files;
  if (!fs::exists(directory)) return files;
  for (const fs::directory_entry& each : fs::recursive_directory_iterator(directory)) {
    if (each.path().extension() == ".yaml") files.push_back(each.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::string Mistakes(const fs::path& file, bool warnings_too) {
  Diagnostics diagnostics;
  const Recipe recipe = LoadRecipe(file, diagnostics);
  std::string text;
  for (const Diagnostic& each : diagnostics.items()) {
    if (warnings_too || each.severity == Severity::kError) text += DiagnosticLine(each) + "\n";
  }
  if (!recipe.v0 && recipe.text() == nullptr) text += "no spec\n";
  return text;
}

TEST(GoldenRecipes, RecipesOfTheRepositoryParse) {
  const std::vector<fs::path> files = YamlFiles(SourceDir() / "tests/golden/config/recipes");
  EXPECT_GE(files.size(), 100u);
  for (const fs::path& file : files) EXPECT_EQ(Mistakes(file, true), "");
}

TEST(GoldenRecipes, FurtherRecipesParse) {
  for (const fs::path& file : YamlFiles(SourceDir() / "../shared/data/golden")) {
    if (file.string().find("/output/") != std::string::npos) continue;
    EXPECT_EQ(Mistakes(file, false), "") << file;
  }
}

}  // namespace
}  // namespace modelslim
