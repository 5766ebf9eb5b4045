// The hidden states of all calibration samples between two blocks, in mapped files: they count as page cache, not as
// memory of the process, and an interrupted run finds them again.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/file.h"
#include "base/mapping_fault.h"
#include "tensor/tensor.h"

namespace modelslim {

// A file of [rows, width] elements mapped for reading and writing.
class HiddenFile {
 public:
  // Creates (or, with `keep`, opens) the file with room for `rows` x `width` elements of four bytes.
  HiddenFile(fs::path path, int64_t rows, int64_t width, bool keep);
  ~HiddenFile();
  HiddenFile(const HiddenFile&) = delete;
  HiddenFile& operator=(const HiddenFile&) = delete;

  const fs::path& path() const { return path_; }
  DType dtype() const { return dtype_; }
  // What the elements are; set before the first write of a pass.
  void set_dtype(DType dtype) { dtype_ = dtype; }
  View Rows(int64_t begin, int64_t end) const;
  View All() const { return Rows(0, rows_); }

  // Everything written is on disk.
  void Sync() const;

 private:
  fs::path path_;
  int64_t rows_, width_;
  DType dtype_ = DType::kF32;
  std::byte* data_ = nullptr;
  size_t capacity_ = 0;
  std::unique_ptr<MappedRange> range_;
};

// One that nobody else can find and that is gone with the process: in the system's directory for temporary files
// (TMPDIR), its name removed at once.
std::unique_ptr<HiddenFile> MakeNamelessHidden(int64_t rows, int64_t width);

}  // namespace modelslim
