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
  std::string text;
  std::string where;  // "FILE:LINE" (jsonl) or "FILE: element 3" (json), for messages
};

// The texts of a set. The suffix decides (case counts): `.json` is one list of strings; a name that ends in `jsonl` has
// one object per line whose `inputs_pretokenized` is the text, and where that key is absent the line itself, with its
// newline, is (source: msModelSlim 26.1.0 behaviour; lines end as in Python's text files: \n, \r\n or \r, all read as
// \n). Throws Error(kSecurity) for a missing file, a link, no regular file or another suffix, and
// Error(kInvalidDataset) with file and line for anything else that is wrong: not UTF-8, a blank line, no object, a text
// that is no string.
std::vector<TextSample> LoadTextDataset(const fs::path& path);

}  // namespace modelslim
