// Rows of activations that a step keeps until the end of its block: in a scratch file, so they do not count as memory.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "base/file.h"
#include "base/mapping_fault.h"
#include "tensor/tensor.h"

namespace modelslim {

// Appends rows of one width; they are stored in `dtype`. The file is made with the first rows (thousands of experts may
// have a store that never gets any), removed at once and vanishes with the object.
class TokenStore {
 public:
  TokenStore(fs::path directory, DType dtype) : directory_(std::move(directory)), dtype_(dtype) {}
  ~TokenStore();
  TokenStore(const TokenStore&) = delete;
  TokenStore& operator=(const TokenStore&) = delete;

  void Append(const ConstView& rows);
  int64_t rows() const { return rows_; }
  // All rows [rows, width], mapped; valid until the next Append.
  ConstView Rows();
  // Forgets all rows; the file is used again.
  void Clear();

 private:
  void Open();
  void Unmap();

  fs::path directory_, path_;
  DType dtype_;
  int fd_ = -1;
  int64_t rows_ = 0, width_ = 0;
  void* mapped_ = nullptr;
  size_t mapped_bytes_ = 0;
  std::unique_ptr<MappedRange> range_;
};

}  // namespace modelslim
