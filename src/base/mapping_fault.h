// What happens when mapped memory cannot be read: the file behind it was cut short, or its disk or network failed, and
// the system sends SIGBUS to whoever touches the page.
#pragma once

#include <cstddef>

#include "base/error.h"
#include "base/file.h"

namespace modelslim {

// Notes that [data, data + size) is mapped as long as this object lives, and what to say when it cannot be read.
// Thread-safe.
class MappedRange {
 public:
  MappedRange(const void* data, size_t size, const Error& fault);
  ~MappedRange();
  MappedRange(const MappedRange&) = delete;
  MappedRange& operator=(const MappedRange&) = delete;

 private:
  struct Entry* entry_;
};

// What to say of a scratch file of our own.
Error ScratchFault(const fs::path& path);

// From here on a SIGBUS inside of a noted range prints what was noted and ends the program with status 1; any other one
// does what it always did. For programs, not for libraries: signals belong to the process.
void ReportMappingFaults();

}  // namespace modelslim
