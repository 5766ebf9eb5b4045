#include "data/dataset.h"

#include <algorithm>

#include "base/error.h"
#include "base/installation.h"
#include "base/log.h"
#include "data/sample_text.h"
#include "text/unicode.h"

namespace modelslim {
namespace {

constexpr uint64_t kMaxFile = uint64_t{1} << 32;

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

// Collects the samples of a file, and what is to be said about how they were read.
class SampleReader {
 public:
  SampleReader(const std::string& name, const TextKeys& keys) : name_(name), keys_(keys) {}

  void List(std::string_view content) {
    JsonOptions options;
    options.code = ErrorCode::kInvalidDataset;
    const Json root = ParseJson(content, name_, options);
    const JsonRef list(root, name_, ErrorCode::kInvalidDataset);
    if (root.array() == nullptr) list.Fail("a list of strings at the top");
    for (const Json& element : *root.array()) {
      std::string where = name_ + ": element " + std::to_string(dataset_.samples.size());
      const JsonRef sample(element, where, ErrorCode::kInvalidDataset);
      std::string text;
      if (element.object() != nullptr && !keys_.keys.empty()) {
        text = TextOfKeys(sample, keys_.keys);
      } else if (element.object() != nullptr) {
        const std::string suggested = SuggestedKeys(*element.object());
        sample.Fail("a string", suggested.empty() ? "" : "--text_key " + suggested + " reads objects like this one");
      } else {
        text = sample.AsText();
      }
      dataset_.samples.push_back({std::move(text), std::move(where)});
    }
  }

  void Lines(std::string_view content) {
    for (size_t begin = 0; begin < content.size();) {
      const size_t end = std::min(content.find_first_of("\r\n", begin), content.size());
      std::string line(content.substr(begin, end - begin));
      if (end < content.size()) line += '\n';
      begin = end + (content.substr(end).starts_with("\r\n") ? 2 : 1);
      std::string where = name_ + ":" + std::to_string(dataset_.samples.size() + 1);
      std::string text = TextOfLine(std::move(line), where);
      dataset_.samples.push_back({std::move(text), std::move(where)});
    }
  }

  TextDataset Take() {
    if (others_ > 0) Warn();
    return std::move(dataset_);
  }

 private:
  std::string TextOfLine(std::string line, const std::string& where) {
    if (line.find_first_not_of(" \t\n\r\f\v") == std::string::npos) {
      Bad(where, "a blank line; every line holds one JSON object");
    }
    JsonOptions options;
    options.code = ErrorCode::kInvalidDataset;
    const Json root = ParseJson(line, where, options);
    const JsonRef object(root, where, ErrorCode::kInvalidDataset);
    object.AsObject();
    if (!keys_.keys.empty()) return TextOfKeys(object, keys_.keys);
    if (root.Find(kPretokenized) != nullptr) return object[kPretokenized].AsText();
    const bool has_other = !keys_.before_the_line.empty() && root.Find(keys_.before_the_line) != nullptr;
    if (others_++ == 0) {
      first_other_ = where;
      first_keys_ = KeyNames(*root.object());
      suggested_ = SuggestedKeys(*root.object());
    }
    return has_other ? object[keys_.before_the_line].AsText() : std::move(line);
  }

  void Warn() {
    const std::string all = std::to_string(dataset_.samples.size());
    std::string text = first_other_ + ": expected the key '" + std::string(kPretokenized) + "', found " + first_keys_ +
                       " (and so in " + std::to_string(others_) + " of " + all + " lines): ";
    text += keys_.before_the_line.empty()
                ? "the JSON text of such a line is the sample, as in msModelSlim"
                : "quant calibrates with the JSON text of such a line, unless --text_key is given";
    if (!suggested_.empty()) text += "; --text_key " + suggested_ + " reads the text in it";
    dataset_.warnings.push_back(std::move(text));
  }

  static constexpr std::string_view kPretokenized = "inputs_pretokenized";
  const std::string& name_;
  const TextKeys& keys_;
  TextDataset dataset_;
  int64_t others_ = 0;  // lines without inputs_pretokenized
  std::string first_other_, first_keys_, suggested_;
};

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

TextDataset ReadTextDataset(std::string_view content, const std::string& name, bool list, const TextKeys& keys) {
  constexpr std::string_view kMark = "\xEF\xBB\xBF";
  if (content.starts_with(kMark)) content.remove_prefix(kMark.size());
  if (const size_t bad = FirstInvalidUtf8(content); bad != std::string_view::npos) {
    Bad(name + ":" + std::to_string(LineOf(content, bad)), "not UTF-8 (byte " + std::to_string(bad) + " of the text)");
  }
  SampleReader reader(name, keys);
  if (list) {
    reader.List(content);
  } else {
    reader.Lines(content);
  }
  return reader.Take();
}

TextDataset LoadTextDataset(const fs::path& path, const TextKeys& keys) {
  const std::string name = path.string();
  const bool list = name.ends_with(".json");
  if (!list && !name.ends_with("jsonl")) {
    throw Error(ErrorCode::kSecurity, "dataset " + name + ": the name must end in .json or .jsonl",
                "rename the file: .json holds one list of strings, .jsonl one object per line");
  }
  CheckFile(path);
  return ReadTextDataset(ReadTextFile(path, kMaxFile), name, list, keys);
}

}  // namespace modelslim
