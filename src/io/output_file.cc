#include "io/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <vector>

#include "base/error.h"
#include "base/progress.h"

namespace modelslim {
namespace {

constexpr size_t kBufferSize = kWriteBufferBytes;
// Below this the two buffered ends of a direct write cost more than they save.
constexpr size_t kSmallestDirect = size_t{256} << 10;

// O_DIRECT asks for the device's block size; a whole page keeps direct and buffered writes from ever sharing one, so
// that no stale page of the cache can be written over them later.
size_t Alignment() {
  static const size_t alignment = std::max<size_t>(4096, static_cast<size_t>(sysconf(_SC_PAGESIZE)));
  return alignment;
}

// Aligned buffers, kept for the next write: the first touch of fresh pages costs as much as writing them.
class BufferPool {
 public:
  static BufferPool& Get() {
    static BufferPool* const pool = new BufferPool;  // never destroyed: threads may write until the very end
    return *pool;
  }

  std::byte* Take() {
    {
      const std::lock_guard lock(mutex_);
      if (!free_.empty()) {
        std::byte* const buffer = free_.back();
        free_.pop_back();
        return buffer;
      }
    }
    void* const buffer = std::aligned_alloc(Alignment(), kBufferSize);
    if (buffer == nullptr)
      throw Error(ErrorCode::kUnexpected, "cannot allocate a write buffer of " + FormatBytes(kBufferSize));
    return static_cast<std::byte*>(buffer);
  }

  void Give(std::byte* buffer) {
    {
      const std::lock_guard lock(mutex_);
      if (free_.size() < kKept) return free_.push_back(buffer);
    }
    std::free(buffer);
  }

 private:
  static constexpr size_t kKept = 4;
  std::mutex mutex_;
  std::vector<std::byte*> free_;
};

class Buffer {
 public:
  Buffer() : data_(BufferPool::Get().Take()) {}
  ~Buffer() { BufferPool::Get().Give(data_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  std::byte* data() const { return data_; }

 private:
  std::byte* const data_;
};

// What SetWriteFaultsForTesting asked for. Plain numbers, so that the ordinary path costs two relaxed loads.
constexpr uint64_t kNever = ~uint64_t{0};
std::atomic<uint64_t> bytes_until_full{kNever}, longest_write{kNever};
std::atomic<bool> refuse_direct{false};

ssize_t WriteOnce(int fd, const std::byte* data, size_t size, uint64_t offset) {
  uint64_t left = bytes_until_full.load(std::memory_order_relaxed);
  if (left != kNever) {
    while (left != kNever && !bytes_until_full.compare_exchange_weak(left, left - std::min<uint64_t>(left, size))) {
    }
    if (left == 0) {
      errno = ENOSPC;
      return -1;
    }
    size = std::min<uint64_t>(size, left);
  }
  size = std::min<uint64_t>(size, longest_write.load(std::memory_order_relaxed));
  return pwrite(fd, data, size, static_cast<off_t>(offset));
}

[[noreturn]] void FailForSpace(const char* what, const fs::path& path, uint64_t needed) {
  struct statvfs info {};
  const fs::path directory = path.has_parent_path() ? path.parent_path() : fs::path(".");
  const bool known = statvfs(directory.c_str(), &info) == 0;
  throw Error(ErrorCode::kUnexpected,
              std::string(what) + " " + FormatBytes(needed) + " for " + path.string() + ": No space left on device" +
                  (known ? "; " + FormatBytes(uint64_t{info.f_bavail} * info.f_frsize) + " are available" : ""),
              "free some space, or choose another --save_path, and run the command again");
}

// Gives the open, empty file its size. The free space is looked at first: fallocate takes all there is before it says
// that it was not enough, and other programs would run dry meanwhile. posix_fallocate is avoided because it writes
// every block where the file system has no such call.
void Reserve(int fd, const fs::path& path, uint64_t size) {
  struct statvfs info {};
  const bool known = fstatvfs(fd, &info) == 0 && info.f_blocks != 0;
  if (known && uint64_t{info.f_bavail} * info.f_frsize < size) FailForSpace("cannot reserve", path, size);
  int result = 0;
  do {
    result = size == 0 ? 0 : fallocate(fd, 0, 0, static_cast<off_t>(size));
  } while (result != 0 && errno == EINTR);
  if (result == 0) return;
  if (errno == ENOSPC || errno == EDQUOT) FailForSpace("cannot reserve", path, size);
  if (errno != EOPNOTSUPP && errno != ENOSYS && errno != EINVAL) ThrowSystemError("cannot reserve space for", path);
  if (ftruncate(fd, static_cast<off_t>(size)) != 0) ThrowSystemError("cannot set the size of", path);
}

}  // namespace

void SetWriteFaultsForTesting(const WriteFaults& faults) {
  bytes_until_full = faults.bytes_until_full.value_or(kNever);
  longest_write = faults.longest_write.value_or(kNever);
  refuse_direct = faults.refuse_direct;
}

struct OutputFile::Descriptors {
  explicit Descriptors(int fd) : buffered(fd) {}
  ~Descriptors() {
    close(buffered);
    if (direct >= 0) close(direct);
  }
  Descriptors(const Descriptors&) = delete;
  Descriptors& operator=(const Descriptors&) = delete;

  const int buffered;
  int direct = -1;
  std::atomic<bool> direct_works{false};
};

OutputFile::OutputFile(const fs::path& path, uint64_t size, const OutputFileOptions& options, int buffered)
    : path_(path), size_(size), options_(options), files_(std::make_unique<Descriptors>(buffered)) {
  if (options.direct) OpenDirect();
}

OutputFile::~OutputFile() = default;

std::unique_ptr<OutputFile> OutputFile::Create(const fs::path& path, uint64_t size, const OutputFileOptions& options) {
  if (unlink(path.c_str()) != 0 && errno != ENOENT) ThrowSystemError("cannot replace", path);
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) ThrowSystemError("cannot create", path);
  std::unique_ptr<OutputFile> file(new OutputFile(path, size, options, fd));
  try {
    Reserve(fd, path, size);
  } catch (...) {
    unlink(path.c_str());  // an empty or partial reservation is of no use to anyone
    throw;
  }
  return file;
}

std::unique_ptr<OutputFile> OutputFile::Open(const fs::path& path, uint64_t size, const OutputFileOptions& options) {
  const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) ThrowSystemError("cannot open", path);
  std::unique_ptr<OutputFile> file(new OutputFile(path, size, options, fd));
  struct stat info {};
  if (fstat(fd, &info) != 0) ThrowSystemError("cannot read the size of", path);
  if (S_ISREG(info.st_mode) && info.st_nlink > 1) {
    throw Error(ErrorCode::kMisuse,
                path.string() + ": expected an unfinished output, found a file that has other names too",
                "start afresh with --fresh");
  }
  if (!S_ISREG(info.st_mode) || static_cast<uint64_t>(info.st_size) != size) {
    throw Error(ErrorCode::kMisuse,
                path.string() + ": expected an unfinished output of " + std::to_string(size) + " bytes, found " +
                    (S_ISREG(info.st_mode) ? std::to_string(info.st_size) + " bytes" : "another kind of file"),
                "start afresh with --fresh");
  }
  return file;
}

void OutputFile::OpenDirect() {
#ifdef O_DIRECT
  if (refuse_direct) return;
  files_->direct = open(path_.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_DIRECT);
  files_->direct_works = files_->direct >= 0;
#endif
}

void OutputFile::Write(uint64_t offset, std::span<const std::byte> bytes) {
  MODELSLIM_CHECK(offset <= size_ && bytes.size() <= size_ - offset);
  const size_t alignment = Alignment();
  const uint64_t begin = (offset + alignment - 1) / alignment * alignment,
                 end = (offset + bytes.size()) / alignment * alignment;
  if (!files_->direct_works || begin >= end || end - begin < kSmallestDirect) return WriteBuffered(offset, bytes);
  const size_t head = begin - offset, middle = end - begin;
  WriteBuffered(offset, bytes.first(head));
  if (!WriteDirect(begin, bytes.subspan(head, middle))) WriteBuffered(begin, bytes.subspan(head, middle));
  WriteBuffered(end, bytes.subspan(head + middle));
}

void OutputFile::WriteBuffered(uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t put = WriteOnce(files_->buffered, bytes.data(), bytes.size(), offset);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0 && (errno == ENOSPC || errno == EDQUOT)) FailForSpace("cannot write", path_, bytes.size());
    if (put <= 0) ThrowSystemError("cannot write", path_);
    offset += static_cast<uint64_t>(put);
    bytes = bytes.subspan(static_cast<size_t>(put));
  }
}

// `offset` and the size are aligned. False when the file system takes no direct writes after all; nothing is lost then,
// the caller writes everything again.
bool OutputFile::WriteDirect(uint64_t offset, std::span<const std::byte> bytes) {
  const size_t alignment = Alignment();
  const Buffer buffer;
  while (!bytes.empty()) {
    const size_t piece = std::min(bytes.size(), kBufferSize);
    std::memcpy(buffer.data(), bytes.data(), piece);
    size_t done = 0;
    while (done < piece) {
      const ssize_t put = WriteOnce(files_->direct, buffer.data() + done, piece - done, offset + done);
      if (put < 0 && errno == EINTR) continue;
      if (put < 0 && (errno == ENOSPC || errno == EDQUOT)) FailForSpace("cannot write", path_, bytes.size() - done);
      if (put < 0 && errno == EINVAL) {
        files_->direct_works = false;
        return false;
      }
      if (put < 0) ThrowSystemError("cannot write", path_);
      const size_t whole = static_cast<size_t>(put) / alignment * alignment;
      if (whole == 0) {  // too short to go on directly: the rest of this piece through the cache
        WriteBuffered(offset + done, {buffer.data() + done, piece - done});
        break;
      }
      done += whole;
    }
    offset += piece;
    bytes = bytes.subspan(piece);
  }
  return true;
}

void OutputFile::Sync() {
  // One call for both descriptors: it flushes the file's pages, what belongs to its reserved blocks, and the device's
  // cache.
  int result = 0;
  do {
    result = fdatasync(files_->buffered);
  } while (result != 0 && errno == EINTR);
  if (result != 0) ThrowSystemError("cannot sync", path_);
}

void OutputFile::Publish(const fs::path& target) {
  if (fchmod(files_->buffered, options_.mode) != 0) ThrowSystemError("cannot set the permissions of", path_);
  Sync();
  if (rename(path_.c_str(), target.c_str()) != 0) ThrowSystemError("cannot rename to", target);
  path_ = target;
  SyncDirectory(target.has_parent_path() ? target.parent_path() : fs::path("."));
}

}  // namespace modelslim
