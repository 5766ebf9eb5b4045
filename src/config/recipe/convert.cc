#include "config/recipe/convert.h"

#include <algorithm>
#include <optional>
#include <regex>

#include "config/recipe/convert_forms.h"
#include "io/yaml.h"

namespace modelslim {
namespace {

// A Python expression as std::regex knows it: groups lose their names, which `names` gets with their numbers.
std::string WithoutNames(const std::string& expression, std::vector<std::string>* names) {
  std::string plain;
  for (size_t i = 0; i < expression.size(); ++i) {
    plain += expression[i];
    if (expression[i] == '\\' && i + 1 < expression.size()) {
      plain += expression[++i];
    } else if (expression[i] == '(') {
      const bool named = expression.compare(i, 4, "(?P<") == 0;
      if (!named && expression.compare(i, 2, "(?") == 0) continue;
      const size_t end = named ? expression.find('>', i) : i;
      if (end == std::string::npos) continue;
      names->push_back(named ? expression.substr(i + 4, end - i - 4) : "");
      i = end;
    }
  }
  return plain;
}

std::string Filled(const std::string& to, const std::smatch& match, const std::vector<std::string>& names) {
  std::string filled;
  for (size_t i = 0; i < to.size(); ++i) {
    if (to[i] != '\\' || i + 1 == to.size()) {
      filled += to[i];
      continue;
    }
    std::string group(1, to[++i]);
    if (group == "g" && i + 1 < to.size() && to[i + 1] == '<') {
      const size_t end = std::min(to.find('>', i), to.size());
      group = to.substr(i + 2, end - i - 2);
      i = end;
    }
    const auto named = std::find(names.begin(), names.end(), group);
    const bool number = !group.empty() && group.find_first_not_of("0123456789") == std::string::npos;
    const size_t index = number                 ? std::stoul(group.substr(0, 3))
                         : named != names.end() ? static_cast<size_t>(named - names.begin()) + 1
                                                : match.size();
    if (index >= match.size()) continue;
    filled += match[index].str();
  }
  return filled;
}

}  // namespace

std::string_view ConvertFormName(ConvertForm form) {
  for (const FormName& each : kForms) {
    if (each.form == form) return each.name;
  }
  return "?";
}

bool IsConversion(const YamlDocument& recipe) {
  if (!recipe.root || recipe.root->kind != YamlKind::kMapping) return false;
  const YamlEntry* const version = recipe.root->Find("apiversion");
  return version != nullptr && version->value->text == "modelslim_convert";
}

std::string AsRecipe(const ConvertSpec& spec) {
  const auto list = [](const std::vector<std::string>& patterns) {
    std::string text;
    for (const std::string& pattern : patterns) text += (text.empty() ? "'" : ", '") + pattern + "'";
    return "[" + text + "]";
  };
  std::string text = "apiversion: modelslim_v1\nspec:\n  process:", floats;
  std::vector<std::string> before;  // of rules that leave what they match float
  for (const ConvertLinear& linear : spec.linears) {
    if (linear.target == ConvertForm::kFloat) {
      before.insert(before.end(), linear.match.begin(), linear.match.end());
      continue;
    }
    if (linear.match.empty()) continue;
    floats +=
        "\n    - type: linear_quant\n      qconfig:"
        "\n        act: {scope: per_block, dtype: mxfp8, symmetric: true, method: minmax}"
        "\n        weight: {scope: per_block, dtype: mxfp8, symmetric: true, method: minmax}"
        "\n      include: " +
        list(linear.match) + (before.empty() ? "" : "\n      exclude: " + list(before));
  }
  return text + (floats.empty() ? " []" : floats) +
         "\n  save:\n    - {type: ascendv1_saver, part_file_size: " + std::to_string(spec.part_file_size) + "}\n";
}

std::string Renamed(const ConvertSpec& spec, std::string name) {
  for (const ConvertRename& rename : spec.renames) {
    std::vector<std::string> names;
    const std::regex expression(WithoutNames(rename.from, &names));
    std::smatch match;
    if (std::regex_match(name, match, expression)) name = Filled(rename.to, match, names);
  }
  return name;
}

}  // namespace modelslim
