// Files, with the errors a user can act on: every failure throws Error naming the path and the system's reason.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace modelslim {

namespace fs = std::filesystem;

class Error;
class MappedRange;

// Whether a file is still the one it was: its size and the time of its last change.
struct FileStamp {
  uint64_t size = 0;
  int64_t seconds = 0, nanoseconds = 0;
  bool operator==(const FileStamp&) const = default;
};
FileStamp StampOf(const fs::path& path);

// A whole file, mapped for reading. The mapping lives as long as the object. An empty file maps to nothing.
class MappedFile {
 public:
  explicit MappedFile(const fs::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const fs::path& path() const { return path_; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  // Of the file that was mapped, whatever stands under its name by now.
  const FileStamp& stamp() const { return stamp_; }

  // Hints to the kernel about [offset, offset + size). Both are harmless when they fail.
  void WillNeed(uint64_t offset, uint64_t size) const;
  void DontNeed(uint64_t offset, uint64_t size) const;

 private:
  fs::path path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  FileStamp stamp_;
  std::unique_ptr<MappedRange> range_;
};

// The most that ReadTextFile reads without being told otherwise.
inline constexpr uint64_t kTextLimit = uint64_t{1} << 32;

// The text of a file, at most `limit` bytes (a larger one is an error).
std::string ReadTextFile(const fs::path& path, uint64_t limit = kTextLimit);

// What the name of a file ends in until it is whole; a name that leaves no room for it loses its own end.
inline constexpr const char* kUnpublished = ".partial";
fs::path Unpublished(const fs::path& path);

// Writes beside the target, syncs, renames: the target is either the old file or the new one, never a part. `mode` are
// the permission bits of the new file.
void WriteFileAtomically(const fs::path& path, std::string_view content, unsigned mode = 0600);

// fsync of a directory, so that renames in it survive a power cut.
void SyncDirectory(const fs::path& path);

// Creates the directory and its parents (mode 0750 for new ones). The error names the first one that fails.
void MakeDirectories(const fs::path& path);

// Throws what MakeDirectories and a file created in `path` would meet, as far as that can be told without creating
// anything: a parent that may not be entered or written, a name that is too long, a file in the place of a directory.
void CheckDirectoryCanBeWritten(const fs::path& path);

// "WHAT PATH: No such file or directory" and so on for the current errno, with what to do about it.
[[noreturn]] void ThrowSystemError(std::string_view what, const fs::path& path);
// The same for what the standard library says of a path, to be thrown or told.
Error SystemError(const fs::filesystem_error& error);

}  // namespace modelslim
