#include "processor/observing/token_store.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <string>

#include "base/error.h"

namespace modelslim {

void TokenStore::Open() {
  static std::atomic<int> number{0};
  path_ = directory_ / ("tokens-" + std::to_string(getpid()) + "-" + std::to_string(number++));
  unlink(path_.c_str());  // a process of the same number, killed just here, may have left one
  fd_ = open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd_ < 0) ThrowSystemError("cannot create", path_);
  unlink(path_.c_str());
}

TokenStore::~TokenStore() {
  Unmap();
  if (fd_ >= 0) close(fd_);
}

void TokenStore::Unmap() {
  range_.reset();
  if (mapped_ != nullptr) munmap(mapped_, mapped_bytes_);
  mapped_ = nullptr;
}

void TokenStore::Clear() {
  Unmap();
  rows_ = 0;
}

void TokenStore::Append(const ConstView& rows) {
  if (rows.rows() == 0) return;
  Unmap();
  if (fd_ < 0) Open();
  MODELSLIM_CHECK(width_ == 0 || width_ == rows.cols());
  width_ = rows.cols();
  const Tensor converted = rows.dtype == dtype_ ? Tensor() : ConvertTo(rows, dtype_);
  const ConstView stored = converted ? converted.view() : rows;
  const auto* bytes = static_cast<const char*>(stored.data);
  const auto start = static_cast<off_t>(rows_ * width_) * static_cast<off_t>(DTypeSize(dtype_));
  for (size_t done = 0; done < stored.bytes();) {
    const ssize_t put = pwrite(fd_, bytes + done, stored.bytes() - done, start + static_cast<off_t>(done));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) ThrowSystemError("cannot write scratch data to", path_);
    done += static_cast<size_t>(put);
  }
  rows_ += rows.rows();
}

ConstView TokenStore::Rows() {
  if (mapped_ == nullptr && rows_ > 0) {
    mapped_bytes_ = static_cast<size_t>(rows_ * width_) * DTypeSize(dtype_);
    mapped_ = mmap(nullptr, mapped_bytes_, PROT_READ, MAP_SHARED, fd_, 0);
    if (mapped_ == MAP_FAILED) {
      mapped_ = nullptr;
      ThrowSystemError("cannot map", path_);
    }
    range_ = std::make_unique<MappedRange>(mapped_, mapped_bytes_, ScratchFault(path_));
  }
  return {mapped_, dtype_, {rows_, width_}};
}

}  // namespace modelslim
