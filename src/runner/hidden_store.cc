#include "runner/hidden_store.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/error.h"

namespace modelslim {

HiddenFile::HiddenFile(fs::path path, int64_t rows, int64_t width, bool keep)
    : path_(std::move(path)), rows_(rows), width_(width) {
  capacity_ = std::max<size_t>(1, static_cast<size_t>(rows * width) * sizeof(float));
  const int fd = open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | (keep ? 0 : O_TRUNC), 0600);
  if (fd < 0) ThrowSystemError("cannot create", path_);
  // Reserve the space now: a full disk must not turn into a bus error in the middle of a block.
  const int full = posix_fallocate(fd, 0, static_cast<off_t>(capacity_));
  const bool sized = full == 0 || (full != ENOSPC && ftruncate(fd, static_cast<off_t>(capacity_)) == 0);
  if (!sized) {
    close(fd);
    errno = full;
    ThrowSystemError("cannot reserve " + std::to_string(capacity_) + " bytes for hidden states in", path_);
  }
  void* const address = mmap(nullptr, capacity_, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (address == MAP_FAILED) ThrowSystemError("cannot map", path_);
  data_ = static_cast<std::byte*>(address);
  range_ = std::make_unique<MappedRange>(data_, capacity_, ScratchFault(path_));
}

HiddenFile::~HiddenFile() {
  range_.reset();
  if (data_ != nullptr) munmap(data_, capacity_);
}

View HiddenFile::Rows(int64_t begin, int64_t end) const {
  const size_t stride = static_cast<size_t>(width_) * DTypeSize(dtype_);
  return {data_ + static_cast<size_t>(begin) * stride, dtype_, {end - begin, width_}};
}

void HiddenFile::Sync() const {
  if (msync(data_, capacity_, MS_SYNC) != 0) ThrowSystemError("cannot sync", path_);
}

std::unique_ptr<HiddenFile> MakeNamelessHidden(int64_t rows, int64_t width) {
  const char* const chosen = std::getenv("TMPDIR");
  const fs::path parent = chosen != nullptr && *chosen != '\0' ? chosen : "/tmp";
  std::string pattern = (parent / "modelslim-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) ThrowSystemError("cannot create a directory for hidden states in", parent);
  const fs::path directory = pattern;
  const auto remove = [&] {
    std::error_code ignored;
    fs::remove_all(directory, ignored);
  };
  try {
    auto file = std::make_unique<HiddenFile>(directory / "hidden", rows, width, /*keep=*/false);
    remove();
    return file;
  } catch (...) {
    remove();
    throw;
  }
}

}  // namespace modelslim
