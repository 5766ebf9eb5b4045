// Calibration sets on disk: finding them by name, reading their texts.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"

namespace modelslim {

// Where sets that ship with the program are, first place first: $MODELSLIM_HOME/lab_calib, share/modelslim/lab_calib
// beside the program's bin directory, and lab_calib of the source tree that the program was built in (found upwards
// from the program). Directories that do not exist are left out.
std::vector<fs::path> LabCalibDirectories();

// The file or directory that `name` means: an absolute path is itself; a relative one that exists from the working
// directory is that; else NAME in the first of `lab_calib_dirs` that has it. So a file of the same name in the working
// directory hides the one that ships (source: msModelSlim 26.1.0 behaviour).
// Throws Error(kSecurity) listing the places that were searched when there is none.
fs::path ResolveDataset(const std::string& name, const std::vector<fs::path>& lab_calib_dirs);

struct TextSample {
  std::string text;   // UTF-8
  std::string where;  // "FILE:LINE" (jsonl) or "FILE: element 3" (json), for messages
};

struct TextDataset {
  std::vector<TextSample> samples;
  std::vector<std::string> warnings;  // what was read otherwise than the file's author will have meant
};

// Where an object keeps its text. See data/sample_text.h for what the value of a key may be.
struct TextKeys {
  // Empty: `inputs_pretokenized`, and where that is absent the line itself, with its newline, is the text (source:
  // msModelSlim 26.1.0 behaviour). Else the texts under these keys, those that are there, one behind the other on lines
  // of their own.
  std::vector<std::string> keys;
  // When `keys` is empty: a key that is tried before the line itself is taken. Empty: none.
  std::string before_the_line;
};

// The texts of a set. The suffix decides (case counts): `.json` is one list of strings (or, with keys, of objects); a
// name that ends in `jsonl` has one object per line (lines end as in Python's text files: \n, \r\n or \r, all read as
// \n). A byte order mark is no part of the text. Throws Error(kSecurity) for a missing file, a link, no regular file or
// another suffix, and Error(kInvalidDataset) with file and line for anything else that is wrong: not UTF-8, a blank
// line, no object, no text. Fields that are not the text may hold whatever Python's json module reads.
TextDataset LoadTextDataset(const fs::path& path, const TextKeys& keys = {});

// The same from the content of a file that `name` stands for; `list` says which of the two forms it has.
TextDataset ReadTextDataset(std::string_view content, const std::string& name, bool list, const TextKeys& keys);

}  // namespace modelslim
