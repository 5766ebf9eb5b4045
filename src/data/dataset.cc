#include "data/dataset.h"

#include <simdjson.h>

#include <cstdlib>

#include "base/error.h"
#include "base/installation.h"
#include "base/log.h"
#include "text/unicode.h"

namespace modelslim {
namespace {

constexpr uint64_t kMaxFile = (uint64_t{1} << 32) - 64;  // of simdjson

[[noreturn]] void Bad(const std::string& where, const std::string& what) {
  throw Error(ErrorCode::kInvalidDataset, where + ": " + what);
}

void CheckFile(const fs::path& path) {
  std::error_code error;
  const auto status = fs::symlink_status(path, error);
  const auto refuse = [&](const std::string& what, const std::string& tip) {
    throw Error(ErrorCode::kSecurity, "dataset " + path.string() + ": " + what, tip);
  };
  if (!fs::exists(status)) refuse("no such file", "give the path of a .json or .jsonl file");
  if (fs::is_symlink(status)) refuse("is a symbolic link", "give the file that it points to");
  if (!fs::is_regular_file(status)) refuse("is not a regular file", "give a .json or .jsonl file");
  if ((status.permissions() & (fs::perms::group_write | fs::perms::others_write)) != fs::perms::none) {
    LogWarning("dataset " + path.string() + " can be written by others; chmod go-w makes it yours alone");
  }
}

// The line, from 1, that byte `at` is on.
int64_t LineOf(std::string_view content, size_t at) {
  int64_t line = 1;
  for (size_t i = 0; i < at; ++i) line += content[i] == '\n';
  return line;
}

std::vector<TextSample> LoadJsonList(const fs::path& path, const std::string& content) {
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  if (const auto error = parser.parse(content).get(root)) {
    Bad(path.string(), std::string("not a JSON document: ") + simdjson::error_message(error));
  }
  simdjson::dom::array list;
  if (root.get_array().get(list)) Bad(path.string(), "expected a list of strings at the top");
  std::vector<TextSample> samples;
  for (const auto element : list) {
    std::string where = path.string() + ": element " + std::to_string(samples.size());
    std::string_view text;
    if (element.get_string().get(text)) Bad(where, "expected a string");
    samples.push_back({std::string(text), std::move(where)});
  }
  return samples;
}

// The text of a line: of several equal keys the last one counts, as for Python.
std::string TextOfLine(simdjson::dom::parser& parser, const std::string& line, const std::string& where) {
  if (line.find_first_not_of(" \t\n\r\f\v") == std::string::npos) {
    Bad(where, "a blank line; every line holds one JSON object");
  }
  simdjson::dom::element root;
  if (const auto error = parser.parse(line).get(root)) {
    Bad(where, std::string("expected a JSON object: ") + simdjson::error_message(error));
  }
  simdjson::dom::object object;
  if (root.get_object().get(object)) Bad(where, "expected a JSON object");
  bool found = false;
  simdjson::dom::element value;
  for (const auto field : object) {
    if (field.key != "inputs_pretokenized") continue;
    value = field.value;
    found = true;
  }
  if (!found) return line;
  std::string_view text;
  if (value.get_string().get(text)) Bad(where, "\"inputs_pretokenized\" is not a string");
  return std::string(text);
}

std::vector<TextSample> LoadJsonLines(const fs::path& path, const std::string& content) {
  simdjson::dom::parser parser;
  std::vector<TextSample> samples;
  for (size_t begin = 0; begin < content.size();) {
    const size_t end = std::min(content.find_first_of("\r\n", begin), content.size());
    std::string line = content.substr(begin, end - begin);
    if (end < content.size()) line += '\n';
    begin = end + (std::string_view(content).substr(end).starts_with("\r\n") ? 2 : 1);
    std::string where = path.string() + ":" + std::to_string(samples.size() + 1);
    std::string text = TextOfLine(parser, line, where);
    samples.push_back({std::move(text), std::move(where)});
  }
  return samples;
}

}  // namespace

std::vector<fs::path> LabCalibDirectories() { return ShippedDirectories("lab_calib"); }

fs::path ResolveDataset(const std::string& name, const std::vector<fs::path>& lab_calib_dirs) {
  const auto refuse = [](const std::string& what, const std::string& tip) {
    throw Error(ErrorCode::kSecurity, what, tip);
  };
  if (name.empty()) refuse("the name of a dataset is empty", "give a file, or the name of a set that ships");
  if (name.size() > 4096) refuse("the name of a dataset has " + std::to_string(name.size()) + " characters", "");
  std::error_code error;
  const fs::path path(name);
  if (path.is_absolute()) {
    if (!fs::exists(path, error)) refuse("dataset " + name + ": no such file", "check the path in the recipe");
    return path;
  }
  if (fs::exists(path, error)) return path;
  std::string searched = "the working directory";
  for (const fs::path& directory : lab_calib_dirs) {
    const fs::path relative = path.lexically_normal();
    if (!relative.empty() && *relative.begin() == "..") break;  // a name never leaves the folder of sets
    if (fs::exists(directory / path, error)) return directory / path;
    searched += ", " + directory.string();
  }
  refuse("dataset " + name + ": no such file (searched " + searched + ")",
         "give an absolute path, or set MODELSLIM_HOME to the directory that holds lab_calib");
  return {};
}

std::vector<TextSample> LoadTextDataset(const fs::path& path) {
  const std::string name = path.string();
  const bool list = name.ends_with(".json");
  if (!list && !name.ends_with("jsonl")) {
    throw Error(ErrorCode::kSecurity, "dataset " + name + ": the name must end in .json or .jsonl",
                "rename the file: .json holds one list of strings, .jsonl one object per line");
  }
  CheckFile(path);
  const std::string content = ReadTextFile(path, kMaxFile);
  if (content.starts_with("\xEF\xBB\xBF"))
    Bad(name + ":1", "begins with a byte order mark; save it as UTF-8 without one");
  if (const size_t bad = FirstInvalidUtf8(content); bad != std::string_view::npos) {
    Bad(name + ":" + std::to_string(LineOf(content, bad)), "not UTF-8 (byte " + std::to_string(bad) + " of the file)");
  }
  return list ? LoadJsonList(path, content) : LoadJsonLines(path, content);
}

}  // namespace modelslim
