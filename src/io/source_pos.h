// A place in a text file that a person wrote.
#pragma once

namespace modelslim {

// 1-based line and column; the column counts bytes. {0, 0} means "not in the file", for example a default.
struct SourcePos {
  int line = 0;
  int column = 0;

  bool known() const { return line > 0; }
  bool operator==(const SourcePos&) const = default;
};

}  // namespace modelslim
