// Files of the repository that tests read.
#pragma once

#include <sstream>
#include <string>
#include <vector>

#include "base/file.h"

namespace modelslim {

inline fs::path SourceDir() { return MODELSLIM_SOURCE_DIR; }

inline std::vector<std::string> Lines(const fs::path& file) {
  std::istringstream stream(ReadTextFile(file));
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

inline std::vector<std::string> Split(const std::string& line, char separator) {
  std::vector<std::string> parts{""};
  for (char c : line) {
    if (c == separator)
      parts.emplace_back();
    else
      parts.back() += c;
  }
  return parts;
}

}  // namespace modelslim
