// A file whose size is known before its content: created whole, then filled in place by any thread in any order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "base/file.h"

namespace modelslim {

// What a writing thread takes for its larger writes.
inline constexpr uint64_t kWriteBufferBytes = uint64_t{8} << 20;

struct OutputFileOptions {
  unsigned mode = 0600;  // permissions from Publish on; 0600 until then
  bool direct =
      true;  // large writes pass by the page cache (O_DIRECT) where the file system can; slower elsewhere, never wrong
};

class OutputFile {
 public:
  // Makes `path` (replacing what is there) with `size` bytes that read as zero. Space is reserved at once where the
  // file system can, so a disk that is too full is an Error here: it says how much is needed and how much there is.
  static std::unique_ptr<OutputFile> Create(const fs::path& path, uint64_t size, const OutputFileOptions& options = {});
  // Goes on with a file made by Create, in this or another process. Error(kMisuse) when it is not a regular file of
  // `size` bytes.
  static std::unique_ptr<OutputFile> Open(const fs::path& path, uint64_t size, const OutputFileOptions& options = {});
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  const fs::path& path() const { return path_; }
  uint64_t size() const { return size_; }

  // Puts `bytes` at `offset`. Thread-safe as long as the ranges do not overlap. Errors name the file and the system's
  // reason.
  void Write(uint64_t offset, std::span<const std::byte> bytes);
  void Write(uint64_t offset, std::string_view bytes) { Write(offset, std::as_bytes(std::span(bytes))); }

  // All that was written is on the disk when this returns.
  void Sync();
  // Sync, final permissions, rename to `target` (same file system), sync of its directory. Nothing may be written after
  // it.
  void Publish(const fs::path& target);

 private:
  OutputFile(const fs::path& path, uint64_t size, const OutputFileOptions& options, int buffered);
  void OpenDirect();
  void WriteBuffered(uint64_t offset, std::span<const std::byte> bytes);
  bool WriteDirect(uint64_t offset, std::span<const std::byte> bytes);

  struct Descriptors;
  fs::path path_;
  uint64_t size_;
  OutputFileOptions options_;
  std::unique_ptr<Descriptors> files_;
};

// For tests: a disk that fills up or that takes few bytes at a time. Applies to all OutputFiles of the process.
struct WriteFaults {
  std::optional<uint64_t> bytes_until_full;  // further writes fail with ENOSPC
  std::optional<uint64_t> longest_write;     // of one system call
  bool refuse_direct = false;                // O_DIRECT cannot be had
};
void SetWriteFaultsForTesting(const WriteFaults& faults);

}  // namespace modelslim
