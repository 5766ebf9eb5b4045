// Runs every case of recipes.table and compares all diagnostics, letter by letter.
//
// A case is
//     === name [template]
//     text
//     ---
//     one line per diagnostic, "LINE:COLUMN: ..." as printed, with its tip behind " | "
// A template puts the text into a recipe: "process" below spec.process of modelslim_v1, "spec" below its spec, "v0"
// below the spec of modelslim_v0, "half ACT" and so on see Wrap(). Without a template the text is the whole file.
// MODELSLIM_UPDATE_TABLE=FILE writes the table with the diagnostics as they are now; read the difference before you
// keep it.
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <sstream>

#include "config/recipe/recipe.h"
#include "config/test_data.h"

namespace modelslim {
namespace {

struct Case {
  std::string name, shape, text, expected;
};

std::vector<Case> ReadTable(const fs::path& file) {
  std::vector<Case> cases;
  bool in_text = false;
  for (const std::string& line : Lines(file)) {
    if (line.starts_with("=== ")) {
      const std::vector<std::string> words = Split(line.substr(4), ' ');
      cases.push_back({words[0], words.size() > 1 ? words[1] : "", "", ""});
      in_text = true;
    } else if (line == "---" && in_text) {
      in_text = false;
    } else if (!cases.empty()) {
      (in_text ? cases.back().text : cases.back().expected) += line + "\n";
    }
  }
  return cases;
}

std::string Indented(const std::string& text, const std::string& indent) {
  std::istringstream stream(text);
  std::string out;
  for (std::string line; std::getline(stream, line);) out += (line.empty() ? "" : indent) + line + "\n";
  return out;
}

// Tabs and other bytes that an editor would spoil.
std::string Unescaped(std::string text) {
  const std::pair<std::string, std::string> kEscapes[] = {
      {"<TAB>", "\t"},           {"<BAD>", "\xff"}, {"<NUL>", std::string(1, '\0')},
      {"<BOM>", "\xef\xbb\xbf"}, {"<DOC>", "---"},  {"<LONG>", std::string(201, 'x')}};
  for (const auto& [from, to] : kEscapes) {
    for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
      text.replace(at, from.size(), to);
  }
  return text;
}

std::string Wrap(const Case& c) {
  const std::string text = Unescaped(c.text);
  if (c.shape == "process") return "apiversion: modelslim_v1\nspec:\n  process:\n" + Indented(text, "  ");
  if (c.shape == "spec") return "apiversion: modelslim_v1\nspec:\n" + Indented(text, "  ");
  if (c.shape == "v0") return "apiversion: modelslim_v0\nspec:\n" + Indented(text, "  ");
  if (c.shape == "calib") return "apiversion: modelslim_v0\nspec:\n  calib_cfg:\n" + Indented(text, "    ");
  if (c.shape == "vlm")
    return "apiversion: multimodal_vlm_modelslim_v1\nspec:\n  dataset: calibImages\n" + Indented(text, "  ");
  if (c.shape == "sd") return "apiversion: multimodal_sd_modelslim_v1\nspec:\n" + Indented(text, "  ");
  if (c.shape == "metadata") return "apiversion: modelslim_v1\nmetadata:\n" + Indented(text, "  ") + "spec: {}\n";
  const std::string act = "act: {scope: per_token, dtype: int8, symmetric: true, method: minmax}\n";
  const std::string weight = "weight: {scope: per_channel, dtype: int8, symmetric: true, method: minmax}\n";
  const std::string linear = "apiversion: modelslim_v1\nspec:\n  process:\n  - type: linear_quant\n    qconfig:\n";
  if (c.shape == "qconfig") return linear + Indented(text, "      ");
  if (c.shape == "act") return linear + Indented(weight, "      ") + Indented(text, "      ");
  if (c.shape == "weight") return linear + Indented(act, "      ") + Indented(text, "      ");
  const std::string trained =
      "apiversion: modelslim_v1\nspec:\n  process:\n  - type: autoround_quant\n    strategies:\n    - qconfig:\n";
  if (c.shape == "trained") return trained + Indented(text, "        ");
  return text;
}

std::string Diagnose(const Case& c) {
  Diagnostics diagnostics;
  ParseRecipe(Wrap(c), "", diagnostics);
  std::string out;
  for (const Diagnostic& each : diagnostics.items()) {
    out += DiagnosticLine(each).substr(each.pos.known() ? 1 : 0);
    if (!each.tip.empty()) out += " | " + each.tip;
    out += "\n";
  }
  return out;
}

// The comments at the head of the table.
std::string Head(const fs::path& file) {
  const std::string text = ReadTextFile(file);
  return text.substr(0, text.find("=== "));
}

const fs::path kTable = SourceDir() / "tests/config/recipes.table";

TEST(RecipeTable, ExactDiagnostics) {
  const std::vector<Case> cases = ReadTable(kTable);
  EXPECT_GE(cases.size(), 250u);
  std::map<std::string, int> names;
  std::string updated = Head(kTable);
  for (const Case& c : cases) {
    EXPECT_EQ(++names[c.name], 1) << "two cases are named " << c.name;
    const std::string found = Diagnose(c);
    EXPECT_EQ(found, c.expected) << "case " << c.name << "\n" << Wrap(c);
    updated += "=== " + c.name + (c.shape.empty() ? "" : " " + c.shape) + "\n" + c.text + "---\n" + found;
  }
  if (const char* file = std::getenv("MODELSLIM_UPDATE_TABLE")) WriteFileAtomically(file, updated, 0644);
}

}  // namespace
}  // namespace modelslim
