#include "base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>

#include "base/error.h"
#include "base/mapping_fault.h"

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

FileStamp StampFrom(const struct stat& info) {
  return {static_cast<uint64_t>(info.st_size), info.st_mtim.tv_sec, info.st_mtim.tv_nsec};
}

FileStamp StampOfRegularFile(int fd, const fs::path& path) {
  struct stat info {};
  if (fstat(fd, &info) != 0) ThrowSystemError("cannot read the size of", path);
  if (!S_ISREG(info.st_mode)) {
    throw Error(ErrorCode::kSecurity, path.string() + ": expected a regular file, found a " +
                                          (S_ISDIR(info.st_mode) ? "directory" : "special file"));
  }
  return StampFrom(info);
}

uint64_t SizeOfRegularFile(int fd, const fs::path& path) { return StampOfRegularFile(fd, path).size; }

}  // namespace

FileStamp StampOf(const fs::path& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) ThrowSystemError("cannot read the date of", path);
  return StampFrom(info);
}

namespace {

struct SystemReason {
  int code;
  bool user;  // about what the user named, not about the state of the machine
  const char* tip;
};

constexpr const char* kPermissions = "check the permissions of the file and of its directory";
constexpr const char* kSpace = "free some space, or choose another --save_path, and run the command again";
constexpr const char* kOpenFiles = "raise the limit of open files (ulimit -n)";

constexpr SystemReason kReasons[] = {
    {ENOENT, true, ""},
    {ENOTDIR, true, "a part of the path is a file; check the path"},
    {EISDIR, true, "a directory stands where a file is expected; move it away"},
    {EACCES, true, kPermissions},
    {EPERM, true, kPermissions},
    {EROFS, true, "the file system is mounted for reading only; choose a directory that can be written"},
    {ENAMETOOLONG, true, "choose a shorter name"},
    {ELOOP, true,
     "a symbolic link stands where a file or a directory is expected, or links lead in a circle; remove it"},
    {ENOSPC, false, kSpace},
    {EDQUOT, false, kSpace},
    {EFBIG, false, "raise the limit of the size of a file (ulimit -f), or give a smaller part_file_size in the recipe"},
    {EMFILE, false, kOpenFiles},
    {ENFILE, false, kOpenFiles},
    {ENOMEM, false, "give the process more address space (ulimit -v) or fewer --threads"},
    {EIO, false, "check the disk (or the network file system), then run the command again"},
};

Error SystemError(int code, const std::string& subject) {
  const auto* const reason = std::find_if(std::begin(kReasons), std::end(kReasons),
                                          [code](const SystemReason& each) { return each.code == code; });
  const bool known = reason != std::end(kReasons);
  return {known && reason->user ? ErrorCode::kSecurity : ErrorCode::kUnexpected, subject + ": " + std::strerror(code),
          known ? reason->tip : ""};
}

}  // namespace

void ThrowSystemError(std::string_view what, const fs::path& path) {
  const int code = errno;
  throw SystemError(code, std::string(what) + " " + path.string());
}

Error SystemError(const fs::filesystem_error& error) {
  return SystemError(error.code().value(),
                     "cannot use " + (error.path1().empty() ? error.path2() : error.path1()).string());
}

namespace {

// O_NONBLOCK: a pipe in place of the file is refused afterwards instead of being waited for.
int OpenForReading(const fs::path& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) ThrowSystemError("cannot open", path);
  return fd;
}

uint64_t SizeWithin(int fd, const fs::path& path, uint64_t limit) {
  const uint64_t size = SizeOfRegularFile(fd, path);
  if (size > limit) {
    throw Error(ErrorCode::kSecurity, path.string() + ": expected at most " + std::to_string(limit) + " bytes, found " +
                                          std::to_string(size));
  }
  return size;
}

}  // namespace

MappedFile::MappedFile(const fs::path& path) : path_(path) {
  const Descriptor file(OpenForReading(path));
  stamp_ = StampOfRegularFile(file.get(), path);
  size_ = stamp_.size;
  if (size_ == 0) return;
  void* const address = mmap(nullptr, size_, PROT_READ, MAP_SHARED, file.get(), 0);
  if (address == MAP_FAILED) ThrowSystemError("cannot map", path);
  data_ = static_cast<const std::byte*>(address);
  range_ = std::make_unique<MappedRange>(
      data_, size_,
      Error(ErrorCode::kInvalidModel,
            path.string() + ": expected the " + std::to_string(size_) +
                " bytes that it had when it was opened, found that they cannot be read any more: it was cut short, or "
                "its disk or network failed",
            "let whatever writes to it finish, check the disk, and give the same command again"));
  madvise(address, size_, MADV_SEQUENTIAL);
}

MappedFile::~MappedFile() {
  range_.reset();
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
  const Descriptor file(OpenForReading(path));
  const uint64_t size = SizeWithin(file.get(), path, limit);
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

fs::path Unpublished(const fs::path& path) {
  constexpr size_t kLongestName = 255;
  const std::string ending = kUnpublished, name = path.filename().string();
  return path.parent_path() / (name.substr(0, kLongestName - ending.size()) + ending);
}

void WriteFileAtomically(const fs::path& path, std::string_view content, unsigned mode) {
  const fs::path temporary = Unpublished(path);
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
    if (mkdir(so_far.c_str(), 0750) == 0) continue;
    const int code = errno;
    std::error_code error;
    if (fs::is_directory(so_far, error)) continue;
    errno = code == EEXIST ? ENOTDIR : code;
    ThrowSystemError("cannot create the directory", so_far);
  }
}

void CheckDirectoryCanBeWritten(const fs::path& path) {
  fs::path so_far, parent = ".";
  bool exists = true;
  for (const fs::path& part : path) {
    so_far /= part;
    struct stat info {};
    if (stat(so_far.c_str(), &info) == 0) {
      errno = ENOTDIR;
      if (!S_ISDIR(info.st_mode)) ThrowSystemError("cannot write to the directory", so_far);
      parent = so_far;
      continue;
    }
    // Below the first missing one nothing can be told but that a name is too long.
    if (errno != ENOENT) ThrowSystemError("cannot create the directory", so_far);
    if (lstat(so_far.c_str(), &info) == 0) {
      throw Error(ErrorCode::kSecurity,
                  so_far.string() + ": expected a directory, found a symbolic link that leads nowhere",
                  "remove the link, or create the directory that it names");
    }
    if (exists && access(parent.c_str(), W_OK | X_OK) != 0) ThrowSystemError("cannot create the directory", so_far);
    exists = false;
    const int64_t longest = pathconf(parent.c_str(), _PC_NAME_MAX);
    if (longest > 0 && part.string().size() > static_cast<size_t>(longest)) {
      errno = ENAMETOOLONG;
      ThrowSystemError("cannot create the directory", so_far);
    }
  }
  if (exists && access(parent.c_str(), W_OK | X_OK) != 0) ThrowSystemError("cannot write to the directory", parent);
}

}  // namespace modelslim
