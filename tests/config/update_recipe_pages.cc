// Writes docs/recipes and schema/recipe.schema.json anew: update_recipe_pages [REPOSITORY].
#include <iostream>
#include <sstream>

#include "config/recipe/commands.h"

int main(int argc, char** argv) {
  const modelslim::fs::path root = argc > 1 ? argv[1] : MODELSLIM_SOURCE_DIR;
  for (const std::string& file : modelslim::WriteReferencePages(root / "docs/recipes")) std::cout << file << "\n";
  std::ostringstream schema;
  modelslim::WriteJsonSchema(schema);
  modelslim::MakeDirectories(root / "schema");
  modelslim::WriteFileAtomically(root / "schema/recipe.schema.json", schema.str(), 0644);
}
