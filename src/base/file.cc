#include "base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace modelslim {
namespace {

// Closes a descriptor at the end of a scope.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

uint64_t SizeOfRegularFile(int fd, const fs::path& path) {
  struct stat info {};
  if (fstat(fd, &info) != 0) ThrowSystemError("cannot read the size of", path);
  if (!S_ISREG(info.st_mode)) {
    throw Error(ErrorCode::kSecurity, path.string() + ": expected a regular file, found a " +
                                          (S_ISDIR(info.st_mode) ? "directory" : "special file"));
  }
  return static_cast<uint64_t>(info.st_size);
}

}  // namespace

void ThrowSystemError(std::string_view what, const fs::path& path) {
  const int code = errno;
  std::string tip;
  if (code == ENOSPC || code == EDQUOT)
    tip = "free some space, or choose another --save_path, and run the command again";
  if (code == EACCES || code == EPERM || code == EROFS) tip = "check the permissions of the file and of its directory";
  const bool input = code == ENOENT || code == EACCES || code == EPERM || code == ENOTDIR || code == EROFS;
  throw Error(input ? ErrorCode::kSecurity : ErrorCode::kUnexpected,
              std::string(what) + " " + path.string() + ": " + std::strerror(code), tip);
}

// O_NONBLOCK: a pipe in place of the file is refused below instead of being waited for.
MappedFile::MappedFile(const fs::path& path) : path_(path) {
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) ThrowSystemError("cannot open", path);
  size_ = SizeOfRegularFile(file.get(), path);
  if (size_ == 0) return;
  void* const address = mmap(nullptr, size_, PROT_READ, MAP_SHARED, file.get(), 0);
  if (address == MAP_FAILED) ThrowSystemError("cannot map", path);
  data_ = static_cast<const std::byte*>(address);
  madvise(address, size_, MADV_SEQUENTIAL);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(const_cast<std::byte*>(data_), size_);
}

namespace {
void Advise(const std::byte* data, size_t size, uint64_t offset, uint64_t length, int advice) {
  static const auto kPage = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  if (data == nullptr || offset >= size) return;
  const uint64_t begin = offset / kPage * kPage, end = std::min<uint64_t>(size, offset + length);
  madvise(const_cast<std::byte*>(data) + begin, end - begin, advice);
}
}  // namespace

void MappedFile::WillNeed(uint64_t offset, uint64_t size) const { Advise(data_, size_, offset, size, MADV_WILLNEED); }
void MappedFile::DontNeed(uint64_t offset, uint64_t size) const { Advise(data_, size_, offset, size, MADV_DONTNEED); }

std::string ReadTextFile(const fs::path& path, uint64_t limit) {
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) ThrowSystemError("cannot open", path);
  const uint64_t size = SizeOfRegularFile(file.get(), path);
  if (size > limit) {
    throw Error(ErrorCode::kSecurity, path.string() + ": expected at most " + std::to_string(limit) + " bytes, found " +
                                          std::to_string(size));
  }
  std::string text(size, '\0');
  size_t done = 0;
  while (done < size) {
    const ssize_t got = read(file.get(), text.data() + done, size - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) ThrowSystemError("cannot read", path);
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  text.resize(done);
  return text;
}

void WriteFileAtomically(const fs::path& path, std::string_view content, unsigned mode) {
  const fs::path temporary = path.string() + ".partial";
  {
    unlink(temporary.c_str());
    const Descriptor file(open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
    if (file.get() < 0) ThrowSystemError("cannot create", temporary);
    if (fchmod(file.get(), mode) != 0) ThrowSystemError("cannot set the permissions of", temporary);
    size_t done = 0;
    while (done < content.size()) {
      const ssize_t put = write(file.get(), content.data() + done, content.size() - done);
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) {
        const int code = errno;
        unlink(temporary.c_str());
        errno = code;
        ThrowSystemError("cannot write", temporary);
      }
      done += static_cast<size_t>(put);
    }
    if (fsync(file.get()) != 0) ThrowSystemError("cannot sync", temporary);
  }
  if (rename(temporary.c_str(), path.c_str()) != 0) ThrowSystemError("cannot rename to", path);
}

void SyncDirectory(const fs::path& path) {
  const Descriptor directory(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() < 0) ThrowSystemError("cannot open", path);
  // Some network file systems cannot sync a directory; they say EINVAL and there is nothing else to do.
  if (fsync(directory.get()) != 0 && errno != EINVAL) ThrowSystemError("cannot sync", path);
}

void MakeDirectories(const fs::path& path) {
  fs::path so_far;
  for (const fs::path& part : path) {
    so_far /= part;
    if (mkdir(so_far.c_str(), 0750) != 0 && errno != EEXIST && errno != EISDIR) {
      if (fs::is_directory(so_far)) continue;
      ThrowSystemError("cannot create directory", so_far);
    }
  }
  if (!fs::is_directory(path)) {
    throw Error(ErrorCode::kSecurity, path.string() + ": expected a directory, found another kind of file");
  }
}

}  // namespace modelslim
